//! The cluster as this node sees it: authenticated links to its peers, and one gateway at each
//! end through which frames and calls pass.
//!
//! From the bottom: a [`Transport`] dials and accepts (the only seam; a simulation brings its
//! own) → [`crate::noise`] proves who is there and encrypts → `ractor_cluster` runs a session over it → one
//! remotable actor per node, `gateway:<node>`.
//!
//! What `ractor_cluster` leaves open is closed here:
//! - Its own TCP listener, guarded by a cookie only, is bound to loopback behind a TLS acceptor
//!   that has no certificate: nothing gets in that way (`side_door.rs`, tested).
//! - It does not redial, and it ignores missing pongs: our dialers and the links' heartbeats do both.
//!   The heartbeats feed an accrual detector per member ([`Cluster::suspicion`]).
//! - Its node names are claims. A link's proven peer is bound to its messages by a
//!   [`wire::Capability`]: a random secret which each end hands to the other inside the Noise
//!   handshake and which every frame and call must show. The gateway looks the sender up by it;
//!   a member that talks to our gateway with another's name has no use for the name.
//! - Casts vanish and pile up without limit: each link has a window of frames and bytes, refilled
//!   by credits of the receiver. A full window refuses ([`CastError::Congested`]).
//! - A message costs several task switches on either side: frames that are cast while another one
//!   is on its way to the wire go together (`outbox.rs`).
//!
//! Who may link is said by [`Members`], which the node sets from its ledger. A removed member's link
//! ends at once and it is told why; a new one that the table does not know yet is let in if it
//! shows that a majority admitted it ([`admission`]); and a stranger with an invitation can ask to
//! become one ([`join()`], [`GatewayHandler::apply`]).
//!
//! Nodes of different releases speak at the lower of their two levels ([`wire::Level`]).
//!
//! A frame is delivered at most once and in order per sender; it may be lost with its link. A
//! call is answered within its time limit or fails; then it may or may not have been carried out.

mod accept;
pub mod admission;
mod config;
mod counters;
mod detect;
mod dial;
mod door;
mod error;
mod faulty;
mod flow;
mod follow;
mod gateway;
pub mod idle;
mod join;
mod link;
mod links;
mod members;
pub mod noise;
mod outbox;
mod quiet;
mod session;
mod side_door;
mod status;
#[cfg(test)]
mod tests;
mod traffic;
mod transport;

pub use admission::AdmissionError;
pub use config::{Applicant, ClusterConfig, GatewayHandler};
pub use counters::ClusterCounters;
pub use detect::{Detection, Suspicion};
pub use door::{APPLY_LIMIT, MAX_APPLICANTS};
pub use error::{CallError, CastError, ClusterError};
pub use faulty::{Faults, FaultyStream, FaultyTransport};
pub use flow::{MAX_WAITING_BYTES, MAX_WAITING_CALLS, WINDOW_BYTES, WINDOW_FRAMES};
pub use join::{
    AttemptError, Attempts, JoinError, Joined, TOKEN_PREFIX, TokenError, decode_token,
    encode_token, join,
};
pub use link::MAX_CALLS;
pub use members::{Former, MemberTable, Members, Standing};
pub use status::{EPOCH_GRACE, LinkEvent, LinkStatus};
pub use transport::{TcpTransport, Transport};

use crate::noise::EpochTable;
use links::Links;
use runtime::supervisor::{ChildSpec, Intensity, Strategy, Supervisor, SupervisorSpec};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use traffic::Letter;
use wire::{Admission, Call, EncodedFrame, Frame, NodeId, Reply};

/// Restarts of the cluster's own actors before the node gives up. They fail only on our own
/// mistakes or with the machine; a handful of tries tells which.
const INTENSITY: Intensity = Intensity::new(5, Duration::from_secs(30));

/// This node's part of the cluster; cheap to clone.
#[derive(Clone)]
pub struct Cluster(Arc<Links>);

