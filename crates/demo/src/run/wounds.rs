//! Hurting nodes, and looking whether the others notice and the hurt one heals.

use super::{Fault, Run};
use crate::faults::Strike;
use std::time::Instant;

/// A fault in progress.
pub(super) struct Wound {
    strike: Strike,
    node: usize,
    since: Instant,
    noticed: bool,
    pub(super) undone: Option<Instant>,
    pub(super) healed: bool,
    pub(super) name: String,
}

impl Run<'_> {
    pub(super) fn strike(&mut self, strike: Strike) {
        let leader = self
            .observer
            .best()
            .and_then(|status| status.leader.clone());
        let leads = |name: &String| {
            leader
                .as_ref()
                .is_some_and(|leader| leader.as_str() == name)
        };
        let node = self.house.nodes.iter().position(|site| leads(&site.name));
        let node = node.unwrap_or(0);
        let name = self.house.nodes[node].name.clone();
        let role = if leads(&name) { ", the leader" } else { "" };
        tokio::task::block_in_place(|| self.processes[node].kill());
        let said = format!("kill -9 {name}{role}");
        self.progress.say(&said);
        self.wounds.push(Wound {
            strike,
            node,
            since: Instant::now(),
            noticed: false,
            undone: None,
            healed: false,
            name: said,
        });
    }

    /// Looks after the wounded: was it noticed, is it time to undo it, is it healed.
    pub(super) async fn tend(&mut self) -> Result<(), Fault> {
        let whole = self.whole();
        for index in 0..self.wounds.len() {
            let wound = &self.wounds[index];
            let name = self.house.nodes[wound.node].name.clone();
            let down = self
                .observer
                .answering()
                .any(|(other, status)| other != name && status.members.get(&name) == Some(&false));
            if !wound.noticed && down {
                let after = wound.since.elapsed().as_secs_f64();
                let heirs: Vec<String> = self
                    .observer
                    .answering()
                    .filter(|(other, _)| *other != name)
                    .map(|(other, status)| format!("{other} has {} roles", status.roles.len()))
                    .collect();
                self.wounds[index].noticed = true;
                self.progress.say(&format!(
                    "{name} is held for down after {after:.1} s; {}",
                    heirs.join(", ")
                ));
            }
            let wound = &self.wounds[index];
            if wound.undone.is_none() && wound.since.elapsed() >= wound.strike.lasts {
                self.undo(index)?;
            }
            let wound = &self.wounds[index];
            if !wound.healed && wound.undone.is_some() && whole {
                self.wounds[index].healed = true;
                self.progress.say(&format!(
                    "{name} is back: up, in the key group, at the current epoch"
                ));
            }
        }
        Ok(())
    }

    fn undo(&mut self, index: usize) -> Result<(), Fault> {
        let wound = &mut self.wounds[index];
        wound.undone = Some(Instant::now());
        let process = &mut self.processes[wound.node];
        process.start()?;
        let name = process.name.clone();
        self.progress.say(&format!("{name} runs again"));
        Ok(())
    }

    pub(super) fn undo_all(&mut self) -> Result<(), Fault> {
        let open: Vec<usize> = (0..self.wounds.len())
            .filter(|index| self.wounds[*index].undone.is_none())
            .collect();
        open.into_iter().try_for_each(|index| self.undo(index))
    }

    /// Wounds that were not noticed or not healed.
    pub(super) fn unhealed(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for wound in &self.wounds {
            if !wound.noticed {
                missing.push(format!("{}: nobody noticed", wound.name));
            }
            if !wound.healed {
                missing.push(format!("{}: not healed", wound.name));
            }
        }
        missing
    }
}
