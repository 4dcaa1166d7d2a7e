//! A secure round in the aggregator's hands: one sum, or one of each group, and what is made of them.

mod group;

use super::private::UNCHARGED;
use super::round::OpenRound;
use super::steps::{propose, send_train};
use super::{Aggregator, Output, PROPOSAL_PAUSE, Phase, Proposal};
use crate::fedavg::{self, Contribution, Mean};
use crate::robust::Rule;
use crate::secagg::{Context, Letters, Stage};
use group::{Circumstances, Group};
use machine::Instant;
use machine::mistakes::{self, Mistake};
use std::time::Duration;
use wire::{NodeId, SecureMessage};

pub(super) struct SecureOpen {
    groups: Vec<Group>,
    charge: Charge,
}

/// Where the cost of a private round is.
enum Charge {
    /// To be proposed when it is known who is in the sum.
    Due,
    Proposed(Proposal),
    Paid,
}

impl SecureOpen {
    pub(super) fn new(contexts: Vec<Context>, now: Instant, deadline: Duration) -> Self {
        let private = |context: &Context| context.treatment().is_private();
        Self {
            charge: match contexts.iter().any(private) {
                true => Charge::Due,
                false => Charge::Paid,
            },
            groups: contexts
                .into_iter()
                .map(|context| Group::new(context, now, deadline))
                .collect(),
        }
    }

    fn survivors(&self) -> impl Iterator<Item = NodeId> {
        self.groups
            .iter()
            .flat_map(|group| group.server.survivors())
    }

    /// Whose updates are in sums that came to be, in order.
    fn participants(&self) -> Vec<NodeId> {
        let made = |group: &&Group| matches!(group.outcome, Some(Ok(_)));
        let made = self.groups.iter().filter(made);
        let mut nodes: Vec<_> = made.flat_map(|group| group.server.survivors()).collect();
        nodes.sort_unstable();
        nodes
    }

    /// The ledger has refused the charge, or its fate is unknown.
    pub(super) fn charge_failed(&mut self, now: Instant) -> bool {
        match &mut self.charge {
            Charge::Proposed(proposal) => {
                proposal.due = now + PROPOSAL_PAUSE;
                true
            }
            Charge::Due | Charge::Paid => false,
        }
    }

    /// The ledger has the cost of this round.
    pub(super) fn charged(&mut self) {
        if let Charge::Proposed(_) = self.charge {
            self.charge = Charge::Paid;
        }
    }
}

impl OpenRound {
    /// Whether a participant's update is in.
    pub(super) fn has_update(&self, node: &NodeId) -> bool {
        self.updates.contains_key(node)
            || self
                .secure
                .as_ref()
                .is_some_and(|secure| secure.survivors().any(|survivor| survivor == *node))
    }

    /// How many updates are in.
    pub(super) fn heard(&self) -> usize {
        let secure = self.secure.as_ref();
        secure.map_or(self.updates.len(), |secure| secure.survivors().count())
    }

    /// When to look again.
    pub(super) fn deadline(&self) -> Instant {
        let mut ends = self.ends.min(self.resend_at);
        if let Some(secure) = &self.secure {
            let steps = secure.groups.iter().filter_map(Group::due);
            ends = steps.fold(ends, Instant::min);
            if let Charge::Proposed(proposal) = &secure.charge {
                ends = ends.min(proposal.due);
            }
        }
        ends
    }
}

