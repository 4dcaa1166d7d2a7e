//! The model of the replicated log: who leads, what is committed, who hears of it when; and what
//! each node's machines are told of the leaves it folds.

use super::invariants::{self as rule, Violation};
use super::network::Event;
use super::node::{examples, identity, name, number, roster};
use super::rounds::{Rounds, private_terms};
use super::world::{Checked, World};
use federation::ParticipantInput;
use federation::secagg::{MIN_COHORT, Member, SecureRound, Terms};
use ledger::{Applied, State, invariants::Step};
use std::sync::Arc;
use wire::{Act, Digest, Level, NodeId, Record};

impl World {
    /// The leader takes a proposal if it still is one with a majority.
    pub(crate) fn append(&mut self, from: usize, record: Arc<Record>) {
        let Some(leader) = self.leader else { return };
        if !self.cuts.linked(from, leader) || !self.has_majority(leader) {
            return;
        }
        let leaf = wire::encode(&*record);
        self.log(&format!(
            "leaf {} by n{from}: {:?}",
            self.log.len(),
            Digest::of(&leaf)
        ));
        self.log.push(record);
        for n in 0..self.nodes.len() {
            if self.cuts.linked(leader, n) {
                self.learn_soon(n);
            }
        }
    }

    pub(crate) fn learn_soon(&mut self, n: usize) {
        let (life, upto) = (self.nodes[n].life, self.log.len());
        let late = if self.faulty() && self.dice.percent(10) {
            1_500
        } else {
            25
        };
        let when = self.dice.after(self.now, 1, late);
        self.queue.at(
            when,
            Event::Learn {
                node: n,
                life,
                upto,
            },
        );
    }

    pub(crate) fn has_majority(&self, node: usize) -> bool {
        let reached = (0..self.nodes.len())
            .filter(|n| self.nodes[*n].up && self.cuts.linked(node, *n))
            .count();
        self.nodes[node].up && 2 * reached > self.nodes.len()
    }

    /// Heartbeats: who leads, and whether anybody can.
    pub(crate) fn elect(&mut self) -> Checked {
        let when = self.dice.after(self.now, 150, 400);
        self.queue.at(when, Event::Elect);
        // A former leader that is linked again learns that it was replaced.
        for n in 0..self.nodes.len() {
            let stale = self.nodes[n].leads && self.leader != Some(n);
            if stale
                && self
                    .leader
                    .is_some_and(|leader| self.cuts.linked(n, leader))
            {
                self.nodes[n].leads = false;
                if self.nodes[n].up {
                    self.feed_aggregator(n, federation::Input::NotLeading)?;
                    self.feed_custodian(n, custody::Input::Leader(false))?;
                }
            }
        }
        if self.leader.is_some_and(|leader| self.has_majority(leader)) {
            for n in 0..self.nodes.len() {
                if self
                    .leader
                    .is_some_and(|leader| self.cuts.linked(leader, n))
                {
                    self.learn_soon(n);
                }
            }
            return Ok(());
        }
        let able: Vec<_> = (0..self.nodes.len())
            .filter(|n| self.has_majority(*n) && self.nodes[*n].caught_up)
            .collect();
        if able.is_empty() {
            return Ok(());
        }
        let leader = able[self.dice.index(able.len())];
        self.counts.elections += 1;
        self.log(&format!("n{leader} leads"));
        self.leader = Some(leader);
        self.nodes[leader].leads = true;
        if self.log.is_empty() {
            let roster = roster(self.nodes.len());
            self.propose(
                leader,
                Act::Genesis {
                    cluster: "simulation".to_owned(),
                    roster,
                },
            );
        }
        // A leader has the whole log before it acts.
        self.learn(leader, self.log.len())?;
        self.lead(leader)
    }

    pub(crate) fn lead(&mut self, n: usize) -> Checked {
        self.tell_accounts(n, None)?;
        let rounds = &self.nodes[n].replica.rounds;
        let input = federation::Input::Leading {
            next: rounds.last.next(),
            open: rounds.open.as_ref().map(|open| open.round),
            model: rounds.model,
        };
        self.feed_aggregator(n, input)?;
        self.feed_custodian(n, custody::Input::Leader(true))
    }

    /// The leader proposes who came up and who went down.
    pub(crate) fn steward(&mut self) {
        let when = self.dice.after(self.now, 200, 500);
        self.queue.at(when, Event::Steward);
        let Some(leader) = self.leader.filter(|leader| self.has_majority(*leader)) else {
            return;
        };
        self.declare(leader);
        for n in 0..self.nodes.len() {
            let reached = self.nodes[n].up && self.cuts.linked(leader, n);
            let Some(member) = self.nodes[leader].replica.members.get(&name(n)) else {
                return;
            };
            let incarnation = self.nodes[n].life;
            if reached && (!member.up || member.incarnation != incarnation) {
                self.propose(
                    leader,
                    Act::NodeUp {
                        node: name(n),
                        incarnation,
                    },
                );
            } else if !reached && member.up {
                let reason = "does not answer".to_owned();
                self.propose(
                    leader,
                    Act::NodeDown {
                        node: name(n),
                        reason,
                    },
                );
            }
        }
    }