impl Cluster {
    /// The handle and the supervisor that brings it to life, for a place in the node's tree.
    /// All its children are restarted together: sessions, gateway and links share their state.
    pub fn new<T: Transport>(
        config: ClusterConfig,
        transport: T,
        epochs: EpochTable,
        handler: Arc<dyn GatewayHandler>,
    ) -> Result<(Self, SupervisorSpec), ClusterError> {
        let links = Arc::new(Links::new(config, epochs, handler)?);
        let transport = Arc::new(transport);
        let mut children = vec![gateway::child(&links), session::child(&links)];
        children.push(accept::child(&links, &transport));
        children.extend(follow::children(&links, &transport));
        let spec = SupervisorSpec::new(Strategy::OneForAll, INTENSITY, children);
        Ok((Self(links), spec))
    }

    /// [`new`](Self::new) under a top supervisor of its own; `on_escalation` as there.
    pub async fn start<T: Transport>(
        config: ClusterConfig,
        transport: T,
        epochs: EpochTable,
        handler: Arc<dyn GatewayHandler>,
        on_escalation: impl FnOnce(String) + Send + 'static,
    ) -> Result<(Self, Supervisor), ClusterError> {
        let (cluster, spec) = Self::new(config, transport, epochs, handler)?;
        let top = SupervisorSpec::new(
            Strategy::OneForOne,
            INTENSITY,
            vec![ChildSpec::supervisor("cluster", spec)],
        );
        let supervisor = Supervisor::start(top, on_escalation)
            .await
            .map_err(ClusterError::Start)?;
        Ok((cluster, supervisor))
    }

    /// This node.
    pub fn me(&self) -> &NodeId {
        self.0.me()
    }

    /// Sends a frame, at most once; returns at once.
    pub fn cast(&self, to: &NodeId, frame: Frame) -> Result<(), CastError> {
        self.0.cast(to, Letter::Frame(&frame))
    }

    /// [`cast`](Self::cast) of a frame that is encoded already: what goes to many is encoded once.
    pub fn cast_encoded(&self, to: &NodeId, frame: &EncodedFrame) -> Result<(), CastError> {
        self.0.cast(to, Letter::Encoded(frame))
    }

    /// [`cast`](Self::cast) that waits for room in the peer's window, at most for `limit`: then it
    /// fails with [`CastError::Congested`]. For senders that have as much to say as the peer can
    /// take. Frames of several tasks that wait come in any order.
    pub async fn cast_waiting(
        &self,
        to: &NodeId,
        frame: Frame,
        limit: Duration,
    ) -> Result<(), CastError> {
        self.0.cast_waiting(to, &frame, limit).await
    }

    /// Calls and waits for the answer, at most for `limit`. [`MAX_CALLS`] calls to one peer are
    /// in flight at most; more wait their turn within their limit.
    pub async fn call(&self, to: &NodeId, call: Call, limit: Duration) -> Result<Reply, CallError> {
        self.0.call(to, call, limit).await
    }

    /// The peers that can be reached right now.
    pub fn links(&self) -> BTreeMap<NodeId, LinkStatus> {
        self.0.status()
    }

    /// What this node thinks of a member's health; `None` for who is neither a member nor linked.
    /// This node itself is not among them.
    pub fn suspicion(&self, node: &NodeId) -> Option<Suspicion> {
        self.0.suspicion(node)
    }

    /// Whom this node takes for members; a handle to the one table there is.
    pub fn members(&self) -> Members {
        self.0.members.clone()
    }

    /// Proof of this node's own membership, shown from the next link on.
    pub fn set_admission(&self, admission: Admission) {
        self.0.set_admission(admission);
    }

    /// Links coming and going from now on. A receiver that lags behind misses some and should
    /// look at [`links`](Self::links) then.
    pub fn events(&self) -> broadcast::Receiver<LinkEvent> {
        self.0.events()
    }

    /// Counters since the process started.
    pub fn counters(&self) -> ClusterCounters {
        self.0.counters()
    }

    /// Drops the link to a peer, if there is one; it will be dialed again.
    pub fn disconnect(&self, node: &NodeId, reason: &str) {
        self.0.disconnect(node, reason);
    }
}
