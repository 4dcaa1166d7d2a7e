//! One node of a cluster with nothing but links, led by lines on stdin; for trying things by hand
//! for `tests/processes.rs` and for the example `false_positives`.
//!
//! `cluster_node NAME INCARNATION PEER=HOST:PORT…` (its own address is among them; identity keys
//! are made from the names and therefore worth nothing). Commands: `cast PEER ROUND`,
//! `call PEER`, `epoch N`, `links`, `stall` and `go` (whether frames are handled), `flood PEER
//! COUNT` and `calls PEER COUNT` (of 1 KiB), `evict PEER`, `watch SECONDS` (what the failure
//! detector thinks meanwhile), `quit`. What happens is told on stdout, a line each.

use async_trait::async_trait;
use cluster::noise::EpochTable;
use cluster::{
    Applicant, CallError, CastError, Cluster, ClusterConfig, Detection, Former, GatewayHandler,
    LinkEvent, MemberTable, Members, TcpTransport,
};
use ed25519_dalek::SigningKey;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use wire::{
    Application, Call, Digest, Frame, KeyEpoch, Level, MemberEntry, NodeId, Reply, Round, Welcome,
};

/// Casts between two pauses in a flood, and the pause: 300,000 casts take three seconds, longer
/// than a link to a stopped process lives.
const FLOOD_BURST: u64 = 1_000;
const FLOOD_PAUSE: Duration = Duration::from_millis(10);

/// How often `watch` looks.
const LOOK: Duration = Duration::from_millis(10);

struct Handler {
    /// Frames wait while it is set.
    stalled: watch::Sender<bool>,
}

#[async_trait]
impl GatewayHandler for Handler {
    async fn frame(&self, from: NodeId, frame: Frame) {
        let mut stalled = self.stalled.subscribe();
        let _ = stalled.wait_for(|stalled| !stalled).await; // the sender is ours
        if let Frame::Decline { round, .. } = frame {
            println!("frame {from} {round}");
        }
    }

    async fn call(&self, from: NodeId, _: Call) -> Reply {
        Reply::Refused(format!("{from} called"))
    }

    async fn apply(&self, _: Applicant, _: Application) -> Welcome {
        Welcome::Refused("there is no ledger here to admit anybody".to_owned())
    }
}

fn identity(name: &NodeId) -> SigningKey {
    SigningKey::from_bytes(&Digest::of(name.as_str().as_bytes()).0)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: cluster_node NAME INCARNATION PEER=HOST:PORT…";
    let mut arguments = std::env::args().skip(1);
    let me = NodeId::new(arguments.next().ok_or(usage)?);
    let incarnation = arguments.next().ok_or(usage)?.parse()?;
    let mut addresses = BTreeMap::new();
    for argument in arguments {
        let (peer, address) = argument.split_once('=').ok_or(usage)?;
        addresses.insert(NodeId::from(peer), address.to_owned());
    }
    let listen = addresses.get(&me).ok_or(usage)?.parse()?;
    let members = addresses.iter().map(|(name, address)| MemberEntry {
        node: name.clone(),
        identity: identity(name).verifying_key().to_bytes(),
        address: address.clone(),
    });
    let members = Members::new(MemberTable::founding(members));
    let config = ClusterConfig {
        cluster: "example".to_owned(),
        identity: identity(&me),
        me,
        incarnation,
        members,
        level: Level::NEWEST,
        admission: None,
        detection: Detection::default(),
    };
    let transport = TcpTransport::bind(listen).await?;
    let epochs = EpochTable::default();
    let escalated = |why| {
        eprintln!("{why}");
        std::process::exit(1);
    };
    let stalled = watch::Sender::new(false);
    let handler = Arc::new(Handler {
        stalled: stalled.clone(),
    });
    let (cluster, supervisor) =
        Cluster::start(config, transport, epochs.clone(), handler, escalated).await?;

    let mut events = cluster.events();
    for (node, link) in cluster.links() {
        println!("up {node} {}", link.incarnation);
    }
    println!("ready");
    let (hand_on, mut lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        std::io::stdin()
            .lines()
            .map_while(Result::ok)
            .try_for_each(|line| hand_on.blocking_send(line))
    });
    loop {
        tokio::select! {
            event = events.recv() => match event? {
                LinkEvent::Up { node, incarnation } => println!("up {node} {incarnation}"),
                LinkEvent::Dismissed { node, reason } => println!("dismissed {node} {reason}"),
                LinkEvent::Down { node, reason } => println!("down {node} {reason}"),
            },
            line = lines.recv() => match line {
                Some(line) if line == "stall" || line == "go" => {
                    stalled.send_replace(line == "stall");
                    println!("{line}");
                }
                Some(line) if line != "quit" => println!("{}", obey(&cluster, &epochs, &line).await),
                Some(_) | None => break,
            },
        }
    }
    supervisor.stop().await;
    println!("stopped");
    Ok(())
}