    /// Fold in what is committed, and tell the machines.
    pub(crate) fn learn(&mut self, n: usize, upto: usize) -> Checked {
        while (self.nodes[n].replica.size as usize) < upto {
            let index = self.nodes[n].replica.size as usize;
            let record = Arc::clone(&self.log[index]);
            let node = &mut self.nodes[n];
            let before = node.replica.clone();
            let applied = node.replica.apply(index as u64, &record);
            node.tree.append(&wire::encode(&*record));
            let step = Step {
                before: &before,
                after: &node.replica,
                applied: &applied,
            };
            if let Err(broken) = ledger::invariants::check(step) {
                let (id, says) = (broken.id, broken.says);
                return Err(Violation {
                    id,
                    says,
                    node: format!("n{n}"),
                    detail: broken.to_string(),
                });
            }
            let here = (
                node.tree.root(),
                node.replica.keys.epoch,
                node.replica.rounds.last,
                node.replica.rounds.tenants.clone(),
            );
            let first = !self.roots.contains_key(&node.replica.size);
            let agreed = self.roots.entry(node.replica.size);
            let agreed = agreed.or_insert_with(|| here.clone()).clone();
            rule::REPLICAS_AGREE.check(agreed == here, n, || format!("at {} leaves", index + 1))?;
            if first && applied == Applied::Effective {
                self.decided(n, &record.act)?;
            }
            self.applied(n, &record, &applied, &before)?;
        }
        if !self.nodes[n].caught_up {
            self.nodes[n].caught_up = true;
            let epoch = self.nodes[n].replica.keys.epoch;
            self.feed_custodian(n, custody::Input::CaughtUp { epoch })?;
        }
        Ok(())
    }

    /// Every other round of mixed ones is secure, so that they take turns; all private ones are.
    fn secure_round(
        &self,
        n: usize,
        record: &Record,
        cohort: &[NodeId],
    ) -> Option<Arc<SecureRound>> {
        let even = record.act.round().is_some_and(|round| round.0 % 2 == 0);
        let secure = match self.scenario.rounds {
            Rounds::Mixed | Rounds::Scaffold => even,
            Rounds::Private => true,
            Rounds::Compressed | Rounds::Buffered => false,
        };
        if !secure || cohort.len() < MIN_COHORT {
            return None;
        }
        let member = |node: &NodeId| Member {
            node: node.clone(),
            identity: identity(number(node)).verifying_key().to_bytes(),
        };
        Some(Arc::new(SecureRound {
            cluster: "simulated".to_owned(),
            aggregator: record.proposer.clone(),
            entry: Digest::of(&wire::encode(record)),
            members: cohort.iter().map(member).collect(),
            missed: !self.nodes[n].caught_up,
            terms: match self.scenario.rounds {
                Rounds::Private => private_terms()?,
                Rounds::Mixed | Rounds::Compressed | Rounds::Scaffold | Rounds::Buffered => Terms {
                    // Every other one of those in groups, where there are enough.
                    groups: match record.act.round() {
                        Some(round) if round.0 % 4 == 0 => cohort.len() / MIN_COHORT,
                        Some(_) | None => 1,
                    },
                    ..Terms::default()
                },
            },
            objection: self.objection(n, cohort),
        }))
    }

