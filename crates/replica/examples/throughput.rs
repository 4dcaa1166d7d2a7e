//! Acts a second and their latency with three and five replicas in one process, on real files with
//! fsync: `cargo run --release -p replica --example throughput [DIR]`.
#![allow(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on should panic"
)]

use ed25519_dalek::SigningKey;
use futures::future::{BoxFuture, join_all};
use replica::{Compaction, ConsensusNet, Ledger, LedgerConfig, NetError, Timings};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use wire::{Act, Call, Digest, Frame, Level, NodeId, Reply, Source};

/// How long each number of proposers is measured.
const SPAN: Duration = Duration::from_secs(4);

#[derive(Clone, Default)]
struct Switch(Arc<Mutex<BTreeMap<NodeId, Ledger>>>);

struct Port {
    me: NodeId,
    switch: Switch,
}

impl Port {
    fn peer(&self, node: &NodeId) -> Option<Ledger> {
        self.switch.0.lock().unwrap().get(node).cloned()
    }
}

impl ConsensusNet for Port {
    fn call<'a>(&'a self, to: &'a NodeId, call: Call) -> BoxFuture<'a, Result<Reply, NetError>> {
        Box::pin(async move {
            let no_link = || NetError::NoLink(to.clone());
            let peer = self.peer(to).ok_or_else(no_link)?;
            // Encoded and decoded once, as over a link.
            let call = wire::decode(&wire::encode(&call)).unwrap();
            peer.serve(&self.me, call).await.ok_or_else(no_link)
        })
    }

    fn cast(&self, to: &NodeId, frame: Frame) {
        if let (Some(peer), Frame::Checkpoint { note }) = (self.peer(to), frame) {
            let me = self.me.clone();
            tokio::spawn(async move { peer.checkpoint(&me, note).await });
        }
    }

    fn peers(&self) -> Vec<NodeId> {
        let all = self.switch.0.lock().unwrap();
        all.keys()
            .filter(|node| **node != self.me)
            .cloned()
            .collect()
    }
}

fn act(n: u64) -> Act {
    Act::Ingested {
        node: "n0".into(),
        source: Source::Mail,
        first: n,
        last: n,
        count: 1,
        digest: Digest::of(&n.to_be_bytes()),
    }
}

async fn start(dir: &Path, nodes: usize) -> Vec<Ledger> {
    let names: Vec<NodeId> = (0..nodes).map(|n| NodeId::new(format!("n{n}"))).collect();
    let key = |node: &NodeId| SigningKey::from_bytes(&Digest::of(node.as_str().as_bytes()).0);
    let founders: Vec<_> = names
        .iter()
        .map(|node| (node.clone(), key(node).verifying_key().to_bytes()))
        .collect();
    let switch = Switch::default();
    let mut ledgers = Vec::new();
    for me in &names {
        let config = LedgerConfig {
            dir: dir.join(format!("{nodes}-{me}")),
            cluster: "throughput".into(),
            me: me.clone(),
            founders: founders.clone(),
            address: format!("{me}:1"),
            level: Level::NEWEST,
            identity: key(me),
            timings: Timings::default(),
            compaction: Compaction::default(),
        };
        let port = Port {
            me: me.clone(),
            switch: switch.clone(),
        };
        let ledger = Ledger::open(config, Arc::new(port)).await.unwrap();
        switch.0.lock().unwrap().insert(me.clone(), ledger.clone());
        ledgers.push(ledger);
    }
    let level = Level::MEMBERSHIP;
    ledgers[0]
        .propose(Act::LevelRaised { level })
        .await
        .unwrap();
    let mut view = ledgers[0].watch();
    let introduced = |view: &replica::View| {
        let mut members = view.state.members.values();
        members.all(|member| member.address.is_some())
    };
    view.wait_for(introduced).await.unwrap();
    ledgers
}

async fn measure(
    ledgers: &[Ledger],
    proposers: usize,
    from_leader: bool,
) -> (f64, Duration, Duration) {
    let at = ledgers.iter().position(Ledger::leads).unwrap_or(0);
    let end = Instant::now() + SPAN;
    let work = (0..proposers).map(|proposer| {
        let ledger = ledgers[if from_leader {
            at
        } else {
            proposer % ledgers.len()
        }]
        .clone();
        tokio::spawn(async move {
            let mut took = Vec::new();
            let mut n = 0;
            while Instant::now() < end {
                let start = Instant::now();
                n += 1;
                ledger
                    .propose(act((proposer as u64) << 32 | n))
                    .await
                    .unwrap();
                took.push(start.elapsed());
            }
            took
        })
    });
    let start = Instant::now();
    let mut took: Vec<Duration> = join_all(work)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    let rate = took.len() as f64 / start.elapsed().as_secs_f64();
    took.sort();
    (rate, took[took.len() / 2], took[took.len() * 99 / 100])
}

fn main() {
    let dir = std::env::args()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("glasshouse-throughput-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        println!("replicas  proposers  where        acts/s   p50 ms   p99 ms");
        for nodes in [3, 5] {
            let ledgers = start(&dir, nodes).await;
            for (proposers, from_leader) in [(1, true), (16, true), (256, true), (256, false)] {
                let (rate, p50, p99) = measure(&ledgers, proposers, from_leader).await;
                let place = if from_leader { "leader" } else { "everywhere" };
                println!(
                    "{nodes:8}  {proposers:9}  {place:10}  {rate:7.0}  {:7.2}  {:7.2}",
                    p50.as_secs_f64() * 1e3,
                    p99.as_secs_f64() * 1e3
                );
            }
            for ledger in ledgers {
                ledger.shutdown().await.unwrap();
            }
        }
    });
    let _ = std::fs::remove_dir_all(dir);
}
