//! The clocks of a simulated process. Virtual time is the controller's, in milliseconds; what the
//! process reads may run fast or slow against it, and its wall clock may jump.

use crate::lockstep::protocol::Clocks;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

/// Nanoseconds in a millisecond.
pub const MILLI: u64 = 1_000_000;
const MILLION: i128 = 1_000_000;

static NOW: AtomicU64 = AtomicU64::new(0);
static CLOCKS: Mutex<Clocks> = Mutex::new(Clocks::TRUE);

impl Clocks {
    /// Monotonic time at virtual 0: as if the machine had been up for some time.
    pub const UPTIME: u64 = 1_000_000 * MILLI;
    /// The wall clock then: in the year 2026, and nothing depends on which moment it is.
    pub const WALL: i64 = 1_780_000_000_000_000_000;

    /// Neither drift nor offset.
    pub const TRUE: Self = Self {
        anchor: 0,
        monotonic: Self::UPTIME,
        ppm: 0,
        wall: Self::WALL,
    };

    /// The monotonic clock at a virtual moment, nanoseconds.
    pub fn monotonic_at(&self, virtual_ns: u64) -> u64 {
        let passed = i128::from(virtual_ns.saturating_sub(self.anchor));
        let passed = passed * (MILLION + i128::from(self.ppm)) / MILLION;
        self.monotonic + u64::try_from(passed).unwrap_or(0)
    }

    /// From this moment on it runs at another pace.
    pub fn drift(&mut self, virtual_ns: u64, ppm: i64) {
        self.monotonic = self.monotonic_at(virtual_ns);
        self.anchor = virtual_ns;
        self.ppm = ppm;
    }

    /// The virtual milliseconds in which so many of this clock's pass, rounded up.
    fn in_virtual(&self, ms: u64) -> u64 {
        let pace = MILLION + i128::from(self.ppm);
        let virtual_ms = (i128::from(ms) * MILLION + pace - 1) / pace;
        u64::try_from(virtual_ms).unwrap_or(u64::MAX).max(1)
    }
}

fn clocks() -> Clocks {
    *CLOCKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Virtual time, milliseconds.
pub fn now() -> u64 {
    NOW.load(Ordering::Relaxed)
}

pub(super) fn set_now(ms: u64) {
    NOW.store(ms, Ordering::Relaxed);
}

pub(super) fn set_clocks(clocks: Clocks) {
    *CLOCKS.lock().unwrap_or_else(PoisonError::into_inner) = clocks;
}

/// What `clock_gettime` says of the time since boot, nanoseconds.
pub fn monotonic() -> u64 {
    clocks().monotonic_at(now() * MILLI)
}

/// What `clock_gettime` says of the wall clock, nanoseconds since the Unix epoch.
pub fn wall() -> i64 {
    let clocks = clocks();
    let since = clocks.monotonic_at(now() * MILLI) - Clocks::UPTIME;
    clocks
        .wall
        .saturating_add(i64::try_from(since).unwrap_or(0))
}

/// The virtual moment at which so many milliseconds of the process's own clock will have passed.
pub(super) fn after(ms: u64) -> u64 {
    now().saturating_add(clocks().in_virtual(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_changes_the_pace_and_never_the_reading() {
        let mut clocks = Clocks::TRUE;
        let at = 5_000 * MILLI;
        let before = clocks.monotonic_at(at);
        clocks.drift(at, 10_000); // 1 % fast
        assert_eq!(clocks.monotonic_at(at), before);
        assert_eq!(
            clocks.monotonic_at(at + 1_000 * MILLI),
            before + 1_010 * MILLI
        );
        clocks.drift(at + 1_000 * MILLI, -10_000);
        assert_eq!(
            clocks.monotonic_at(at + 2_000 * MILLI),
            before + 2_000 * MILLI
        );
    }

    #[test]
    fn a_fast_clock_gets_there_early_and_nobody_waits_for_nothing() {
        let clocks = Clocks {
            ppm: 10_000,
            ..Clocks::TRUE
        };
        assert_eq!(clocks.in_virtual(1_010), 1_000);
        assert_eq!(
            clocks.in_virtual(1_000),
            991,
            "rounded up: never before the timer is due"
        );
        assert_eq!(clocks.in_virtual(0), 1);
    }
}