    pub(crate) fn applied(
        &mut self,
        n: usize,
        record: &Record,
        applied: &Applied,
        before: &State,
    ) -> Checked {
        let effective = *applied == Applied::Effective;
        if effective
            && before.up().collect::<Vec<_>>() != self.nodes[n].replica.up().collect::<Vec<_>>()
        {
            let up = self.nodes[n].replica.up().cloned().collect();
            self.feed_aggregator(n, federation::Input::Members(up))?;
        }
        match (record.act.clone(), applied) {
            (
                Act::RoundOpened {
                    round,
                    model,
                    cohort,
                },
                Applied::Effective,
            ) => {
                let secure = self.secure_round(n, record, &cohort);
                let carried = self.nodes[n].carries(self.scenario.rounds, round, model);
                let opened = ParticipantInput::Opened {
                    round,
                    model,
                    cohort: cohort.clone(),
                    secure: secure.clone(),
                    codec: self.scenario.rounds.codec(),
                    carried,
                };
                self.feed_participant(n, opened)?;
                let by = record.proposer.clone();
                let ages = self.nodes[n].replica.level >= Level::VARIATES_AND_TENANTS;
                self.feed_aggregator(
                    n,
                    federation::Input::Opened {
                        round,
                        model,
                        cohort,
                        by,
                        secure,
                        carried,
                        ages,
                    },
                )
            }
            (
                Act::RoundClosed {
                    round,
                    model,
                    participants,
                    examples: sum,
                    ..
                }
                | Act::BufferedRoundClosed {
                    round,
                    model,
                    participants,
                    examples: sum,
                    ..
                },
                Applied::Effective,
            ) => {
                let first = *self.models.entry(round).or_insert(model);
                rule::ONE_MODEL.check(first == model, n, || format!("round {round}"))?;
                self.closes_paid(n, before, record)?;
                let asked = before
                    .rounds
                    .open
                    .as_ref()
                    .map_or(0, |open| open.cohort.len());
                let masked = round.0 % 2 == 0 && asked >= MIN_COHORT;
                let each = |node: &NodeId| match self.scenario.rounds {
                    // Neither examples nor losses are told.
                    Rounds::Private => 1,
                    // Each counts once in a sum that is weighted by examples.
                    Rounds::Scaffold if masked && self.has_variates(round) => 1,
                    Rounds::Mixed | Rounds::Compressed | Rounds::Scaffold | Rounds::Buffered => {
                        examples(number(node))
                    }
                };
                let expected: u64 = participants.iter().map(each).sum();
                rule::COUNTED_ONCE.check(sum == expected, n, || {
                    format!("round {round}: {sum} examples of {participants:?}")
                })?;
                let counted = participants.contains(&name(n));
                self.nodes[n].lineage.closed(round, model, counted);
                self.nodes[n].ended(round, counted);
                self.feed_participant(n, ParticipantInput::Ended { round, counted })?;
                let closed = federation::Input::Closed {
                    round,
                    model,
                    participants,
                };
                self.feed_aggregator(n, closed)?;
                self.feed_custodian(n, custody::Input::RoundClosed { round })
            }
            (Act::RoundAbandoned { round, .. }, Applied::Effective) => {
                let counted = false;
                self.nodes[n].lineage.abandoned(round);
                self.nodes[n].ended(round, counted);
                self.feed_participant(n, ParticipantInput::Ended { round, counted })?;
                self.feed_aggregator(n, federation::Input::Abandoned { round })
            }
            (
                Act::PrivacySpent {
                    round,
                    participants,
                    noise_milli,
                    bound,
                    ..
                },
                Applied::Effective,
            ) => self.charged(n, round, &participants, (noise_milli, bound)),
            (Act::LevelRaised { .. } | Act::BudgetDeclared { .. }, Applied::Effective) => {
                self.tell_accounts(n, None)
            }
            (Act::VariatesReset { .. }, Applied::Effective) => {
                self.nodes[n].lineage.disturbed();
                Ok(())
            }
            (Act::ModelRolledBack { model, .. }, Applied::Effective) => {
                self.feed_participant(n, ParticipantInput::RolledBack)?;
                self.feed_aggregator(n, federation::Input::RolledBack { model })
            }
            (
                Act::GroupCommit {
                    epoch,
                    committer,
                    kind,
                    commit,
                },
                Applied::Effective,
            ) => {
                let input = custody::Input::Committed {
                    epoch,
                    committer,
                    kind,
                    commit,
                };
                self.feed_custodian(n, input)
            }
            (
                Act::GroupCommit {
                    epoch,
                    committer,
                    kind,
                    commit,
                },
                Applied::Lost { .. },
            ) => {
                let input = custody::Input::Lost {
                    epoch,
                    committer,
                    kind,
                    commit,
                };
                self.feed_custodian(n, input)
            }
            // No machine here cares.
            _ => Ok(()),
        }
    }

    /// The transport gave up on a proposal; whether it is on the log, the proposer finds out there.
    pub(crate) fn unknown(&mut self, n: usize, record: &Record) -> Checked {
        if self.nodes[n].replica.leaf_of(&record.id).is_some() {
            return Ok(());
        }
        let reason = "no answer in time".to_owned();
        match &record.act {
            Act::GroupCommit { epoch, .. } => self.feed_custodian(
                n,
                custody::Input::ProposalFailed {
                    epoch: *epoch,
                    reason,
                },
            ),
            Act::RoundOpened { round, .. }
            | Act::RoundClosed { round, .. }
            | Act::BufferedRoundClosed { round, .. }
            | Act::RoundAbandoned { round, .. }
            | Act::PrivacySpent { round, .. } => self.feed_aggregator(
                n,
                federation::Input::ProposalFailed {
                    round: *round,
                    reason,
                },
            ),
            _ => Ok(()),
        }
    }
}
