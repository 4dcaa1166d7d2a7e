//! When the leader dies.

use std::time::Duration;

/// One `kill -9` of whoever leads at that moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Strike {
    /// Time since the start.
    pub(crate) at: Duration,
    /// Until it is started again.
    pub(crate) lasts: Duration,
}

/// The demo's plan: half-way.
pub(crate) fn plan(span: Duration) -> Vec<Strike> {
    vec![Strike {
        at: span / 2,
        lasts: Duration::from_secs(8).min(span / 6),
    }]
}
