//! One node of a cluster with nothing but links, led by lines on stdin; for trying things by hand
//! and for `tests/cluster.rs`.
//!
//! `cluster_node NAME INCARNATION PEER=HOST:PORT…` (its own address is among them; identity keys
//! are made from the names and therefore worth nothing). Commands: `cast PEER ROUND`,
//! `call PEER`, `epoch N`, `links`, `quit`. What happens is told on stdout, a line each.

use async_trait::async_trait;
use cluster::noise::EpochTable;
use cluster::{
    Applicant, Cluster, ClusterConfig, Detection, GatewayHandler, LinkEvent, MemberTable, Members,
    TcpTransport,
};
use ed25519_dalek::SigningKey;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use wire::{
    Application, Call, Digest, Frame, KeyEpoch, Level, MemberEntry, NodeId, Reply, Round, Welcome,
};

struct Handler;

#[async_trait]
impl GatewayHandler for Handler {
    async fn frame(&self, from: NodeId, frame: Frame) {
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
    let (cluster, supervisor) = Cluster::start(
        config,
        transport,
        epochs.clone(),
        Arc::new(Handler),
        escalated,
    )
    .await?;

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
            match cluster.cast(&peer.into(), frame) {
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
        ["links"] => format!("links {:?}", cluster.links()),
        _ => format!("error unknown command {line:?}"),
    }
}
