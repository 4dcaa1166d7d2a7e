//! Kinds of rounds, and what is watched in them besides what holds for all.

use super::invariants as rule;
use super::node::{Node, name};
use super::world::{Checked, World};
use federation::compression::{Codec, Rounding, decode};
use federation::privacy::budget::{Budget, epsilon};
use federation::secagg::{Charge, NoiseBy, Terms, Treatment};
use federation::{Config, ParticipantInput, Privacy};
use wire::{Act, Digest, Level, NodeId, Record, Round};

/// How rounds go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounds {
    /// In clear and secure ones by turns, these in one sum and in groups by turns.
    #[default]
    Mixed,
    /// Secure ones with noise by the participants. The first two of five nodes and more are one tenant's, whose budget
    /// ends within the run.
    Private,
    /// In clear, smaller than they are.
    Compressed,
    /// With control variates, in clear and secure ones by turns. Nodes that start again may have lost their disk.
    Scaffold,
    /// In clear, as they come: the last node is slow.
    Buffered,
}

/// z in thousandths.
const NOISE_MILLI: u32 = 1_000;
const DELTA: f64 = 1e-5;
/// From so many nodes on two are a tenant's: without them there are enough for rounds to go on.
const TENANTED: usize = 5;
/// Rounds of one node that the tenant's budget bears: ten of both, and then two of one.
const TENANTS_ROUNDS: u64 = 42;
/// Fewest participants of secure rounds.
const COHORT: usize = 3;

/// What an update leaves out: of each coordinate more than half a step, of a sixth at most.
pub(super) const CODEC: Codec = Codec::Quantised {
    bits: 3,
    rounding: Rounding::Nearest,
};

/// What a node's smaller updates have left out, worked out beside it.
#[derive(Default)]
pub(super) struct LeftOut {
    before: Vec<f32>,
    made: Option<(Round, Vec<f32>)>,
    /// Of the last update, if it counts.
    next: Option<(Round, Vec<f32>)>,
}

impl Rounds {
    /// How rounds of this kind are run.
    pub(super) fn configure(self, config: &mut Config) {
        match self {
            Self::Mixed | Self::Compressed | Self::Scaffold | Self::Buffered => {}
            Self::Private => {
                config.min_cohort = COHORT;
                config.privacy = Some(privacy());
            }
        }
    }

    pub(super) fn codec(self) -> Option<Codec> {
        match self {
            Self::Mixed | Self::Private | Self::Scaffold | Self::Buffered => None,
            Self::Compressed => Some(CODEC),
        }
    }

    /// What a node says of its data.
    fn declares(self, n: usize, nodes: usize) -> Option<(Option<String>, f64)> {
        match self {
            Self::Mixed | Self::Compressed | Self::Scaffold | Self::Buffered => None,
            Self::Private if nodes >= TENANTED && n < 2 => {
                let told = [(NOISE_MILLI, TENANTS_ROUNDS)].into();
                Some((Some("hospital".to_owned()), epsilon(&told, DELTA)))
            }
            Self::Private => Some((None, 1e9)),
        }
    }
}

fn privacy() -> Privacy {
    Privacy {
        noise_milli: NOISE_MILLI,
        bound: 1.0,
        adaptive: None,
        noise: NoiseBy::Participants,
        budget: Budget {
            epsilon: 1e9,
            delta: DELTA,
        },
    }
}

/// The terms of private rounds.
pub(super) fn private_terms() -> Option<Terms> {
    let privacy = privacy();
    let mechanism = privacy.mechanism(privacy.bound).ok()?;
    Some(Terms {
        groups: 1,
        treatment: Treatment::Private {
            mechanism,
            noise: privacy.noise,
        },
    })
}

impl World {
    /// The leader raises the level step by step, and every node says what may be told of its data.
    pub(super) fn declare(&mut self, leader: usize) {
        match self.scenario.rounds {
            Rounds::Mixed | Rounds::Compressed => return,
            Rounds::Private | Rounds::Scaffold | Rounds::Buffered => {}
        }
        let level = self.nodes[leader].replica.level;
        if level < Level::NEWEST {
            let level = Level(level.0 + 1);
            self.propose(leader, Act::LevelRaised { level });
            return;
        }
        for n in 0..self.nodes.len() {
            let known = &self.nodes[leader].replica.rounds.declared;
            let reached = self.nodes[n].up && self.cuts.linked(leader, n);
            if known.contains_key(&name(n)) || !reached {
                continue;
            }
            if let Some((tenant, epsilon)) = self.scenario.rounds.declares(n, self.nodes.len()) {
                self.propose(
                    n,
                    Act::BudgetDeclared {
                        node: name(n),
                        tenant,
                        epsilon,
                        delta: DELTA,
                    },
                );
            }
        }
    }

