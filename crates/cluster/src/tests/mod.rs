//! Several nodes in one process, over TCP on loopback. Deaths of processes: `tests/processes.rs`.

pub(crate) mod book;
mod membership;

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_arrive_in_order_from_their_proven_sender_and_calls_are_answered() {
    let nodes = nodes(&["order-a", "order-b", "order-c"]).await;
    let count = 2_000;
    for from in &nodes {
        for to in &nodes {
            if from.cluster.me() == to.cluster.me() {
                continue;
            }
            let me = to.cluster.me().clone();
            for round in 0..count {
                // The window is a few hundred: wait for credit as a real sender would.
                until("room in the window", || {
                    from.cluster.cast(&me, frame(round)).is_ok()
                })
                .await;
            }
            let reply = from
                .cluster
                .call(&me, Call::GroupInfo, PATIENCE)
                .await
                .unwrap();
            assert_eq!(
                reply,
                Reply::GroupInfo(Some(from.cluster.me().as_str().as_bytes().to_vec()))
            );
        }
    }
    for to in &nodes {
        until("all frames", || {
            to.handler.frames.lock().unwrap().len() as u64 == 2 * count
        })
        .await;
        for from in nodes
            .iter()
            .filter(|from| from.cluster.me() != to.cluster.me())
        {
            let frames = to.handler.frames.lock().unwrap().clone();
            let rounds: Vec<u64> = frames
                .iter()
                .filter(|(sender, _)| sender == from.cluster.me())
                .map(|(_, round)| round.0)
                .collect();
            assert!(
                rounds.iter().copied().eq(0..count),
                "{} → {}",
                from.cluster.me(),
                to.cluster.me()
            );
        }
        assert_eq!(to.cluster.counters().frames_received, 2 * count);
    }
    // A large message crosses too, and one that is too large does not even start.
    let large = vec![7; 1 << 20];
    let me = nodes[1].cluster.me().clone();
    let reply = nodes[0]
        .cluster
        .call(&me, Call::Consensus(large.clone()), PATIENCE)
        .await
        .unwrap();
    assert!(reply == Reply::Consensus(large));
    let error = nodes[0]
        .cluster
        .call(&me, Call::Consensus(vec![7; 17 << 20]), PATIENCE)
        .await
        .unwrap_err();
    assert!(matches!(error, CallError::TooLarge { .. }), "{error}");
    for node in nodes {
        node.supervisor.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_receiver_is_shed_at_and_recovers_and_slow_calls_hold_nobody_up() {
    let nodes = nodes(&["stall-a", "stall-b"]).await;
    let (a, b) = (&nodes[0], &nodes[1]);
    let to = b.cluster.me().clone();
    let gate = Arc::new(Semaphore::new(0));
    *b.handler.gate.lock().unwrap() = Some(Arc::clone(&gate));
    let mut accepted = 0;
    let refused = loop {
        match a.cluster.cast(&to, frame(accepted)) {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(accepted, WINDOW_FRAMES as u64, "{refused}");
    assert!(
        matches!(
            refused,
            CastError::Congested {
                frames: WINDOW_FRAMES,
                ..
            }
        ),
        "{refused}"
    );
    for _ in 0..300_000 {
        assert!(
            a.cluster.cast(&to, frame(0)).is_err(),
            "more than the window went out"
        );
    }
    assert_eq!(a.cluster.links()[&to].frames_in_flight, WINDOW_FRAMES);

    // Beside the stalled frames, a call that never ends and one that is answered.
    let never = Call::Propose(Box::new(wire::Record {
        id: wire::ProposalId([0; 16]),
        proposer: "stall-a".into(),
        time: wire::UnixMillis(0),
        act: wire::Act::NodeUp {
            node: "stall-a".into(),
            incarnation: 1,
        },
    }));
    let limit = Duration::from_millis(300);
    let before = Instant::now();
    let (never, answered) = tokio::join!(
        a.cluster.call(&to, never, limit),
        a.cluster.call(&to, Call::GroupInfo, PATIENCE)
    );
    assert_eq!(
        never,
        Err(CallError::TimedOut {
            node: to.clone(),
            limit
        })
    );
    assert!(
        before.elapsed() < PATIENCE && answered.is_ok(),
        "{answered:?}"
    );

    gate.add_permits(10 * WINDOW_FRAMES);
    until("credit", || a.cluster.links()[&to].frames_in_flight == 0).await;
    a.cluster.cast(&to, frame(accepted)).unwrap();
    until("the last frame", || {
        b.handler.frames.lock().unwrap().len() as u64 == accepted + 1
    })
    .await;
    let stranger = NodeId::from("nobody");
    assert_eq!(
        a.cluster.cast(&stranger, frame(0)),
        Err(CastError::NotLinked {
            node: stranger.clone()
        })
    );
    let error = a
        .cluster
        .call(&stranger, Call::GroupInfo, PATIENCE)
        .await
        .unwrap_err();
    assert_eq!(error, CallError::NotLinked { node: stranger });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_impostors_and_noise_are_refused_and_counted() {
    let nodes = nodes(&["guard-a", "guard-b"]).await;
    let b = &nodes[1];
    let intruders = [
        Identity::new("house", "guard-x".into(), 1, &key("guard-x")),
        Identity::new("house", "guard-a".into(), 9, &key("guard-x")),
        Identity::new("barn", "guard-a".into(), 9, &key("guard-a")),
    ];
    let mut refused = 0;
    for intruder in intruders {
        let mut connection = TcpStream::connect(b.address).await.unwrap();
        let table = b.cluster.members().current();
        let side = Side {
            me: &intruder,
            table: &table,
            level: Level::NEWEST,
            admission: None,
        };
        // The initiator is through when it has shown itself; what counts is what comes then.
        let _ = dial(&mut connection, side, b.cluster.me()).await;
        let mut rest = Vec::new();
        let _ = connection.read_to_end(&mut rest).await; // reset or end: closed either way
        refused += 1;
        until("a refusal", || {
            b.cluster.counters().refused_handshakes == refused
        })
        .await;
    }
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 4096], &[0xff; 64]] {
        let mut connection = TcpStream::connect(b.address).await.unwrap();
        connection.write_all(garbage).await.unwrap();
        connection.shutdown().await.unwrap();
        refused += 1;
        until("a refusal", || {
            b.cluster.counters().refused_handshakes == refused
        })
        .await;
    }
    assert_eq!(b.cluster.links().len(), 1, "the real peer is not disturbed");
    assert_eq!(b.cluster.links()[nodes[0].cluster.me()].incarnation, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_members_message_without_the_right_capability_is_refused() {
    let nodes = nodes(&["cap-a", "cap-b", "cap-c"]).await;
    let [a, b, c] = &nodes[..] else {
        unreachable!("three nodes were asked for")
    };
    // What C holds for its own link to B is worth nothing on A's, and guesses neither.
    let link = a.cluster.0.link(b.cluster.me()).unwrap();
    let gateway = link.gateway.borrow().clone().unwrap();
    let others = [
        Capability([0; 16]),
        link.capability_in,
        c.cluster.0.link(a.cluster.me()).unwrap().capability_out,
    ];
    for (refused, capability) in others.into_iter().enumerate() {
        let forged = Cast::Frame {
            capability,
            number: 1,
            frame: Box::new(frame(66)),
        };
        gateway
            .cast(GatewayMessage::Cast(wire::encode(&forged)))
            .unwrap();
        until("refusal", || {
            b.cluster.counters().gateway_refused == refused as u64 + 1
        })
        .await;
    }
    gateway.cast(GatewayMessage::Cast(vec![1, 2, 3])).unwrap();
    until("refusal", || b.cluster.counters().gateway_refused == 4).await;
    let forged = wire::encode(&wire::Request {
        capability: Capability([0; 16]),
        call: Call::GroupInfo,
    });
    let answer = gateway
        .call(|port| GatewayMessage::Call(forged, port), Some(PATIENCE))
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(wire::decode(&answer), Ok(Reply::Refused(_))));
    assert!(
        b.handler.frames.lock().unwrap().is_empty(),
        "a forged frame was delivered"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_move_to_the_epochs_that_both_ends_hold_and_come_back_after_a_cut() {
    let nodes = nodes(&["epoch-a", "epoch-b"]).await;
    let [a, b] = &nodes[..] else {
        unreachable!("two nodes were asked for")
    };
    let status = |from: &Node, to: &Node| from.cluster.links().get(to.cluster.me()).cloned();
    let settled = |epoch: u64| {
        [(a, b), (b, a)].iter().all(|(from, to)| {
            status(from, to).is_some_and(|link| {
                (link.sending_epoch, link.receiving_epoch) == (KeyEpoch(epoch), KeyEpoch(epoch))
            })
        })
    };
    assert!(settled(0));
    a.epochs.insert(KeyEpoch(1), [1; 32]);
    b.epochs.insert(KeyEpoch(1), [1; 32]);
    until("epoch 1", || settled(1)).await;
    b.epochs.insert(KeyEpoch(2), [2; 32]);
    b.epochs.insert(KeyEpoch(3), [3; 32]);
    a.epochs.insert(KeyEpoch(3), [3; 32]);
    until("epoch 3", || settled(3)).await;
    a.cluster
        .call(b.cluster.me(), Call::GroupInfo, PATIENCE)
        .await
        .unwrap();

    let mut events = b.cluster.events();
    a.cluster.disconnect(b.cluster.me(), "a test cuts it");
    let down = tokio::time::timeout(PATIENCE, events.recv())
        .await
        .unwrap()
        .unwrap();
    assert!(
        matches!(&down, LinkEvent::Down { node, .. } if node == a.cluster.me()),
        "{down:?}"
    );
    let up = tokio::time::timeout(PATIENCE, events.recv())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        up,
        LinkEvent::Up {
            node: a.cluster.me().clone(),
            incarnation: 1
        }
    );
    until("epoch 3 on the new link", || settled(3)).await;
    a.cluster
        .call(b.cluster.me(), Call::GroupInfo, PATIENCE)
        .await
        .unwrap();
}

/// Whether somebody with the right cookie gets in through the session server's own TCP port.
async fn side_door_admits(name: &str, mode: ractor_cluster::IncomingEncryptionMode) -> bool {
    use ractor_cluster::NodeServerMessage::GetSessions;
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let raw = || ractor_cluster::IncomingEncryptionMode::Raw;
    let inside = session::node_server(port, "house", name.to_owned(), &"inside".into(), mode);
    let outside = session::node_server(
        0,
        "house",
        format!("{name}-thief"),
        &"outside".into(),
        raw(),
    );
    let (inside, _) = Actor::spawn(None, inside, ()).await.unwrap();
    let (outside, _) = Actor::spawn(None, outside, ()).await.unwrap();
    ractor_cluster::client_connect(&outside, format!("127.0.0.1:{port}"))
        .await
        .unwrap();
    let start = Instant::now();
    let mut admitted = false;
    while !admitted && start.elapsed() < Duration::from_secs(2) {
        let sessions = ractor::call_t!(inside, GetSessions, 1000).unwrap();
        admitted = !sessions.is_empty();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    inside.stop(None);
    outside.stop(None);
    admitted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_cookie_does_not_open_the_side_door() {
    // First that the attempt is a real one: without the acceptor it succeeds.
    assert!(side_door_admits("open", ractor_cluster::IncomingEncryptionMode::Raw).await);
    assert!(!side_door_admits("closed", side_door::closed().unwrap()).await);
}

#[test]
fn a_key_that_the_table_contradicts_is_refused_at_once() {
    let mut table = MemberTable::founding([book::entry("me", "127.0.0.1:1")]);
    table
        .members
        .values_mut()
        .for_each(|me| me.identity = [7; 32]);
    let config = config("me", table);
    let error = Links::new(config, EpochTable::default(), Arc::new(Handler::default()))
        .err()
        .unwrap();
    assert!(error.to_string().starts_with(
        "the members' table has another identity key for this node, me, than the one it holds"
    ));
}
