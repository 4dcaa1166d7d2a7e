//! One run: from moment to moment until its end.

use super::agenda::{Agenda, Item};
use super::network::{Network, Place as At};
use super::place::{Place, Shown, State};
use super::process::Process;
use super::record::Recorder;
use super::{Lockstep, RunError};
use crate::lockstep::draw;
use crate::lockstep::guest::clock::MILLI;
use crate::lockstep::guest::disk::HOME;
use crate::lockstep::invariants::{Checks, DIES_FOR_A_REASON};
use crate::lockstep::protocol::{Boot, Clocks, End, Program, Report, Step};
use crate::machines::rng::Dice;
use crate::outcome::{Kind, Outcome};
use crate::plan::Plan;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use wire::Level;

/// After a broken rule a run goes on for so long: what follows from it belongs to the story.
const AFTERMATH_MS: u64 = 500;
/// Before the end no new load comes, so that what is under way can settle: a proposal is tried for
/// ten seconds at most, and with everybody up it takes milliseconds.
const REST_MS: u64 = 5_000;
/// What is committed later than this before the end may still be on its way then: nodes rest from load only,
/// and their alerts and rounds make leaves at any moment. A follower hears of a commit with the next
/// heartbeat; a lost segment and a busy disk come on top.
const SETTLE_MS: u64 = 1_000;
/// A process manager starts a node again that has ended by itself.
const RESTART_MS: u64 = 1_000;

pub(super) struct World<'a> {
    pub(super) lockstep: &'a Lockstep,
    pub(super) plan: &'a Plan,
    pub(super) now: u64,
    pub(super) end: u64,
    pub(super) tell: bool,
    pub(super) places: Vec<Place>,
    pub(super) network: Network,
    pub(super) agenda: Agenda,
    pub(super) record: Recorder,
    pub(super) checks: Checks,
    pub(super) dice: Dice,
    /// What the faults that last have to undo.
    pub(super) lasting: BTreeMap<usize, super::faults::Lasting>,
    /// Leaves when the faults ended.
    pub(super) size_at_calm: u64,
    /// Rounds closed then.
    pub(super) rounds_at_calm: u64,
    /// Leaves that every node must have at the end.
    pub(super) settled: u64,
    /// Of the ledger.
    pub(super) level: Level,
    pub(super) root: Root,
}

/// Where the run's files lie.
pub(super) enum Root {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Root {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(dir) => dir,
        }
    }

    fn new(keep: Option<&Path>) -> Result<Self, RunError> {
        let cannot = |path: &Path| {
            let path = path.to_owned();
            move |error| RunError::Disk { path, error }
        };
        if let Some(dir) = keep {
            std::fs::create_dir_all(dir).map_err(cannot(dir))?;
            if std::fs::read_dir(dir)
                .map_err(cannot(dir))?
                .next()
                .is_some()
            {
                // Nodes that find an earlier run's files are no fresh nodes.
                let error = std::io::Error::other("it is not empty");
                return Err(cannot(dir)(error));
            }
            let dir = dir.canonicalize().map_err(cannot(dir))?;
            return Ok(Self::Kept(dir));
        }
        // In memory where there is one: nothing of it has to survive.
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let made = tempfile::Builder::new()
            .prefix("lockstep-")
            .tempdir_in(&base);
        made.map(Self::Temporary).map_err(cannot(&base))
    }
}

