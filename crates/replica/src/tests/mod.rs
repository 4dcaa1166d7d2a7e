//! Real replicas on real files, linked by calls within the process. Time is tokio's paused clock:
//! elections take virtual seconds, and a wait that never ends fails at once.

mod batches;
mod chaos;
mod cluster;
mod cosign;
mod crash;
mod membership;
pub(super) mod power;
mod reads;
mod recovery;
mod repair;
mod space;
mod tamper;

use super::*;
use ed25519_dalek::SigningKey;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use wire::{Act, Call, Digest, Frame, Level, NodeId, Record, Reply, Source};

/// Virtual time within which everything here must have happened.
const LIMIT: Duration = Duration::from_secs(60);

/// The network: who runs, which pairs cannot hear each other, and who is of an older release.
#[derive(Default)]
struct Switch {
    running: Mutex<BTreeMap<NodeId, Ledger>>,
    cut: Mutex<BTreeSet<(NodeId, NodeId)>>,
    older: Mutex<BTreeSet<NodeId>>,
}

impl Switch {
    fn peer(&self, from: &NodeId, to: &NodeId) -> Result<Ledger, NetError> {
        let cut = self.cut.lock().unwrap();
        let severed =
            cut.contains(&(from.clone(), to.clone())) || cut.contains(&(to.clone(), from.clone()));
        let peer = self.running.lock().unwrap().get(to).cloned();
        peer.filter(|_| !severed)
            .ok_or_else(|| NetError::NoLink(to.clone()))
    }

    fn speaks(&self, from: &NodeId, to: &NodeId, level: Level) -> bool {
        let older = self.older.lock().unwrap();
        level == Level::FIRST || !(older.contains(from) || older.contains(to))
    }
}

/// One node's socket on the switch.
struct Port {
    me: NodeId,
    switch: Arc<Switch>,
}

impl ConsensusNet for Port {
    fn call<'a>(&'a self, to: &'a NodeId, call: Call) -> BoxFuture<'a, Result<Reply, NetError>> {
        Box::pin(async move {
            let peer = self.switch.peer(&self.me, to)?;
            if !self.switch.speaks(&self.me, to, call.level()) {
                return Err(NetError::NotSpoken(to.clone()));
            }
            // As over a link: encoded, and the caller may go away meanwhile.
            let call: Call = wire::decode(&wire::encode(&call)).unwrap();
            let me = self.me.clone();
            let served = tokio::spawn(async move { peer.serve(&me, call).await });
            let answer = served.await.ok().flatten();
            // The way back may have been cut meanwhile.
            self.switch.peer(&self.me, to)?;
            answer.ok_or_else(|| NetError::NoAnswer(to.clone()))
        })
    }

    fn cast(&self, to: &NodeId, frame: Frame) {
        let Ok(peer) = self.switch.peer(&self.me, to) else {
            return;
        };
        if let Frame::Checkpoint { note } = frame
            && self.switch.speaks(&self.me, to, Level::MEMBERSHIP)
        {
            let me = self.me.clone();
            tokio::spawn(async move { peer.checkpoint(&me, note).await });
        }
    }

    fn peers(&self) -> Vec<NodeId> {
        let running: Vec<NodeId> = self
            .switch
            .running
            .lock()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        let linked = |node: &NodeId| *node != self.me && self.switch.peer(&self.me, node).is_ok();
        running.into_iter().filter(linked).collect()
    }
}

/// A cluster on temporary directories.
struct House {
    root: TempDir,
    names: Vec<NodeId>,
    switch: Arc<Switch>,
    timings: Timings,
    compaction: Compaction,
}

impl House {
    fn new(names: &str) -> Self {
        Self::at(TempDir::new().unwrap(), names)
    }

    fn at(root: TempDir, names: &str) -> Self {
        Self {
            root,
            names: names.split_whitespace().map(NodeId::from).collect(),
            switch: Arc::default(),
            timings: Timings::default(),
            compaction: Compaction::default(),
        }
    }

