//! Whether the variates that members keep are those whose mean the server's is, by the ledger alone.

use wire::{Digest, Round};

/// Follows the leaves of the ledger on every node, in their order: all come to the same word on when the variates
/// start anew.
///
/// They do with the first round; when a member comes or goes, since the mean is then over others; when a member has
/// lost its own; and when a round starts from another model than the last one made, whose variate is of other
/// rounds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lineage {
    /// `None`: the next round starts anew.
    intact: Option<Intact>,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Intact {
    /// What the last round made.
    model: Digest,
    /// The last round since the start that this node's update is in.
    counted: Option<Round>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Open {
    round: Round,
    fresh: bool,
    disturbed: bool,
}

/// How a round begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    /// All variates are zero, whatever the model brings.
    pub fresh: bool,
    /// This node's is the one that this round left; `None`: zero.
    pub kept: Option<Round>,
}

impl Lineage {
    /// A member came or went, lost its variate, or a round without variates was opened.
    pub fn disturbed(&mut self) {
        self.intact = None;
        if let Some(open) = &mut self.open {
            open.disturbed = true;
        }
    }

    /// Learning goes back; a round that was open is over.
    pub fn rolled_back(&mut self) {
        self.intact = None;
        self.open = None;
    }

    /// A round with variates was opened.
    pub fn opened(&mut self, round: Round, model: Digest) -> Begin {
        let intact = self.intact.filter(|intact| intact.model == model);
        let fresh = intact.is_none();
        self.open = Some(Open {
            round,
            fresh,
            disturbed: false,
        });
        Begin {
            fresh,
            kept: intact.and_then(|intact| intact.counted),
        }
    }

    /// It has a model; `counted`: this node's update is in it.
    pub fn closed(&mut self, round: Round, model: Digest, counted: bool) {
        let Some(open) = self.open.take_if(|open| open.round == round) else {
            return;
        };
        let before = self.intact.filter(|_| !open.fresh);
        let before = before.and_then(|intact| intact.counted);
        self.intact = (!open.disturbed).then_some(Intact {
            model,
            counted: if counted { Some(round) } else { before },
        });
    }

    /// It has none.
    pub fn abandoned(&mut self, round: Round) {
        self.open.take_if(|open| open.round == round);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(number: u8) -> Digest {
        Digest([number; 32])
    }

    fn begin(fresh: bool, kept: Option<u64>) -> Begin {
        let kept = kept.map(Round);
        Begin { fresh, kept }
    }

    /// Round n starts from model n − 1 and makes model n.
    fn round(lineage: &mut Lineage, number: u8, counted: bool) -> Begin {
        let begin = lineage.opened(Round(number.into()), model(number - 1));
        lineage.closed(Round(number.into()), model(number), counted);
        begin
    }

    #[test]
    fn variates_go_on_from_model_to_model() {
        let mut lineage = Lineage::default();
        assert_eq!(round(&mut lineage, 1, false), begin(true, None));
        assert_eq!(round(&mut lineage, 2, true), begin(false, None));
        assert_eq!(round(&mut lineage, 3, false), begin(false, Some(2)));
        assert_eq!(lineage.opened(Round(4), model(3)), begin(false, Some(2)));
        lineage.abandoned(Round(4));
        assert_eq!(lineage.opened(Round(5), model(3)), begin(false, Some(2)));
    }

    #[test]
    fn they_start_anew_when_the_mean_is_not_theirs_any_more() {
        let two_rounds = || {
            let mut lineage = Lineage::default();
            round(&mut lineage, 1, true);
            round(&mut lineage, 2, true);
            lineage
        };
        // Between rounds; an abandoned fresh round leaves it so.
        let mut lineage = two_rounds();
        lineage.disturbed();
        assert_eq!(lineage.opened(Round(3), model(2)), begin(true, None));
        lineage.abandoned(Round(3));
        assert_eq!(lineage.opened(Round(4), model(2)), begin(true, None));
        lineage.closed(Round(4), model(4), false);
        assert_eq!(lineage.opened(Round(5), model(4)), begin(false, None));

        // Within one: it ends as it began, with a mean over the former members.
        let mut lineage = two_rounds();
        assert_eq!(lineage.opened(Round(3), model(2)), begin(false, Some(2)));
        lineage.disturbed();
        lineage.closed(Round(3), model(3), true);
        assert_eq!(lineage.opened(Round(4), model(3)), begin(true, None));

        // From another model; the last one is as good as before if nothing comes of it.
        let mut lineage = two_rounds();
        assert_eq!(lineage.opened(Round(3), model(1)), begin(true, None));
        lineage.abandoned(Round(3));
        assert_eq!(lineage.opened(Round(4), model(2)), begin(false, Some(2)));

        let mut lineage = two_rounds();
        lineage.opened(Round(3), model(2));
        lineage.rolled_back();
        lineage.closed(Round(3), model(3), true);
        assert_eq!(lineage.opened(Round(4), model(1)), begin(true, None));
    }
}
