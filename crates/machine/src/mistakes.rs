//! Mistakes that the simulation has to find: a test of the tests.
//!
//! Each is one that a tired engineer could make, stands at the one place where the real code prevents
//! it, and is named there: `if mistakes::on(Mistake::DoubleVote) { … }`. Without this crate's feature
//! `mistakes` the answer is a constant, and nothing of a mistake is left in a binary. With it,
//! `make` chooses them once, when the process starts.

/// A mistake that can be made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Mistake {
    /// `replica`: a vote is answered and kept in memory only, so that a restart forgets it.
    /// Against it: in one term at most one leader; no two replicas differ at an index.
    DoubleVote,
    /// `replica`: an append to Raft's log is acknowledged without a sync. Seen only where a crash
    /// loses what was not synced. Against it: what was committed is never lost.
    LostFsync,
    /// `runtime::journal`: the 250 comes before the journal has the message; it is written with the
    /// next one. Against it: every mail answered 250 is counted on the ledger in the end.
    CommitBeforePersist,
    /// `custody`: keys are readable for ever, also past their grace. Against it: no sample opens under
    /// a key epoch that is older than the grace allows.
    StaleEpochAccepted,
    /// `federation`: a participant's repeated update weighs again. Against it: the examples of a closed
    /// round are the sum of what each participant sent once.
    DoubleCountedUpdate,
    /// `node::feed`: whatever was polled is committed at once, as consumers with automatic commits do,
    /// before the reports are on the data space and their digest on the ledger. Against it: every record below a committed offset is counted on the ledger.
    OffsetCommittedEarly,
    /// `runtime::mailbox`: letters are taken without limit. Against it: no more letters wait than the
    /// mailbox has room for.
    UnboundedQueue,
    /// `custody`: the group commit that has to remove a former member leaves its leaf in the tree, and
    /// nobody checks. Against it: who holds a key epoch that began after a removal is a member.
    EvictedKeepsKeys,
    /// `ledger`: what is on the log already is forgotten, so that a repeated proposal is written and
    /// applied again. Against it: a proposal takes
    /// effect at most once.
    DuplicateProposal,
    /// `federation`: a new leader opens the next round and forgets the one that its predecessor left
    /// open. Against it: after a fault heals, rounds close again.
    NoFailoverAbandon,
    /// `node::mailbox`: the journal's mark moves before the digest is on the ledger. Against it: every
    /// mail answered 250 is counted on the ledger in the end.
    WatermarkEarly,
    /// `federation::secagg`: asked to unmask, a participant reveals both shares that it holds of each member.
    /// Against it: nobody reveals both shares of one member in a round.
    BothSharesRevealed,
    /// `custody`: a payload that was opened before opens again. Against it: of a writer's samples of a
    /// device a reader takes each once, in their order.
    ReplayAccepted,
    /// `federation`: a private round's sum is asked for, and shares for it are revealed, before the ledger has its cost.
    /// Against it: nobody reveals shares of a private round that is not charged for.
    UnchargedUnmask,
    /// `ledger`: a round counts a tenant's nodes one by one, as if they were hid one by one. Against it: a tenant's
    /// account holds what all of its nodes together have told.
    TenantCountedSingly,
    /// `federation`: what a smaller update has left out is forgotten when its round has closed. Against it: it is in the
    /// next one.
    LeftOutForgotten,
    /// `federation`: an update that moves a control variate is sent before the variate is on the disk. Against it: nobody
    /// whose disk is whole has lost its variate.
    VariateNotKept,
    /// `federation`: the server's control variate moves by the mean of those in a round as if everybody were in it. Against
    /// it: it is the mean of all members'.
    VariateShareIgnored,
    /// `federation`: models that rounds started from are remembered for ever. Against it: no update counts that is older
    /// than allowed.
    StaleUpdateAccepted,
    /// `federation`: an update that is taken as it comes is offered again after it has counted, and taken. Against it: it
    /// counts once.
    UpdateCountedAgain,
}

/// Whether this mistake is being made.
#[cfg(not(feature = "mistakes"))]
#[inline(always)]
pub const fn on(_: Mistake) -> bool {
    false
}

#[cfg(feature = "mistakes")]
pub use chosen::{ALL, UnknownMistake, make, on};

#[cfg(feature = "mistakes")]
mod chosen {
    use super::Mistake;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// One bit for each that is being made.
    static MADE: AtomicU64 = AtomicU64::new(0);

    /// Whether this mistake is being made.
    pub fn on(mistake: Mistake) -> bool {
        MADE.load(Ordering::Relaxed) & bit(mistake) != 0
    }

    const fn bit(mistake: Mistake) -> u64 {
        1 << mistake as u64
    }

    /// All of them.
    pub const ALL: [Mistake; 20] = [
        Mistake::DoubleVote,
        Mistake::LostFsync,
        Mistake::CommitBeforePersist,
        Mistake::StaleEpochAccepted,
        Mistake::DoubleCountedUpdate,
        Mistake::OffsetCommittedEarly,
        Mistake::UnboundedQueue,
        Mistake::EvictedKeepsKeys,
        Mistake::DuplicateProposal,
        Mistake::NoFailoverAbandon,
        Mistake::WatermarkEarly,
        Mistake::BothSharesRevealed,
        Mistake::ReplayAccepted,
        Mistake::UnchargedUnmask,
        Mistake::TenantCountedSingly,
        Mistake::LeftOutForgotten,
        Mistake::VariateNotKept,
        Mistake::VariateShareIgnored,
        Mistake::StaleUpdateAccepted,
        Mistake::UpdateCountedAgain,
    ];

