//! A participant whose rounds take updates as they come: one update at a time, offered to the round that is open
//! when it is made, and to the next ones until it counts.

#[cfg(test)]
mod tests;

use super::{Participant, ParticipantOutput, Request};
use machine::mistakes::{self, Mistake};
use wire::{Frame, Round};

/// Rounds that end without an update that was sent for them, after which it is given up: it breaks a rule, or the
/// link to the aggregator is bad; another one may fare better.
const MOST_OFFERS: u32 = 3;

/// What became of an answer so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offers {
    /// The last round that it was sent for.
    last: Option<Round>,
    /// How many.
    count: u32,
}

impl Participant {
    /// Whether a request finds this node with an update that does not count yet, made or in the making.
    pub(super) fn is_busy_for(
        &mut self,
        request: &Request,
        out: &mut Vec<ParticipantOutput>,
    ) -> bool {
        let Some(bases) = &self.buffered else {
            return false;
        };
        let open = self.open.as_ref();
        let Some(open) = open.filter(|open| open.round == request.round && open.asked) else {
            return false;
        };
        let Some(job) = &mut self.job else {
            return false;
        };
        if bases.age(job.model).is_none() {
            let (round, now) = (job.round, open.round);
            self.drop_job(out);
            out.push(ParticipantOutput::Note(format!(
                "the update of round {round} is too old for round {now}; training begins anew from its model"
            )));
            return false;
        }
        job.from = request.from.clone();
        self.offer(out);
        true
    }

    /// Sends the answer, if there is one, for the round that is open.
    pub(super) fn offer(&mut self, out: &mut Vec<ParticipantOutput>) {
        let open = self.open.as_ref().filter(|open| open.asked);
        let (Some(open), Some(job)) = (open, &mut self.job) else {
            return;
        };
        let Some(answer) = &mut job.answer else {
            return;
        };
        // Whoever waits for it waits in the open round.
        if let Frame::Decline { round, .. } = answer {
            *round = open.round;
        }
        if job.offers.last != Some(open.round) {
            job.offers = Offers {
                last: Some(open.round),
                count: job.offers.count + 1,
            };
        }
        out.push(ParticipantOutput::Send {
            to: job.from.clone(),
            frame: answer.clone(),
        });
    }

    /// A round is over, and what this node does goes on until it counts.
    pub(super) fn round_over(
        &mut self,
        round: Round,
        counted: bool,
        out: &mut Vec<ParticipantOutput>,
    ) {
        if counted && !mistakes::on(Mistake::UpdateCountedAgain) {
            // What is in the making then began before a restart, from a model of before that update.
            return self.drop_job(out);
        }
        self.job.take_if(|job| {
            let sent = job.offers.last == Some(round);
            let declined = matches!(job.answer, Some(Frame::Decline { .. }));
            sent && (declined || job.offers.count >= MOST_OFFERS)
        });
    }

    /// Another one begins with the next request.
    pub(super) fn drop_job(&mut self, out: &mut Vec<ParticipantOutput>) {
        self.cancel(out);
        self.job = None;
    }
}
