//! Who seems to be dead: one accrual detector per peer, fed by what its links hear.

use machine::accrual::{AwakeTime, Expectation, PhiAccrual};
use runtime::clock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wire::{Level, NodeId};

/// Heartbeats of the first release: twice a second.
const FIRST_HEARTBEAT: Duration = Duration::from_millis(500);

/// How deaths are noticed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Detection {
    /// Each end of a link shows life this often.
    pub heartbeat: Duration,
    /// A member is suspected from this φ on.
    pub threshold: f64,
    /// Silence beyond the mean interval that says nothing: a scheduler or a disk may take so long.
    pub acceptable_pause: Duration,
    /// Heartbeats' intervals are taken to vary at least so much.
    pub min_deviation: Duration,
    /// Intervals remembered of each peer.
    pub window: usize,
    /// A link on which nothing was heard for so long ends, and a member not heard for so long is
    /// suspected, however irregular it was before.
    pub silence_limit: Duration,
}

impl Default for Detection {
    /// A peer that falls silent is suspected after 1.3 to 1.4 s (0.1 s mean, 1 s pause, 5.3
    /// deviations of 50 ms) and its link ends after 1.9 s: below two seconds in any case. A pause
    /// of a second is forgiven. With a peer of the first release it is 1.8 s.
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            threshold: 8.0,
            acceptable_pause: Duration::from_millis(1_000),
            min_deviation: Duration::from_millis(50),
            // A dozen seconds: long enough to know a peer, short enough to follow a change.
            window: 128,
            silence_limit: Duration::from_millis(1_900),
        }
    }
}

impl Detection {
    fn expectation(&self, level: Level) -> Expectation {
        Expectation {
            heartbeat: if level == Level::FIRST {
                FIRST_HEARTBEAT.max(self.heartbeat)
            } else {
                self.heartbeat
            },
            window: self.window,
            min_deviation: self.min_deviation,
            acceptable_pause: self.acceptable_pause,
        }
    }
}

/// What this node thinks of a member's health.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Suspicion {
    /// The accrual detector's level; 0 up to about 1 is normal.
    pub phi: f64,
    /// Time since the last sign of life, or since this node began to expect one. This node's own
    /// pauses do not count.
    pub silent: Duration,
    /// Is there a usable link?
    pub linked: bool,
    /// φ has reached the threshold, or the silence its limit.
    pub suspected: bool,
}

/// The detector of one peer; shared by its links, one after the other.
#[derive(Clone)]
pub(crate) struct Pulse {
    detector: Arc<Mutex<PhiAccrual>>,
    awake: Arc<Mutex<AwakeTime>>,
    /// Of all peers.
    heartbeats: Arc<AtomicU64>,
}

impl Pulse {
    fn detector(&self) -> MutexGuard<'_, PhiAccrual> {
        self.detector.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> machine::Instant {
        at(&self.awake)
    }

    /// A record arrived.
    pub(crate) fn heard(&self) {
        let now = self.now();
        self.detector().heard(now);
    }

    /// A heartbeat arrived.
    pub(crate) fn heartbeat(&self) {
        self.heartbeats.fetch_add(1, Ordering::Relaxed);
        let now = self.now();
        self.detector().heartbeat(now);
    }

    /// φ and the silence.
    pub(crate) fn read(&self) -> (f64, Duration) {
        let now = self.now();
        let detector = self.detector();
        (detector.phi(now), detector.silent(now))
    }

    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Detectors::new(Detection::default()).pulse(&"test".into())
    }
}

fn at(awake: &Mutex<AwakeTime>) -> machine::Instant {
    let now = clock::now();
    awake.lock().unwrap_or_else(PoisonError::into_inner).at(now)
}

/// All peers' detectors.
pub(crate) struct Detectors {
    pub(crate) detection: Detection,
    awake: Arc<Mutex<AwakeTime>>,
    pulses: Mutex<BTreeMap<NodeId, Pulse>>,
    heartbeats: Arc<AtomicU64>,
}

impl Detectors {
    pub(crate) fn new(detection: Detection) -> Self {
        // Twice the tick: one that is a little late is not a pause.
        let awake = AwakeTime::new(detection.heartbeat * 2, clock::now());
        Self {
            detection,
            awake: Arc::new(Mutex::new(awake)),
            pulses: Mutex::default(),
            heartbeats: Arc::default(),
        }
    }

    fn pulses(&self) -> MutexGuard<'_, BTreeMap<NodeId, Pulse>> {
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This process runs; called once per heartbeat.
    pub(crate) fn tick(&self) {
        let now = clock::now();
        let mut awake = self.awake.lock().unwrap_or_else(PoisonError::into_inner);
        awake.tick(now);
    }

    fn fresh(&self, level: Level) -> PhiAccrual {
        PhiAccrual::new(self.detection.expectation(level), at(&self.awake))
    }

    /// The detector of `node`, new if it has none: waiting begins now.
    pub(crate) fn pulse(&self, node: &NodeId) -> Pulse {
        let pulse = || Pulse {
            detector: Arc::new(Mutex::new(self.fresh(Level::NEWEST))),
            awake: Arc::clone(&self.awake),
            heartbeats: Arc::clone(&self.heartbeats),
        };
        self.pulses()
            .entry(node.clone())
            .or_insert_with(pulse)
            .clone()
    }

    /// As [`pulse`](Self::pulse), for a new link to `node`. What was learned of the peer stays,
    /// unless its heartbeats come at another pace now.
    pub(crate) fn linked(&self, node: &NodeId, level: Level) -> Pulse {
        let pulse = self.pulse(node);
        let now = pulse.now();
        let mut detector = pulse.detector();
        if detector.expectation().heartbeat == self.detection.expectation(level).heartbeat {
            detector.reconnected(now);
        } else {
            *detector = self.fresh(level);
        }
        drop(detector);
        pulse
    }

    /// Heartbeats received.
    pub(crate) fn heartbeats(&self) -> u64 {
        self.heartbeats.load(Ordering::Relaxed)
    }

    /// Begins to wait for all of these, and forgets all others.
    pub(crate) fn keep(&self, nodes: &BTreeSet<NodeId>) {
        self.pulses().retain(|node, _| nodes.contains(node));
        for node in nodes {
            self.pulse(node);
        }
    }

    pub(crate) fn suspicion(&self, node: &NodeId, linked: bool) -> Option<Suspicion> {
        let pulse = self.pulses().get(node).cloned()?;
        let (phi, silent) = pulse.read();
        let Detection {
            threshold,
            silence_limit,
            ..
        } = self.detection;
        Some(Suspicion {
            phi,
            silent,
            linked,
            suspected: phi >= threshold || silent >= silence_limit,
        })
    }
}
