//! The aggregator: runs the rounds on the node that leads the cluster.
//!
//! ```text
//! waiting ─ propose RoundOpened ─▶ opening ─ committed ─▶ collecting ─ enough updates ─▶ closing
//!    ▲                                                        │ too few     (with privacy: │
//!    │                                                        │           after charging)  │
//!    └────────────── pause ◀── committed ── abandoning ◀──────┴───── pause ◀── committed ──┘
//! ```
//! A proposal's fate is unknown until the ledger shows it, so it is repeated: an end unchanged, an
//! opening with those that are up by now. Both are safe because the fold lets only one act open or
//! end a round.

mod buffered;
mod io;
mod private;
mod round;
mod secure;
mod steps;
#[cfg(test)]
mod tests;
mod updates;

pub use io::{Config, Counters, Input, Output, PackedUpdate, RefusedUpdate, Update};
pub use private::Privacy;

use crate::cohort::Stragglers;
use crate::optimizer::Moments;
use crate::scaffold::Carried;
use crate::secagg::SecureRound;
use buffered::Buffered;
use machine::{Instant, Machine, Overload};
use private::{Made, Private};
use round::{Model, OpenRound};
use secure::SecureOpen;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use steps::send_train;
use wire::{Act, Digest, NodeId, Round};

/// Most examples one update may claim: its weight in the mean. A node that kept every reading of a
/// thousand devices for a year would have fewer.
pub const MAX_EXAMPLES: u64 = 1 << 36;
/// How long a proposal may stay without a word before it is repeated; an election fits into it.
const PROPOSAL_LIMIT: Duration = Duration::from_secs(3);
/// Pause before a proposal that failed is repeated.
const PROPOSAL_PAUSE: Duration = Duration::from_millis(500);
/// How often a missing model is asked for.
const MODEL_PAUSE: Duration = Duration::from_secs(2);
/// Questions for a missing model after which the round starts from the newest one at hand.
const MODEL_ATTEMPTS: u32 = 5;
/// Longest reason that goes on the ledger, in characters; participants write parts of it.
const MAX_REASON: usize = 400;

/// Opens, collects, closes; one step at a time, each on the ledger before the next.
pub struct Aggregator {
    node: NodeId,
    config: Config,
    leading: bool,
    up: BTreeSet<NodeId>,
    /// As the ledger has it.
    next: Round,
    open: Option<Round>,
    /// The model to start from, by the ledger.
    model: Option<Digest>,
    /// The newest model in memory; not always the one above.
    held: Option<Model>,
    /// A model whose round's close was proposed and not yet seen, with what the optimiser remembers then.
    staged: Option<(Round, Model, Moments)>,
    /// What the optimiser remembers, and the model that it was made with: another model, made by another
    /// leader, has none here.
    moments: Option<(Digest, Moments)>,
    private: Private,
    buffered: Option<Buffered>,
    stragglers: Stragglers,
    phase: Phase,
    /// A round is being abandoned that was a former leader's: nothing is wrong with the cohort, so the
    /// next one opens without a pause.
    taking_over: bool,
    counters: Counters,
}

enum Phase {
    /// For this moment (and for enough members, and for the model); `asked` counts questions for it.
    Waiting {
        until: Instant,
        asked: u32,
    },
    Opening {
        proposal: Proposal,
    },
    Collecting(Box<OpenRound>),
    /// The model is made; what it tells of its participants goes on the ledger first.
    Charging {
        proposal: Proposal,
        made: Box<Made>,
    },
    /// Closing or abandoning.
    Ending {
        proposal: Proposal,
    },
}

struct Proposal {
    round: Round,
    act: Act,
    due: Instant,
}

impl Aggregator {
    /// An aggregator that does not lead.
    pub fn new(node: NodeId, mut config: Config) -> Self {
        // A round needs somebody; a configuration of zero means one.
        config.min_cohort = config.min_cohort.max(1);
        Self {
            node,
            buffered: config.buffer.map(Buffered::new),
            config,
            leading: false,
            up: BTreeSet::new(),
            next: Round(1),
            open: None,
            model: None,
            held: None,
            staged: None,
            moments: None,
            private: Private::default(),
            stragglers: Stragglers::default(),
            phase: Phase::Waiting {
                until: Instant::ZERO,
                asked: 0,
            },
            taking_over: false,
            counters: Counters::default(),
        }
    }

    /// What happened to the updates so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The round being collected here: number, updates so far, size of the cohort.
    pub fn collecting(&self) -> Option<(Round, usize, usize)> {
        match &self.phase {
            Phase::Collecting(open) => Some((open.round, open.heard(), open.cohort.len())),
            Phase::Waiting { .. }
            | Phase::Opening { .. }
            | Phase::Charging { .. }
            | Phase::Ending { .. } => None,
        }
    }