impl<'a> World<'a> {
    pub(super) fn new(
        lockstep: &'a Lockstep,
        plan: &'a Plan,
        tell: bool,
    ) -> Result<Self, RunError> {
        let program = draw::cast(&plan.scenario)
            .ok_or_else(|| RunError::Plan(format!("there is no scenario {:?}", plan.scenario)))?;
        let root = Root::new(lockstep.keep.as_deref())?;
        let end = plan.faults_ms + plan.calm_ms;
        let mut world = Self {
            lockstep,
            plan,
            now: 0,
            end,
            tell,
            places: Vec::new(),
            network: Network::new(plan.seed ^ 0x6e65_7477_6f72_6b00),
            agenda: Agenda::default(),
            record: Recorder::new(tell),
            checks: Checks::default(),
            dice: Dice::new(plan.seed),
            lasting: BTreeMap::new(),
            size_at_calm: 0,
            rounds_at_calm: 0,
            settled: 0,
            level: Level::FIRST,
            root,
        };
        if let Program::Node { rounds, .. } = &program.node {
            world
                .checks
                .rounds_go(*rounds, plan.seed, plan.nodes.into());
        }
        for n in 1..=plan.nodes {
            world.add_place(format!("node-{n}"), program.node.clone())?;
        }
        for (name, peer) in program.peers {
            world.add_place((*name).to_owned(), peer.clone())?;
        }
        for (number, fault) in plan.faults.iter().enumerate() {
            world.agenda.add(fault.at_ms, Item::Fault(number));
        }
        world.agenda.add(1, Item::Look);
        world.agenda.add(plan.faults_ms, Item::Calm);
        world.agenda.add(end.saturating_sub(REST_MS), Item::Rest);
        world
            .agenda
            .add(end.saturating_sub(SETTLE_MS), Item::Settle);
        Ok(world)
    }

    fn add_place(&mut self, name: String, program: Program) -> Result<(), RunError> {
        let at = self.places.len();
        let (dir, attic) = (
            self.root.path().join(&name),
            self.root.path().join(format!("{name}.attic")),
        );
        std::fs::create_dir_all(&dir).map_err(|error| RunError::Disk {
            path: dir.clone(),
            error,
        })?;
        self.places.push(Place {
            name,
            program,
            dir,
            attic,
            clocks: Clocks::TRUE,
            life: 0,
            state: State::Down,
            inbox: Vec::new(),
            orders: Vec::new(),
            next: None,
            paused: false,
            armed: None,
            shown: Shown::default(),
        });
        // Nobody switches a whole room on within one millisecond.
        let delay = self.dice.below(50);
        self.agenda.add(delay, Item::Start(at));
        Ok(())
    }

    /// Runs to its end, or to `limit`; who stops early owes nothing.
    pub(super) fn run(mut self, limit: u64) -> Result<Outcome, RunError> {
        let mut until = self.end.min(limit);
        while let Some(next) = self.next_moment().filter(|next| *next <= until) {
            self.now = next;
            self.record.now = next;
            let mut stepped = Vec::new();
            while let Some(item) = self.agenda.due(next) {
                self.carry_out(item, &mut stepped)?;
            }
            while let Some(delivery) = self.network.due(next) {
                self.deliver(delivery);
            }
            self.step(stepped)?;
            if !self.record.violations.is_empty() {
                until = (self.record.violations[0].at_ms + AFTERMATH_MS).min(self.end);
            }
        }
        if limit >= self.end {
            self.verdict();
        }
        Ok(self.outcome())
    }

    fn next_moment(&self) -> Option<u64> {
        let wakes = self.places.iter().filter_map(Place::wakes);
        // What came while a process was stepped, or started, is for the next moment.
        let waits = self.places.iter().filter(|place| place.waits());
        let waits = waits.map(|_| self.now + 1).next();
        let others = [waits, self.network.next(), self.agenda.next()];
        let next = wakes.chain(others.into_iter().flatten()).min()?;
        Some(next.max(self.now))
    }

    /// Steps all that have something to do; `started` have been told already. They run beside each
    /// other, and are heard in the order of their places.
    fn step(&mut self, started: Vec<At>) -> Result<(), RunError> {
        let now = self.now;
        let mut stepped = started;
        for (at, place) in self.places.iter_mut().enumerate() {
            if stepped.contains(&at) || !place.due(now) {
                continue;
            }
            let step = Step {
                now,
                orders: std::mem::take(&mut place.orders),
                events: std::mem::take(&mut place.inbox),
            };
            if let State::Running(process) = &mut place.state {
                process.step(&step);
                stepped.push(at);
            }
        }
        stepped.sort_unstable();
        for at in stepped {
            let place = &mut self.places[at];
            let State::Running(process) = &mut place.state else {
                continue;
            };
            match process.hear(&place.name)? {
                Some(report) => self.take(at, report),
                None => self.died(at),
            }
        }
        Ok(())
    }

