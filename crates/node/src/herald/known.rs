//! What is in force by the ledger, and what of it this node has to say and has said. Pure.

use ledger::Applied;
use replica::Committed;
use std::collections::{BTreeMap, BTreeSet};
use wire::payload::{Alert, ModelAnnouncement};
use wire::{Act, NodeId, Role, RoomId};

/// Something to announce.
pub(super) enum Saying {
    Raised(Box<Alert>),
    Cleared(Box<Alert>),
    Model(Box<ModelAnnouncement>),
}

pub(super) struct Known {
    me: NodeId,
    cluster: String,
    size: u64,
    /// Open alerts by id, with their leaves.
    open: BTreeMap<String, (wire::Alert, u64)>,
    model: Option<ModelAnnouncement>,
    rooms: BTreeSet<RoomId>,
    /// Ids of open alerts that this process has announced, while it holds their rooms.
    told: BTreeSet<String>,
    /// The round whose model it has announced, while it leads.
    told_round: Option<u64>,
}

impl Known {
    pub(super) fn new(me: NodeId, cluster: String) -> Self {
        Self {
            me,
            cluster,
            size: 0,
            open: BTreeMap::new(),
            model: None,
            rooms: BTreeSet::new(),
            told: BTreeSet::new(),
            told_round: None,
        }
    }

    /// Leaves followed.
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// One leaf; what it ends is to be said now or never.
    pub(super) fn follow(&mut self, committed: &Committed) -> Vec<Saying> {
        self.size = committed.index + 1;
        if committed.applied != Applied::Effective {
            return Vec::new();
        }
        self.act(committed.index, &committed.record.act)
    }

    fn act(&mut self, leaf: u64, act: &Act) -> Vec<Saying> {
        match act {
            Act::AlertRaised(alert) => {
                self.open.insert(alert.id.clone(), (alert.clone(), leaf));
            }
            Act::AlertCleared { id, at } => {
                let alert = self.open.remove(id);
                self.told.remove(id);
                let mine = alert.filter(|(alert, _)| self.rooms.contains(&alert.room));
                let cleared = mine.map(|(alert, _)| Alert::cleared(&alert, *at, leaf));
                return cleared
                    .map(Box::new)
                    .map(Saying::Cleared)
                    .into_iter()
                    .collect();
            }
            Act::RoleAssigned {
                role: Role::Room(room),
                node,
            } => {
                if *node == self.me {
                    self.rooms.insert(room.clone());
                } else {
                    self.rooms.remove(room);
                    let open = &self.open;
                    let elsewhere =
                        |id: &String| open.get(id).is_some_and(|(a, _)| a.room == *room);
                    self.told.retain(|id| !elsewhere(id));
                }
            }
            Act::RoundClosed {
                round,
                model,
                participants,
                examples,
                loss,
            }
            | Act::BufferedRoundClosed {
                round,
                model,
                participants,
                examples,
                loss,
                ages: _,
            } => {
                self.model = Some(ModelAnnouncement {
                    cluster: self.cluster.clone(),
                    round: round.0,
                    digest: model.to_string(),
                    participants: participants.iter().map(NodeId::to_string).collect(),
                    examples: *examples,
                    loss: *loss,
                    leaf,
                });
            }
            Act::RoleAssigned {
                role: Role::Feed(_) | Role::FeedShare(_),
                ..
            }
            | Act::Genesis { .. }
            | Act::NodeUp { .. }
            | Act::NodeDown { .. }
            | Act::RoundOpened { .. }
            | Act::RoundAbandoned { .. }
            | Act::ModelPinned { .. }
            | Act::ModelUnpinned { .. }
            | Act::ModelRolledBack { .. }
            | Act::GroupCommit { .. }
            | Act::Ingested { .. }
            | Act::LevelRaised { .. }
            | Act::Invited { .. }
            | Act::Admitted { .. }
            | Act::Removed { .. }
            | Act::Introduced { .. }
            | Act::FunctionDeployed { .. }
            | Act::FeedAdvanced { .. }
            | Act::ReaderKeyGranted { .. }
            | Act::PrivacySpent { .. }
            | Act::VariatesReset { .. }
            | Act::BudgetDeclared { .. } => {}
        }
        Vec::new()
    }

