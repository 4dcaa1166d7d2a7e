//! The aggregator: runs the rounds on the node that leads the cluster.
//!
//! ```text
//! waiting ─ propose RoundOpened ─▶ opening ─ committed ─▶ collecting ─ enough updates ─▶ closing
//!    ▲                                                        │ too few                    │
//!    └────────────── pause ◀── committed ── abandoning ◀──────┴───── pause ◀── committed ──┘
//! ```
//! A proposal's fate is unknown until the ledger shows it; it is repeated unchanged, which is safe
//! because the fold lets only one act open or end a round.

mod io;
mod round;
#[cfg(test)]
mod tests;

pub use io::{Config, Counters, Input, Output, RefusedUpdate, Update};

use crate::model_digest;
use machine::{Instant, Machine};
use round::{Model, OpenRound, Taken};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
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
    /// A model whose round's close was proposed and not yet seen.
    staged: Option<(Round, Model)>,
    phase: Phase,
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
    pub fn new(node: NodeId, config: Config) -> Self {
        Self {
            node,
            config,
            leading: false,
            up: BTreeSet::new(),
            next: Round(1),
            open: None,
            model: None,
            held: None,
            staged: None,
            phase: Phase::Waiting {
                until: Instant::ZERO,
                asked: 0,
            },
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
            Phase::Collecting(open) => Some((open.round, open.updates.len(), open.cohort.len())),
            Phase::Waiting { .. } | Phase::Opening { .. } | Phase::Ending { .. } => None,
        }
    }

    /// Whether the model to start from is in memory.
    fn base(&self) -> Option<&Model> {
        self.held
            .as_ref()
            .filter(|held| self.model.is_none_or(|model| model == held.digest))
    }

    /// Take the next step, if its time has come.
    fn pursue(&mut self, now: Instant, out: &mut Vec<Output>) {
        if !self.leading {
            return;
        }
        match &mut self.phase {
            Phase::Waiting { until, .. } if *until <= now => self.begin(now, out),
            Phase::Waiting { .. } => {}
            Phase::Opening { proposal } | Phase::Ending { proposal } => {
                if proposal.due <= now {
                    proposal.due = now + PROPOSAL_LIMIT;
                    out.push(Output::Propose(proposal.act.clone()));
                }
            }
            Phase::Collecting(open) => {
                if open.ends <= now || open.complete(&self.up, self.config.min_cohort) {
                    self.end(now, out);
                } else if open.resend_at <= now {
                    open.resend_at = now + self.config.resend;
                    send_train(open, out);
                }
            }
        }
    }

    /// From waiting: end what a former leader left open, or open the next round.
    fn begin(&mut self, now: Instant, out: &mut Vec<Output>) {
        if let Some(round) = self.open {
            let reason = format!("the leader that opened it was replaced by {}", self.node);
            self.abandon(now, round, reason, out);
            return;
        }
        if self.up.len() < self.config.min_cohort {
            return;
        }
        let Some(base) = self.base() else {
            self.want_model(now, out);
            return;
        };
        let act = Act::RoundOpened {
            round: self.next,
            model: base.digest,
            cohort: self.up.iter().cloned().collect(),
        };
        let proposal = propose(now, self.next, act, out);
        self.phase = Phase::Opening { proposal };
    }

    fn want_model(&mut self, now: Instant, out: &mut Vec<Output>) {
        // Before the first model there is nothing to ask for; the shell brings it unasked.
        let Some(digest) = self.model else { return };
        let asked = match &self.phase {
            Phase::Waiting { asked, .. } => *asked,
            Phase::Opening { .. } | Phase::Collecting(_) | Phase::Ending { .. } => 0,
        };
        if asked < MODEL_ATTEMPTS {
            out.push(Output::NeedModel(digest));
        } else if let Some(held) = &self.held {
            out.push(Output::Note(format!(
                "model {digest:?} of the last closed round is nowhere to be found; going on from {:?}",
                held.digest
            )));
            self.model = Some(held.digest);
        } else {
            out.push(Output::Note(format!(
                "model {digest:?} of the last closed round is nowhere to be found, and no other is at hand; still asking"
            )));
            out.push(Output::NeedModel(digest));
        }
        self.phase = Phase::Waiting {
            until: now + MODEL_PAUSE,
            asked: asked.saturating_add(1),
        };
        if self.base().is_some() {
            self.begin(now, out);
        }
    }

    /// From collecting: make the model, or say why there is none.
    fn end(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Phase::Collecting(open) = &self.phase else {
            return;
        };
        let round = open.round;
        let made = if open.updates.len() < self.config.min_cohort {
            Err(open.shortfall(self.config.min_cohort))
        } else {
            open.aggregate(&self.config)
                .map_err(|error| error.to_string())
        };
        match made {
            Err(reason) => self.abandon(now, round, reason, out),
            Ok(made) => {
                let participants = open.updates.keys().cloned().collect();
                let digest = model_digest(&made.parameters);
                let parameters = Arc::new(made.parameters);
                self.staged = Some((
                    round,
                    Model {
                        digest,
                        parameters: Arc::clone(&parameters),
                    },
                ));
                out.push(Output::StageModel {
                    round,
                    digest,
                    parameters,
                });
                let act = Act::RoundClosed {
                    round,
                    model: digest,
                    participants,
                    examples: made.examples,
                    loss: made.loss,
                };
                self.phase = Phase::Ending {
                    proposal: propose(now, round, act, out),
                };
            }
        }
    }

    fn abandon(&mut self, now: Instant, round: Round, mut reason: String, out: &mut Vec<Output>) {
        if let Some((at, _)) = reason.char_indices().nth(MAX_REASON) {
            reason.truncate(at);
            reason.push('…');
        }
        out.push(Output::Note(format!(
            "round {round} is abandoned: {reason}"
        )));
        let act = Act::RoundAbandoned { round, reason };
        self.phase = Phase::Ending {
            proposal: propose(now, round, act, out),
        };
    }

    fn opened(
        &mut self,
        now: Instant,
        round: Round,
        model: Digest,
        cohort: Vec<NodeId>,
        by: &NodeId,
        out: &mut Vec<Output>,
    ) {
        self.open = Some(round);
        let ours = match &self.phase {
            Phase::Opening { proposal } => {
                let act = Act::RoundOpened {
                    round,
                    model,
                    cohort: cohort.clone(),
                };
                self.leading && *by == self.node && proposal.act == act
            }
            Phase::Waiting { .. } | Phase::Collecting(_) | Phase::Ending { .. } => false,
        };
        match self
            .held
            .clone()
            .filter(|held| ours && held.digest == model)
        {
            Some(base) => {
                let open = OpenRound {
                    round,
                    base,
                    cohort: cohort.into_iter().collect(),
                    updates: Default::default(),
                    declined: Default::default(),
                    ends: now + self.config.deadline,
                    resend_at: now + self.config.resend,
                };
                send_train(&open, out);
                self.phase = Phase::Collecting(Box::new(open));
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
        self.phase = Phase::Waiting {
            until: now + self.config.pause,
            asked: 0,
        };
    }

    fn closed(&mut self, now: Instant, round: Round, model: Digest, out: &mut Vec<Output>) {
        self.ended(now, round);
        self.model = Some(model);
        // Also when the lead was lost meanwhile: nobody else may have this model.
        if let Some((_, made)) = self
            .staged
            .take_if(|(of, made)| *of == round && made.digest == model)
        {
            out.push(Output::PublishModel {
                round,
                digest: model,
                parameters: Arc::clone(&made.parameters),
            });
            self.held = Some(made);
        }
    }

    fn update(&mut self, update: Update, out: &mut Vec<Output>) {
        if update.round < self.next && self.open != Some(update.round) {
            self.counters.late += 1;
            return;
        }
        let node = update.node.clone();
        let round = update.round;
        let taken = match &mut self.phase {
            Phase::Collecting(open) => open.take(update, &self.config),
            Phase::Ending { proposal } if proposal.round == round => {
                self.counters.late += 1;
                return;
            }
            Phase::Waiting { .. } | Phase::Opening { .. } | Phase::Ending { .. } => {
                Err(RefusedUpdate::NotOpen { round })
            }
        };
        match taken {
            Ok(Taken::Counted) => self.counters.accepted += 1,
            Ok(Taken::Repeated) => self.counters.repeated += 1,
            Err(why) => {
                self.counters.refused += 1;
                out.push(Output::Note(format!(
                    "update of {node} for round {round} refused: {why}"
                )));
            }
        }
    }

    fn decline(&mut self, round: Round, node: NodeId, reason: String) {
        if let Phase::Collecting(open) = &mut self.phase
            && open.round == round
            && open.cohort.contains(&node)
            && !open.updates.contains_key(&node)
        {
            open.declined.insert(node, reason);
        }
    }
}

fn propose(now: Instant, round: Round, act: Act, out: &mut Vec<Output>) -> Proposal {
    out.push(Output::Propose(act.clone()));
    Proposal {
        round,
        act,
        due: now + PROPOSAL_LIMIT,
    }
}

fn send_train(open: &OpenRound, out: &mut Vec<Output>) {
    out.extend(open.silent().map(|to| Output::SendTrain {
        to: to.clone(),
        round: open.round,
        model: open.base.digest,
        parameters: Arc::clone(&open.base.parameters),
    }));
}

impl Machine for Aggregator {
    type Input = Input;
    type Output = Output;

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
                self.phase = Phase::Waiting {
                    until: now,
                    asked: 0,
                };
            }
            Input::Members(up) => self.up = up,
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
            } => {
                self.opened(now, round, model, cohort, &by, out);
            }
            Input::Closed { round, model } => self.closed(now, round, model, out),
            Input::Abandoned { round } => self.ended(now, round),
            Input::Update(update) => self.update(update, out),
            Input::Decline {
                round,
                node,
                reason,
            } => self.decline(round, node, reason),
            Input::ProposalFailed { round, reason } => match &mut self.phase {
                Phase::Opening { proposal } | Phase::Ending { proposal }
                    if proposal.round == round =>
                {
                    proposal.due = now + PROPOSAL_PAUSE;
                    out.push(Output::Note(format!(
                        "proposal for round {round} is repeated: {reason}"
                    )));
                }
                Phase::Waiting { .. }
                | Phase::Opening { .. }
                | Phase::Collecting(_)
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
                    && (self.up.len() < self.config.min_cohort
                        || (self.model.is_none() && self.held.is_none()));
                (!blocked).then_some(*until)
            }
            Phase::Opening { proposal } | Phase::Ending { proposal } => Some(proposal.due),
            Phase::Collecting(open) => Some(open.ends.min(open.resend_at)),
        }
    }
}
