//! An update in clear, as it is or smaller; what it leaves out is in the next one that counts.

use super::{Participant, ParticipantOutput, Remembered};
use std::sync::Arc;
use wire::{Frame, Round};

impl Participant {
    /// What training made, as it is or smaller.
    pub(super) fn answer(
        &mut self,
        round: Round,
        (delta, examples, loss): (Vec<f32>, u64, f64),
        out: &mut Vec<ParticipantOutput>,
    ) {
        let job = self.job.as_ref();
        let due = job.filter(|job| job.round == round && job.answer.is_none());
        let Some(codec) = due.and_then(|job| job.codec) else {
            let delta = Arc::new(delta);
            let update = |node, base| Frame::Update {
                round,
                node,
                base,
                delta,
                examples,
                loss,
            };
            return self.finish(round, update, out);
        };
        match self.feedback.encode(codec, &delta, round, round.0) {
            Ok(delta) => {
                // Before the update can be in a model: or the next process would not know what it left out.
                let memory = self.feedback.memory().clone();
                out.push(ParticipantOutput::Keep(Remembered::LeftOut(memory)));
                let packed = |node, base| Frame::Packed {
                    round,
                    node,
                    base,
                    delta,
                    examples,
                    loss,
                };
                self.finish(round, packed, out);
            }
            Err(error) => {
                let reason = error.to_string();
                let decline = |node, _| Frame::Decline {
                    round,
                    node,
                    reason,
                };
                self.finish(round, decline, out);
            }
        }
    }
}
