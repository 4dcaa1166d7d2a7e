//! What processes show: into the trace, the story, the coverage and the rules.

use super::network::Place as At;
use super::world::World;
use crate::lockstep::invariants::{
    self, BOUNDED, Broken, Checks, INTENSITY, LEVEL_SPOKEN, ONE_SHARE, Rule,
};
use crate::lockstep::protocol::Seen;
use crate::outcome::Kind;
use wire::Level;

impl World<'_> {
    pub(super) fn see(&mut self, at: At, seen: Seen) {
        let name = self.places[at].name.clone();
        self.record.seen(&name, &seen);
        self.cover(at, &seen);
        let shown = &mut self.places[at].shown;
        match seen {
            Seen::Kind(Kind::Leader { leader, term }) => {
                shown.leader.clone_from(&leader);
                shown.term = term;
                if let Some(leader) = &leader {
                    let holds = self.checks.leader(&name, leader, term);
                    self.record.check(holds);
                }
                self.record.tell(&name, || Kind::Leader { leader, term });
            }
            Seen::Kind(Kind::KeyEpoch(epoch)) => {
                let holds = self.checks.epoch(&name, epoch);
                self.record.check(holds);
                self.record.tell(&name, || Kind::KeyEpoch(epoch));
            }
            Seen::Kind(kind) => self.record.tell(&name, || kind),
            Seen::Leaf {
                index,
                leaf,
                root,
                act,
                effect,
                fact,
            } => {
                shown.size = index + 1;
                shown.root = root;
                let news = index >= self.checks.size();
                let holds = self.checks.leaf(&name, index, leaf, root, &fact);
                self.record.check(holds);
                if let Some(proposal) = effect {
                    let holds = self.checks.effect(index, proposal);
                    self.record.check(holds);
                }
                self.record.tell(&name, || Kind::Ledger {
                    size: index + 1,
                    root: hex::encode(&root[..8]),
                });
                // The same leaf comes to every replica; what it says is told once.
                if news && act.starts_with("round") {
                    self.record.tell("", || Kind::Round(act));
                } else if news {
                    self.record.tell(&name, || Kind::Log(act));
                }
            }
            Seen::Level(level) => self.raised(Level(level)),
            Seen::Acknowledged { index, act } => {
                let holds = self.checks.acknowledged(&name, index, act);
                self.record.check(holds);
                self.record
                    .tell(&name, || Kind::Edge(format!("leaf {index} acknowledged")));
            }
            Seen::Gauge {
                name: gauge,
                value,
                limit,
            } => {
                let holds = BOUNDED.check(value <= limit, || {
                    format!("{gauge} of {name} is {value}, its limit {limit}")
                });
                self.record.check(holds);
            }
            Seen::Holders { epoch, holders } => {
                let holds = self.checks.holders(&name, epoch, &holders);
                self.record.check(holds);
            }
            Seen::Update {
                round,
                examples,
                moves,
                variate,
            } => {
                let holds = self.checks.update(&name, round, (examples, moves), variate);
                self.record.check(holds);
            }
            Seen::Accounts { size, told } => {
                let told = told.into_iter();
                let told = told.map(|(tenant, noise, count)| ((tenant, noise), count));
                let holds = self.checks.accounts(&name, size, told.collect());
                self.record.check(holds);
            }
            Seen::Shares { both, uncharged } => {
                self.record.check(Checks::revealed(&name, uncharged));
                let holds = ONE_SHARE.check(both == 0, || {
                    format!("{name} revealed both shares of {both} members")
                });
                self.record.check(holds);
            }
            Seen::Committed { offset } => {
                let holds = self.checks.committed(offset);
                self.record.check(holds);
                self.record
                    .tell(&name, || Kind::Edge(format!("offset {offset} committed")));
            }
            Seen::Restarts {
                name: supervisor,
                used,
                intensity,
            } => {
                let holds = INTENSITY.check(used <= intensity, || {
                    format!("supervisor {supervisor:?} of {name} restarted {used} times in its period, allowed are {intensity}")
                });
                self.record.check(holds);
            }
            Seen::Mail {
                to,
                number,
                acknowledged,
            } => {
                self.checks.mail(&to, number, acknowledged);
                if acknowledged {
                    let what = format!("mail {number} promised by {to}");
                    self.record.tell(&name, || Kind::Edge(what));
                }
            }
            Seen::Wrote { device, number } => {
                let writer = (name, self.places[at].life.into());
                self.checks.wrote(writer, &device, number);
            }
            Seen::WroteAgain { device, number } => {
                let writer = (name, self.places[at].life.into());
                self.checks.wrote_again(writer, device, number);
            }
            Seen::Read {
                writer,
                life,
                device,
                number,
            } => {
                let reader = (name, self.places[at].life.into());
                let holds = self.checks.read(reader, (writer, life), &device, number);
                self.record.check(holds);
            }
            Seen::Broken { id, detail } => {
                let rule = invariants::ALL.iter().find(|rule| rule.id == id);
                let rule = rule.copied().unwrap_or(Rule {
                    id: "PROC-0",
                    says: "a program names only rules that there are",
                });
                self.record.check(Err(Broken {
                    rule,
                    detail: format!("{name}: {detail}"),
                }));
            }
        }
    }

    /// The ledger has this level now. Programs only get newer, so those of this moment speak for the one at which
    /// it was decided.
    fn raised(&mut self, level: Level) {
        self.level = self.level.max(level);
        for at in 0..usize::from(self.plan.nodes) {
            let name = &self.places[at].name;
            let speaks = self.plan.level(at, self.now);
            let holds = speaks >= level || self.checks.former(name);
            self.record.check(LEVEL_SPOKEN.check(holds, || {
                format!("the ledger has level {level}, {name} speaks level {speaks}")
            }));
        }
    }

    /// The kind of what was seen, and the kind of state it was seen in.
    fn cover(&mut self, at: At, seen: &Seen) {
        let kind = match seen {
            Seen::Kind(Kind::Log(_) | Kind::Sent { .. }) => return,
            Seen::Kind(Kind::Fault(_)) => "fault",
            Seen::Kind(Kind::Process(_)) => "process",
            Seen::Kind(Kind::Leader { leader: None, .. }) => "no leader",
            Seen::Kind(Kind::Leader { .. }) => "leader",
            Seen::Kind(Kind::Ledger { .. }) | Seen::Leaf { .. } => "leaf",
            Seen::Kind(Kind::Round(_)) => "round",
            Seen::Kind(Kind::KeyEpoch(_)) => "epoch",
            Seen::Kind(Kind::Edge(_)) => "edge",
            Seen::Level(_) => "level",
            Seen::Acknowledged { .. } => "acknowledged",
            Seen::Gauge { .. } => "gauge",
            Seen::Holders { .. } => "holders",
            Seen::Update { .. } => "update",
            Seen::Shares { .. } => "shares",
            Seen::Accounts { .. } => "accounts",
            Seen::Committed { .. } => "committed",
            Seen::Restarts { .. } => "restarts",
            Seen::Mail { acknowledged, .. } => {
                if *acknowledged {
                    "mail kept"
                } else {
                    "mail sent"
                }
            }
            Seen::Wrote { .. } => "wrote",
            Seen::WroteAgain { .. } => "wrote again",
            Seen::Read { .. } => "read",
            Seen::Broken { .. } => "broken",
        };
        let act = match seen {
            Seen::Leaf { act, .. } => act.split(' ').next_back().unwrap_or_default(),
            _ => "",
        };
        let place = &self.places[at];
        let up = self.places.iter().filter(|place| place.runs()).count();
        let lives = place.life.min(3);
        let leads = place.shown.leader.as_ref() == Some(&place.name);
        let behind = self
            .checks
            .size()
            .saturating_sub(place.shown.size)
            .min(8)
            .next_power_of_two();
        let lasting = self.lasting.len().min(3);
        let split = self.network.is_split();
        let state = (act, up, lives, leads, behind, lasting, split);
        self.record.covers(kind, &state);
    }
}
