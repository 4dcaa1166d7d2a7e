//! Faults as they are done to the house, and undone.

use crate::house::{NODES, name};
use crate::plan::{self, Episode, Fault, Strike};
use crate::run::{Failure, Run};
use crate::wounds::Wound;
use local::Lag;
use std::time::Duration;

impl Run<'_> {
    /// Strikes, whoever is meant now.
    pub(crate) fn strike(
        &mut self,
        number: usize,
        episode: &Episode,
        strike: &Strike,
    ) -> Result<(), Failure> {
        let hurt = self.wounds.hurt();
        let leader = self.leader();
        let node = match strike.fault.victim() {
            None => None,
            Some(victim) => match plan::choose(victim, leader, &hurt, NODES) {
                Some(node) => Some(node),
                // Everybody is hurt already.
                None => return Ok(()),
            },
        };
        let who = node.map(|node| {
            let role = if leader == Some(node) {
                ", the leader"
            } else {
                ""
            };
            format!("{}{role}", name(node))
        });
        let says = plan::phrase(&strike.fault, &who.unwrap_or_default());
        self.progress.say(&format!(
            "{says}, for {:.1} s",
            strike.lasts().as_secs_f64()
        ));
        let since = self.progress.now();
        self.wounds.0.push(Wound {
            episode: number,
            promise: episode.promise,
            strike: strike.clone(),
            node,
            says,
            since,
            noticed: None,
            undone: None,
            healed: None,
        });
        self.hurt(&strike.fault, node.unwrap_or(0))
    }

    fn hurt(&mut self, fault: &Fault, node: u8) -> Result<(), Failure> {
        let cluster = &mut self.house.cluster;
        match fault {
            Fault::Kill { .. } => cluster.kill(&name(node))?,
            Fault::Pause { .. } => cluster.pause(&name(node))?,
            Fault::FullDisk { .. } => self.fill()?,
            Fault::Split { groups } => {
                let named = |group: &Vec<u8>| group.iter().map(|node| name(*node)).collect();
                cluster.split(&groups.iter().map(named).collect::<Vec<_>>())?;
            }
            Fault::Deaf { .. } | Fault::Mute { .. } => self.deafen()?,
            Fault::Lag {
                base_ms, jitter_ms, ..
            } => {
                let lag = Lag {
                    base: Duration::from_millis(*base_ms),
                    jitter: Duration::from_millis(*jitter_ms),
                };
                let lagging = cluster.lag(&name(node), lag)?;
                self.lagging.insert(node, lagging);
            }
            Fault::Loss { percent, .. } => cluster.degrade(&name(node), *percent)?,
            Fault::Broker => self.runtime.block_on(self.house.brokers.stop()),
        }
        Ok(())
    }

    /// Undoes what is over.
    pub(crate) fn undo(&mut self, index: usize) -> Result<(), Failure> {
        let wound = &mut self.wounds.0[index];
        wound.undone = Some(self.progress.now());
        let (fault, node) = (wound.strike.fault.clone(), wound.node.unwrap_or(0));
        self.progress.say(&format!("over: {}", wound.says));
        let cluster = &mut self.house.cluster;
        match fault {
            Fault::Kill { .. } => cluster.start(&name(node))?,
            Fault::Pause { .. } => cluster.resume(&name(node))?,
            Fault::FullDisk { .. } => self.disk(node)?.free()?,
            Fault::Split { .. } => cluster.split(&[])?,
            Fault::Deaf { .. } | Fault::Mute { .. } => self.deafen()?,
            Fault::Lag { .. } => drop(self.lagging.remove(&node)),
            Fault::Loss { .. } => cluster.degrade(&name(node), 0)?,
            Fault::Broker => self.runtime.block_on(self.house.brokers.start())?,
        }
        Ok(())
    }

    /// Full disks stay full: what has become free in the meantime is taken again.
    pub(crate) fn fill(&self) -> Result<(), Failure> {
        for node in self.wounds.full() {
            self.disk(node)?.fill()?;
        }
        Ok(())
    }

    fn disk(&self, node: u8) -> Result<&crate::disk::Disk, Failure> {
        let disk = self.house.disks.get(usize::from(node) - 1);
        disk.ok_or_else(|| format!("{} has no disk of its own", name(node)).into())
    }

    fn deafen(&mut self) -> Result<(), Failure> {
        for (node, unheard) in self.wounds.deaf(NODES) {
            let unheard: Vec<String> = unheard.into_iter().map(name).collect();
            self.house.cluster.deafen(&name(node), &unheard)?;
        }
        Ok(())
    }
}
