use crate::{roster::Roster, secrets::EpochSecrets};
use std::collections::BTreeSet;
use wire::{Act, GroupCommitKind, KeyEpoch, NodeId, Round};

/// What can happen to a custodian. [`Committed`](Input::Committed), [`Lost`](Input::Lost),
/// [`Roster`](Input::Roster) and [`RoundClosed`](Input::RoundClosed) come from the ledger's fold, in
/// ledger order.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A group commit won its epoch.
    Committed {
        /// The epoch it opened.
        epoch: KeyEpoch,
        /// Who made it.
        committer: NodeId,
        /// Why.
        kind: GroupCommitKind,
        /// The MLS message; empty for `Created`.
        commit: Vec<u8>,
    },
    /// A group commit came too late for its epoch, or somebody had to be removed first. Those of
    /// other nodes may be left out.
    Lost {
        /// The epoch it was for.
        epoch: KeyEpoch,
        /// Who made it.
        committer: NodeId,
        /// Why. With the bytes it tells which of a node's proposals for one epoch it was.
        kind: GroupCommitKind,
        /// The MLS message; empty for `Created`.
        commit: Vec<u8>,
    },
    /// Who belongs to the cluster and who has to leave the group, as of this place on the ledger:
    /// after each effective `Genesis`, `Admitted`, `Removed`, and after each effective
    /// `GroupCommit` that changed `Keys::to_remove` (then following its
    /// [`Committed`](Input::Committed)). It must be the fold up to exactly that leaf, not a later
    /// one: commits that follow are judged by it. After a snapshot was installed: that of the
    /// snapshot, before [`CaughtUp`](Input::CaughtUp).
    Roster {
        /// `State::members` with their identity keys.
        roster: Roster,
        /// `State::keys.to_remove`.
        to_remove: BTreeSet<NodeId>,
    },
    /// The ledger as it was at this process's start has been replayed; act from here on. Again
    /// after a snapshot was installed.
    CaughtUp {
        /// The ledger's key epoch; 0: there never was a group.
        epoch: KeyEpoch,
    },
    /// Whether this node leads the cluster now.
    Leader(bool),
    /// A round closed, by the ledger. Every custodian must hear it, not only the leader's: the
    /// next leader makes up for a rotation that the former one did not get through.
    RoundClosed {
        /// The round.
        round: Round,
    },
    /// A peer answered the last [`Output::AskGroupInfo`].
    GroupInfo {
        /// The peer.
        from: NodeId,
        /// What it serves ([`Output::Serve`]); `None`: it is in no group.
        answer: Option<Vec<u8>>,
    },
    /// Every linked peer has answered or failed to. Also when there was none to ask.
    AnswersDone,
    /// The last proposal for `epoch` was refused, or its fate is unknown.
    ProposalFailed {
        /// The epoch in the proposed act.
        epoch: KeyEpoch,
        /// A sentence.
        reason: String,
    },
}

/// What a custodian asks of its node. To be done in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Append this to the ledger. At most one proposal of a custodian is alive at a time.
    Propose(Act),
    /// Ask all linked peers for their GroupInfo and feed the answers back, `AnswersDone` last.
    AskGroupInfo,
    /// What to answer from now on to `wire::Call::GroupInfo`; `None` until the first one.
    Serve(Option<Vec<u8>>),
    /// A new key epoch: link and data keys move to it.
    EpochStarted(EpochSecrets),
    /// This epoch's keys are no longer for sending; their grace begins. Where no `EpochStarted`
    /// stood before it, the node is out of the group until the next one: it goes on with the
    /// retired keys, which its peers accept for as long as their grace lasts.
    EpochRetired(KeyEpoch),
    /// The roster does not name this node, or not under its key: it has left or was evicted. It
    /// holds no keys any more and does nothing until a roster names it again. Said once.
    Removed,
    /// For the node's log.
    Note(String),
}