    /// Who has not answered, and for how many rounds in a row that it was asked in.
    pub fn stragglers(&self) -> impl Iterator<Item = (&NodeId, u32)> {
        self.stragglers.counts()
    }

    /// What the optimiser remembers of a model; nothing of one that another leader made.
    fn moments_of(&self, model: Digest) -> Option<&Moments> {
        let moments = self.moments.as_ref().filter(|(of, _)| *of == model);
        moments.map(|(_, moments)| moments)
    }

    /// Whether the model to start from is in memory.
    fn base(&self) -> Option<&Model> {
        self.held
            .as_ref()
            .filter(|held| self.model.is_none_or(|model| model == held.digest))
    }

    fn opened(
        &mut self,
        now: Instant,
        (round, model): (Round, Digest),
        cohort: Vec<NodeId>,
        by: &NodeId,
        (secure, carried, ages): (Option<Arc<SecureRound>>, Carried, bool),
        out: &mut Vec<Output>,
    ) {
        self.open = Some(round);
        if let Some(buffered) = &mut self.buffered {
            buffered.opened(model);
        }
        // Any of this node's proposals for the round: the repeated one may ask others than the first.
        let ours = match &self.phase {
            Phase::Opening { proposal } => {
                self.leading && *by == self.node && proposal.round == round
            }
            Phase::Waiting { .. }
            | Phase::Collecting(_)
            | Phase::Charging { .. }
            | Phase::Ending { .. } => false,
        };
        match self
            .held
            .clone()
            .filter(|held| ours && held.digest == model)
        {
            Some(base) => {
                let start = carried.start(&base.parameters);
                let length = start.len();
                let private = |secure: &Arc<SecureRound>| secure.terms.treatment.is_private();
                if self.config.privacy.is_some() && !secure.as_ref().is_none_or(private) {
                    let reason = "its noise has no place in the terms of the secure round";
                    return self.abandon(now, round, reason.to_owned(), out);
                }
                let secure = secure.map(|secure| {
                    let contexts = secure.contexts(round, model, length);
                    contexts.map(|contexts| SecureOpen::new(contexts, now, self.config.deadline))
                });
                let secure = match secure.transpose() {
                    Ok(secure) => secure,
                    Err(error) => return self.abandon(now, round, error.to_string(), out),
                };
                let open = OpenRound {
                    round,
                    base,
                    start,
                    members: carried.members(),
                    cohort: cohort.into_iter().collect(),
                    updates: Default::default(),
                    ages: Default::default(),
                    tells_ages: ages && self.buffered.is_some(),
                    declined: Default::default(),
                    secure,
                    ends: now + self.config.deadline,
                    resend_at: now + self.config.resend,
                };
                send_train(&open, open.cohort.iter(), out);
                self.phase = Phase::Collecting(Box::new(open));
                let early = self.buffered.as_mut().map(Buffered::take_early);
                for update in early.unwrap_or_default().into_values() {
                    self.update(update, out);
                }
            }
            // Somebody else's round, or one whose model is gone: `begin` ends it if we lead.
            None => {
                self.phase = Phase::Waiting {
                    until: now,
                    asked: 0,
                }
            }
        }
    }

    fn ended(&mut self, now: Instant, round: Round) {
        self.open = None;
        self.next = round.next();
        let pause = match std::mem::take(&mut self.taking_over) {
            true => Duration::ZERO,
            false => self.config.pause,
        };
        self.phase = Phase::Waiting {
            until: now + pause,
            asked: 0,
        };
    }

    fn closed(
        &mut self,
        now: Instant,
        round: Round,
        (model, participants): (Digest, Vec<NodeId>),
        out: &mut Vec<Output>,
    ) {
        self.ended(now, round);
        if let Some(buffered) = &mut self.buffered {
            buffered.closed(round, participants);
        }
        self.model = Some(model);
        // Also when the lead was lost meanwhile: nobody else may have this model.
        if let Some((_, made, moments)) = self
            .staged
            .take_if(|(of, made, _)| *of == round && made.digest == model)
        {
            self.moments = Some((model, moments));
            out.push(Output::PublishModel {
                round,
                digest: model,
                parameters: Arc::clone(&made.parameters),
            });
            self.held = Some(made);
        }
    }

    /// Whatever was going on started from a model that is dropped: a proposal on the way has no effect.
    fn rolled_back(&mut self, now: Instant, model: Digest) {
        if let Some(round) = self.open {
            self.ended(now, round);
        }
        if let Some(buffered) = &mut self.buffered {
            buffered.rolled_back();
        }
        self.model = Some(model);
        self.staged = None;
        self.phase = Phase::Waiting {
            until: now + self.config.pause,
            asked: 0,
        };
    }
}