    fn dir(&self, node: &str) -> PathBuf {
        self.root.path().join(node)
    }

    fn key(&self, node: &NodeId) -> SigningKey {
        SigningKey::from_bytes(&Digest::of(node.as_str().as_bytes()).0)
    }

    fn config(&self, node: &str) -> LedgerConfig {
        let public = |node: &NodeId| (node.clone(), self.key(node).verifying_key().to_bytes());
        LedgerConfig {
            dir: self.dir(node),
            cluster: "demo".into(),
            me: node.into(),
            founders: self.names.iter().map(public).collect(),
            address: format!("{node}.house:7000"),
            level: Level::NEWEST,
            identity: self.key(&node.into()),
            timings: self.timings,
            compaction: self.compaction,
        }
    }

    async fn open(&self, config: LedgerConfig) -> Result<Ledger, OpenError> {
        let me = config.me.clone();
        let port = Port {
            me: me.clone(),
            switch: self.switch.clone(),
        };
        let ledger = Ledger::open(config, Arc::new(port)).await?;
        let running = &mut self.switch.running.lock().unwrap();
        running.insert(me, ledger.clone());
        Ok(ledger)
    }

    async fn try_start(&self, node: &str) -> Result<Ledger, OpenError> {
        self.open(self.config(node)).await
    }

    async fn start(&self, node: &str) -> Ledger {
        self.try_start(node).await.unwrap()
    }

    async fn start_all(&self) -> Vec<Ledger> {
        let mut ledgers = Vec::new();
        for node in &self.names {
            ledgers.push(self.start(node.as_str()).await);
        }
        ledgers
    }

    /// As `kill -9`: gone from the network, nothing written any more.
    async fn kill(&self, ledger: Ledger) -> String {
        let node = ledger.me().clone();
        self.switch.running.lock().unwrap().remove(&node);
        ledger.kill().await;
        node.as_str().to_owned()
    }

    async fn stop(&self, ledger: Ledger) -> String {
        let node = ledger.me().clone();
        ledger.shutdown().await.unwrap();
        self.switch.running.lock().unwrap().remove(&node);
        node.as_str().to_owned()
    }

    fn isolate(&self, node: &NodeId) {
        let others = self.names.iter().filter(|other| *other != node);
        self.switch
            .cut
            .lock()
            .unwrap()
            .extend(others.map(|other| (node.clone(), other.clone())));
    }

    fn heal(&self) {
        self.switch.cut.lock().unwrap().clear();
    }
}

fn raft(ledger: &Ledger) -> &types::Raft {
    &ledger.inner().core.get().unwrap().raft
}

/// An act that always takes effect, told apart by `n`.
fn act(node: &str, n: u64) -> Act {
    let digest = Digest::of(&n.to_be_bytes());
    Act::Ingested {
        node: node.into(),
        source: Source::Mail,
        first: n,
        last: n,
        count: 1,
        digest,
    }
}

async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {LIMIT:?}"))
}

async fn size_reaches(ledger: &Ledger, size: u64) {
    let mut view = ledger.watch();
    let reached = view.wait_for(|view| view.state.size >= size);
    within(&format!("{} leaves on {}", size, ledger.me()), reached)
        .await
        .unwrap();
}

async fn some_leader(ledger: &Ledger) -> NodeId {
    let mut leader = ledger.leader();
    let found = within(
        "a leader",
        leader.wait_for(|leadership| leadership.leader.is_some()),
    )
    .await;
    found.unwrap().leader.clone().unwrap()
}

/// The leader's handle and the others.
async fn leader_and_rest(ledgers: Vec<Ledger>) -> (Ledger, Vec<Ledger>) {
    let leader = some_leader(&ledgers[0]).await;
    let (mut lead, rest): (Vec<_>, Vec<_>) = ledgers
        .into_iter()
        .partition(|ledger| *ledger.me() == leader);
    (lead.remove(0), rest)
}

