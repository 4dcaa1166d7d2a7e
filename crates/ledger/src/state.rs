//! The fold.

use crate::members::Applicant;
use crate::rounds::{Closing, Leaf};
use crate::seen::Seen;
use crate::{Declared, FeedPosition, Function, IngestTotal, Invited, Member, Removed, Rounds};
use machine::mistakes::{self, Mistake};
use std::collections::{BTreeMap, BTreeSet};
use wire::{
    Act, Alert, Digest, GroupCommitKind, KeyEpoch, Level, NodeId, ProposalId, Record, Role, Source,
};

/// Most alerts open at once. An operator acts on dozens; a thousand says the house is on fire,
/// and one more alert adds nothing but memory on every node.
pub const MAX_OPEN_ALERTS: usize = 1024;

/// Most roles: rooms and feeds of the largest house we know, times ten.
pub const MAX_ROLES: usize = 4096;

/// What a leaf did. Every replica comes to the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It took effect.
    Effective,
    /// The same proposal stands at an earlier leaf; no effect.
    Duplicate {
        /// That leaf.
        first: u64,
    },
    /// A group commit that came second; no effect, its author joins again.
    Lost {
        /// The key epoch in force.
        current: KeyEpoch,
    },
    /// It broke a rule; no effect.
    Ignored {
        /// Which rule, as a sentence.
        reason: String,
    },
}

/// Why an act has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Rule(String),
    Lost,
}

pub(crate) type Outcome = Result<(), Refusal>;

pub(crate) fn refuse(reason: impl Into<String>) -> Outcome {
    Err(Refusal::Rule(reason.into()))
}

/// The key group, as far as the ledger knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Number of winning group commits.
    pub epoch: KeyEpoch,
    /// MLS group id of the last `Created`.
    pub group: Option<Vec<u8>>,
    /// Leaf and author of the winning commit for `epoch`.
    pub last_commit: Option<(u64, NodeId)>,
    /// Nodes that are members no more and may still have a leaf in the group. Until a commit
    /// removes them no other one wins: what is sent under the next epoch is out of their reach.
    pub to_remove: BTreeSet<NodeId>,
}

/// How many leaves had which outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// [`Applied::Effective`].
    pub effective: u64,
    /// [`Applied::Duplicate`].
    pub duplicate: u64,
    /// [`Applied::Lost`].
    pub lost: u64,
    /// [`Applied::Ignored`].
    pub ignored: u64,
}

/// The cluster as the log describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Leaves folded in.
    pub size: u64,
    /// Name of the cluster, from the genesis.
    pub cluster: Option<String>,
    /// What acts may be proposed.
    pub level: Level,
    /// The roster.
    pub members: BTreeMap<NodeId, Member>,
    /// Former members, by name; at most [`MAX_REMOVED`](crate::MAX_REMOVED), the latest.
    pub removed: BTreeMap<NodeId, Removed>,
    /// Invitations that may still be used, by digest.
    pub invitations: BTreeMap<Digest, Invited>,
    /// Functions and the version of each that is to be run.
    pub functions: BTreeMap<String, Function>,
    /// Who does what. The holder may be down: then the steward assigns anew.
    pub roles: BTreeMap<Role, NodeId>,
    /// Learning.
    pub rounds: Rounds,
    /// The key group.
    pub keys: Keys,
    /// Open alerts by id.
    pub alerts: BTreeMap<String, Alert>,
    /// Alerts raised so far.
    pub alerts_raised: u64,
    /// Alerts cleared so far.
    pub alerts_cleared: u64,
    /// What came in, by node and door.
    pub ingest: BTreeMap<(NodeId, Source), IngestTotal>,
    /// How far Kafka topics were read, by topic and partition.
    pub feeds: BTreeMap<(String, u32), FeedPosition>,
    /// Outcomes so far.
    pub tally: Tally,
    pub(crate) seen: Seen,
}

impl State {
    /// The state before the first leaf.
    pub fn new() -> Self {
        Self::default()
    }

