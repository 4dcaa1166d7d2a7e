//! What participants of plain rounds answer.

use super::round::Taken;
use super::{Aggregator, Output, PackedUpdate, Phase, RefusedUpdate, Update};
use crate::compression;
use wire::{NodeId, Round};

impl Aggregator {
    pub(super) fn update(&mut self, update: Update, out: &mut Vec<Output>) {
        let collecting = matches!(self.phase, Phase::Collecting(_));
        if let Some(buffered) = &mut self.buffered
            && self.leading
            && !collecting
            && self.up.contains(&update.node)
        {
            self.counters.late += u64::from(!buffered.hold(update));
            return;
        }
        let may_be_late = self.buffered.is_some() && collecting;
        if update.round < self.next && self.open != Some(update.round) && !may_be_late {
            self.counters.late += 1;
            return;
        }
        let node = update.node.clone();
        let round = update.round;
        let taken = match &mut self.phase {
            Phase::Collecting(open) => open.take(update, &self.config, self.buffered.as_ref()),
            Phase::Charging { proposal, made: _ } | Phase::Ending { proposal }
                if proposal.round == round =>
            {
                self.counters.late += 1;
                return;
            }
            Phase::Waiting { .. }
            | Phase::Opening { .. }
            | Phase::Charging { .. }
            | Phase::Ending { .. } => Err(RefusedUpdate::NotOpen { round }),
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

    /// As an update. Only the open round says how long it is; of others no byte is looked at.
    pub(super) fn unpack(&mut self, packed: PackedUpdate, out: &mut Vec<Output>) {
        let PackedUpdate {
            round,
            node,
            base,
            delta,
            examples,
            loss,
        } = packed;
        let length = match &self.phase {
            Phase::Collecting(open) if open.round == round => Some(open.start.len()),
            Phase::Collecting(_)
            | Phase::Waiting { .. }
            | Phase::Opening { .. }
            | Phase::Charging { .. }
            | Phase::Ending { .. } => None,
        };
        let delta = length.map_or(Ok(Vec::new()), |length| compression::decode(&delta, length));
        match delta {
            Ok(delta) => {
                let update = Update {
                    round,
                    node,
                    base,
                    delta,
                    examples,
                    loss,
                };
                self.update(update, out);
            }
            Err(error) => {
                self.counters.refused += 1;
                let why = RefusedUpdate::Packed(error);
                out.push(Output::Note(format!(
                    "update of {node} for round {round} refused: {why}"
                )));
            }
        }
    }

    pub(super) fn decline(&mut self, round: Round, node: NodeId, reason: String) {
        if let Phase::Collecting(open) = &mut self.phase
            && open.round == round
            && open.cohort.contains(&node)
            && !open.has_update(&node)
        {
            open.declined.insert(node, reason);
        }
    }
}
