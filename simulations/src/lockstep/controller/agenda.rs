//! What the controller has set itself to do at some moment.

use super::network::Place;
use std::collections::BTreeMap;

/// One item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A process starts.
    Start(Place),
    /// The plan's fault with this number begins.
    Fault(usize),
    /// A fault that lasts is over.
    Over(usize),
    /// A crash whose event has not come strikes now.
    Overdue(Place, usize),
    /// Faults are over.
    Calm,
    /// No new load.
    Rest,
    /// What is on the ledger now everybody must hold at the end.
    Owed,
    /// A look at what the processes take.
    Look,
}

/// Items in order of time; of one moment, in the order in which they were entered.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    seq: u64,
    items: BTreeMap<(u64, u64), Item>,
}

impl Agenda {
    pub(super) fn add(&mut self, at: u64, item: Item) {
        self.seq += 1;
        self.items.insert((at, self.seq), item);
    }

    pub(super) fn next(&self) -> Option<u64> {
        self.items.first_key_value().map(|((at, _), _)| *at)
    }

    pub(super) fn due(&mut self, now: u64) -> Option<Item> {
        let first = self.items.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}