    /// Folds in the leaf at `index`, which must be [`size`](Self::size): a gap or a repetition
    /// would make this replica diverge from the others, so it panics.
    pub fn apply(&mut self, index: u64, record: &Record) -> Applied {
        assert_eq!(
            index, self.size,
            "leaves are folded in log order without gaps"
        );
        self.size += 1;
        if let Some(first) = self.leaf_of(&record.id) {
            self.tally.duplicate += 1;
            return Applied::Duplicate { first };
        }
        self.seen.remember(record.id, index, self.level);
        match self.act(index, record) {
            Ok(()) => {
                self.tally.effective += 1;
                Applied::Effective
            }
            Err(Refusal::Lost) => {
                self.tally.lost += 1;
                Applied::Lost {
                    current: self.keys.epoch,
                }
            }
            Err(Refusal::Rule(reason)) => {
                self.tally.ignored += 1;
                Applied::Ignored { reason }
            }
        }
    }

    /// The leaf that carries a proposal, if it is on the log within the last
    /// [`SEEN_WINDOW`](crate::SEEN_WINDOW) leaves (from level 1 on
    /// [`SEEN_WINDOW_SHARED`](crate::SEEN_WINDOW_SHARED)).
    pub fn leaf_of(&self, id: &ProposalId) -> Option<u64> {
        match mistakes::on(Mistake::DuplicateProposal) {
            true => None,
            false => self.seen.first(id),
        }
    }

    /// Members that are up.
    pub fn up(&self) -> impl Iterator<Item = &NodeId> {
        self.members
            .iter()
            .filter(|(_, member)| member.up)
            .map(|(node, _)| node)
    }

    /// Members that take part in consensus, with their identity keys: those who can vouch for the
    /// log. Who was only just admitted has no replica yet and cannot be counted on.
    pub fn witnesses(&self) -> impl Iterator<Item = (&NodeId, &[u8; 32])> {
        self.members
            .iter()
            .filter(|(_, member)| member.store.is_some())
            .map(|(node, member)| (node, &member.identity))
    }

    /// Roles that a node holds.
    pub fn roles_of<'a>(&'a self, node: &'a NodeId) -> impl Iterator<Item = &'a Role> {
        self.roles
            .iter()
            .filter(move |(_, holder)| *holder == node)
            .map(|(role, _)| role)
    }