async fn obey(cluster: &Cluster, epochs: &EpochTable, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["cast", peer, round] => {
            let round = Round(round.parse().unwrap_or_default());
            let frame = Frame::Decline {
                round,
                node: cluster.me().clone(),
                reason: String::new(),
            };
            // A window that was full a moment ago has room when its credits have come.
            let limit = Duration::from_secs(10);
            match cluster.cast_waiting(&peer.into(), frame, limit).await {
                Ok(()) => format!("cast {peer} {round}"),
                Err(error) => format!("error {error}"),
            }
        }
        ["call", peer] => {
            match cluster
                .call(&peer.into(), Call::GroupInfo, Duration::from_secs(2))
                .await
            {
                Ok(reply) => format!("reply {reply:?}"),
                Err(error) => format!("error {error}"),
            }
        }
        ["epoch", number] => {
            let epoch = number.parse().unwrap_or_default();
            epochs.insert(KeyEpoch(epoch), Digest::of(&epoch.to_be_bytes()).0);
            format!("epoch {epoch}")
        }
        ["flood", peer, count] => flood(cluster, &peer.into(), count.parse().unwrap_or(0)).await,
        ["calls", peer, count] => calls(cluster, &peer.into(), count.parse().unwrap_or(0)).await,
        ["evict", peer] => {
            let mut table = MemberTable::clone(&cluster.members().current());
            let Some(member) = table.members.remove(&NodeId::from(peer)) else {
                return format!("error {peer} is no member");
            };
            let former = Former {
                identity: member.identity,
                why: format!("node {peer} was evicted by {}", cluster.me()),
            };
            table.removed.insert(peer.into(), former);
            cluster.members().set(table);
            format!("evicted {peer}")
        }
        ["watch", seconds] => {
            let span = Duration::from_secs(seconds.parse().unwrap_or(0));
            watch_peers(cluster, span).await
        }
        ["links"] => format!("links {:?}", cluster.links()),
        _ => format!("error unknown command {line:?}"),
    }
}

async fn flood(cluster: &Cluster, to: &NodeId, count: u64) -> String {
    let (mut sent, mut shed, mut unlinked) = (0, 0, 0);
    for round in 0..count {
        let frame = Frame::Decline {
            round: Round(round),
            node: cluster.me().clone(),
            reason: "x".repeat(1024),
        };
        match cluster.cast(to, frame) {
            Ok(()) => sent += 1,
            Err(CastError::Congested { .. }) => shed += 1,
            Err(CastError::NotLinked { .. }) => unlinked += 1,
            Err(error @ (CastError::NotSpoken { .. } | CastError::TooLarge { .. })) => {
                return format!("error {error}");
            }
        }
        if round % FLOOD_BURST == 0 {
            tokio::time::sleep(FLOOD_PAUSE).await;
        }
    }
    format!("flooded sent {sent} shed {shed} unlinked {unlinked}")
}

async fn calls(cluster: &Cluster, to: &NodeId, count: u64) -> String {
    let mut calls = JoinSet::new();
    let (mut answered, mut shed, mut failed) = (0, 0, 0);
    for round in 0..count {
        let (cluster, to) = (cluster.clone(), to.clone());
        calls.spawn(async move {
            let call = Call::Consensus(vec![7; 1024]);
            cluster.call(&to, call, Duration::from_secs(3)).await
        });
        if round % FLOOD_BURST == 0 {
            tokio::time::sleep(FLOOD_PAUSE).await;
        }
        // Those that are over, so that this program does not collect them.
        while let Some(Ok(outcome)) = calls.try_join_next() {
            tally(&outcome, &mut answered, &mut shed, &mut failed);
        }
    }
    while let Some(Ok(outcome)) = calls.join_next().await {
        tally(&outcome, &mut answered, &mut shed, &mut failed);
    }
    format!("called answered {answered} shed {shed} failed {failed}")
}

fn tally(outcome: &Result<Reply, CallError>, answered: &mut u64, shed: &mut u64, failed: &mut u64) {
    match outcome {
        Ok(_) => *answered += 1,
        Err(CallError::Congested { .. }) => *shed += 1,
        Err(
            CallError::NotLinked { .. }
            | CallError::Lost { .. }
            | CallError::TimedOut { .. }
            | CallError::NotSpoken { .. }
            | CallError::TooLarge { .. }
            | CallError::Malformed(_),
        ) => *failed += 1,
    }
}

/// Looks at all members for a while. Every one of them lives, so every suspicion is false.
async fn watch_peers(cluster: &Cluster, span: Duration) -> String {
    let peers: Vec<NodeId> = cluster.links().into_keys().collect();
    let before = cluster.counters().heartbeats;
    let mut events = cluster.events();
    let (mut phi, mut silent, mut suspicions, mut downs) = (0_f64, Duration::ZERO, 0, 0);
    let mut suspected: BTreeMap<NodeId, bool> = BTreeMap::new();
    let until = tokio::time::Instant::now() + span;
    while tokio::time::Instant::now() < until {
        tokio::time::sleep(LOOK).await;
        for peer in &peers {
            let Some(seen) = cluster.suspicion(peer) else {
                continue;
            };
            phi = phi.max(seen.phi);
            silent = silent.max(seen.silent);
            let former = suspected.insert(peer.clone(), seen.suspected);
            suspicions += u64::from(seen.suspected && former != Some(true));
        }
        while let Ok(event) = events.try_recv() {
            downs += u64::from(matches!(event, LinkEvent::Down { .. }));
        }
    }
    let heartbeats = cluster.counters().heartbeats - before;
    let silent = silent.as_millis();
    format!(
        "watched peers {} heartbeats {heartbeats} max_gap_ms {silent} max_phi {phi:.2} \
         false_positives {suspicions} links_lost {downs}",
        peers.len()
    )
}
