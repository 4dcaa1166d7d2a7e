//! Why somebody refuses: sentences for the log and the ledger.

use super::fixed::EncodeError;
use wire::{Digest, NodeId, Round};

/// Why a participant does not do what it is asked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Nobody asked it.
    #[error("{node} is not in the cohort of round {round}")]
    NotInCohort {
        /// Who.
        node: NodeId,
        /// The round.
        round: Round,
    },
    /// It has taken part in this round or a later one, in this life.
    #[error("round {round} is a replay: {last} was the last one that this node took part in")]
    Replayed {
        /// Asked.
        round: Round,
        /// The last one.
        last: Round,
    },
    /// Another round, model, ledger entry or cohort.
    #[error(
        "the message is about {found:?}, this round about {expected:?}: another model, cohort or round, or other settings of secure rounds"
    )]
    OtherContext {
        /// This participant's.
        expected: Digest,
        /// The message's.
        found: Digest,
    },
    /// A step before its turn, or again with other content.
    #[error("{step} came {when}")]
    OutOfTurn {
        /// Which.
        step: &'static str,
        /// When.
        when: &'static str,
    },
    /// A set with unknown members, or not in the one form that sets have.
    #[error("the set of members in {step} is none of this cohort")]
    Unsound {
        /// In which step.
        step: &'static str,
    },
    /// Too few for a threshold.
    #[error("{found} took part in {step}, {needed} are needed")]
    TooFew {
        /// In which step.
        step: &'static str,
        /// How many.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// This participant's own contribution is missing or changed.
    #[error("{step} has left this node out, or changed what it sent")]
    LeftOut {
        /// In which step.
        step: &'static str,
    },
    /// Somebody is there who was not there in the step before.
    #[error("{step} names {node}, who was not in the step before")]
    NotBefore {
        /// In which step.
        step: &'static str,
        /// Who.
        node: NodeId,
    },
    /// The list does not have each neighbour once.
    #[error("{step} lists {node} twice, or is no neighbour's, or lacks it")]
    Listed {
        /// In which step.
        step: &'static str,
        /// Who.
        node: NodeId,
    },
    /// Not signed by the member's identity for this round.
    #[error("the keys of {node} are not signed by its identity for this round and model")]
    ForgedKeys {
        /// Who.
        node: NodeId,
    },
    /// Two members, one key.
    #[error("{a} and {b} have the same key")]
    SameKey {
        /// One.
        a: NodeId,
        /// The other.
        b: NodeId,
    },
    /// A point of small order.
    #[error("the key of {node} contributes nothing to an agreement")]
    WeakKey {
        /// Who.
        node: NodeId,
    },
    /// Other bytes, another dealer, or a dealer that was shown other members.
    #[error(
        "the shares of {node} do not open: they were changed, or {node} was shown another cohort"
    )]
    Unopened {
        /// The dealer.
        node: NodeId,
    },
    /// The dealer lies.
    #[error("a share that {node} dealt does not match its commitment")]
    WrongShare {
        /// The dealer.
        node: NodeId,
    },
    /// The update does not fit.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A second, different set of survivors.
    #[error(
        "a second set of survivors: {first} and {second} of them; somebody lies about who dropped out"
    )]
    SecondSurvivors {
        /// Signed before.
        first: usize,
        /// Asked for now.
        second: usize,
    },
    /// Others did not sign what this participant signed.
    #[error(
        "{matching} consents match this node's set of survivors, {needed} are needed; not that of {other}"
    )]
    NoAgreement {
        /// How many match.
        matching: usize,
        /// t.
        needed: usize,
        /// The first whose consent does not match; this node itself if all match.
        other: NodeId,
    },
    /// The cost of the sum would be on others' accounts.
    #[error(
        "the ledger charges {charged} members for the privacy of the round's sum, and others are the {survivors} that are in it"
    )]
    OthersCharged {
        /// By the ledger.
        charged: usize,
        /// Signed for.
        survivors: usize,
    },
    /// The account would not say what the sum tells.
    #[error(
        "the ledger charges for noise of {noise_milli}/1000 of a norm of {bound}, and the round goes by another"
    )]
    WrongCost {
        /// Of the charge.
        noise_milli: u32,
        /// Of the charge.
        bound: f64,
    },
    /// The account does not bear what the sum would tell.
    #[error("{why}, so the sum stays under its masks")]
    Overdrawn {
        /// Whose, a sentence.
        why: String,
    },
    /// Both secrets of one participant would uncover its update.
    #[error("both shares of {node} are asked for")]
    BothShares {
        /// Whose.
        node: NodeId,
    },
    /// Asked for shares that do not follow from the survivors.
    #[error("the shares asked for are not those of the survivors and of those who dropped out")]
    OtherShares,
    /// It has seen the protocol broken in this round.
    #[error("this node has left the round: {reason}")]
    Left {
        /// Why.
        reason: String,
    },
}

