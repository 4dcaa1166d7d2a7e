//! The custodian: one on every node, driven by the ledger.
//!
//! Four rules make the races harmless:
//! * Only a commit that the ledger committed is applied, also by the node that made it.
//! * A commit is built for exactly one epoch, the one after the state it was built on. As soon as
//!   the ledger shows that epoch taken by another commit, ours can never win and is forgotten.
//! * Until then a proposal's fate is unknown, whatever the proposing said; it is repeated with the
//!   very same bytes. Committed twice, the second one loses, so repeating is safe.
//! * Each commit is judged by the membership at its own place on the ledger. While somebody has to
//!   be removed, only the commit that does it can win; whatever else was proposed is forgotten.

mod commits;
mod io;
mod pending;
mod removal;
mod search;
#[cfg(test)]
mod tests;

pub use io::{Input, Output};

use crate::{
    drbg::Drbg,
    group::{GroupError, Identity, JoinInfo, KeyGroup},
    roster::{Membership, Roster},
};
use ed25519_dalek::SigningKey;
use machine::{Instant, Machine, Overload};
use pending::{Pending, State};
use search::Search;
use std::sync::Arc;
use std::time::Duration;
use wire::{GroupCommitKind, KeyEpoch, NodeId, Round};

/// How long a proposal may stay without a word before it is repeated. An election (some 1.5 s)
/// and a commit fit into it.
const PROPOSAL_LIMIT: Duration = Duration::from_secs(3);
/// How long answers to a question for GroupInfo are awaited. The shell reports the end itself; this is the net.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// First pause before trying again; doubles up to [`MAX_PAUSE`]. One link round trip and a commit
/// take some milliseconds.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause: a node out of the group is useless, so it keeps trying at this pace.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// How often the same commit is proposed before it is built anew.
const MAX_ATTEMPTS: u32 = 8;
/// A leader that hears of no group creates one at once where the ledger knows of none either, but
/// asks this often where one existed: its links may not be up yet, and a new group makes every
/// holder of the old one join again.
const POLLS_BEFORE_CREATING: u32 = 3;
/// Answers kept from one question. The roster bounds the senders; this bounds the memory.
const MAX_ANSWERS: usize = 64;

/// Decides when this node creates, joins and rotates the key group, and follows its epochs.
pub struct Custodian {
    identity: Identity,
    /// As of the last ledger entry seen.
    membership: Membership,
    rng: Drbg,
    /// The last epoch the ledger decided, as far as this node has seen.
    epoch: KeyEpoch,
    /// The group at exactly `epoch`.
    group: Option<KeyGroup>,
    /// The epoch whose secrets the node was told to use.
    announced: Option<KeyEpoch>,
    pending: Option<Pending>,
    search: Search,
    /// Polls in a row that found no group.
    empty_polls: u32,
    /// Failures in a row; sets the pause.
    failures: u32,
    caught_up: bool,
    leader: bool,
    /// Last round closed, and last one that has had its rotation.
    closed: Round,
    rotated: Round,
    /// Not before this moment: the next rotation.
    rotate_from: Instant,
    /// Not before this moment: the next removal.
    remove_from: Instant,
    /// Whether the node knows that it is no member.
    told_removed: bool,
}

impl Custodian {
    /// A custodian without a group. `roster` is who belongs to the cluster before the ledger says
    /// (the founders); it may be empty, and then nothing happens until the ledger says. `seed` must be fresh entropy at each start of the process:
    /// equal seeds give equal keys.
    pub fn new(node: NodeId, key: SigningKey, roster: Roster, seed: [u8; 32]) -> Self {
        Self {
            identity: Identity {
                node,
                key: Arc::new(key),
            },
            membership: Membership::of(roster),
            rng: Drbg::new(seed),
            epoch: KeyEpoch(0),
            group: None,
            announced: None,
            pending: None,
            search: Search::Due,
            empty_polls: 0,
            failures: 0,
            caught_up: false,
            leader: false,
            closed: Round(0),
            rotated: Round(0),
            rotate_from: Instant::ZERO,
            remove_from: Instant::ZERO,
            told_removed: false,
        }
    }

    /// The last epoch that the ledger decided, whether or not this node holds its keys.
    pub fn epoch(&self) -> KeyEpoch {
        self.epoch
    }

    /// Whether this node holds the keys of [`epoch`](Self::epoch).
    pub fn in_group(&self) -> bool {
        self.group.is_some()
    }

    /// Names of the group's members as this node knows them; empty when it is not in the group.
    pub fn members(&self) -> std::collections::BTreeSet<NodeId> {
        self.group
            .as_ref()
            .map(KeyGroup::members)
            .unwrap_or_default()
    }

    /// Tell the node about the keys it holds now, if it has not been told. New secrets come before
    /// the old ones are retired, so that there is no moment without a key.
    fn announce(&mut self, out: &mut Vec<Output>) {
        let epoch = self.epoch;
        if self.group.is_some() && self.announced == Some(epoch) {
            return;
        }
        let held = self.group.as_ref().map(|group| {
            let secrets = group.secrets(epoch)?;
            let group_info = group.group_info()?;
            Ok::<_, GroupError>((secrets, JoinInfo { epoch, group_info }.to_bytes()))
        });
        match held {
            Some(Ok((secrets, info))) => {
                out.push(Output::EpochStarted(secrets));
                if let Some(former) = self.announced.replace(epoch) {
                    out.push(Output::EpochRetired(former));
                }
                out.push(Output::Serve(Some(info)));
            }
            Some(Err(error)) => {
                self.drop_group(&error.to_string(), out);
                self.announce(out);
            }
            None => {
                if let Some(former) = self.announced.take() {
                    out.push(Output::EpochRetired(former));
                    out.push(Output::Serve(None));
                }
            }
        }
    }

