//! Rules about control variates (SCAFFOLD), by their shadows.

use super::{Broken, LOST_WITH_DISK, MEAN_VARIATE, OWN_VARIATE};
use crate::lockstep::seen::Variate;
use std::collections::{BTreeMap, BTreeSet};

/// What is lost where variates are rounded to f32, times a billion: some thousand numbers, each by 6e-8 of its size,
/// round after round, and far below what one participant moves.
const ROUNDED: i64 = 20_000;

/// What was seen of variates.
#[derive(Debug, Default)]
pub(super) struct Variates {
    /// Members; `None`: rounds have no variates.
    members: Option<usize>,
    /// Those that stand.
    standing: BTreeMap<String, i64>,
    /// Whether these are all that there is to know.
    known: bool,
    /// What updates do to them if they count; `None`: one did another thing than the other.
    answers: BTreeMap<(u64, String), Option<Variate>>,
    begun: BTreeMap<u64, Begun>,
    open: Option<u64>,
    /// The last model, while its variate is the mean of those that stand.
    whole: Option<[u8; 32]>,
    /// The shadow of each round's mean, where it is known.
    means: BTreeMap<u64, i64>,
    /// Nodes whose disks were damaged.
    damaged: BTreeSet<String>,
}

/// A round, as it was opened.
#[derive(Debug)]
struct Begun {
    fresh: bool,
    disturbed: bool,
    members: usize,
    standing: BTreeMap<String, i64>,
}

impl Variates {
    pub(super) fn of(&mut self, members: usize) {
        self.members = Some(members);
    }

    pub(super) fn damaged(&mut self, node: &str) {
        self.damaged.insert(node.to_owned());
    }

    pub(super) fn opened(&mut self, round: u64, model: [u8; 32]) {
        let Some(members) = self.members else {
            return;
        };
        self.open = Some(round);
        let begun = Begun {
            fresh: self.whole != Some(model),
            disturbed: false,
            members,
            standing: self.standing.clone(),
        };
        self.begun.insert(round, begun);
    }

    fn disturbed(&mut self) {
        self.whole = None;
        let open = self.open.and_then(|open| self.begun.get_mut(&open));
        if let Some(open) = open {
            open.disturbed = true;
        }
    }

    /// The mean is over others from here on.
    pub(super) fn membership(&mut self, by: isize) {
        if let Some(members) = &mut self.members {
            *members = members.saturating_add_signed(by);
            self.disturbed();
        }
    }

    pub(super) fn rolled_back(&mut self) {
        self.whole = None;
        self.open = None;
    }

    /// A node says that its own is lost.
    pub(super) fn reset(&mut self, node: &str) -> Result<(), Broken> {
        self.disturbed();
        LOST_WITH_DISK.check(self.damaged.contains(node), || {
            format!("{node} takes its variate for lost, and its disk was not damaged")
        })
    }

    /// An update goes on from the variate that the node's last one that counted left, be there a restart between or not.
    pub(super) fn update(
        &mut self,
        node: &str,
        round: u64,
        variate: Variate,
    ) -> Result<(), Broken> {
        let key = (round, node.to_owned());
        let answer = self.answers.entry(key).or_insert(Some(variate));
        if *answer != Some(variate) {
            *answer = None;
        }
        let (Variate::Moves { own, .. }, Some(begun)) = (variate, self.begun.get(&round)) else {
            return Ok(());
        };
        let stands = begun.standing.get(node).filter(|_| !begun.fresh);
        let expected = stands.copied().unwrap_or(0);
        let off = (own - expected).abs();
        // Of one that was lost nobody knows what was last written.
        let holds = off <= ROUNDED || self.damaged.contains(node);
        OWN_VARIATE.check(holds, || {
            format!("{node} goes on in round {round} from a variate that is {off} billionths off the one it had")
        })
    }

    pub(super) fn closed(&mut self, round: u64, model: [u8; 32], participants: &[String]) {
        let Some(begun) = self.begun.get(&round) else {
            return;
        };
        self.open.take_if(|open| *open == round);
        self.whole = (!begun.disturbed).then_some(model);
        if begun.fresh {
            self.standing.clear();
            self.known = true;
        }
        for node in participants {
            match self.answers.get(&(round, node.clone())).copied().flatten() {
                Some(Variate::Moves { next, .. }) => {
                    self.standing.insert(node.clone(), next);
                }
                Some(Variate::Stays) => {}
                None => self.known = false,
            }
        }
        if self.known {
            let sum: i64 = self.standing.values().sum();
            let members = i64::try_from(begun.members.max(1)).unwrap_or(i64::MAX);
            self.means.insert(round, sum / members);
        }
    }