    fn take(&mut self, at: At, report: Report) {
        self.places[at].next = report.next;
        for seen in report.seen {
            self.see(at, seen);
        }
        for out in report.out {
            self.send(at, out);
        }
        if let Some(end) = report.end {
            self.ended(at, end);
        }
    }

    fn ended(&mut self, at: At, end: End) {
        match end {
            End::PowerLoss(what) => self.powered_off(at, &what),
            End::Returned(why) => {
                let why = why.unwrap_or_else(|| "its work is done".to_owned());
                self.process(at, format!("ends: {why}"));
                self.gone(at, State::Down);
                // Who was removed is not started again: its process manager was told.
                if !self.checks.former(&self.places[at].name) {
                    self.agenda.add(self.now + RESTART_MS, Item::Start(at));
                }
            }
        }
    }

    /// A process that is gone without a word.
    fn died(&mut self, at: At) {
        let place = &self.places[at];
        let words = match &place.state {
            State::Running(process) => process.last_words(),
            State::Down | State::Off => String::new(),
        };
        let name = place.name.clone();
        self.record
            .check(Err(DIES_FOR_A_REASON.broken(format!("{name}: {words}"))));
        self.process(at, "dies".to_owned());
        self.gone(at, State::Down);
        self.agenda.add(self.now + RESTART_MS, Item::Start(at));
    }

    /// Starts a process; its first report is due at once.
    pub(super) fn start(&mut self, at: At) -> Result<(), RunError> {
        let nodes = self.places.iter().take(self.plan.nodes.into());
        let nodes = nodes.map(|place| place.name.clone()).collect();
        let place = &mut self.places[at];
        let cannot = |path: &Path| {
            let path = path.to_owned();
            move |error| RunError::Disk { path, error }
        };
        // What an earlier life kept back of removed files is gone for good now.
        if place.attic.exists() {
            std::fs::remove_dir_all(&place.attic).map_err(cannot(&place.attic))?;
        }
        std::fs::create_dir_all(&place.attic).map_err(cannot(&place.attic))?;
        let boot = Boot {
            index: at,
            life: place.life,
            name: place.name.clone(),
            nodes,
            dir: Path::new(HOME).join(&place.name),
            attic: Path::new(HOME).join(format!("{}.attic", place.name)),
            now: self.now,
            clocks: place.clocks,
            program: place.program.clone(),
            level: self.plan.level(at, self.now).0,
            bugs: self.plan.bugs.clone(),
            tell: self.tell,
            seed: self.plan.seed,
        };
        let mut entropy =
            Dice::new(self.plan.seed ^ (at as u64) << 32 ^ u64::from(place.life) << 48);
        let errors = self.root.path().join(format!("{}.stderr", place.name));
        let process = Process::start(
            self.lockstep,
            self.root.path(),
            &boot,
            u64::from_le_bytes(entropy.bytes()),
            &errors,
        )?;
        place.state = State::Running(process);
        place.next = None;
        place.shown = Shown::default();
        place.inbox.clear();
        place.orders.clear();
        let name = place.name.clone();
        self.checks.started(&name);
        self.remind(at);
        self.process(at, "starts".to_owned());
        Ok(())
    }

    /// Its process is over; the next one is another life.
    pub(super) fn gone(&mut self, at: At, state: State) {
        self.close_connections(at);
        let place = &mut self.places[at];
        place.state = state;
        place.life += 1;
        place.paused = false;
        place.armed = None;
        place.next = None;
        place.inbox.clear();
        place.orders.clear();
    }

    pub(super) fn process(&mut self, at: At, what: String) {
        let name = self.places[at].name.clone();
        self.record.event(&(&name, &what));
        self.record.tell(&name, || Kind::Process(what));
    }

    pub(super) fn virtual_ns(&self) -> u64 {
        self.now * MILLI
    }

    fn outcome(mut self) -> Outcome {
        Outcome {
            plan: self.plan.clone(),
            trace: self.record.trace_hash(),
            wire: self.record.wire_hash(),
            events: self.record.events,
            virtual_ms: self.now,
            violations: std::mem::take(&mut self.record.violations),
            coverage: std::mem::take(&mut self.record.coverage),
            story: std::mem::take(&mut self.record.story),
        }
    }
}