    /// The accounts, as this node's replica has them.
    pub(super) fn tell_accounts(&mut self, n: usize, round: Option<Round>) -> Checked {
        if self.nodes[n].replica.level < Level::LEARNING {
            return Ok(());
        }
        let spent = ::node::accounts::of(&self.nodes[n].replica);
        self.feed_aggregator(n, federation::Input::Spent { round, spent })
    }

    /// What a node has against a private round.
    pub(super) fn objection(&self, n: usize, cohort: &[NodeId]) -> Option<String> {
        if self.scenario.rounds != Rounds::Private {
            return None;
        }
        let declares = self.scenario.rounds.declares(n, self.nodes.len());
        let tenant = declares.and_then(|(tenant, _)| tenant);
        let replica = &self.nodes[n].replica;
        ::node::accounts::objection(replica, &privacy(), tenant.as_ref(), &name(n), cohort)
    }

    /// The cost of a private round took effect.
    pub(super) fn charged(
        &mut self,
        n: usize,
        round: Round,
        participants: &[NodeId],
        (noise_milli, bound): (u32, f64),
    ) -> Checked {
        let replica = &self.nodes[n].replica;
        let accounts = ::node::accounts::of(replica);
        for holder in accounts.shares(participants).into_keys() {
            let of = accounts.statement(holder, privacy().budget);
            rule::WITHIN_BUDGET.check(of.spent <= of.budget.epsilon, n, || {
                let (spent, most) = (of.spent, of.budget.epsilon);
                format!(
                    "{} has ε = {spent:.3} of {most:.3} in round {round}",
                    of.holder
                )
            })?;
        }
        let charge = Charge {
            participants: participants.to_vec(),
            noise_milli,
            bound,
            overdraws: ::node::accounts::overdraft(replica, &privacy(), &name(n), participants),
        };
        self.feed_participant(n, ParticipantInput::Charged { round, charge })?;
        self.tell_accounts(n, Some(round))
    }

    /// A node reveals shares: its replica has the round's cost, if it is private.
    pub(super) fn reveals(&self, n: usize) -> Checked {
        let private = self.scenario.rounds == Rounds::Private;
        let open = self.nodes[n].replica.rounds.open.as_ref();
        let paid = open.is_some_and(|open| open.charged.is_some());
        rule::PAID_FIRST.check(!private || paid, n, || {
            format!("it reveals shares while {open:?} is open")
        })
    }

    /// A round closes at a node: a private one was paid for.
    pub(super) fn closes_paid(&self, n: usize, before: &ledger::State, record: &Record) -> Checked {
        let private = self.scenario.rounds == Rounds::Private;
        let open = before.rounds.open.as_ref();
        let paid = open.is_some_and(|open| open.charged.is_some());
        rule::PAID_FIRST.check(!private || paid, n, || format!("{:?}", record.act))
    }
}

impl Node {
    /// The learner's result, before the participant has it.
    pub(super) fn made(&mut self, round: Round, delta: &[f32]) {
        self.left_out.made = Some((round, delta.to_vec()));
    }

    /// A smaller update leaves: it stands for what training made and all that former ones have left out.
    pub(super) fn packs(&mut self, n: usize, round: Round, bytes: &[u8]) -> Checked {
        let of = &mut self.left_out;
        if of.next.as_ref().is_some_and(|(sent, _)| *sent == round) {
            return Ok(());
        }
        let made = of.made.as_ref().filter(|(made, _)| *made == round);
        let made = made.map_or(&[][..], |(_, delta)| delta);
        of.before.resize(made.len(), 0.0);
        let due: Vec<f32> = made
            .iter()
            .zip(&of.before)
            .map(|(made, left)| made + left)
            .collect();
        let expected = CODEC.encode(&due, round.0).ok();
        rule::LEFT_OUT_ONCE.check(expected.as_deref() == Some(bytes), n, || {
            let (sent, digest) = (decode(bytes, due.len()), Digest::of(bytes));
            format!("round {round}: {sent:?} ({digest:?}) where {due:?} is due")
        })?;
        let sent = decode(bytes, due.len()).unwrap_or_default();
        let next = due.iter().zip(sent).map(|(due, sent)| due - sent);
        of.next = Some((round, next.collect()));
        Ok(())
    }

    /// A round has ended.
    pub(super) fn ended(&mut self, round: Round, counted: bool) {
        if let Some((of, next)) = self.left_out.next.take()
            && of == round
            && counted
        {
            self.left_out.before = next;
        }
    }
}
