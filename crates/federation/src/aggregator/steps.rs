//! What an aggregator does on its own: open, ask again, end, abandon.

use super::private::UNCHARGED;
use super::round::{Model, OpenRound};
use super::{
    Aggregator, Instant, MAX_REASON, MODEL_ATTEMPTS, MODEL_PAUSE, Output, PROPOSAL_LIMIT, Phase,
    Proposal,
};
use crate::fedavg::Aggregate;
use crate::model_digest;
use crate::optimizer::Moments;
use machine::mistakes::{self, Mistake};
use std::sync::Arc;
use wire::{Act, NodeId, Round};

impl Aggregator {
    /// Take the next step, if its time has come.
    pub(super) fn pursue(&mut self, now: Instant, out: &mut Vec<Output>) {
        if !self.leading {
            return;
        }
        match &mut self.phase {
            Phase::Waiting { until, .. } if *until <= now => self.begin(now, out),
            Phase::Waiting { .. } => {}
            // Whom to ask may have changed: an act with a member that was evicted meanwhile is in vain
            // for ever. Should the former one be committed all the same, it is as good.
            Phase::Opening { proposal } => {
                if proposal.due <= now {
                    self.phase = Phase::Waiting {
                        until: now,
                        asked: 0,
                    };
                    self.begin(now, out);
                }
            }
            Phase::Charging { proposal, made } if proposal.due <= now && made.until <= now => {
                let (round, reason) = (made.round, UNCHARGED.to_owned());
                self.abandon(now, round, reason, out);
            }
            Phase::Charging { proposal, made: _ } | Phase::Ending { proposal } => {
                if proposal.due <= now {
                    proposal.due = now + PROPOSAL_LIMIT;
                    out.push(Output::Propose(proposal.act.clone()));
                }
            }
            Phase::Collecting(open) if open.secure.is_some() => self.pursue_secure(now, out),
            Phase::Collecting(open) => {
                if open.ends <= now || open.complete(&self.up, &self.config) {
                    self.end(now, out);
                } else if open.resend_at <= now {
                    open.resend_at = now + self.config.resend;
                    send_train(open, open.silent(), out);
                }
            }
        }
    }

    /// From waiting: end what a former leader left open, or open the next round.
    fn begin(&mut self, now: Instant, out: &mut Vec<Output>) {
        if let Some(round) = self.open
            && !mistakes::on(Mistake::NoFailoverAbandon)
        {
            let reason = format!("the leader that opened it was replaced by {}", self.node);
            self.taking_over = true;
            self.abandon(now, round, reason, out);
            return;
        }
        if !self.staffed() {
            self.tell_why_stopped(out);
            return;
        }
        let Some(base) = self.base() else {
            self.want_model(now, out);
            return;
        };
        let act = Act::RoundOpened {
            round: self.next,
            model: base.digest,
            cohort: self.config.selection.choose(
                &self.eligible(),
                (self.next, base.digest),
                self.config.min_cohort,
                &self.stragglers,
            ),
        };
        let proposal = propose(now, self.next, act, out);
        self.phase = Phase::Opening { proposal };
    }

    fn want_model(&mut self, now: Instant, out: &mut Vec<Output>) {
        // Before the first model there is nothing to ask for; the shell brings it unasked.
        let Some(digest) = self.model else { return };
        let asked = match &self.phase {
            Phase::Waiting { asked, .. } => *asked,
            Phase::Opening { .. }
            | Phase::Collecting(_)
            | Phase::Charging { .. }
            | Phase::Ending { .. } => 0,
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
        self.reckon();
        let Phase::Collecting(open) = &self.phase else {
            return;
        };
        let round = open.round;
        let participants = open.updates.keys().cloned().collect();
        if open.updates.len() < self.config.min_cohort {
            let reason = open.shortfall(self.config.min_cohort);
            return self.abandon(now, round, reason, out);
        }
        if let Some(privacy) = self.config.privacy {
            return self.end_private(now, &privacy, out);
        }
        if let Some(note) = open.tell_ages() {
            out.push(Output::Note(note));
        }
        let moments = self.moments_of(open.base.digest);
        match open.aggregate(&self.config, moments) {
            Err(error) => self.abandon(now, round, error.to_string(), out),
            Ok(made) => self.close(now, (round, participants), made, out),
        }
    }

    /// From collecting: who has answered and who has not, for the choice of later cohorts.
    pub(super) fn reckon(&mut self) {
        // Who is slow has its time.
        if self.buffered.is_some() {
            return;
        }
        let Phase::Collecting(open) = &self.phase else {
            return;
        };
        for node in &open.cohort {
            match open.answered(node) {
                true => self.stragglers.answered(node),
                false => self.stragglers.missed(node, open.round),
            }
        }
    }

    /// There is a new model: to be kept by the peers, then to be the ledger's.
    pub(super) fn close(
        &mut self,
        now: Instant,
        (round, participants): (Round, Vec<NodeId>),
        (made, moments): (Aggregate, Moments),
        out: &mut Vec<Output>,
    ) {
        let digest = model_digest(&made.parameters);
        let parameters = Arc::new(made.parameters);
        let model = Model {
            digest,
            parameters: Arc::clone(&parameters),
        };
        self.staged = Some((round, model, moments));
        out.push(Output::StageModel {
            round,
            digest,
            parameters,
        });
        let ages = match &self.phase {
            Phase::Collecting(open) => open.ages_of(&participants),
            Phase::Waiting { .. }
            | Phase::Opening { .. }
            | Phase::Charging { .. }
            | Phase::Ending { .. } => None,
        };
        let (model, examples, loss) = (digest, made.examples, made.loss);
        let act = match ages {
            None => Act::RoundClosed {
                round,
                model,
                participants,
                examples,
                loss,
            },
            Some(ages) => Act::BufferedRoundClosed {
                round,
                model,
                participants,
                ages,
                examples,
                loss,
            },
        };
        self.phase = Phase::Ending {
            proposal: propose(now, round, act, out),
        };
    }

    pub(super) fn abandon(
        &mut self,
        now: Instant,
        round: Round,
        mut reason: String,
        out: &mut Vec<Output>,
    ) {
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
}

pub(super) fn propose(now: Instant, round: Round, act: Act, out: &mut Vec<Output>) -> Proposal {
    out.push(Output::Propose(act.clone()));
    Proposal {
        round,
        act,
        due: now + PROPOSAL_LIMIT,
    }
}

pub(super) fn send_train<'a>(
    open: &OpenRound,
    to: impl Iterator<Item = &'a NodeId>,
    out: &mut Vec<Output>,
) {
    out.extend(to.map(|to| Output::SendTrain {
        to: to.clone(),
        round: open.round,
        model: open.base.digest,
        parameters: Arc::clone(&open.base.parameters),
    }));
}
