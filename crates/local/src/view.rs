//! What the nodes say, side by side, and whether they say the same.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use wire::status::Status;

/// What is known of a node's process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    /// It answers.
    Up,
    /// It runs and does not answer (yet).
    Silent,
    /// It was stopped by SIGSTOP.
    Paused,
    /// No process.
    Dead,
}

impl NodeState {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Silent => "silent",
            Self::Paused => "paused",
            Self::Dead => "dead",
        }
    }
}

/// One node.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Its process.
    pub state: NodeState,
    /// Its id, while there is one.
    pub pid: Option<u32>,
    /// Starts after the first.
    pub restarts: u32,
    /// What it says of itself, if it answers.
    pub status: Option<Box<Status>>,
    /// Why it does not answer, if it should.
    pub silence: Option<String>,
}

impl NodeView {
    /// Does it lead, by its own word?
    pub fn leads(&self) -> bool {
        self.status
            .as_ref()
            .and_then(|status| status.leader.as_ref())
            .is_some_and(|leader| leader.as_str() == self.name)
    }

    /// The leader it sees.
    pub fn leader(&self) -> Option<&str> {
        self.status.as_ref()?.leader.as_ref().map(|id| id.as_str())
    }

    /// Its ledger's size.
    pub fn size(&self) -> Option<u64> {
        self.status.as_ref().map(|status| status.ledger.size)
    }

    /// What it lacks of being a full member of a cluster with `nodes`, in words.
    pub fn lacks(&self, nodes: &[String]) -> Vec<String> {
        let Some(status) = &self.status else {
            return vec![match self.state {
                NodeState::Dead => "a process".into(),
                NodeState::Paused => "being resumed".into(),
                NodeState::Up | NodeState::Silent => match &self.silence {
                    Some(silence) => format!("an answer ({silence})"),
                    None => "an answer".into(),
                },
            }];
        };
        let others = || nodes.iter().filter(|name| **name != self.name);
        let mut lacks = Vec::new();
        let unlinked: Vec<&str> = others()
            .filter(|name| !status.links.contains_key(*name))
            .map(String::as_str)
            .collect();
        if !unlinked.is_empty() {
            lacks.push(format!("links to {}", unlinked.join(", ")));
        }
        if status.leader.is_none() {
            lacks.push("a leader".into());
        }
        if status.ledger.size == 0 {
            lacks.push("a genesis on its ledger".into());
        }
        if status.key_epoch.0 == 0 {
            lacks.push("a key epoch".into());
        }
        // The first release does not say who votes.
        let voters = &status.ledger.voters;
        if !voters.is_empty() && !voters.iter().any(|node| node.as_str() == self.name) {
            lacks.push("a vote in consensus".into());
        }
        let down: Vec<&str> = nodes
            .iter()
            .filter(|name| status.members.get(*name) != Some(&true))
            .map(String::as_str)
            .collect();
        if !down.is_empty() {
            lacks.push(format!("{} up on its ledger", down.join(", ")));
        }
        lacks
    }
}

/// Whether the nodes that answer say the same.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Agreement {
    /// They do.
    pub agrees: bool,
    /// In words.
    pub text: String,
}

/// Roots seen so far, by ledger size. Nodes answer at different moments, so their sizes differ
/// while the cluster works; two nodes are compared by a size at which both were seen.
#[derive(Default)]
pub struct Roots {
    seen: BTreeMap<u64, BTreeMap<String, String>>,
}

/// Digits of a root that are shown.
const ROOT_SHOWN: usize = 12;

impl Roots {
    /// Takes down what the nodes said at one moment.
    pub fn note(&mut self, views: &[NodeView]) {
        for view in views {
            if let Some(status) = &view.status
                && status.ledger.size > 0
            {
                self.seen
                    .entry(status.ledger.size)
                    .or_default()
                    .insert(view.name.clone(), status.ledger.root.clone());
            }
        }
    }

    /// Two nodes that had different roots at one size.
    fn conflict(&self) -> Option<(u64, &str, &str)> {
        self.seen.iter().find_map(|(size, roots)| {
            let mut roots = roots.iter();
            let (first, root) = roots.next()?;
            let (second, _) = roots.find(|(_, other)| *other != root)?;
            Some((*size, first.as_str(), second.as_str()))
        })
    }