    /// What is in force, is this node's to say, and is not said yet.
    pub(super) fn due(&mut self, leads: bool) -> Vec<Saying> {
        let open = self.open.values();
        let due = open.filter(|(alert, _)| {
            self.rooms.contains(&alert.room) && !self.told.contains(&alert.id)
        });
        let mut sayings: Vec<Saying> = due
            .map(|(alert, leaf)| Saying::Raised(Box::new(Alert::raised(alert, *leaf))))
            .collect();
        if !leads {
            self.told_round = None;
        } else if let Some(model) = &self.model
            && self.told_round != Some(model.round)
        {
            sayings.push(Saying::Model(Box::new(model.clone())));
        }
        sayings
    }

    /// It is said.
    pub(super) fn said(&mut self, saying: &Saying) {
        match saying {
            Saying::Raised(alert) => drop(self.told.insert(alert.id.clone())),
            Saying::Cleared(_) => {}
            Saying::Model(model) => self.told_round = Some(model.round),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{AlertKind, Digest, Round, Severity, UnixMillis};

    fn known() -> Known {
        Known::new("n1".into(), "demo".into())
    }

    fn raised(id: &str, room: &str) -> Act {
        Act::AlertRaised(wire::Alert {
            id: id.into(),
            device: "ups".into(),
            room: room.into(),
            kind: AlertKind::Silent { for_ms: 7 },
            severity: Severity::Warning,
            at: UnixMillis(1),
            summary: "silent".into(),
        })
    }

    fn assigned(room: &str, node: &str) -> Act {
        Act::RoleAssigned {
            role: Role::Room(room.into()),
            node: node.into(),
        }
    }

    fn say_all(known: &mut Known, leads: bool) -> Vec<String> {
        let due = known.due(leads);
        due.iter()
            .map(|saying| {
                known.said(saying);
                match saying {
                    Saying::Raised(alert) => format!("{} {}", alert.id, alert.leaf),
                    Saying::Cleared(alert) => format!("{} over", alert.id),
                    Saying::Model(model) => format!("model {}", model.round),
                }
            })
            .collect()
    }

    #[test]
    fn the_room_s_holder_tells_its_alerts_once_and_a_new_holder_again() {
        let mut known = known();
        known.act(5, &raised("a", "hall-a"));
        known.act(6, &raised("b", "hall-b"));
        assert!(say_all(&mut known, false).is_empty(), "no room of ours");
        known.act(7, &assigned("hall-a", "n1"));
        assert_eq!(say_all(&mut known, false), ["a 5"]);
        assert!(say_all(&mut known, false).is_empty(), "once");
        known.act(8, &assigned("hall-a", "n2"));
        known.act(9, &assigned("hall-a", "n1"));
        assert_eq!(say_all(&mut known, false), ["a 5"], "it came back");
        let over = known.act(
            10,
            &Act::AlertCleared {
                id: "a".into(),
                at: UnixMillis(9),
            },
        );
        assert!(
            matches!(&over[..], [Saying::Cleared(alert)] if alert.leaf == 10 && alert.cleared_ms == Some(9))
        );
        let not_ours = Act::AlertCleared {
            id: "b".into(),
            at: UnixMillis(9),
        };
        assert!(known.act(11, &not_ours).is_empty());
        assert!(say_all(&mut known, false).is_empty());
    }

    #[test]
    fn who_leads_tells_the_model_and_a_new_leader_again() {
        let mut known = known();
        let closed = |round| Act::RoundClosed {
            round: Round(round),
            model: Digest([1; 32]),
            participants: vec!["n1".into()],
            examples: 4,
            loss: 0.5,
        };
        known.act(3, &closed(1));
        assert!(say_all(&mut known, false).is_empty());
        assert_eq!(say_all(&mut known, true), ["model 1"]);
        assert!(say_all(&mut known, true).is_empty());
        known.act(4, &closed(2));
        assert_eq!(say_all(&mut known, true), ["model 2"]);
        assert!(say_all(&mut known, false).is_empty());
        assert_eq!(say_all(&mut known, true), ["model 2"], "leading again");
    }
}
