//! A participant's control variate in a round of SCAFFOLD.

#[cfg(test)]
mod tests;

use super::{Participant, ParticipantOutput, Remembered};
use crate::scaffold::{self, Carried, ScaffoldError};
use machine::mistakes::{self, Mistake};
use std::sync::Arc;
use wire::{Act, Frame, Round};

/// The round's.
pub(super) struct Variate {
    /// c.
    server: Vec<f32>,
    /// cᵢ; `None`: it is lost, so that this node trains without correction and moves no variate.
    own: Option<Vec<f32>>,
}

impl Variate {
    /// `c − cᵢ`.
    pub(super) fn correction(&self) -> Arc<Vec<f32>> {
        let own = self.own.as_ref().unwrap_or(&self.server);
        let pairs = self.server.iter().zip(own);
        Arc::new(pairs.map(|(server, own)| server - own).collect())
    }

    /// The joined difference, and what the own variate becomes.
    fn answer(
        &self,
        delta: &[f32],
        taken: Option<f64>,
    ) -> Result<(Vec<f32>, Option<Vec<f32>>), ScaffoldError> {
        let taken = taken.unwrap_or(0.0);
        let own = self.own.as_ref().unwrap_or(&self.server);
        let (joined, next) = scaffold::answer(own, &self.server, delta, taken)?;
        Ok(match self.own {
            Some(_) => (joined, Some(next)),
            None => (scaffold::reset(delta), None),
        })
    }
}

impl Participant {
    /// What is trained, and with which variates. `base`: the model as it came, and what the round starts from.
    pub(super) fn take_up(
        &self,
        round: Round,
        carried: Carried,
        (base, start): (&[f32], Arc<Vec<f32>>),
        out: &mut Vec<ParticipantOutput>,
    ) -> (Arc<Vec<f32>>, Option<Variate>) {
        let standing = match carried {
            Carried::AsTheModel | Carried::Weights(_) => return (start, None),
            Carried::Joined(standing) => standing,
        };
        let Some((weights, server)) =
            scaffold::split(&start).filter(|(weights, _)| weights.len() == standing.weights)
        else {
            // The learner says how many it expected.
            return (start, None);
        };
        let own = match standing.kept(base) {
            None => Some(vec![0.0; standing.weights]),
            Some(kept) => {
                let own = self.variate.of(kept, standing.weights).map(<[f32]>::to_vec);
                if own.is_none() {
                    let reason = format!(
                        "{} has lost its control variate of round {kept}, so those of all members start anew",
                        self.node
                    );
                    out.push(ParticipantOutput::Note(reason.clone()));
                    out.push(ParticipantOutput::Propose(Act::VariatesReset {
                        round,
                        reason,
                    }));
                }
                own
            }
        };
        let server = server.to_vec();
        (Arc::new(weights.to_vec()), Some(Variate { server, own }))
    }

    /// The learner has finished: the update that comes of it.
    pub(super) fn trained(
        &mut self,
        round: Round,
        (delta, examples, loss): (Vec<f32>, u64, f64),
        taken: Option<f64>,
        out: &mut Vec<ParticipantOutput>,
    ) {
        let job = self.job.as_ref();
        let job = job.filter(|job| job.round == round && job.is_training());
        let Some(variate) = job.and_then(|job| job.variate.as_ref()) else {
            return match self.is_secure(round) {
                true => self.contribute(round, (delta, examples, loss), out),
                false => self.answer(round, (delta, examples, loss), out),
            };
        };
        let (joined, next) = match variate.answer(&delta, taken) {
            Ok(answer) => answer,
            Err(error) => {
                let reason = error.to_string();
                let decline = |node, _| Frame::Decline {
                    round,
                    node,
                    reason,
                };
                return self.finish(round, decline, out);
            }
        };
        if let Some(next) = next {
            self.variate.propose(round, next);
            // Before the update can be in a model: or the next process would have lost it.
            let memory = self.variate.clone();
            if !mistakes::on(Mistake::VariateNotKept) {
                out.push(ParticipantOutput::Keep(Remembered::Variate(memory)));
            }
        }
        match self.is_secure(round) {
            // Each counts once, whose examples ever: the server's variate is the mean of all.
            true => self.contribute(round, (joined, 1, loss), out),
            false => self.answer(round, (joined, examples, loss), out),
        }
    }
}
