use crate::detect::Detection;
use crate::members::Members;
use async_trait::async_trait;
use ed25519_dalek::SigningKey;
use wire::{Admission, Application, Call, Frame, Level, NodeId, Reply, Welcome};

/// Who this node is and who belongs to the cluster.
pub struct ClusterConfig {
    /// Name of the cluster; part of every handshake.
    pub cluster: String,
    /// This node.
    pub me: NodeId,
    /// Must grow with each start of the process, e.g. the wall clock in milliseconds.
    pub incarnation: u64,
    /// This node's identity key.
    pub identity: SigningKey,
    /// All nodes with their identity keys and addresses; this one may be among them. The node
    /// keeps a clone and sets it as its ledger goes on.
    pub members: Members,
    /// The level to speak: [`Level::NEWEST`], unless this node is held back in an upgrade.
    pub level: Level,
    /// Proof that this node was admitted, if it has one already; founders need none. Later:
    /// [`Cluster::set_admission`](crate::Cluster::set_admission).
    pub admission: Option<Admission>,
    /// How deaths are noticed.
    pub detection: Detection,
}

/// Somebody who asks to be admitted and has proved to hold an identity key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applicant {
    /// The name it wants.
    pub node: NodeId,
    /// Its ed25519 identity key.
    pub identity: [u8; 32],
}

/// Serves what peers send. `from` is the proven identity of the link's other end.
#[async_trait]
pub trait GatewayHandler: Send + Sync + 'static {
    /// One frame. Frames of one peer come one after the other, in the order sent; the next one
    /// waits for this, and the peer's window with it, so hand slow work on.
    async fn frame(&self, from: NodeId, frame: Frame);

    /// One call. Calls run beside each other, each in its own task, and are dropped at the
    /// caller's time limit.
    async fn call(&self, from: NodeId, call: Call) -> Reply;

    /// A stranger's application. The applicant has proved to hold the identity key in the
    /// application's certificate, and the certificate is for this cluster; nothing else is
    /// checked: not the secret, not the name, not the address.
    ///
    /// The answer can be lost on its way. Let the same applicant (name, key and secret) have the
    /// same answer again, or it has used up its invitation for nothing. Dropped after
    /// [`APPLY_LIMIT`](crate::APPLY_LIMIT).
    async fn apply(&self, applicant: Applicant, application: Application) -> Welcome;
}