    /// The largest size at which all of `names` were seen.
    fn common(&self, names: &BTreeSet<&str>) -> Option<(u64, &str)> {
        self.seen.iter().rev().find_map(|(size, roots)| {
            let all = names.iter().all(|name| roots.contains_key(*name));
            let root = roots.values().next()?;
            all.then_some((*size, root.as_str()))
        })
    }

    /// Nothing more will be learnt by asking again.
    pub fn settled(&self, views: &[NodeView]) -> bool {
        let names = answering(views);
        names.is_empty() || self.conflict().is_some() || self.common(&names).is_some()
    }

    /// Do the nodes agree? `views` is the newest of what was noted.
    pub fn agreement(&self, views: &[NodeView]) -> Agreement {
        let (mut same, mut differs) = (Vec::new(), Vec::new());
        let names = answering(views);
        if names.is_empty() {
            return Agreement {
                agrees: false,
                text: "no node answers".into(),
            };
        }
        if let Some((size, first, second)) = self.conflict() {
            differs.push(format!(
                "{first} and {second} have DIFFERENT HISTORIES: their roots at {size} leaves differ; run `glasshouse ledger verify` on both"
            ));
        } else if let Some((size, root)) = self.common(&names) {
            same.push(format!("the same {size} leaves, root {}", short(root)));
        } else {
            let sizes: Vec<String> = views
                .iter()
                .filter_map(|view| Some(format!("{} has {}", view.name, view.size()?)))
                .collect();
            differs.push(format!(
                "ledgers were seen at no common size: {}",
                sizes.join(", ")
            ));
        }
        let leaders: BTreeSet<Option<&str>> = views
            .iter()
            .filter(|view| view.status.is_some())
            .map(NodeView::leader)
            .collect();
        match leaders.iter().collect::<Vec<_>>()[..] {
            [Some(leader)] if names.contains(leader) => {
                same.push(format!("one leader, {leader}"));
            }
            [Some(leader)] => differs.push(format!(
                "{leader} is taken for the leader and does not answer"
            )),
            [None] => differs.push("nobody leads".into()),
            _ => differs.push(each(views, "the leader", |status| {
                status
                    .leader
                    .as_ref()
                    .map_or("none".into(), ToString::to_string)
            })),
        }
        let epochs: BTreeSet<u64> = views
            .iter()
            .filter_map(|view| Some(view.status.as_ref()?.key_epoch.0))
            .collect();
        match epochs.iter().collect::<Vec<_>>()[..] {
            [epoch] => same.push(format!("key epoch {epoch}")),
            _ => differs.push(each(views, "the key epoch", |status| {
                status.key_epoch.to_string()
            })),
        }
        let absent: Vec<String> = views
            .iter()
            .filter(|view| view.status.is_none())
            .map(|view| format!("{} is {}", view.name, view.state.word()))
            .collect();
        let absent = if absent.is_empty() {
            String::new()
        } else {
            format!("; {}", absent.join(", "))
        };
        let who = match (names.len(), views.len()) {
            (1, 1) => "the only node".to_owned(),
            (answer, all) if answer == all => format!("all {all} nodes"),
            (answer, all) => format!("{answer} of {all} nodes"),
        };
        let agrees = differs.is_empty();
        let text = match (agrees, names.len()) {
            (true, 1) => format!("{who} answers: {}{absent}", same.join(", ")),
            (true, _) => format!("{who} agree: {}{absent}", same.join(", ")),
            (false, 1) => format!(
                "{who} answers, and all is NOT well: {}{absent}",
                differs.join("; ")
            ),
            (false, _) => format!(
                "{who} answer and DO NOT agree: {}{absent}",
                differs.join("; ")
            ),
        };
        Agreement { agrees, text }
    }
}

fn answering(views: &[NodeView]) -> BTreeSet<&str> {
    views
        .iter()
        .filter(|view| view.status.is_some())
        .map(|view| view.name.as_str())
        .collect()
}

fn each(views: &[NodeView], what: &str, tell: impl Fn(&Status) -> String) -> String {
    let says: Vec<String> = views
        .iter()
        .filter_map(|view| Some(format!("{} for {}", tell(view.status.as_ref()?), view.name)))
        .collect();
    format!("{what} is {}", says.join(", "))
}