    fn act(&mut self, index: u64, record: &Record) -> Outcome {
        if let Act::Genesis { cluster, roster } = &record.act {
            return self.genesis(cluster, roster);
        }
        if self.cluster.is_none() {
            return refuse("the first leaf must be the genesis");
        }
        self.member(&record.proposer)?;
        self.check_level(&record.act)?;
        let leaf = Leaf {
            index,
            time: record.time,
        };
        match &record.act {
            Act::Genesis { .. } => refuse("the log has its genesis already"),
            Act::NodeUp { node, incarnation } => self.node_up(node, *incarnation),
            Act::NodeDown { node, reason } => self.node_down(node, reason),
            Act::RoleAssigned { role, node } => self.role_assigned(role, node),
            Act::RoundOpened {
                round,
                model,
                cohort,
            } => self.round_opened(leaf, *round, *model, cohort),
            Act::RoundClosed {
                round,
                model,
                participants,
                examples,
                loss,
            } => self.round_closed(
                leaf,
                Closing {
                    round: *round,
                    model: *model,
                    participants,
                    ages: None,
                    examples: *examples,
                    loss: *loss,
                },
            ),
            Act::BufferedRoundClosed {
                round,
                model,
                participants,
                ages,
                examples,
                loss,
            } => self.round_closed(
                leaf,
                Closing {
                    round: *round,
                    model: *model,
                    participants,
                    ages: Some(ages),
                    examples: *examples,
                    loss: *loss,
                },
            ),
            Act::RoundAbandoned { round, reason } => self.round_abandoned(leaf, *round, reason),
            Act::GroupCommit {
                epoch,
                committer,
                kind,
                commit: _,
            } => self.group_commit(index, *epoch, committer, kind),
            Act::Ingested {
                node,
                source,
                first,
                last,
                count,
                digest,
            } => self.ingested(node, *source, (*first, *last), *count, *digest),
            Act::AlertRaised(alert) => self.alert_raised(alert),
            Act::AlertCleared { id, at: _ } => self.alert_cleared(id),
            Act::LevelRaised { level } => self.level_raised(*level),
            Act::Invited {
                invitation,
                node,
                expires,
            } => self.invited(record.time, *invitation, node.as_ref(), *expires),
            Act::Admitted {
                node,
                identity,
                address,
                invitation,
            } => {
                let applicant = Applicant {
                    node,
                    identity: *identity,
                    address,
                };
                self.admitted(index, record.time, &applicant, invitation)
            }
            Act::Removed { node, cause } => self.removed(index, &record.proposer, node, cause),
            Act::Introduced {
                node,
                address,
                store,
            } => self.introduced(&record.proposer, node, address, *store),
            Act::FunctionDeployed {
                name,
                version,
                module,
            } => self.function_deployed(index, name, *version, *module),
            Act::FeedAdvanced {
                node,
                topic,
                advances,
            } => self.feed_advanced(node, &record.proposer, topic, advances),
            Act::ReaderKeyGranted {
                node,
                reader,
                topic,
                partition,
                until,
            } => {
                let names = [reader, topic, partition];
                self.reader_key_granted(record, node, names.map(String::as_str), *until)
            }
            Act::ModelPinned { model, reason } => self.model_pinned(leaf, *model, reason),
            Act::ModelUnpinned { reason } => self.model_unpinned(leaf, reason),
            Act::ModelRolledBack { model, reason } => self.model_rolled_back(leaf, *model, reason),
            Act::PrivacySpent {
                round,
                participants,
                noise_milli,
                bound,
                delta,
                epsilon,
            } => {
                let figures = [*bound, *delta, *epsilon];
                self.privacy_spent(*round, participants, *noise_milli, figures)
            }
            Act::VariatesReset { round, reason } => self.variates_reset(*round, reason),
            Act::BudgetDeclared {
                node,
                tenant,
                epsilon,
                delta,
            } => {
                let declared = Declared {
                    tenant: tenant.clone(),
                    epsilon: *epsilon,
                    delta: *delta,
                };
                self.budget_declared(&record.proposer, node, declared)
            }
        }
    }

    /// First commit per epoch wins (RFC 9420 §14 leaves the order to the delivery service: us).
    fn group_commit(
        &mut self,
        index: u64,
        epoch: KeyEpoch,
        committer: &NodeId,
        kind: &GroupCommitKind,
    ) -> Outcome {
        self.member(committer)?;
        if epoch != self.keys.epoch.next() {
            return Err(Refusal::Lost);
        }
        let created = matches!(kind, GroupCommitKind::Created { .. });
        if !created && self.keys.group.is_none() {
            return refuse("there is no key group yet; it must be created first");
        }
        match kind {
            GroupCommitKind::Created { group } => {
                self.keys.group = Some(group.clone());
                self.keys.to_remove.clear();
            }
            GroupCommitKind::Joined | GroupCommitKind::Rotated { .. } => {
                if !self.keys.to_remove.is_empty() {
                    return Err(Refusal::Lost);
                }
            }
            GroupCommitKind::Removed { nodes } => {
                if !nodes.iter().eq(&self.keys.to_remove) || nodes.is_empty() {
                    return Err(Refusal::Lost);
                }
                self.keys.to_remove.clear();
            }
        }
        self.keys.epoch = epoch;
        self.keys.last_commit = Some((index, committer.clone()));
        Ok(())
    }

    fn alert_raised(&mut self, alert: &Alert) -> Outcome {
        if self.alerts.contains_key(&alert.id) {
            return refuse(format!("alert {} is open already", alert.id));
        }
        if self.alerts.len() == MAX_OPEN_ALERTS {
            return refuse(format!(
                "{MAX_OPEN_ALERTS} alerts are open, which is the limit"
            ));
        }
        self.alerts.insert(alert.id.clone(), alert.clone());
        self.alerts_raised += 1;
        Ok(())
    }

    fn alert_cleared(&mut self, id: &str) -> Outcome {
        if self.alerts.remove(id).is_none() {
            return refuse(format!("alert {id} is not open"));
        }
        self.alerts_cleared += 1;
        Ok(())
    }
}
