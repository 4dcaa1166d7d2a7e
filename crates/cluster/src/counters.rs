//! What is counted, all links together.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the process started.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ClusterCounters {
    /// Connections from outside that did not prove to be a peer.
    pub refused_handshakes: u64,
    /// Of those, former members.
    pub refused_former: u64,
    /// Applications to join that reached the node.
    pub applications: u64,
    /// Applications turned away unread: too many, too slow, or malformed.
    pub refused_applications: u64,
    /// Heartbeats received.
    pub heartbeats: u64,
    /// Frames handed to a link.
    pub frames_sent: u64,
    /// Frames shed because the peer's window was full.
    pub frames_shed: u64,
    /// Frames handled here.
    pub frames_received: u64,
    /// Calls not even sent because too many to the peer were waiting already.
    pub calls_shed: u64,
    /// Messages at our gateway that were unreadable, over their window, above their link's
    /// level, or without a valid capability.
    pub gateway_refused: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) refused_handshakes: AtomicU64,
    pub(super) refused_former: AtomicU64,
    pub(super) applications: AtomicU64,
    pub(super) refused_applications: AtomicU64,
    pub(super) calls_shed: AtomicU64,
    pub(super) frames_sent: AtomicU64,
    pub(super) frames_shed: AtomicU64,
    pub(super) frames_received: AtomicU64,
    pub(super) gateway_refused: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn read(&self, heartbeats: u64) -> ClusterCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ClusterCounters {
            refused_handshakes: read(&self.refused_handshakes),
            refused_former: read(&self.refused_former),
            applications: read(&self.applications),
            refused_applications: read(&self.refused_applications),
            calls_shed: read(&self.calls_shed),
            heartbeats,
            frames_sent: read(&self.frames_sent),
            frames_shed: read(&self.frames_shed),
            frames_received: read(&self.frames_received),
            gateway_refused: read(&self.gateway_refused),
        }
    }
}
