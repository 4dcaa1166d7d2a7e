//! Who is up: from what a node hears of its peers to the acts that say so on the ledger.
//!
//! Every node watches, so that the next leader knows since when a peer is silent; only the leader
//! proposes. A peer is *suspected* when its link is gone for longer than a reconnect takes, or
//! when its heartbeats are overdue (φ, of an accrual detector). A suspicion alone is no verdict:
//! the link may be at fault, not the peer. So the leader first asks the other members, as SWIM
//! does (Das, Gupta, Motivala 2002, §4.1): while one of them hears the peer, it stays up until the
//! dispute has lasted too long for it to be of use.

use crate::State;
use machine::{Instant, Machine};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use wire::{Act, NodeId};

/// Waiting times and limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WatchConfig {
    /// How long a link may be gone before its peer is suspected: a reconnect with its first
    /// back-off fits.
    pub reconnect: Duration,
    /// How long the others' opinions are awaited; a healthy member answers in milliseconds.
    pub opinions: Duration,
    /// How long a peer that others hear and the leader does not stays up. It cannot follow a
    /// ledger whose leader it does not reach, so not for long.
    pub dispute: Duration,
}

impl Default for WatchConfig {
    fn default() -> Self {
        Self {
            reconnect: Duration::from_millis(500),
            opinions: Duration::from_millis(300),
            dispute: Duration::from_secs(5),
        }
    }
}

/// A peer as this node sees it now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sight {
    /// Of its process; `None`: there is no link to it.
    pub incarnation: Option<u64>,
    /// Are its heartbeats overdue? That is for whoever hears them to judge.
    pub suspected: bool,
}

/// What can happen to a watch.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A look around, several times a second.
    Look {
        /// The ledger.
        state: std::sync::Arc<State>,
        /// This node and the incarnation of its process.
        me: (NodeId, u64),
        /// All that is linked or was heard.
        sights: BTreeMap<NodeId, Sight>,
        /// Does this node lead?
        leads: bool,
    },
    /// A member's answer to [`Output::Ask`].
    Opinion {
        /// The suspect.
        about: NodeId,
        /// Who answers.
        from: NodeId,
        /// Does it hear the suspect?
        hears: bool,
    },
}

/// What a watch wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Ask these members what they think of the suspect.
    Ask {
        /// The suspect.
        about: NodeId,
        /// Whom.
        whom: BTreeSet<NodeId>,
    },
    /// Put this on the ledger.
    Propose(Act),
}

#[derive(Clone, Debug, Default)]
struct Suspect {
    /// Silent since; the link is gone or heartbeats are overdue.
    since: Instant,
    /// The others were asked at this moment.
    asked: Option<Instant>,
    whom: BTreeSet<NodeId>,
    /// Who answered, and whether it hears the suspect.
    opinions: BTreeMap<NodeId, bool>,
}

/// The watch.
#[derive(Clone, Debug)]
pub struct Watch {
    config: WatchConfig,
    suspects: BTreeMap<NodeId, Suspect>,
}

impl Watch {
    /// Suspects nobody yet.
    pub fn new(config: WatchConfig) -> Self {
        Self {
            config,
            suspects: BTreeMap::new(),
        }
    }

    /// Who is suspected now.
    pub fn suspects(&self) -> impl Iterator<Item = &NodeId> {
        self.suspects.keys()
    }

    fn silent(sight: Option<&Sight>) -> bool {
        sight.is_none_or(|sight| sight.incarnation.is_none() || sight.suspected)
    }

    fn look(
        &mut self,
        now: Instant,
        state: &State,
        (me, mine): &(NodeId, u64),
        sights: &BTreeMap<NodeId, Sight>,
        leads: bool,
        out: &mut Vec<Output>,
    ) {
        self.suspects
            .retain(|node, _| state.members.contains_key(node));
        for (node, member) in &state.members {
            let sight = if node == me {
                Some(Sight {
                    incarnation: Some(*mine),
                    suspected: false,
                })
            } else {
                sights.get(node).copied()
            };
            if !Self::silent(sight.as_ref()) {
                self.suspects.remove(node);
                let incarnation = sight.and_then(|sight| sight.incarnation).unwrap_or(0);
                // An older start is no news; the ledger would take no notice of it, again and again.
                let news = match member.up {
                    true => member.incarnation < incarnation,
                    false => member.incarnation <= incarnation,
                };
                if leads && news {
                    let node = node.clone();
                    out.push(Output::Propose(Act::NodeUp { node, incarnation }));
                }
                continue;
            }
            let fresh = Suspect {
                since: now,
                ..Suspect::default()
            };
            let suspect = self.suspects.entry(node.clone()).or_insert(fresh);
            if !leads {
                // A later leadership asks anew: opinions grow stale.
                suspect.asked = None;
                suspect.opinions.clear();
            } else if member.up {
                let linked = sight.is_some_and(|sight| sight.incarnation.is_some());
                let others = state.up().filter(|other| *other != me && *other != node);
                let others = others.cloned().collect();
                suspect.pursue(now, node, linked, others, &self.config, out);
            }
        }
    }
}

impl Suspect {
    fn pursue(
        &mut self,
        now: Instant,
        node: &NodeId,
        linked: bool,
        others: BTreeSet<NodeId>,
        config: &WatchConfig,
        out: &mut Vec<Output>,
    ) {
        let silent = now.since(self.since);
        if !linked && silent < config.reconnect {
            return;
        }
        let Some(asked) = self.asked else {
            self.asked = Some(now);
            self.opinions.clear();
            self.whom.clone_from(&others);
            if others.is_empty() {
                self.verdict(node, linked, silent, out);
            } else {
                let (about, whom) = (node.clone(), others);
                out.push(Output::Ask { about, whom });
            }
            return;
        };
        let all = self
            .whom
            .iter()
            .all(|other| self.opinions.contains_key(other));
        if !all && now.since(asked) < config.opinions {
            return;
        }
        let heard = self.opinions.values().any(|hears| *hears);
        if !heard || silent >= config.dispute {
            self.verdict(node, linked, silent, out);
        } else if now.since(asked) >= 2 * config.opinions {
            // Ask again: what others hear may change.
            self.asked = None;
        }
    }

    fn verdict(&self, node: &NodeId, linked: bool, silent: Duration, out: &mut Vec<Output>) {
        let what = if linked {
            "its heartbeats are overdue"
        } else {
            "no link to it"
        };
        let names = |hears: bool| -> Vec<&str> {
            let mut names = Vec::new();
            for (other, opinion) in &self.opinions {
                if *opinion == hears {
                    names.push(other.as_str());
                }
            }
            names
        };
        let mut reason = format!("{what} for {} ms", silent.as_millis());
        let (agree, differ) = (names(false), names(true));
        if !agree.is_empty() {
            reason += &format!("; {} hear(s) nothing of it either", agree.join(", "));
        }
        if !differ.is_empty() {
            reason += &format!("; only {} still hear(s) it", differ.join(", "));
        }
        let node = node.clone();
        out.push(Output::Propose(Act::NodeDown { node, reason }));
    }
}

impl Machine for Watch {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Look {
                state,
                me,
                sights,
                leads,
            } => self.look(now, &state, &me, &sights, leads, out),
            Input::Opinion { about, from, hears } => {
                if let Some(suspect) = self.suspects.get_mut(&about)
                    && suspect.whom.contains(&from)
                {
                    suspect.opinions.insert(from, hears);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
