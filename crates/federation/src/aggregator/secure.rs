//! A secure round in the aggregator's hands: when to wait no longer.

use super::round::OpenRound;
use super::steps::send_train;
use super::{Aggregator, Output, Phase};
use crate::fedavg;
use crate::secagg::{Context, Server, Shortfall, Stage};
use machine::Instant;
use std::sync::Arc;
use std::time::Duration;
use wire::{NodeId, SecureMessage};

/// Steps whose answers a round waits for, in fractions of its deadline: keys and shares are exchanged while
/// participants train, and who is silent so early will not train in time either. From the update on
/// there is the rest.
const STEPS: [(u32, u32); 3] = [(1, 4), (1, 2), (3, 4)];

pub(super) struct SecureOpen {
    server: Server,
    /// Until when answers to this step are waited for if others suffice, behind those of later steps.
    until: Vec<Instant>,
    /// That time has passed, and too few have answered: the next answer wakes us, not the clock.
    overdue: bool,
}

impl SecureOpen {
    pub(super) fn new(context: Context, now: Instant, deadline: Duration) -> Self {
        let until = STEPS.iter().rev();
        Self {
            server: Server::new(Arc::new(context)),
            until: until
                .map(|(part, of)| now + deadline * *part / *of)
                .collect(),
            overdue: false,
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.until.last().is_none_or(|until| *until <= now)
    }
}

/// What the round does next.
enum Next {
    Wait,
    Send(Vec<(NodeId, SecureMessage)>),
    Sum,
    Abandon(String),
}

impl OpenRound {
    /// Whether a participant's update is in.
    pub(super) fn has_update(&self, node: &NodeId) -> bool {
        self.updates.contains_key(node)
            || self
                .secure
                .as_ref()
                .is_some_and(|secure| secure.server.survivors().contains(node))
    }

    /// How many updates are in.
    pub(super) fn heard(&self) -> usize {
        let secure = self.secure.as_ref();
        secure.map_or(self.updates.len(), |secure| secure.server.survivors().len())
    }

    /// When to look again.
    pub(super) fn deadline(&self) -> Instant {
        let waiting = self.secure.as_ref().filter(|open| !open.overdue);
        let step = waiting.and_then(|open| open.until.last());
        let ends = step.map_or(self.ends, |until| self.ends.min(*until));
        ends.min(self.resend_at)
    }
}

impl Aggregator {
    /// A participant's message.
    pub(super) fn secure_step(
        &mut self,
        node: NodeId,
        message: SecureMessage,
        out: &mut Vec<Output>,
    ) {
        let Phase::Collecting(open) = &mut self.phase else {
            self.counters.late += 1;
            return;
        };
        let Some(secure) = &mut open.secure else {
            let reason = "it takes part in secure rounds only; `learning.secure_aggregation` must be the same on all nodes";
            let round = open.round;
            return self.decline(round, node, reason.to_owned());
        };
        let before = secure.server.survivors().len();
        match secure.server.hear(&node, message) {
            Ok(()) => {
                let added = secure.server.survivors().len() - before;
                self.counters.accepted += added as u64;
            }
            Err(fault) => {
                self.counters.refused += 1;
                out.push(Output::Note(format!("round {}: {fault}", open.round)));
            }
        }
    }

    /// From collecting a secure round.
    pub(super) fn pursue_secure(&mut self, now: Instant, out: &mut Vec<Output>) {
        loop {
            match self.next_secure(now) {
                Next::Wait => break,
                Next::Send(letters) => send(letters, out),
                Next::Sum => return self.end_secure(now, out),
                Next::Abandon(reason) => {
                    self.reckon();
                    if let Phase::Collecting(open) = &self.phase {
                        let round = open.round;
                        self.abandon(now, round, reason, out);
                    }
                    return;
                }
            }
        }
        let resend = self.config.resend;
        if let Phase::Collecting(open) = &mut self.phase
            && open.resend_at <= now
            && let Some(secure) = &open.secure
        {
            if secure.server.stage() == Stage::Advertise {
                let silent = secure.server.missing().silent;
                let declined = |node: &NodeId| open.declined.contains_key(node);
                send_train(open, silent.iter().filter(|node| !declined(node)), out);
            }
            send(secure.server.ask_again(), out);
            open.resend_at = now + resend;
        }
    }

    fn next_secure(&mut self, now: Instant) -> Next {
        let Phase::Collecting(open) = &mut self.phase else {
            return Next::Wait;
        };
        let OpenRound {
            secure: Some(secure),
            declined,
            ends,
            ..
        } = &mut **open
        else {
            return Next::Wait;
        };
        let missing = secure.server.missing();
        let waits = missing
            .silent
            .iter()
            .any(|node| !declined.contains_key(node) && self.up.contains(node));
        let stage = secure.server.stage();
        if let Some(shortfall) = missing.shortfall {
            secure.overdue = secure.is_due(now);
            // One that is down may come back, but only before the first step: later it has lost its secrets.
            let lost = !waits && stage != Stage::Advertise;
            return match lost || *ends <= now {
                true => Next::Abandon(open.secure_shortfall(&shortfall, &missing.silent)),
                false => Next::Wait,
            };
        }
        match stage {
            // Every one more is one more in the sum.
            Stage::Advertise | Stage::Share | Stage::Mask => {
                if waits && !secure.is_due(now) {
                    return Next::Wait;
                }
            }
            // Enough are as good as all.
            Stage::Consent => {}
            Stage::Reveal => return Next::Sum,
        }
        let collected = secure.server.survivors().len();
        if stage == Stage::Mask && collected < self.config.min_cohort {
            return Next::Abandon(format!(
                "{collected} participants sent an update, {} are needed",
                self.config.min_cohort
            ));
        }
        match secure.server.advance() {
            Ok(letters) => {
                secure.until.pop();
                secure.overdue = false;
                Next::Send(letters)
            }
            Err(shortfall) => Next::Abandon(shortfall.to_string()),
        }
    }

    fn end_secure(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.reckon();
        let Phase::Collecting(open) = &mut self.phase else {
            return;
        };
        let Some(secure) = &mut open.secure else {
            return;
        };
        let round = open.round;
        let participants = secure.server.survivors();
        let (sum, base) = (secure.server.sum(), open.base.clone());
        let made = match sum {
            Ok(mean) => {
                let moments = self.moments_of(base.digest);
                fedavg::step(self.config.optimizer, &base.parameters, &mean, moments)
                    .map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match made {
            Ok(made) => self.close(now, (round, participants), made, out),
            Err(reason) => self.abandon(now, round, reason, out),
        }
    }
}

impl OpenRound {
    fn secure_shortfall(&self, shortfall: &Shortfall, silent: &[NodeId]) -> String {
        let mut reason = shortfall.to_string();
        for (node, why) in &self.declined {
            reason.push_str(&format!("; {node} declined: {why}"));
        }
        let silent = silent
            .iter()
            .filter(|node| !self.declined.contains_key(*node));
        let silent: Vec<_> = silent.map(NodeId::as_str).collect();
        if !silent.is_empty() {
            reason.push_str(&format!("; not heard of: {}", silent.join(", ")));
        }
        reason
    }
}

fn send(letters: Vec<(NodeId, SecureMessage)>, out: &mut Vec<Output>) {
    let letters = letters.into_iter();
    out.extend(letters.map(|(to, message)| Output::SendSecure { to, message }));
}