    /// What the server's is in the model of a round.
    pub(super) fn model(&self, node: &str, round: u64, found: i64) -> Result<(), Broken> {
        let expected = self.means.get(&round).copied().unwrap_or(found);
        let off = (found - expected).abs();
        MEAN_VARIATE.check(off <= ROUNDED || self.damaged.contains(node), || {
            format!("the variate in the model of round {round} is {off} billionths off the mean of the members'")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rule;
    use super::*;

    const BOTH: [&str; 2] = ["a", "b"];

    fn moves(own: i64, next: i64) -> Variate {
        Variate::Moves { own, next }
    }

    fn close(variates: &mut Variates, round: u64, of: &[&str]) {
        let of: Vec<String> = of.iter().map(|node| (*node).to_owned()).collect();
        variates.closed(round, [round as u8; 32], &of);
    }

    /// Three members; two of them have moved theirs in the first round.
    fn begun() -> Variates {
        let mut variates = Variates::default();
        variates.of(3);
        variates.opened(1, [0; 32]);
        variates.update("a", 1, moves(0, 3_000_000)).unwrap();
        variates.update("b", 1, moves(0, 6_000_000)).unwrap();
        close(&mut variates, 1, &BOTH);
        variates
    }

    fn rule(held: Result<(), Broken>) -> Option<Rule> {
        held.err().map(|broken| broken.rule)
    }

    #[test]
    fn the_servers_is_the_mean_over_all_members() {
        let variates = begun();
        assert_eq!(rule(variates.model("a", 1, 3_000_000)), None);
        // Over those that took part.
        assert_eq!(rule(variates.model("a", 1, 4_500_000)), Some(MEAN_VARIATE));
        assert_eq!(
            rule(variates.model("a", 7, 9)),
            None,
            "nobody has seen it made"
        );
    }

    #[test]
    fn a_node_goes_on_from_its_last_one_that_counted() {
        let mut variates = begun();
        variates.opened(2, [1; 32]);
        assert_eq!(
            rule(variates.update("a", 2, moves(3_000_000, 4_000_000))),
            None
        );
        assert_eq!(
            rule(variates.update("b", 2, moves(0, 1))),
            Some(OWN_VARIATE)
        );
        // It does not count; what it would have made is gone.
        close(&mut variates, 2, &["b"]);
        variates.opened(3, [2; 32]);
        let stale = moves(4_000_000, 5_000_000);
        assert_eq!(rule(variates.update("a", 3, stale)), Some(OWN_VARIATE));
    }

    #[test]
    fn all_start_from_zero_when_the_mean_is_in_doubt() {
        let disturb: [fn(&mut Variates); 4] = [
            |of| of.membership(-1),
            |of| of.rolled_back(),
            |of| {
                of.damaged("a");
                of.reset("a").unwrap();
            },
            |of| of.opened(2, [9; 32]),
        ];
        for disturb in disturb {
            let mut variates = begun();
            disturb(&mut variates);
            variates.opened(3, [1; 32]);
            let fresh = variates.whole != Some([1; 32]) || variates.begun[&2].fresh;
            assert!(fresh, "{variates:?}");
        }
        let mut variates = begun();
        variates.membership(-1);
        variates.opened(2, [1; 32]);
        assert_eq!(rule(variates.update("b", 2, moves(0, 2_000_000))), None);
        close(&mut variates, 2, &["b"]);
        // Of two members.
        assert_eq!(rule(variates.model("a", 2, 1_000_000)), None);
    }

    #[test]
    fn nobody_loses_a_variate_with_its_disk_whole() {
        let mut variates = begun();
        assert_eq!(rule(variates.reset("a")), Some(LOST_WITH_DISK));
        variates.damaged("a");
        assert_eq!(rule(variates.reset("a")), None);
    }

    #[test]
    fn where_either_of_two_answers_may_count_no_mean_is_known() {
        let mut variates = begun();
        variates.opened(2, [1; 32]);
        variates.damaged("a");
        variates
            .update("a", 2, moves(3_000_000, 4_000_000))
            .unwrap();
        variates.update("a", 2, Variate::Stays).unwrap();
        close(&mut variates, 2, &["a"]);
        assert_eq!(rule(variates.model("b", 2, 77_000_000)), None);
    }
}
