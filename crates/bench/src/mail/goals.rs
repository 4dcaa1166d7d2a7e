//! What was aimed at.

use crate::report::{Case, figure};
use crate::samples::Spread;

/// Where a figure must lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// There or above.
    AtLeast(f64),
    /// Really below.
    Under(f64),
}

/// A figure and where it was wanted.
#[derive(Clone, Debug)]
pub struct Goal {
    /// What it is a figure of.
    pub what: String,
    /// Where it is wanted.
    pub bound: Bound,
    /// Its median; `None`: not measured.
    pub reached: Option<f64>,
    /// What somebody reaches in the same case who does none of the work: nobody gets much further.
    pub ceiling: Option<(String, f64)>,
}

impl Goal {
    /// How many times the peer's figure ours is, in one case.
    pub fn times(case: &Case, peer: &str, least: f64) -> Self {
        let found = case.peers.iter().find(|found| found.name == peer);
        let better = crate::report::Better::Higher;
        let spread = found.and_then(|found| case.ratio(found, better));
        Self {
            what: format!("times {peer}, {}", case.label),
            bound: Bound::AtLeast(least),
            reached: spread.map(|spread| spread.median),
            ceiling: None,
        }
    }

    /// With what `idler` reaches against `peer` in the same case, for goals by [`times`](Self::times).
    pub fn beside(self, case: &Case, peer: &str, idler: &str) -> Self {
        let median = |name: &str| {
            let found = case.peers.iter().find(|found| found.name == name)?;
            Spread::of(found.values.iter().copied()).map(|spread| spread.median)
        };
        let ceiling = median(idler)
            .zip(median(peer))
            .map(|(idler_rate, peer_rate)| (idler.to_owned(), idler_rate / peer_rate));
        Self { ceiling, ..self }
    }

    /// The median of ours in one case.
    pub fn under(case: &Case, what: &str, bound: f64) -> Self {
        Self {
            what: format!("{what}, {}", case.label),
            bound: Bound::Under(bound),
            reached: Spread::of(case.ours.values.iter().copied()).map(|spread| spread.median),
            ceiling: None,
        }
    }

    /// For the report.
    pub fn line(&self) -> String {
        let Self {
            what,
            bound,
            reached,
            ceiling,
        } = self;
        let (wanted, is_met): (String, &dyn Fn(f64) -> bool) = match bound {
            Bound::AtLeast(least) => (format!("≥ {}", figure(*least)), &|found| found >= *least),
            Bound::Under(most) => (format!("< {}", figure(*most)), &|found| found < *most),
        };
        match reached {
            None => format!("goal not measured: {what} {wanted}"),
            Some(found) => {
                let verdict = if is_met(*found) { "met" } else { "MISSED" };
                let beside = ceiling.as_ref().map(|(name, times)| {
                    format!("; {name}, which keeps nothing, is at {}", figure(*times))
                });
                format!(
                    "goal {verdict}: {what}: {} ({wanted}){}",
                    figure(*found),
                    beside.unwrap_or_default()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Contender;

    #[test]
    fn a_goal_says_whether_it_was_met() {
        let check = |bound, reached, expected: &str| {
            let what = "x".to_owned();
            let goal = Goal {
                what,
                bound,
                reached,
                ceiling: None,
            };
            assert_eq!(goal.line(), expected);
        };
        check(
            Bound::AtLeast(10.0),
            Some(10.0),
            "goal met: x: 10.0 (≥ 10.0)",
        );
        check(
            Bound::AtLeast(1.0),
            Some(0.5),
            "goal MISSED: x: 0.50 (≥ 1.00)",
        );
        check(
            Bound::Under(16.0),
            Some(16.0),
            "goal MISSED: x: 16.0 (< 16.0)",
        );
        check(Bound::Under(16.0), Some(9.0), "goal met: x: 9.00 (< 16.0)");
        check(Bound::Under(16.0), None, "goal not measured: x < 16.0");
    }

    #[test]
    fn beside_a_goal_stands_what_an_idler_reaches() {
        let peer = |name: &str, value| Contender::new(name, vec![value]);
        let case = Case {
            label: "1 session".to_owned(),
            ours: Contender::new("ours", vec![20.0]),
            peers: vec![peer("Postfix", 10.0), peer("smtp-sink", 55.0)],
        };
        let goal = Goal::times(&case, "Postfix", 10.0).beside(&case, "Postfix", "smtp-sink");
        let expected = "goal MISSED: times Postfix, 1 session: 2.00 (≥ 10.0); smtp-sink, which keeps nothing, is at 5.50";
        assert_eq!(goal.line(), expected);
    }
}
