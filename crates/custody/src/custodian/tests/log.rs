//! The world's ledger: the real fold, and what a node's tail tells its custodian of each leaf.

use super::super::*;
use ledger::{Applied, State};
use std::collections::BTreeMap;
use wire::{Act, Digest, Level, ProposalId, Record, Removal, UnixMillis};

/// A leaf and what it means for a custodian.
pub(super) struct Leaf {
    pub(super) record: Record,
    pub(super) applied: Applied,
    pub(super) told: Vec<Input>,
}

#[derive(Default)]
pub(super) struct Log {
    pub(super) state: State,
    pub(super) leaves: Vec<Leaf>,
    /// Who belonged to the cluster where an epoch was opened.
    pub(super) entitled: BTreeMap<KeyEpoch, Roster>,
}

/// As a node's tail has to do it: exactly the fold's members, as of exactly this leaf.
fn told(record: &Record, applied: &Applied, due_before: bool, state: &State) -> Vec<Input> {
    let standing = || Input::Roster {
        roster: roster_of(state),
        to_remove: state.keys.to_remove.clone(),
    };
    match (&record.act, applied) {
        (
            Act::GroupCommit {
                epoch,
                committer,
                kind,
                commit,
            },
            Applied::Effective,
        ) => {
            let mut told = vec![Input::Committed {
                epoch: *epoch,
                committer: committer.clone(),
                kind: kind.clone(),
                commit: commit.clone(),
            }];
            if due_before {
                told.push(standing());
            }
            told
        }
        (
            Act::GroupCommit {
                epoch,
                committer,
                kind,
                commit,
            },
            Applied::Lost { .. },
        ) => vec![Input::Lost {
            epoch: *epoch,
            committer: committer.clone(),
            kind: kind.clone(),
            commit: commit.clone(),
        }],
        (Act::Genesis { .. } | Act::Admitted { .. } | Act::Removed { .. }, Applied::Effective) => {
            vec![standing()]
        }
        (Act::RoundClosed { round, .. }, Applied::Effective) => {
            vec![Input::RoundClosed { round: *round }]
        }
        _ => Vec::new(),
    }
}

fn roster_of(state: &State) -> Roster {
    let members = state.members.iter();
    Roster::new(members.map(|(node, member)| (node.clone(), member.identity)))
}

impl Log {
    /// A cluster of these, speaking the level at which members come and go.
    pub(super) fn new(roster: Vec<(NodeId, [u8; 32])>) -> Self {
        let mut log = Self::default();
        let first = roster[0].0.clone();
        let cluster = "house".to_owned();
        log.append(&first, Act::Genesis { cluster, roster });
        let level = Level::MEMBERSHIP;
        assert_eq!(
            log.append(&first, Act::LevelRaised { level }),
            Applied::Effective
        );
        log
    }

    pub(super) fn append(&mut self, proposer: &NodeId, act: Act) -> Applied {
        let index = self.state.size;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&index.to_be_bytes());
        let record = Record {
            id: ProposalId(id),
            proposer: proposer.clone(),
            time: UnixMillis(index),
            act,
        };
        let due_before = !self.state.keys.to_remove.is_empty();
        let epoch_before = self.state.keys.epoch;
        let applied = self.state.apply(index, &record);
        if self.state.keys.epoch != epoch_before {
            let roster = roster_of(&self.state);
            self.entitled.insert(self.state.keys.epoch, roster);
        }
        self.leaves.push(Leaf {
            told: told(&record, &applied, due_before, &self.state),
            record,
            applied: applied.clone(),
        });
        applied
    }

    /// The commits that won the epochs after `since`.
    pub(super) fn won(
        &self,
        since: KeyEpoch,
    ) -> impl Iterator<Item = (KeyEpoch, NodeId, Vec<u8>)> + '_ {
        let effective = |leaf: &&Leaf| leaf.applied == Applied::Effective;
        let leaves = self.leaves.iter().filter(effective);
        leaves.filter_map(move |leaf| match &leaf.record.act {
            Act::GroupCommit {
                epoch,
                committer,
                kind: _,
                commit,
            } if *epoch > since => Some((*epoch, committer.clone(), commit.clone())),
            _ => None,
        })
    }

    pub(super) fn is_member(&self, node: &NodeId) -> bool {
        self.state.members.contains_key(node)
    }

    /// Whoever comes first among the members, `but` not this one.
    fn other(&self, but: &NodeId) -> Option<NodeId> {
        self.state.members.keys().find(|node| *node != but).cloned()
    }

    pub(super) fn close_round(&mut self) -> Round {
        let round = self.state.rounds.last.next();
        let model = Digest([0; 32]);
        let cohort: Vec<NodeId> = self.state.members.keys().cloned().collect();
        let leader = cohort[0].clone();
        let opened = Act::RoundOpened {
            round,
            model,
            cohort: cohort.clone(),
        };
        let closed = Act::RoundClosed {
            round,
            model,
            participants: cohort,
            examples: 1,
            loss: 0.5,
        };
        for act in [opened, closed] {
            assert_eq!(self.append(&leader, act), Applied::Effective);
        }
        round
    }

    pub(super) fn evict(&mut self, node: &NodeId) {
        let Some(by) = self.other(node) else { return };
        let cause = Removal::Evicted {
            reason: "stolen".to_owned(),
        };
        let node = node.clone();
        self.append(&by, Act::Removed { node, cause });
    }

    pub(super) fn leave(&mut self, node: &NodeId) {
        let act = Act::Removed {
            node: node.clone(),
            cause: Removal::Left,
        };
        self.append(node, act);
    }

    /// Whether the ledger let it in.
    pub(super) fn admit(&mut self, node: &NodeId, identity: [u8; 32]) -> bool {
        let Some(by) = self.other(node) else {
            return false;
        };
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&self.state.size.to_be_bytes());
        let invitation = Digest(digest);
        let invited = Act::Invited {
            invitation,
            node: Some(node.clone()),
            expires: UnixMillis(u64::MAX),
        };
        let admitted = Act::Admitted {
            node: node.clone(),
            identity,
            address: "here:1".to_owned(),
            invitation,
        };
        self.append(&by, invited) == Applied::Effective
            && self.append(&by, admitted) == Applied::Effective
    }
}
