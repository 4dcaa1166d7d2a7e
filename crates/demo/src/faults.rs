//! When which node is hurt.

use std::time::Duration;

/// What is done to a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Blow {
    /// kill -9, and a new start after the given time.
    Kill,
    /// SIGSTOP, and SIGCONT after the given time.
    Pause,
}

/// Who is hurt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Victim {
    /// Whoever leads at that moment.
    Leader,
    /// The n-th node.
    Node(usize),
}

/// One fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Strike {
    /// Time since the start.
    pub(crate) at: Duration,
    pub(crate) victim: Victim,
    pub(crate) blow: Blow,
    /// Until it is undone.
    pub(crate) lasts: Duration,
}

/// The demo's plan: the leader dies half-way.
pub(crate) fn demo(span: Duration) -> Vec<Strike> {
    vec![Strike {
        at: span / 2,
        victim: Victim::Leader,
        blow: Blow::Kill,
        lasts: Duration::from_secs(8).min(span / 6),
    }]
}

/// Chaos: one node at a time is killed or paused, with rests in which the cluster can heal. The
/// same seed gives the same plan. `from`: when the cluster is up; `until`: last moment of a fault.
pub(crate) fn chaos(seed: u64, nodes: usize, from: Duration, until: Duration) -> Vec<Strike> {
    let mut state = seed;
    let mut draw = move |bound: u64| {
        // SplitMix64 (Steele et al. 2014): a plan needs variety, not secrecy.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    };
    let mut strikes = Vec::new();
    let mut at = from + Duration::from_millis(draw(3_000));
    loop {
        let lasts = Duration::from_millis(2_500 + draw(4_000));
        if at + lasts > until {
            return strikes;
        }
        let victim = match draw(3) {
            0 => Victim::Leader,
            _ => Victim::Node(usize::try_from(draw(nodes as u64)).unwrap_or(0)),
        };
        let blow = if draw(3) == 0 {
            Blow::Pause
        } else {
            Blow::Kill
        };
        strikes.push(Strike {
            at,
            victim,
            blow,
            lasts,
        });
        at += lasts + Duration::from_millis(4_000 + draw(4_000));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_repeat_never_overlap_and_stay_within_their_time() {
        let (from, until) = (Duration::from_secs(10), Duration::from_secs(90));
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..50 {
            let plan = chaos(seed, 3, from, until);
            assert_eq!(plan, chaos(seed, 3, from, until));
            assert!(plan.len() >= 3, "seed {seed}: {plan:?}");
            for strike in &plan {
                assert!(strike.at >= from && strike.at + strike.lasts <= until);
                kinds.insert(format!("{:?} {:?}", strike.victim, strike.blow));
            }
            for pair in plan.windows(2) {
                assert!(
                    pair[0].at + pair[0].lasts < pair[1].at,
                    "one node at a time: {pair:?}"
                );
            }
        }
        assert_eq!(
            kinds.len(),
            8,
            "leader and three nodes, killed and paused: {kinds:?}"
        );
    }
}
