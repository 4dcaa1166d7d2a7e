//! A place where a process runs: it survives its process, with its disk and its clocks.

use super::process::Process;
use crate::lockstep::protocol::{Clocks, Event, Order, Program};
use std::path::PathBuf;

/// What is known of one simulated machine.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) program: Program,
    pub(super) dir: PathBuf,
    pub(super) attic: PathBuf,
    pub(super) clocks: Clocks,
    pub(super) life: u32,
    pub(super) state: State,
    /// Waits for the process.
    pub(super) inbox: Vec<Event>,
    pub(super) orders: Vec<Order>,
    /// Its next timer.
    pub(super) next: Option<u64>,
    /// Until when it stands still.
    pub(super) paused: bool,
    /// The crash that waits for its event: number of the fault, and how long it is down then.
    pub(super) armed: Option<usize>,
    /// What it showed last.
    pub(super) shown: Shown,
}

/// The process of a place.
pub(super) enum State {
    Running(Process),
    /// The machine is up, and nobody is at home: it refuses.
    Down,
    /// The machine has no power: it does not answer.
    Off,
}

/// The newest of what a process showed.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) leader: Option<String>,
    pub(super) term: u64,
    pub(super) size: u64,
    pub(super) root: [u8; 32],
}

impl Place {
    pub(super) fn runs(&self) -> bool {
        matches!(self.state, State::Running(_))
    }

    /// Does anything wait for it?
    pub(super) fn waits(&self) -> bool {
        let waits = !self.inbox.is_empty() || !self.orders.is_empty();
        self.runs() && !self.paused && waits
    }

    /// Has it something to do at this moment?
    pub(super) fn due(&self, now: u64) -> bool {
        self.waits() || self.wakes().is_some_and(|next| next <= now)
    }

    /// The next moment at which it has something to do by itself.
    pub(super) fn wakes(&self) -> Option<u64> {
        self.next.filter(|_| self.runs() && !self.paused)
    }
}
