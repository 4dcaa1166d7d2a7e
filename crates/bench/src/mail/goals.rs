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
        }
    }

    /// The median of ours in one case.
    pub fn under(case: &Case, what: &str, bound: f64) -> Self {
        Self {
            what: format!("{what}, {}", case.label),
            bound: Bound::Under(bound),
            reached: Spread::of(case.ours.values.iter().copied()).map(|spread| spread.median),
        }
    }

    /// For the report.
    pub fn line(&self) -> String {
        let Self {
            what,
            bound,
            reached,
        } = self;
        let (wanted, is_met): (String, &dyn Fn(f64) -> bool) = match bound {
            Bound::AtLeast(least) => (format!("≥ {}", figure(*least)), &|found| found >= *least),
            Bound::Under(most) => (format!("< {}", figure(*most)), &|found| found < *most),
        };
        match reached {
            None => format!("goal not measured: {what} {wanted}"),
            Some(found) => {
                let verdict = if is_met(*found) { "met" } else { "MISSED" };
                format!("goal {verdict}: {what}: {} ({wanted})", figure(*found))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_says_whether_it_was_met() {
        let check = |bound, reached, expected: &str| {
            let what = "x".to_owned();
            let goal = Goal {
                what,
                bound,
                reached,
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
}
