//! A node without a group asks its peers for one, and makes one where there is none.

use super::{
    ANSWER_LIMIT, Custodian, Duration, FIRST_PAUSE, Instant, JoinInfo, KeyEpoch, MAX_ANSWERS,
    MAX_PAUSE, NodeId, Output, POLLS_BEFORE_CREATING,
};

/// What a node without a group is doing about it.
pub(super) enum Search {
    /// Ask now.
    Due,
    Resting {
        until: Instant,
    },
    Asking {
        until: Instant,
        answers: Vec<JoinInfo>,
    },
}

impl Custodian {
    /// Pause before asking again; longer each time, and jittered so that nodes fall out of step.
    pub(super) fn rest(&mut self, now: Instant) {
        let pause = self.pause();
        self.rest_for(now, pause);
    }

    pub(super) fn rest_for(&mut self, now: Instant, pause: Duration) {
        self.search = Search::Resting { until: now + pause };
    }

    pub(super) fn pause(&mut self) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let pause = FIRST_PAUSE.saturating_mul(factor).min(MAX_PAUSE);
        let jitter = f64::from(u16::from_be_bytes(self.rng.bytes())) / f64::from(u16::MAX);
        pause.mul_f64(0.75 + jitter / 2.0)
    }

    pub(super) fn ask(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.search = Search::Asking {
            until: now + ANSWER_LIMIT,
            answers: Vec::new(),
        };
        out.push(Output::AskGroupInfo);
    }

    pub(super) fn answered(
        &mut self,
        from: &NodeId,
        answer: Option<Vec<u8>>,
        out: &mut Vec<Output>,
    ) {
        let Search::Asking { answers, .. } = &mut self.search else {
            return;
        };
        let Some(bytes) = answer else { return };
        match JoinInfo::from_bytes(&bytes) {
            Ok(info) if answers.len() < MAX_ANSWERS => answers.push(info),
            Ok(_) => {}
            Err(error) => out.push(Output::Note(format!("answer of {from} refused: {error}"))),
        }
    }

    pub(super) fn answers_done(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Search::Asking { mut answers, .. } = std::mem::replace(&mut self.search, Search::Due)
        else {
            return;
        };
        // A peer that is behind the ledger offers an epoch whose successor is taken. It is no use,
        // but its sender is in a group, so it is no reason to create another one either.
        let heard_of_group = !answers.is_empty();
        answers.retain(|info| info.epoch >= self.epoch);
        answers.sort_by_key(|info| std::cmp::Reverse(info.epoch));
        if self.removal_due() && !answers.is_empty() {
            // Members will see to it; the next commit ends this pause.
            out.push(Output::Note(format!(
                "waiting to join the key group until {:?} are removed from it",
                self.membership.to_remove
            )));
            answers.clear();
        }
        for info in answers {
            match self.join(&info) {
                Ok(pending) => return self.propose(now, pending, out),
                Err(error) => out.push(Output::Note(format!(
                    "cannot join the key group at key epoch {}: {error}",
                    info.epoch
                ))),
            }
        }
        self.empty_polls = if heard_of_group {
            0
        } else {
            self.empty_polls.saturating_add(1)
        };
        let nobody_holds_one = !heard_of_group
            && (self.epoch == KeyEpoch(0) || self.empty_polls >= POLLS_BEFORE_CREATING);
        if self.leader && nobody_holds_one {
            match self.create() {
                Ok(pending) => return self.propose(now, pending, out),
                Err(error) => out.push(Output::Note(format!("cannot create a key group: {error}"))),
            }
        }
        self.rest(now);
    }
}
