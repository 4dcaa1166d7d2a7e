use std::time::Duration;
use wire::{KeyEpoch, Level, NodeId};

/// A link should have left the handshake's key after this time if this node holds any epoch at
/// all: announcing and moving takes a round trip, joining the group a few seconds.
pub const EPOCH_GRACE: Duration = Duration::from_secs(10);

/// A link as seen from here.
#[derive(Clone, PartialEq, Debug)]
pub struct LinkStatus {
    /// The peer's incarnation.
    pub incarnation: u64,
    /// Key epoch under which we send; 0: still the handshake's key.
    pub sending_epoch: KeyEpoch,
    /// Key epoch under which the peer sends; 0: still the handshake's key.
    pub receiving_epoch: KeyEpoch,
    /// One direction is still on the handshake's key although this node holds an epoch and the
    /// link is older than [`EPOCH_GRACE`]: one of the two is not in the key group.
    pub behind: bool,
    /// Time since the handshake.
    pub age: Duration,
    /// Frames sent and not yet handled by the peer.
    pub frames_in_flight: usize,
    /// Level spoken on the link: the lower one of both ends'.
    pub level: Level,
    /// Suspicion φ of the peer; 0 up to about 1 is normal.
    pub phi: f64,
    /// Time since the peer was last heard.
    pub silent: Duration,
    /// `host:port` of the peer by the table of members; empty while the table does not know it.
    pub address: String,
}

/// A link came or went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkEvent {
    /// The peer can be reached.
    Up {
        /// The peer.
        node: NodeId,
        /// Its incarnation.
        incarnation: u64,
    },
    /// The peer says that this node is no member, and will not talk to it. One member's word: it
    /// can be behind, or wrong.
    Dismissed {
        /// Who says so.
        node: NodeId,
        /// Why, in a sentence.
        reason: String,
    },
    /// It no longer can.
    Down {
        /// The peer.
        node: NodeId,
        /// Why, in a sentence.
        reason: String,
    },
}
