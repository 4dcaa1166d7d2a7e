//! What a lockstep run does: how many nodes, for how long, and every fault with its moment. A plan is
//! data: it follows from a seed, is written into a file when it led to a failure, and can be edited.

use serde::{Deserialize, Serialize};
use wire::Level;

/// A run, complete: the same plan gives the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Entropy of everything that no fault decides: latencies, keys, election timeouts, load.
    pub seed: u64,
    /// Name of the scenario that it was drawn from.
    pub scenario: String,
    /// Nodes at the beginning.
    pub nodes: u8,
    /// Virtual time in which faults strike, milliseconds.
    pub faults_ms: u64,
    /// Virtual time afterwards in which everything must heal, milliseconds.
    pub calm_ms: u64,
    /// In order of time.
    pub faults: Vec<Fault>,
    /// Known mistakes that are switched on, by name (`runtime`'s list); empty outside of the proof
    /// that the harness finds them.
    #[serde(default)]
    pub bugs: Vec<String>,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// When, milliseconds of virtual time.
    pub at_ms: u64,
    /// What.
    pub what: What,
}

/// Index of a node, from 0.
pub type Node = u8;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// Power is lost: what was not synced is kept, lost or torn by dice; after a while it starts.
    Crash {
        /// Who.
        node: Node,
        /// At which event from then on.
        point: CrashPoint,
        /// Until it starts again.
        down_ms: u64,
        /// What else the disk does meanwhile.
        disk: Option<DiskFault>,
    },
    /// The process is killed; the operating system keeps what was written.
    Kill {
        /// Who.
        node: Node,
        /// Until it starts again.
        down_ms: u64,
    },
    /// The process stands still (SIGSTOP); its peers' bytes wait.
    Pause {
        /// Who.
        node: Node,
        /// How long.
        for_ms: u64,
    },
    /// Nothing passes from these to those; the other way only if `both`.
    Split {
        /// Senders.
        from: Vec<Node>,
        /// Receivers.
        to: Vec<Node>,
        /// Both ways.
        both: bool,
        /// How long.
        for_ms: u64,
    },
    /// Links of a node are slow: so much is added to every delay, and so much jitter.
    Slow {
        /// Who.
        node: Node,
        /// Added to each delay.
        delay_ms: u64,
        /// Drawn anew for each segment.
        jitter_ms: u64,
        /// Segments that TCP must repeat, in percent.
        loss_percent: u8,
        /// How long.
        for_ms: u64,
    },
    /// All connections of a node end: with a reset, or half open, so that only it believes in them.
    Disconnect {
        /// Who.
        node: Node,
        /// No reset reaches the peers.
        half_open: bool,
    },
    /// A node gets another address while it runs: its connections end without a word to anybody, and who dials it
    /// meets nobody until the name stands for the new address.
    Move {
        /// Who.
        node: Node,
        /// Until then its name stands for the former address.
        for_ms: u64,
    },
    /// The wall clock jumps.
    ClockJump {
        /// Who.
        node: Node,
        /// By how much, forward or back.
        by_ms: i64,
    },
    /// The clocks run fast or slow from then on, parts per million.
    ClockDrift {
        /// Who.
        node: Node,
        /// Positive: fast.
        ppm: i32,
    },
    /// The disk takes so much more and then says it is full, for a while.
    DiskFull {
        /// Who.
        node: Node,
        /// What fits, bytes.
        room: u64,
        /// How long.
        for_ms: u64,
    },
    /// Every sync takes so long.
    DiskSlow {
        /// Who.
        node: Node,
        /// Each.
        sync_ms: u64,
        /// How long.
        for_ms: u64,
    },
    /// The broker dies and returns.
    BrokerCrash {
        /// Until it starts again.
        down_ms: u64,
    },
    /// An operator removes a member; it is invited again later, or not.
    Evict {
        /// Who.
        node: Node,
    },
    /// An operator chooses a model.
    Choose {
        /// Whom it is told.
        node: Node,
        /// Learning goes back to it; otherwise it is pinned, or let go if one is.
        back: bool,
    },
    /// A member turns bad: from then on it sends poisoned updates, and models that are not what it calls
    /// them.
    Poison {
        /// Who.
        node: Node,
    },
    /// An operator puts the newest program in the place of an older one, which the node has run since the
    /// run's beginning, and whose files it finds.
    Upgrade {
        /// Who.
        node: Node,
        /// The level that the older program speaks.
        from: u16,
        /// Until it starts again.
        down_ms: u64,
    },
}

impl Plan {
    /// The level of the program that `node` has at a moment: that of the older one until it is upgraded.
    pub fn level(&self, node: usize, now_ms: u64) -> Level {
        let later = self.faults.iter().filter(|fault| fault.at_ms > now_ms);
        let from = later.filter_map(|fault| match fault.what {
            What::Upgrade {
                node: whose, from, ..
            } if usize::from(whose) == node => Some((fault.at_ms, Level(from))),
            _ => None,
        });
        let first = from.min_by_key(|(at_ms, _)| *at_ms);
        first.map_or(Level::NEWEST, |(_, from)| from)
    }
}

impl What {
    /// Whom it is for; `None` where it is for several, or for no node.
    pub fn node(&self) -> Option<Node> {
        // One list of kinds serves both: a copy of a fault is a few words.
        self.clone().node_mut().copied()
    }

    /// The same, to make it another one's.
    pub fn node_mut(&mut self) -> Option<&mut Node> {
        match self {
            Self::Crash { node, .. }
            | Self::Kill { node, .. }
            | Self::Pause { node, .. }
            | Self::Slow { node, .. }
            | Self::Disconnect { node, .. }
            | Self::Move { node, .. }
            | Self::ClockJump { node, .. }
            | Self::ClockDrift { node, .. }
            | Self::DiskFull { node, .. }
            | Self::DiskSlow { node, .. }
            | Self::Evict { node }
            | Self::Choose { node, .. }
            | Self::Poison { node }
            | Self::Upgrade { node, .. } => Some(node),
            Self::Split { .. } | Self::BrokerCrash { .. } => None,
        }
    }
}

/// The event at which a crash strikes; none: at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CrashPoint {
    /// At the moment itself.
    Now,
    /// Within the operation on the disk that is so many operations away (0: the next one).
    DiskOperation(u32),
    /// Before the message that is so many messages away would be sent (0: the next one).
    Send(u32),
}

/// What a disk does to data that was synced, while the power is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskFault {
    /// One bit of one file is another.
    BitRot,
    /// A sector was written to where another one belongs.
    Misdirected,
    /// A file ends early.
    Truncated,
    /// The whole folder is gone.
    Lost,
}