pub(crate) fn short(root: &str) -> &str {
    root.get(..ROOT_SHOWN).unwrap_or(root)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use wire::KeyEpoch;

    pub(crate) fn view(name: &str, leader: Option<&str>, size: u64, root: &str) -> NodeView {
        let mut status = Status {
            node: name.into(),
            leader: leader.map(Into::into),
            term: 3,
            key_epoch: KeyEpoch(4),
            ..Status::default()
        };
        status.ledger.size = size;
        status.ledger.root = root.into();
        status.members = [("a".into(), true), ("b".into(), false)].into();
        status.links = [("b".into(), 4)].into();
        NodeView {
            name: name.into(),
            state: NodeState::Up,
            pid: Some(42),
            restarts: 1,
            status: Some(Box::new(status)),
            silence: None,
        }
    }

    pub(crate) fn dead(name: &str) -> NodeView {
        NodeView {
            name: name.into(),
            state: NodeState::Dead,
            pid: None,
            restarts: 0,
            status: None,
            silence: None,
        }
    }

    fn judge(moments: &[&[NodeView]]) -> Agreement {
        let mut roots = Roots::default();
        for views in moments {
            roots.note(views);
        }
        roots.agreement(moments.last().unwrap())
    }

    #[test]
    fn agreement_is_one_history_one_leader_one_epoch() {
        let (a, b) = (view("a", Some("a"), 9, "aa"), view("b", Some("a"), 9, "aa"));
        let good = judge(&[&[a.clone(), b.clone()]]);
        assert!(good.agrees);
        assert_eq!(
            good.text,
            "all 2 nodes agree: the same 9 leaves, root aa, one leader, a, key epoch 4"
        );
        let headless = judge(&[&[b.clone(), dead("a")]]);
        assert_eq!(
            headless.text,
            "1 of 2 nodes answers, and all is NOT well: a is taken for the leader and does not answer; a is dead"
        );
        assert!(!headless.agrees);
        let rest = judge(&[&[a.clone(), b.clone(), dead("c")]]);
        assert!(
            rest.agrees && rest.text.starts_with("2 of 3 nodes agree: "),
            "{}",
            rest.text
        );
        assert!(rest.text.ends_with("c is dead"), "{}", rest.text);

        let mut late = b.clone();
        late.status.as_mut().unwrap().key_epoch = KeyEpoch(5);
        for (views, says) in [
            (
                vec![a.clone(), view("b", Some("a"), 9, "bb")],
                "DIFFERENT HISTORIES",
            ),
            (
                vec![a.clone(), view("b", Some("b"), 9, "aa")],
                "the leader is a for a, b for b",
            ),
            (vec![a.clone(), view("b", None, 9, "aa")], "none for b"),
            (
                vec![view("a", None, 9, "aa"), view("b", None, 9, "aa")],
                "nobody leads",
            ),
            (vec![a.clone(), late], "the key epoch is 4 for a, 5 for b"),
            (
                vec![a, view("b", Some("a"), 8, "aa")],
                "no common size: a has 9, b has 8",
            ),
            (vec![dead("a")], "no node answers"),
        ] {
            let bad = judge(&[&views]);
            assert!(!bad.agrees && bad.text.contains(says), "{}", bad.text);
        }
    }

    #[test]
    fn nodes_at_work_are_compared_by_a_size_both_had() {
        let before = [view("a", Some("a"), 9, "aa"), view("b", Some("a"), 8, "88")];
        let after = [
            view("a", Some("a"), 12, "cc"),
            view("b", Some("a"), 9, "aa"),
        ];
        assert!(judge(&[&before, &after]).agrees);
        let forked = [
            view("a", Some("a"), 12, "cc"),
            view("b", Some("a"), 9, "bb"),
        ];
        assert!(!judge(&[&before, &forked]).agrees);
    }

    #[test]
    fn what_a_node_lacks_is_named() {
        let nodes = ["a".to_owned(), "b".into(), "c".into()];
        assert_eq!(
            view("a", None, 0, "").lacks(&nodes),
            [
                "links to c",
                "a leader",
                "a genesis on its ledger",
                "b, c up on its ledger"
            ]
        );
        assert_eq!(dead("a").lacks(&nodes), ["a process"]);
    }
}