impl Refusal {
    /// Whether it says that somebody broke the protocol. The others happen to honest nodes whose
    /// messages are late, lost or repeated, or who cannot take part.
    pub fn is_accusation(&self) -> bool {
        match self {
            Self::Unsound { .. }
            | Self::LeftOut { .. }
            | Self::NotBefore { .. }
            | Self::Listed { .. }
            | Self::ForgedKeys { .. }
            | Self::SameKey { .. }
            | Self::WeakKey { .. }
            | Self::Unopened { .. }
            | Self::WrongShare { .. }
            | Self::SecondSurvivors { .. }
            | Self::NoAgreement { .. }
            | Self::BothShares { .. }
            | Self::TooFew { .. }
            | Self::OthersCharged { .. }
            | Self::WrongCost { .. }
            | Self::Overdrawn { .. }
            | Self::OtherShares => true,
            Self::NotInCohort { .. }
            | Self::Replayed { .. }
            | Self::OtherContext { .. }
            | Self::OutOfTurn { .. }
            | Self::Encode(_)
            | Self::Left { .. } => false,
        }
    }
}

/// Why a participant's message does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nobody asked it.
    #[error("{node} is not in the cohort of round {round}")]
    NotInCohort {
        /// Who.
        node: NodeId,
        /// The round.
        round: Round,
    },
    /// Another round, model, ledger entry or cohort.
    #[error(
        "{node} speaks of {found:?}, this round is {expected:?}: another model, cohort or round, or other settings of secure rounds"
    )]
    OtherContext {
        /// Who.
        node: NodeId,
        /// The round's.
        expected: Digest,
        /// The message's.
        found: Digest,
    },
    /// Not now: the step is over, not reached, or not a participant's.
    #[error("{node} sent {step} out of turn")]
    OutOfTurn {
        /// Who.
        node: NodeId,
        /// What.
        step: &'static str,
    },
    /// Once is enough; the first one counts.
    #[error("{node} sent {step} again, with other content")]
    Again {
        /// Who.
        node: NodeId,
        /// What.
        step: &'static str,
    },
    /// Keys not signed for this round.
    #[error("the keys of {node} are not signed by its identity for this round and model")]
    ForgedKeys {
        /// Who.
        node: NodeId,
    },
    /// A key that somebody else has advertised.
    #[error("{node} advertises a key of {other}")]
    SameKey {
        /// Who.
        node: NodeId,
        /// The other.
        other: NodeId,
    },
    /// Not one share for each holder.
    #[error("{node} did not deal one share to each of its holders")]
    Holders {
        /// Who.
        node: NodeId,
    },
    /// Not as long as the model.
    #[error("the masked update of {node} has {found} bytes, the round's has {expected}")]
    Length {
        /// Who.
        node: NodeId,
        /// The round's.
        expected: usize,
        /// The update's.
        found: usize,
    },
    /// Signed something else.
    #[error("{node} does not consent to the round's survivors")]
    Consent {
        /// Who.
        node: NodeId,
    },
    /// It revealed a share that is not the one it was dealt.
    #[error("{node} revealed a wrong share of {owner}'s secret")]
    WrongShare {
        /// Who.
        node: NodeId,
        /// Whose share.
        owner: NodeId,
    },
    /// It revealed what nobody asked for.
    #[error("{node} revealed a share of {owner}'s that nobody asked for")]
    Unasked {
        /// Who.
        node: NodeId,
        /// Whose share.
        owner: NodeId,
    },
}

/// Why a step cannot be ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Shortfall {
    /// Fewer than the threshold, in the cohort or around one participant.
    #[error("{found} took part in {step}, {needed} are needed")]
    TooFew {
        /// The step.
        step: &'static str,
        /// How many.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// The same, around one participant.
    #[error("{found} holders of {owner}'s shares took part in {step}, {needed} are needed")]
    Holders {
        /// The step.
        step: &'static str,
        /// Whose holders.
        owner: NodeId,
        /// How many.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// Not this step's turn.
    #[error("{step} is not the step that the round is in")]
    OutOfTurn {
        /// The step.
        step: &'static str,
    },
}

/// Why the masks do not come off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SumError {
    /// Not enough right shares.
    #[error(transparent)]
    Shortfall(#[from] Shortfall),
    /// All shares match their commitments, but they are shares of nothing.
    #[error("{owner} dealt shares that do not recover its secret")]
    WrongDeal {
        /// Who.
        owner: NodeId,
    },
    /// A survivor's masks were not those it agreed on.
    #[error(
        "the sum of the updates is none: some of {participants} participants masked theirs wrongly, or claimed examples that nobody has"
    )]
    Garbage {
        /// How many are in it.
        participants: usize,
    },
    /// The aggregator is to add it, and has none.
    #[error("no secret to draw the round's noise from was given to this aggregator")]
    NoNoise,
}
