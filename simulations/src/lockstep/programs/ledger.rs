//! Links and the replicated ledger, under the load of acts that must not get lost. Not a node: what
//! a node has of both, and nothing else.

use super::Failure;
use super::follow::{act_digest, follow};
use crate::lockstep::guest::net::SimTransport;
use crate::lockstep::guest::{clock, see, wish};
use crate::lockstep::protocol::{Boot, Seen, Wish};
use async_trait::async_trait;
use cluster::noise::EpochTable;
use cluster::{Applicant, Cluster, ClusterConfig, Detection, GatewayHandler, MemberTable, Members};
use ed25519_dalek::SigningKey;
use peers::Peers;
use replica::{Compaction, Ledger, LedgerConfig, Timings};
use runtime::entropy;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use wire::{
    Act, Application, Call, Digest, Frame, Level, MemberEntry, NodeId, Reply, Source, Welcome,
};

/// The door of links.
pub(super) const DOOR: &str = "cluster";
const CLUSTER: &str = "simulated";

/// Longest pause between two acts of one node: some commits in every second, and now and then two
/// nodes at the same moment.
const LONGEST_PAUSE_MS: u64 = 800;

/// Raft's log is shortened every so many entries, so that within minutes somebody who was away is
/// fed from a snapshot.
const COMPACTION: Compaction = Compaction {
    every: 60,
    keep: 40,
};

/// A node's identity key: from its name, worth nothing outside a simulation.
pub(super) fn identity(node: &str) -> SigningKey {
    SigningKey::from_bytes(&Digest::of(node.as_bytes()).0)
}

fn entry(node: &str) -> MemberEntry {
    MemberEntry {
        node: NodeId::new(node),
        identity: identity(node).verifying_key().to_bytes(),
        address: format!("{node}:{DOOR}"),
    }
}

pub(super) async fn run(boot: Boot) -> Result<(), Failure> {
    let me = NodeId::new(boot.name.clone());
    let members: Vec<_> = boot.nodes.iter().map(|node| entry(node)).collect();
    let handler = Arc::new(Handler::default());
    let config = ClusterConfig {
        cluster: CLUSTER.to_owned(),
        me: me.clone(),
        incarnation: u64::from(boot.life) + 1,
        identity: identity(&boot.name),
        members: Members::new(MemberTable::founding(members.iter().cloned())),
        level: Level::NEWEST,
        admission: None,
        detection: Detection::default(),
    };
    let (escalated, mut escalation) = tokio::sync::mpsc::channel(1);
    let (cluster, supervisor) = Cluster::start(
        config,
        SimTransport::open(DOOR)?,
        EpochTable::default(),
        handler.clone(),
        move |why| drop(escalated.try_send(why)),
    )
    .await?;
    let founders = members
        .iter()
        .map(|entry| (entry.node.clone(), entry.identity));
    let config = LedgerConfig {
        dir: boot.dir.join("ledger"),
        cluster: CLUSTER.to_owned(),
        me,
        founders: founders.collect(),
        address: format!("{}:{DOOR}", boot.name),
        level: Level::NEWEST,
        identity: identity(&boot.name),
        timings: Timings::default(),
        compaction: COMPACTION,
    };
    let ledger = Ledger::open(config, Arc::new(Peers::new(cluster))).await?;
    // Set once, here; until then peers are refused.
    let _ = handler.0.set(ledger.clone());
    follow(&ledger);
    if boot.index == 0 {
        tokio::spawn(raise_level(ledger.clone()));
    }
    let load = tokio::spawn(load(ledger.clone()));
    tokio::spawn(async move {
        while wish().await != Wish::Rest {}
        load.abort();
    });
    let why = tokio::select! {
        why = ledger.stopped() => why,
        Some(why) = escalation.recv() => why,
    };
    drop(supervisor);
    Err(why.into())
}

/// As a node's steward does: from then on proposals share entries.
async fn raise_level(ledger: Ledger) {
    while ledger.state().level < Level::NEWEST {
        let level = Level(ledger.state().level.0 + 1);
        // Without a majority it is tried again.
        let _ = ledger.propose(Act::LevelRaised { level }).await;
    }
}

/// One act after the other, for ever; each acknowledged one is told. Each accounts for one mail more,
/// which is what counts twice if an act takes effect twice: most others of a repeated act are refused.
async fn load(ledger: Ledger) {
    let me = ledger.me().as_str().to_owned();
    loop {
        let pause = 1 + entropy::below(LONGEST_PAUSE_MS);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        // Told apart from every other one, over all lives of this node.
        let number = clock::now();
        let act = Act::Ingested {
            node: ledger.me().clone(),
            source: Source::Mail,
            first: number,
            last: number,
            count: 1,
            digest: Digest::of(&number.to_le_bytes()),
        };
        let digest = act_digest(&act);
        let mail = |acknowledged| Seen::Mail {
            to: me.clone(),
            number,
            acknowledged,
        };
        see(mail(false));
        if let Ok(index) = ledger.propose(act).await {
            see(Seen::Acknowledged { index, act: digest });
            see(mail(true));
        }
    }
}

/// What peers ask.
#[derive(Default)]
struct Handler(OnceLock<Ledger>);

#[async_trait]
impl GatewayHandler for Handler {
    async fn frame(&self, from: NodeId, frame: Frame) {
        if let (Some(ledger), Frame::Checkpoint { note }) = (self.0.get().cloned(), frame) {
            // Beside the frames behind it: it may wait for the disk.
            tokio::spawn(async move { ledger.checkpoint(&from, note).await });
        }
    }

    async fn call(&self, from: NodeId, call: Call) -> Reply {
        let Some(ledger) = self.0.get() else {
            return Reply::Refused("the ledger is not open yet".to_owned());
        };
        let reply = ledger.serve(&from, call).await;
        reply.unwrap_or_else(|| Reply::Refused("a replica alone has only a ledger".to_owned()))
    }

    async fn apply(&self, _: Applicant, _: Application) -> Welcome {
        Welcome::Refused("replicas alone admit nobody".to_owned())
    }
}