/// How a secure round is over.
enum End {
    NotYet,
    Sums,
    Abandon(String),
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
        let of = |group: &&mut Group| group.server.context().place(&node).is_some();
        let Some(group) = secure.groups.iter_mut().find(of) else {
            self.counters.refused += 1;
            let note = format!("round {}: {node} is not in its cohort", open.round);
            return out.push(Output::Note(note));
        };
        let before = group.server.survivors().len();
        match group.server.hear(&node, message) {
            Ok(()) => {
                let added = group.server.survivors().len() - before;
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
        let Phase::Collecting(open) = &mut self.phase else {
            return;
        };
        let round = open.round;
        let OpenRound {
            secure: Some(secure),
            declined,
            ends,
            ..
        } = &mut **open
        else {
            return;
        };
        let at = Circumstances {
            now,
            ends: *ends,
            up: &self.up,
            declined,
            // With groups it is known at the end only.
            least: match secure.groups.len() {
                1 => self.config.min_cohort,
                _ => 0,
            },
            selection: self.config.selection,
            may_unmask: matches!(secure.charge, Charge::Paid)
                || mistakes::on(Mistake::UnchargedUnmask),
        };
        let mut letters = Letters::new();
        for group in &mut secure.groups {
            group.pursue(&at, self.private.noise.as_mut(), &mut letters);
        }
        send(letters, out);
        match self.secure_end(now) {
            End::Sums => return self.end_secure(now, out),
            End::Abandon(reason) => {
                self.reckon();
                return self.abandon(now, round, reason, out);
            }
            End::NotYet => {}
        }
        self.charge_secure(now, out);
        self.ask_again_securely(now, out);
    }

    fn secure_end(&self, now: Instant) -> End {
        let Phase::Collecting(open) = &self.phase else {
            return End::NotYet;
        };
        let Some(secure) = &open.secure else {
            return End::NotYet;
        };
        let groups = &secure.groups;
        let failed = groups.iter().enumerate().filter_map(|(at, group)| {
            let reason = group.outcome.as_ref()?.as_ref().err()?;
            Some(match groups.len() {
                1 => reason.clone(),
                _ => format!("group {}: {reason}", at + 1),
            })
        });
        let failed: Vec<String> = failed.collect();
        let standing = groups.len() - failed.len();
        let reasons = failed.join("; ");
        if standing == 0 {
            return End::Abandon(reasons);
        }
        if groups.len() > 1
            && let Err(error) = self.rule_of_sums().check(standing, self.config.liars)
        {
            return End::Abandon(format!("{error}; {reasons}"));
        }
        if groups.iter().any(|group| group.outcome.is_none()) {
            let unpaid = !matches!(secure.charge, Charge::Paid);
            return match unpaid && open.ends <= now {
                true => End::Abandon(UNCHARGED.to_owned()),
                false => End::NotYet,
            };
        }
        let (found, least) = (secure.participants().len(), self.config.min_cohort);
        if found < least {
            let reason = format!("{found} participants sent an update, {least} are needed");
            return End::Abandon(format!("{reason}; {reasons}"));
        }
        End::Sums
    }

    /// Participants have clipped their updates themselves; a liar among them is found by no norm of a sum.
    fn rule_of_sums(&self) -> Rule {
        match self.config.rule {
            Rule::NormClip { bound: _ } => Rule::Mean,
            rule @ (Rule::Mean
            | Rule::Median
            | Rule::TrimmedMean
            | Rule::GeometricMedian
            | Rule::Krum
            | Rule::MultiKrum
            | Rule::Bulyan) => rule,
        }
    }

    /// The cost of a private round goes on the ledger as soon as it is known whose it is; participants
    /// reveal nothing before.
    fn charge_secure(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Phase::Collecting(open) = &self.phase else {
            return;
        };
        let (Some(secure), Some(privacy)) = (&open.secure, self.config.privacy) else {
            return;
        };
        let act = match &secure.charge {
            Charge::Paid => return,
            Charge::Proposed(proposal) if proposal.due > now => return,
            Charge::Proposed(proposal) => proposal.act.clone(),
            Charge::Due => {
                let known = |group: &Group| group.server.stage() >= Stage::Consent;
                if !secure.groups.iter().all(known) {
                    return;
                }
                let participants = secure.survivors().collect();
                self.cost(&privacy, open.round, participants, privacy.bound)
            }
        };
        let proposal = propose(now, open.round, act, out);
        if let Phase::Collecting(open) = &mut self.phase
            && let Some(secure) = &mut open.secure
        {
            secure.charge = Charge::Proposed(proposal);
        }
    }

    fn ask_again_securely(&mut self, now: Instant, out: &mut Vec<Output>) {
        let resend = self.config.resend;
        let Phase::Collecting(open) = &mut self.phase else {
            return;
        };
        if open.resend_at > now {
            return;
        }
        open.resend_at = now + resend;
        let running = open.secure.iter().flat_map(|secure| &secure.groups);
        for group in running.filter(|group| group.outcome.is_none()) {
            if group.server.stage() == Stage::Advertise {
                let silent = group.server.missing().silent;
                let declined = |node: &NodeId| open.declined.contains_key(node);
                send_train(open, silent.iter().filter(|node| !declined(node)), out);
            }
            send(group.server.ask_again(), out);
        }
    }

    fn end_secure(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.reckon();
        let rule = (self.rule_of_sums(), self.config.liars);
        let Phase::Collecting(open) = &mut self.phase else {
            return;
        };
        let Some(secure) = &mut open.secure else {
            return;
        };
        let (round, base) = (open.round, open.base.digest);
        let participants = secure.participants();
        let groups = secure.groups.iter_mut();
        let means = groups.filter_map(|group| group.outcome.take()?.ok());
        let mean = combine(rule, open.start.len(), means.collect());
        let made = mean.and_then(|mean| {
            let moments = self.moments.as_ref().filter(|(of, _)| *of == base);
            let moments = moments.map(|(_, moments)| moments);
            open.step(&self.config, &mean, participants.len(), moments)
        });
        match made {
            Ok(made) => self.close(now, (round, participants), made, out),
            Err(error) => self.abandon(now, round, error.to_string(), out),
        }
    }
}

/// The mean, by a rule that sees those of the groups.
fn combine(
    rule: (Rule, usize),
    length: usize,
    mut means: Vec<Mean>,
) -> Result<Mean, fedavg::AggregateError> {
    if means.len() == 1
        && let Some(mean) = means.pop()
    {
        return Ok(mean);
    }
    let narrow = |mean: &Mean| -> Vec<f32> { mean.delta.iter().map(|v| *v as f32).collect() };
    let deltas: Vec<Vec<f32>> = means.iter().map(narrow).collect();
    let parts = means.iter().zip(&deltas).map(|(mean, delta)| Contribution {
        delta,
        examples: mean.examples,
        loss: mean.loss,
    });
    fedavg::combine(rule, length, &parts.collect::<Vec<_>>())
}

fn send(letters: Letters, out: &mut Vec<Output>) {
    let letters = letters.into_iter();
    out.extend(letters.map(|(to, message)| Output::SendSecure { to, message }));
}
