//! Carrying out a plan's faults.

use super::RunError;
use super::agenda::Item;
use super::damage::{self, Struck};
use super::network::{self, Place as At, Slow};
use super::older;
use super::place::State;
use super::world::World;
use crate::lockstep::invariants::MEMORY_BOUNDED;
use crate::lockstep::protocol::{Event, Order, Wish};
use crate::machines::rng::Dice;
use crate::outcome::Kind;
use crate::plan::{CrashPoint, DiskFault, Fault, What};
use crate::story::plans;

/// A crash that waits for an event which does not come strikes after this time all the same, or
/// the plan would do nothing.
const OVERDUE_MS: u64 = 5_000;
/// Between two looks at the processes' memory.
const LOOK_MS: u64 = 10_000;
/// A node with its libraries takes some hundred MiB; what grows beyond this grows without limit.
const MEMORY_KIB: u64 = 1 << 20;
/// Time between a broken disk and its machine's start is at least this: somebody swaps it.
const SWAP_MS: u64 = 500;

/// A fault that has to be undone.
#[derive(Clone, Debug)]
pub(super) enum Lasting {
    Pause(At),
    Split(Vec<(At, At)>),
    Slow(At),
    Moved(At),
    DiskFull(At),
    DiskSlow(At, u64),
}

impl World<'_> {
    pub(super) fn carry_out(&mut self, item: Item, started: &mut Vec<At>) -> Result<(), RunError> {
        match item {
            Item::Start(at) => {
                // Whoever was started early because the faults are over is not started again.
                if !self.places[at].runs() {
                    self.start(at)?;
                    started.push(at);
                }
            }
            Item::Fault(number) => self.begin(number)?,
            Item::Over(number) => {
                if let Some(lasting) = self.lasting.remove(&number) {
                    self.undo(lasting);
                }
            }
            Item::Overdue(at, number) => {
                if self.places[at].armed == Some(number) {
                    let dice = self.crash_dice(number);
                    self.places[at]
                        .orders
                        .push(Order::PowerLoss(CrashPoint::Now, dice));
                }
            }
            Item::Look => {
                self.memory();
                self.models();
                self.agenda.add(self.now + LOOK_MS, Item::Look);
            }
            Item::Settle => self.settled = self.checks.size(),
            Item::Calm => self.calm(started)?,
            Item::Rest => {
                self.record.fault("", "no new load");
                self.checks.load_ended();
                for place in &mut self.places {
                    place.orders.push(Order::Wish(Wish::Rest));
                }
            }
        }
        Ok(())
    }

    /// What a process takes is not the same in two runs, so only a broken limit is told.
    fn memory(&mut self) {
        for place in &self.places {
            let State::Running(process) = &place.state else {
                continue;
            };
            let resident = process.resident().unwrap_or(0);
            self.record
                .check(MEMORY_BOUNDED.check(resident <= MEMORY_KIB, || {
                    format!(
                        "{} takes {resident} KiB, the limit is {MEMORY_KIB}",
                        place.name
                    )
                }));
        }
    }

    fn crash_dice(&self, number: usize) -> u64 {
        self.plan.seed ^ (number as u64 + 1) << 40
    }

    fn begin(&mut self, number: usize) -> Result<(), RunError> {
        let Fault { what, .. } = self.plan.faults[number].clone();
        let victim = what.node().map(usize::from);
        if victim.is_some_and(|at| at >= self.places.len()) {
            return Err(RunError::Plan(format!(
                "fault {number} is for a node that there is not"
            )));
        }
        let lane = victim.map_or(String::new(), |at| self.places[at].name.clone());
        let text = format!("{what:?}");
        self.record.event(&(&lane, &text));
        self.record
            .tell(&lane, || Kind::Fault(plans::describe(&what)));
        let kind = text
            .split(|c: char| !c.is_alphanumeric())
            .next()
            .unwrap_or_default();
        let up = self.places.iter().filter(|place| place.runs()).count();
        self.record.covers(kind, &(up, self.lasting.len().min(3)));
        if let Some(at) = victim
            && !self.places[at].runs()
            && !matches!(
                what,
                What::ClockJump { .. }
                    | What::ClockDrift { .. }
                    | What::Slow { .. }
                    | What::Upgrade { .. }
            )
        {
            self.record.fault(&lane, "it is down already");
            return Ok(());
        }
        self.strike(number, what)
    }

    fn strike(&mut self, number: usize, what: What) -> Result<(), RunError> {
        let virtual_ns = self.virtual_ns();
        match what {
            What::Crash { node, point, .. } => {
                let (at, dice) = (usize::from(node), self.crash_dice(number));
                let place = &mut self.places[at];
                // Power goes for a machine that stands still, too.
                place.paused = false;
                place.armed = Some(number);
                place.orders.push(Order::PowerLoss(point, dice));
                self.agenda
                    .add(self.now + OVERDUE_MS, Item::Overdue(at, number));
            }
            What::Kill { node, down_ms } => {
                let at = usize::from(node);
                self.process(at, "is killed".to_owned());
                self.gone(at, State::Down);
                self.agenda.add(self.now + down_ms.max(1), Item::Start(at));
            }
            What::Pause { node, for_ms } => {
                self.places[usize::from(node)].paused = true;
                self.lasts(number, for_ms, Lasting::Pause(node.into()));
            }
            What::Split {
                from,
                to,
                both,
                for_ms,
            } => {
                let pairs: Vec<_> = network::pairs(&from, &to, both).into_iter().collect();
                for (from, to) in &pairs {
                    self.network.block(*from, *to);
                }
                self.lasts(number, for_ms, Lasting::Split(pairs));
            }
            What::Slow {
                node,
                delay_ms,
                jitter_ms,
                loss_percent,
                for_ms,
            } => {
                let slow = Slow {
                    delay_ms,
                    jitter_ms,
                    loss_percent,
                };
                self.network.set_slow(node.into(), Some(slow));
                self.lasts(number, for_ms, Lasting::Slow(node.into()));
            }
            What::Disconnect { node, half_open } => self.disconnect(node.into(), half_open),
            What::Move { node, for_ms } => {
                self.move_away(node.into());
                self.lasts(number, for_ms, Lasting::Moved(node.into()));
            }
            What::ClockJump { node, by_ms } => {
                let place = &mut self.places[usize::from(node)];
                place.clocks.wall = place.clocks.wall.saturating_add(by_ms * 1_000_000);
                place.orders.push(Order::Clocks(place.clocks));
            }
            What::ClockDrift { node, ppm } => {
                let place = &mut self.places[usize::from(node)];
                place.clocks.drift(virtual_ns, ppm.into());
                place.orders.push(Order::Clocks(place.clocks));
            }
            What::DiskFull { node, room, for_ms } => {
                self.order(node.into(), Order::DiskRoom(Some(room)));
                self.lasts(number, for_ms, Lasting::DiskFull(node.into()));
            }
            What::DiskSlow {
                node,
                sync_ms,
                for_ms,
            } => {
                self.order(node.into(), Order::DiskSync(sync_ms));
                self.lasts(number, for_ms, Lasting::DiskSlow(node.into(), sync_ms));
            }
            What::Evict { node } => self.evict(node.into()),
            What::Choose { node, back } => {
                self.order(node.into(), Order::Wish(Wish::Choose { back }));
            }
            What::Poison { node } => self.order(node.into(), Order::Wish(Wish::Poison)),
            What::BrokerCrash { down_ms } => self.broker_crash(down_ms),
            What::Upgrade { node, down_ms, .. } => self.upgrade(node.into(), down_ms, number),
        }
        Ok(())
    }

    /// The older program's last words are on the disk, in the forms in which it wrote them. A node that is down
    /// already finds another program when it starts.
    fn upgrade(&mut self, at: At, down_ms: u64, number: usize) {
        if self.places[at].runs() {
            self.process(at, "is stopped".to_owned());
            self.gone(at, State::Down);
            self.agenda.add(self.now + down_ms.max(1), Item::Start(at));
        }
        let mut dice = Dice::new(self.plan.seed ^ (number as u64 + 1) << 24);
        let place = &self.places[at];
        let forms = older::rewrite(&place.dir, &mut dice)
            .unwrap_or_else(|error| format!("its files stay as they are: {error}"));
        let name = place.name.clone();
        self.record.fault(&name, &forms);
    }

    fn broker_crash(&mut self, down_ms: u64) {
        let broker = self.places.iter().position(|place| place.name == "broker");
        if let Some(at) = broker.filter(|at| self.places[*at].runs()) {
            self.process(at, "is killed".to_owned());
            self.gone(at, State::Down);
            self.agenda.add(self.now + down_ms.max(1), Item::Start(at));
        }
    }

    /// Any other member that is up asks for it.
    fn evict(&mut self, at: At) {
        let name = self.places[at].name.clone();
        let nodes = usize::from(self.plan.nodes);
        let asker = (0..nodes).find(|other| *other != at && self.places[*other].runs());
        if let Some(asker) = asker {
            self.order(asker, Order::Wish(Wish::Evict(name)));
        }
    }

    /// A disk that is full or slow is so for the next process, too, and a bad member's next process is bad.
    pub(super) fn remind(&mut self, at: At) {
        for lasting in self.lasting.values() {
            let order = match lasting {
                // What was left of its room the process before has used up, or could have.
                Lasting::DiskFull(whose) if *whose == at => Order::DiskRoom(Some(0)),
                Lasting::DiskSlow(whose, ms) if *whose == at => Order::DiskSync(*ms),
                Lasting::DiskFull(_)
                | Lasting::DiskSlow(..)
                | Lasting::Pause(_)
                | Lasting::Split(_)
                | Lasting::Slow(_)
                | Lasting::Moved(_) => continue,
            };
            self.places[at].orders.push(order);
        }
        // Who has turned bad stays so.
        let now = self.now;
        let mut begun = self.plan.faults.iter().filter(|fault| fault.at_ms <= now);
        let bad = |what: &What| matches!(what, What::Poison { node } if usize::from(*node) == at);
        if begun.any(|fault| bad(&fault.what)) {
            self.order(at, Order::Wish(Wish::Poison));
        }
    }

    fn order(&mut self, at: At, order: Order) {
        self.places[at].orders.push(order);
    }

    fn lasts(&mut self, number: usize, for_ms: u64, lasting: Lasting) {
        self.lasting.insert(number, lasting);
        self.agenda.add(self.now + for_ms, Item::Over(number));
    }

    fn disconnect(&mut self, at: At, half_open: bool) {
        let life = self.places[at].life;
        for conn in self.network.of(network::Endpoint { place: at, life }) {
            let Some(other) = self.network.other(conn, at) else {
                continue;
            };
            // Not through the network: this is the network.
            self.places[other].inbox.push(Event::Reset(conn));
            if half_open {
                self.network.make_hole(conn);
            } else {
                self.places[at].inbox.push(Event::Reset(conn));
                self.network.forget(conn);
            }
        }
    }

    /// Nobody is told: what is sent to the former address reaches nobody.
    fn move_away(&mut self, at: At) {
        let life = self.places[at].life;
        for conn in self.network.of(network::Endpoint { place: at, life }) {
            self.network.make_hole(conn);
        }
    }

    /// Does its name stand for an address that it has no more?
    pub(super) fn is_sought_elsewhere(&self, at: At) -> bool {
        let moved = |lasting: &Lasting| matches!(lasting, Lasting::Moved(whose) if *whose == at);
        self.lasting.values().any(moved)
    }

    fn undo(&mut self, lasting: Lasting) {
        self.record.event(&("", format!("over: {lasting:?}")));
        let (lane, words) = self.over(&lasting);
        self.record.tell(&lane, || Kind::Fault(words));
        match lasting {
            Lasting::Pause(at) => self.places[at].paused = false,
            Lasting::Split(pairs) => {
                for (from, to) in pairs {
                    self.network.unblock(from, to);
                }
                self.network.release(self.now);
            }
            Lasting::Slow(at) => self.network.set_slow(at, None),
            Lasting::Moved(_) => {}
            Lasting::DiskFull(at) => self.order(at, Order::DiskRoom(None)),
            Lasting::DiskSlow(at, _) => self.order(at, Order::DiskSync(0)),
        }
    }

    /// In whose lane it is said that a fault is over, and how.
    fn over(&self, lasting: &Lasting) -> (String, String) {
        let (at, words) = match lasting {
            Lasting::Split(_) => return (String::new(), "a split is over".to_owned()),
            Lasting::Pause(at) => (at, "goes on"),
            Lasting::Slow(at) => (at, "is not slow any more"),
            Lasting::Moved(at) => (at, "is found at its new address"),
            Lasting::DiskFull(at) => (at, "has room on its disk again"),
            Lasting::DiskSlow(at, _) => (at, "syncs fast again"),
        };
        let name = &self.places[*at].name;
        (name.clone(), format!("{name} {words}"))
    }

    /// Everything that is broken is mended; what has to start starts now.
    fn calm(&mut self, started: &mut Vec<At>) -> Result<(), RunError> {
        self.record.fault("", "the faults are over");
        for (_, lasting) in std::mem::take(&mut self.lasting) {
            self.undo(lasting);
        }
        self.size_at_calm = self.checks.size();
        self.rounds_at_calm = self.checks.rounds();
        for at in 0..self.places.len() {
            // A crash that waits for its event does so no more.
            if self.places[at].armed.is_some() {
                let dice = self.crash_dice(0);
                self.order(at, Order::PowerLoss(CrashPoint::Now, dice));
            } else if !self.places[at].runs() && !started.contains(&at) {
                self.start(at)?;
                started.push(at);
            }
        }
        Ok(())
    }

    /// The power of a machine went: its disk may be broken, too, and it starts after a while.
    pub(super) fn powered_off(&mut self, at: At, what: &str) {
        self.process(at, format!("loses power: {what}"));
        let armed = self.places[at].armed.take();
        self.off(at);
        let fault = armed.and_then(|number| match &self.plan.faults.get(number)?.what {
            What::Crash { down_ms, disk, .. } => Some((number, *down_ms, *disk)),
            _ => None,
        });
        let (number, mut down_ms, disk) = fault.unwrap_or((0, 1_000, None));
        if let Some(disk) = disk {
            down_ms = down_ms.max(SWAP_MS);
            self.break_disk(at, disk, number);
        }
        if self.now >= self.plan.faults_ms {
            down_ms = 1;
        }
        self.agenda.add(self.now + down_ms.max(1), Item::Start(at));
    }

    /// Without power nothing is closed: the others find out by their own means, or when it is back
    /// and knows nothing of their connections.
    fn off(&mut self, at: At) {
        let place = &mut self.places[at];
        place.state = State::Off;
        place.life += 1;
        place.paused = false;
        place.next = None;
        place.inbox.clear();
        place.orders.clear();
    }

    fn break_disk(&mut self, at: At, disk: DiskFault, number: usize) {
        let mut dice = Dice::new(self.plan.seed ^ (number as u64 + 1) << 20);
        let place = &self.places[at];
        let struck = damage::strike(&place.dir, disk, &mut dice);
        let struck = struck.unwrap_or_else(|error| Struck {
            what: format!("the disk could not be damaged: {error}"),
            mail: true,
        });
        let name = place.name.clone();
        self.record.fault(&name, &struck.what);
        self.checks.damaged(&name, struck.mail);
    }
}