impl Machine for Aggregator {
    type Input = Input;
    type Output = Output;

    /// What the ledger says and what was asked for is said once. Of a participant's answers an
    /// update that finds no room is missed at the deadline, which its sender should know; a
    /// decline only makes a round shorter.
    fn overload(input: &Input) -> Overload {
        match input {
            Input::Leading { .. }
            | Input::NotLeading
            | Input::Members(_)
            | Input::ModelReady { .. }
            | Input::ModelUnavailable { .. }
            | Input::Opened { .. }
            | Input::Closed { .. }
            | Input::Abandoned { .. }
            | Input::RolledBack { .. }
            | Input::Spent { .. }
            | Input::ProposalFailed { .. } => Overload::Delay,
            Input::Update(_) | Input::Packed(_) | Input::Secure { .. } => Overload::Refuse,
            Input::Decline { .. } => Overload::Shed,
        }
    }

    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Leading { next, open, model } => {
                if !self.leading {
                    self.leading = true;
                    self.phase = Phase::Waiting {
                        until: now,
                        asked: 0,
                    };
                }
                (self.next, self.open, self.model) = (next, open, model.or(self.model));
            }
            Input::NotLeading => {
                self.leading = false;
                // Whose they are offers them to the next leader.
                self.buffered.as_mut().map(Buffered::take_early);
                self.phase = Phase::Waiting {
                    until: now,
                    asked: 0,
                };
            }
            Input::Members(up) => {
                self.stragglers.retain(&up);
                self.up = up;
            }
            Input::ModelReady { digest, parameters } => {
                let wanted = self.model.is_none_or(|model| model == digest);
                if wanted || self.held.is_none() {
                    self.held = Some(Model { digest, parameters });
                }
                if let Phase::Waiting { until, asked } = &mut self.phase
                    && wanted
                    && *asked > 0
                {
                    (*until, *asked) = (now, 0);
                }
            }
            Input::ModelUnavailable { digest } => {
                out.push(Output::Note(format!(
                    "no reachable peer has model {digest:?}"
                )));
            }
            Input::Opened {
                round,
                model,
                cohort,
                by,
                secure,
                carried,
                ages,
            } => {
                let way = (secure, carried, ages);
                self.opened(now, (round, model), cohort, &by, way, out);
            }
            Input::Closed {
                round,
                model,
                participants,
            } => self.closed(now, round, (model, participants), out),
            Input::Abandoned { round } => self.ended(now, round),
            Input::RolledBack { model } => self.rolled_back(now, model),
            Input::Spent { round, spent } => self.spent(now, round, spent, out),
            Input::Update(update) => self.update(update, out),
            Input::Packed(packed) => self.unpack(packed, out),
            Input::Secure { node, message } => self.secure_step(node, message, out),
            Input::Decline {
                round,
                node,
                reason,
            } => self.decline(round, node, reason),
            Input::ProposalFailed { round, reason } => match &mut self.phase {
                Phase::Opening { proposal }
                | Phase::Charging { proposal, made: _ }
                | Phase::Ending { proposal }
                    if proposal.round == round =>
                {
                    proposal.due = now + PROPOSAL_PAUSE;
                    out.push(Output::Note(format!(
                        "proposal for round {round} is repeated: {reason}"
                    )));
                }
                Phase::Collecting(open) if open.round == round => {
                    let secure = open.secure.as_mut();
                    if secure.is_some_and(|secure| secure.charge_failed(now)) {
                        out.push(Output::Note(format!(
                            "the cost of round {round} is proposed again: {reason}"
                        )));
                    }
                }
                Phase::Waiting { .. }
                | Phase::Opening { .. }
                | Phase::Collecting(_)
                | Phase::Charging { .. }
                | Phase::Ending { .. } => {}
            },
        }
        self.pursue(now, out);
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.pursue(now, out);
    }

    fn deadline(&self) -> Option<Instant> {
        if !self.leading {
            return None;
        }
        match &self.phase {
            // Without enough members, or before the first model, an input will wake us.
            Phase::Waiting { until, .. } => {
                let blocked = self.open.is_none()
                    && (!self.staffed() || (self.model.is_none() && self.held.is_none()));
                (!blocked).then_some(*until)
            }
            Phase::Opening { proposal }
            | Phase::Charging { proposal, made: _ }
            | Phase::Ending { proposal } => Some(proposal.due),
            Phase::Collecting(open) => Some(open.deadline()),
        }
    }
}
