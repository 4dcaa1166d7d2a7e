//! Several nodes in one process, over TCP on loopback. Deaths of processes: `tests/processes.rs`.

pub(crate) mod book;
mod epochs;
mod guards;
mod membership;
mod traffic;

use super::gateway::GatewayMessage;
use super::*;
use crate::noise::{Identity, Side, dial};
use async_trait::async_trait;
use ed25519_dalek::SigningKey;
use ractor::Actor;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use wire::{Application, Capability, Cast, KeyEpoch, Level, Round, Welcome};

/// Far more than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Notes frames; answers `GroupInfo` with the caller's name, `Propose` never.
#[derive(Default)]
pub(crate) struct Handler {
    frames: Mutex<Vec<(NodeId, Round)>>,
    /// While set, each frame takes a permit.
    gate: Mutex<Option<Arc<Semaphore>>>,
    /// Who applied, with what.
    pub(crate) applied: Mutex<Vec<(Applicant, Application)>>,
    /// What who applies with this secret is told; others are refused.
    pub(crate) welcome: Mutex<Option<([u8; 16], Welcome)>>,
}

#[async_trait]
impl GatewayHandler for Handler {
    async fn frame(&self, from: NodeId, frame: Frame) {
        let gate = self.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.acquire().await.unwrap().forget();
        }
        let Frame::Decline { round, .. } = frame else {
            return;
        };
        self.frames.lock().unwrap().push((from, round));
    }

    async fn call(&self, from: NodeId, call: Call) -> Reply {
        match call {
            Call::GroupInfo => Reply::GroupInfo(Some(from.as_str().as_bytes().to_vec())),
            Call::Consensus(bytes) => Reply::Consensus(bytes),
            Call::Model(_) => Reply::Model(None),
            Call::Propose(_) => std::future::pending().await,
            Call::Cosign { .. } | Call::ReadIndex | Call::Holdings | Call::Opinion(_) => {
                Reply::Refused("not in this test".to_owned())
            }
        }
    }

    async fn apply(&self, applicant: Applicant, application: Application) -> Welcome {
        let secret = application.secret;
        self.applied.lock().unwrap().push((applicant, application));
        match &*self.welcome.lock().unwrap() {
            Some((expected, welcome)) if *expected == secret => welcome.clone(),
            Some(_) | None => {
                Welcome::Refused("the invitation is unknown, used or expired".to_owned())
            }
        }
    }
}

pub(crate) struct Node {
    pub(crate) cluster: Cluster,
    supervisor: Supervisor,
    pub(crate) handler: Arc<Handler>,
    epochs: EpochTable,
    pub(crate) address: SocketAddr,
}

pub(crate) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// The table with these nodes at these listeners.
fn table_of(names: &[&str], listeners: &[TcpListener]) -> MemberTable {
    let entry = |(name, listener): (&&str, &TcpListener)| {
        book::entry(name, &listener.local_addr().unwrap().to_string())
    };
    MemberTable::founding(names.iter().zip(listeners).map(entry))
}

/// A configuration as most tests need it.
pub(crate) fn config(name: &str, table: MemberTable) -> ClusterConfig {
    ClusterConfig {
        cluster: "house".to_owned(),
        me: NodeId::from(name),
        incarnation: 1,
        identity: key(name),
        members: Members::new(table),
        level: Level::NEWEST,
        admission: None,
        detection: Detection::default(),
    }
}

pub(crate) async fn start<T: Transport>(
    config: ClusterConfig,
    transport: T,
    address: SocketAddr,
) -> Node {
    let (handler, epochs) = (Arc::new(Handler::default()), EpochTable::default());
    let served: Arc<dyn GatewayHandler> = handler.clone();
    let (cluster, supervisor) = Cluster::start(config, transport, epochs.clone(), served, |why| {
        panic!("{why}")
    })
    .await
    .unwrap();
    Node {
        cluster,
        supervisor,
        handler,
        epochs,
        address,
    }
}

/// [`start`] over TCP.
pub(crate) async fn start_at(config: ClusterConfig, listener: TcpListener) -> Node {
    let address = listener.local_addr().unwrap();
    start(config, TcpTransport::new(listener), address).await
}

pub(crate) fn key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&wire::Digest::of(name.as_bytes()).0)
}

/// Nodes of one cluster. Names must be unique in this process: its actor registry is shared.
async fn nodes(names: &[&str]) -> Vec<Node> {
    let mut listeners = Vec::new();
    for _ in names {
        listeners.push(listener().await);
    }
    let table = table_of(names, &listeners);
    let mut nodes = Vec::new();
    for (name, listener) in names.iter().zip(listeners) {
        nodes.push(start_at(config(name, table.clone()), listener).await);
    }
    for node in &nodes {
        until("all linked", || {
            node.cluster.links().len() == names.len() - 1
        })
        .await;
    }
    nodes
}

pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn frame(round: u64) -> Frame {
    Frame::Decline {
        round: Round(round),
        node: "anybody".into(),
        reason: "x".repeat(900),
    }
}