/// Raises the ledger's level, and waits until every member has said where it is.
async fn raise(ledgers: &[Ledger]) {
    let level = Level::MEMBERSHIP;
    ledgers[0]
        .propose(Act::LevelRaised { level })
        .await
        .unwrap();
    for ledger in ledgers {
        let mut view = ledger.watch();
        let introduced = |view: &View| {
            let mut members = view.state.members.values();
            view.state.level == level && members.all(|member| member.address.is_some())
        };
        within("introductions", view.wait_for(introduced))
            .await
            .unwrap();
    }
}

/// Waits until a majority stands for `size` leaves, on every node.
async fn cosigned(ledgers: &[Ledger], size: u64) {
    for ledger in ledgers {
        let mut news = ledger.inner().notary.news();
        let covers = |newest: &Option<notary::Cosigned>| {
            newest
                .as_ref()
                .is_some_and(|newest| newest.checkpoint.size >= size)
        };
        let what = format!("a checkpoint over {size} leaves on {}", ledger.me());
        within(&what, news.wait_for(covers)).await.unwrap();
    }
}

/// Waits until raft's voters are these nodes, with the replicas the ledger names.
async fn voters(ledgers: &[Ledger], nodes: &str) {
    let expected: BTreeSet<NodeId> = nodes.split_whitespace().map(NodeId::from).collect();
    for ledger in ledgers {
        let mut metrics = raft(ledger).server_metrics();
        let settled = |metrics: &openraft::metrics::RaftServerMetrics<u64, openraft::BasicNode>| {
            let membership = metrics.membership_config.membership();
            let voters = membership.voter_ids().collect::<BTreeSet<u64>>();
            let wanted = reconcile::wanted(&ledger.state());
            membership.get_joint_config().len() == 1
                && voters == wanted.keys().copied().collect()
                && wanted.values().cloned().collect::<BTreeSet<_>>() == expected
        };
        let what = format!("voters {nodes} on {}", ledger.me());
        within(&what, metrics.wait_for(settled)).await.unwrap();
    }
}

async fn phase_is(ledger: &Ledger, what: &str, expected: impl FnMut(&Phase) -> bool) -> Phase {
    let mut phase = ledger.phase();
    within(what, phase.wait_for(expected))
        .await
        .unwrap()
        .clone()
}

async fn ready(ledger: &Ledger) {
    phase_is(ledger, "ready", |phase| *phase == Phase::Ready).await;
}

/// All leaves of a replica.
async fn history(ledger: &Ledger) -> Vec<Committed> {
    let mut subscription = ledger.subscribe(0);
    let mut all = Vec::new();
    while let Some(committed) = subscription.ready().unwrap() {
        assert_eq!(committed.index, all.len() as u64, "gap-free and in order");
        all.push(committed);
    }
    all
}

/// All replicas have at least `size` leaves, the same ones, and the same root.
async fn converge(ledgers: &[Ledger], size: u64) {
    let most = ledgers
        .iter()
        .map(|ledger| ledger.size_and_root().0)
        .max()
        .unwrap()
        .max(size);
    for ledger in ledgers {
        size_reaches(ledger, most).await;
    }
    let first = history(&ledgers[0]).await;
    for ledger in ledgers {
        assert_eq!(
            ledger.size_and_root(),
            ledgers[0].size_and_root(),
            "{}",
            ledger.me()
        );
        assert_eq!(history(ledger).await, first, "{}", ledger.me());
        assert_eq!(ledger.state(), ledgers[0].state(), "{}", ledger.me());
    }
}

/// Waits for the checkpoint over all leaves.
async fn checkpointed(ledger: &Ledger, dir: &std::path::Path) {
    let size = ledger.size_and_root().0;
    let key = notes::read_vkey(dir).unwrap();
    let signed = async {
        loop {
            let signed = notes::read(dir, notes::SIGNED, std::slice::from_ref(&key)).unwrap();
            if signed.is_some_and(|file| file.checkpoint.size >= size) {
                return;
            }
            // The checkpoint is a file, so there is nothing to wait on but its clock.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    within("a checkpoint", signed).await;
}