    /// Our proposal cannot win any more.
    fn forget(&mut self, now: Instant, pending: Pending, out: &mut Vec<Output>) {
        match pending.state {
            State::Create(_) | State::Join(_) => self.rest(now),
            State::Step => {
                let cleared = self.group.as_mut().map_or(Ok(()), KeyGroup::clear_pending);
                if let Err(error) = cleared {
                    self.drop_group(&error.to_string(), out);
                }
            }
        }
    }

    /// Whatever is due now and not under way yet.
    fn pursue(&mut self, now: Instant, out: &mut Vec<Output>) {
        if !self.caught_up {
            return;
        }
        if !self.is_member() {
            self.say_removed(out);
            return;
        }
        if self.pending.is_some() {
            self.repeat_if_due(now, out);
            if self.pending.is_some() {
                return;
            }
        }
        if self.group.is_some() {
            if self.removal_due() {
                self.remove_if_due(now, out);
            } else {
                self.rotate_if_due(now, out);
            }
            return;
        }
        match &self.search {
            Search::Due => self.ask(now, out),
            Search::Resting { until } if *until <= now => self.ask(now, out),
            Search::Asking { until, .. } if *until <= now => self.answers_done(now, out),
            Search::Resting { .. } | Search::Asking { .. } => {}
        }
    }

    fn rotate_if_due(&mut self, now: Instant, out: &mut Vec<Output>) {
        if !self.rotation_wanted() || self.rotate_from > now {
            return;
        }
        match self.rotation() {
            Some(Ok(pending)) => self.propose(now, pending, out),
            Some(Err(error)) => {
                self.drop_group(&error.to_string(), out);
                self.rest(now);
            }
            None => {}
        }
    }

    fn rotation_wanted(&self) -> bool {
        self.leader && self.closed > self.rotated
    }
}

impl Machine for Custodian {
    type Input = Input;
    type Output = Output;

    /// Nothing may be lost: one commit that was not heard ends this member's part in the group.
    /// Peers' answers come only when they were asked for.
    fn overload(input: &Input) -> Overload {
        match input {
            Input::Committed { .. }
            | Input::Lost { .. }
            | Input::Roster { .. }
            | Input::CaughtUp { .. }
            | Input::Leader(_)
            | Input::RoundClosed { .. }
            | Input::GroupInfo { .. }
            | Input::AnswersDone
            | Input::ProposalFailed { .. } => Overload::Delay,
        }
    }

    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Committed {
                epoch,
                committer,
                kind,
                commit,
            } => {
                self.committed(now, epoch, &committer, &kind, &commit, out);
            }
            Input::Lost {
                epoch,
                committer,
                kind,
                commit,
            } => {
                // An earlier one for the same epoch may have lost to a removal that is under way.
                let ours = committer == self.identity.node;
                if let Some(pending) = self
                    .pending
                    .take_if(|p| ours && p.epoch == epoch && p.is(&kind, &commit))
                {
                    self.lost(now, pending, out);
                }
            }
            Input::Roster { roster, to_remove } => {
                self.membership_changed(now, Membership { roster, to_remove }, out);
            }
            Input::CaughtUp { epoch } => {
                self.caught_up = true;
                if epoch > self.epoch {
                    // A snapshot covered the commits in between.
                    self.epoch = epoch;
                    if let Some(pending) = self.pending.take_if(|pending| pending.epoch <= epoch) {
                        self.forget(now, pending, out);
                    }
                    if self.group.is_some() {
                        self.drop_group("a snapshot skipped its commits", out);
                    }
                }
            }
            Input::Leader(leader) => {
                let gained = leader && !self.leader;
                self.leader = leader;
                if gained && matches!(self.search, Search::Resting { .. }) {
                    self.search = Search::Due;
                }
                if gained {
                    self.schedule_removal(now);
                }
            }
            Input::RoundClosed { round } => self.closed = self.closed.max(round),
            Input::GroupInfo { from, answer } => self.answered(&from, answer, out),
            Input::AnswersDone => self.answers_done(now, out),
            Input::ProposalFailed { epoch, reason } => {
                self.proposal_failed(now, epoch, &reason, out)
            }
        }
        self.announce(out);
        self.pursue(now, out);
        self.announce(out);
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.pursue(now, out);
        self.announce(out);
    }

    fn deadline(&self) -> Option<Instant> {
        if !self.caught_up || !self.is_member() {
            return None;
        }
        if let Some(pending) = &self.pending {
            return Some(pending.due);
        }
        if self.group.is_some() {
            if self.removal_due() {
                return Some(self.remove_from);
            }
            return self.rotation_wanted().then_some(self.rotate_from);
        }
        match &self.search {
            Search::Due => Some(Instant::ZERO),
            Search::Resting { until } | Search::Asking { until, .. } => Some(*until),
        }
    }
}