    impl Mistake {
        /// How it is called.
        pub const fn name(self) -> &'static str {
            match self {
                Self::DoubleVote => "double-vote",
                Self::LostFsync => "lost-fsync",
                Self::CommitBeforePersist => "commit-before-persist",
                Self::StaleEpochAccepted => "stale-epoch-accepted",
                Self::DoubleCountedUpdate => "double-counted-update",
                Self::OffsetCommittedEarly => "offset-committed-early",
                Self::UnboundedQueue => "unbounded-queue",
                Self::EvictedKeepsKeys => "evicted-keeps-keys",
                Self::DuplicateProposal => "duplicate-proposal",
                Self::NoFailoverAbandon => "no-failover-abandon",
                Self::WatermarkEarly => "watermark-early",
                Self::BothSharesRevealed => "both-shares-revealed",
                Self::ReplayAccepted => "replay-accepted",
                Self::UnchargedUnmask => "uncharged-unmask",
                Self::TenantCountedSingly => "tenant-counted-singly",
                Self::LeftOutForgotten => "left-out-forgotten",
                Self::VariateNotKept => "variate-not-kept",
                Self::VariateShareIgnored => "variate-share-ignored",
                Self::StaleUpdateAccepted => "stale-update-accepted",
                Self::UpdateCountedAgain => "update-counted-again",
            }
        }

        /// What is done wrong, in a sentence.
        pub const fn sentence(self) -> &'static str {
            match self {
                Self::DoubleVote => {
                    "a vote is answered without being saved, and forgotten at a restart"
                }
                Self::LostFsync => "an append to Raft's log is acknowledged without a sync",
                Self::CommitBeforePersist => "a mail is answered 250 before the journal has it",
                Self::StaleEpochAccepted => "samples open under key epochs whose grace is over",
                Self::DoubleCountedUpdate => {
                    "a participant's repeated update weighs again in its round"
                }
                Self::OffsetCommittedEarly => {
                    "offsets are committed before the records' effects are on data space and ledger"
                }
                Self::UnboundedQueue => "a mailbox takes letters without limit",
                Self::EvictedKeepsKeys => {
                    "the group commit leaves an evicted member in the key group"
                }
                Self::DuplicateProposal => "a proposal that is on the log already is applied again",
                Self::NoFailoverAbandon => {
                    "a new leader forgets the round that its predecessor left open"
                }
                Self::WatermarkEarly => {
                    "the journal's mark moves before the mails' digest is on the ledger"
                }
                Self::BothSharesRevealed => {
                    "a participant reveals both of the shares that it holds of a member"
                }
                Self::ReplayAccepted => "a sample that was opened before opens again",
                Self::UnchargedUnmask => {
                    "the masks of a private round come off before the ledger has its cost"
                }
                Self::TenantCountedSingly => {
                    "the nodes of a tenant in a round are charged as if they were hid one by one"
                }
                Self::LeftOutForgotten => {
                    "what a smaller update left out is forgotten when its round closes"
                }
                Self::VariateNotKept => {
                    "an update leaves before the control variate that goes with it is on the disk"
                }
                Self::VariateShareIgnored => {
                    "the server's control variate moves as if everybody were in the round"
                }
                Self::StaleUpdateAccepted => "an update counts, however old its model is",
                Self::UpdateCountedAgain => {
                    "an update that has counted is offered again, and counts again"
                }
            }
        }
    }

    /// A name that no mistake has.
    #[derive(Clone, PartialEq, Eq, Debug)]
    pub struct UnknownMistake(pub String);

    impl std::fmt::Display for UnknownMistake {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            let names = ALL.map(Mistake::name).join(", ");
            write!(f, "`{}` is no known mistake; choose of {names}", self.0)
        }
    }

    impl std::error::Error for UnknownMistake {}

    /// Makes exactly these from now on in this process; none: the code is right again.
    ///
    /// # Errors
    /// A name is unknown; nothing has changed then.
    pub fn make<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), UnknownMistake> {
        let mut made = 0;
        for name in names {
            let found = ALL.into_iter().find(|mistake| mistake.name() == name);
            made |= bit(found.ok_or_else(|| UnknownMistake(name.to_owned()))?);
        }
        MADE.store(made, Ordering::Relaxed);
        Ok(())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn exactly_what_is_named_is_made() {
            assert!(ALL.into_iter().all(|mistake| !on(mistake)));
            make(["lost-fsync", "watermark-early"]).unwrap();
            for mistake in ALL {
                let named = matches!(mistake, Mistake::LostFsync | Mistake::WatermarkEarly);
                assert_eq!(on(mistake), named, "{}", mistake.name());
                assert!(!mistake.sentence().is_empty());
            }
            let error = make(["double-vote", "nonsense"]).unwrap_err();
            assert!(error.to_string().contains("`nonsense`"), "{error}");
            assert!(!on(Mistake::DoubleVote));
            make([]).unwrap();
            assert!(!on(Mistake::LostFsync));
        }
    }
}
