use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counted by a client; shared with whoever shows them.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) records: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) connects: AtomicU64,
    pub(super) faults: AtomicU64,
    pub(super) resets: AtomicU64,
    pub(super) plaintext_bytes: AtomicU64,
}

/// Values of [`Counters`] at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    /// Records handed out or acknowledged.
    pub records: u64,
    /// Bytes of Fetch responses or Produce requests.
    pub bytes: u64,
    /// Times a connection set was built.
    pub connects: u64,
    /// Times one was dropped for a fault.
    pub faults: u64,
    /// Times the out-of-range policy moved a position.
    pub resets: u64,
    /// Of `bytes`, those that crossed a connection without TLS.
    pub plaintext_bytes: u64,
}

impl Counters {
    /// All values now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            records: self.records.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            connects: self.connects.load(Relaxed),
            faults: self.faults.load(Relaxed),
            resets: self.resets.load(Relaxed),
            plaintext_bytes: self.plaintext_bytes.load(Relaxed),
        }
    }

    pub(super) fn payload(&self, bytes: usize, encrypted: bool) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
        if !encrypted {
            self.plaintext_bytes.fetch_add(bytes as u64, Relaxed);
        }
    }
}

pub(super) fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Relaxed);
}
