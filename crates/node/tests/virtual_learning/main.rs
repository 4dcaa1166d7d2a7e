//! Whole nodes on one thread in virtual time, as in `virtual_time`, whose rounds run algorithms that not every
//! house has: what they carry from round to round, through restarts and damage.
//!
//! One test, for the process has one time line.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "nobody here reads what the broker has")]
#[path = "../virtual_time/kafka.rs"]
mod kafka;
#[path = "../virtual_time/world.rs"]
mod world;

use ed25519_dalek::SigningKey;
use federation::scaffold;
use learn::Shape;
use ledger::{Applied, RoundOutcome};
use node::models::store;
use node::probe::Probe;
use node::surroundings::Surroundings;
use runtime::service::ServiceError;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use wire::{Act, KeyEpoch, NodeId, Round};
use world::World;

const NAMES: [&str; 3] = ["a", "b", "c"];
/// Virtual time that a step may take.
const LIMIT: Duration = Duration::from_secs(180);
/// How often conditions are looked at, in virtual time.
const LOOK: Duration = Duration::from_millis(20);
/// Until rooms are held again by who is up.
const SETTLE: Duration = Duration::from_secs(10);
/// Mails of each device: enough to warm it up and to have something to train on.
const MAILS: usize = 60;

struct Node {
    probe: Probe,
    stop: oneshot::Sender<()>,
    run: JoinHandle<Result<(), ServiceError>>,
}

fn seed(index: usize) -> [u8; 32] {
    [u8::try_from(index).unwrap() + 1; 32]
}

fn link(index: usize) -> String {
    format!("127.0.0.1:{}", 7300 + index)
}

fn configuration(dir: &Path, index: usize, learning: &str) -> config::Config {
    let name = NAMES[index];
    let identity = dir.join(format!("{name}.identity"));
    std::fs::write(&identity, hex::encode(seed(index))).unwrap();
    std::fs::set_permissions(&identity, PermissionsExt::from_mode(0o600)).unwrap();
    let mut text = format!(
        r#"
[node]
name = "{name}"
data_dir = "{name}"
[cluster]
name = "virtual-learning"
listen = "{}"
identity = "{name}.identity"
[mailbox]
listen = "127.0.0.1:{}"
domains = ["glasshouse.example"]
require_tls = false
[dds]
domain = 1
[learning]
min_examples = 8
pause_ms = 1000
round_timeout_ms = 5000
{learning}
"#,
        link(index),
        7400 + index,
    );
    for (index, name) in NAMES.iter().enumerate() {
        let key = SigningKey::from_bytes(&seed(index)).verifying_key();
        text += &format!(
            r#"
[[cluster.peer]]
name = "{name}"
address = "{}"
identity = "{}"
[[room]]
name = "hall-{name}"
home = "{name}"
[[device]]
id = "ups-{name}"
room = "hall-{name}"
class = "ups"
addresses = ["ups-{name}@hall.example"]
"#,
            link(index),
            hex::encode(key.to_bytes())
        );
    }
    config::parse(&text, &dir.join("node.toml"), dir).unwrap()
}

async fn start(world: &World, dir: &Path, index: usize, learning: &str) -> Node {
    start_slow(world, dir, index, learning, Duration::ZERO).await
}

/// One whose trainings take so long.
async fn start_slow(
    world: &World,
    dir: &Path,
    index: usize,
    learning: &str,
    training: Duration,
) -> Node {
    let (sender, probe) = oneshot::channel();
    let surroundings = Surroundings {
        training,
        ..world.surroundings(&link(index), NAMES[index], sender)
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let run = tokio::spawn(node::tree::run_in(
        configuration(dir, index, learning),
        surroundings,
        async move {
            let _ = stopped.await;
            Ok(())
        },
    ));
    Node {
        probe: probe.await.unwrap(),
        stop,
        run,
    }
}

async fn stop(node: Node) {
    node.stop.send(()).unwrap();
    node.run.await.unwrap().unwrap();
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        sleep(LOOK).await;
    }
    println!("{what}: after {:?}", start.elapsed());
}

/// Devices of different rooms behave unlike each other.
fn mail(index: usize, number: usize) -> String {
    let (name, pace) = (NAMES[index], 0.3 + 0.4 * index as f64);
    let charge = 90.0 + (number as f64 * pace).sin();
    let load = 40.0 + (number as f64 * 0.3).cos() * (1.0 + index as f64);
    format!(
        "From: ups-{name}@hall.example\r\nTo: telemetry@glasshouse.example\r\nMessage-ID: <{number}@{name}>\r\nSubject: report\r\nMIME-Version: 1.0\r\nContent-Type: application/senml+json\r\n\r\n[{{\"bn\":\"ups-{name}:\",\"n\":\"battery.charge\",\"u\":\"%\",\"v\":{charge}}},{{\"n\":\"load\",\"u\":\"%\",\"v\":{load}}}]"
    )
}

fn closed(node: &Node) -> u64 {
    node.probe.ledger().state().rounds.closed
}

/// So many more rounds that all three are in.
async fn rounds(node: &Node, more: usize) {
    let since = node.probe.ledger().state().rounds.last;
    let begin = Instant::now();
    until("rounds of all three close", || {
        let state = node.probe.ledger().state();
        let late = begin.elapsed() + LOOK > LIMIT;
        assert!(!late, "{:?}", state.rounds.history);
        let whole = state.rounds.history.iter().filter(|ended| {
            let of_all = matches!(
                ended.outcome,
                RoundOutcome::Closed {
                    participants: 3,
                    ..
                }
            );
            ended.round > since && of_all
        });
        whole.count() >= more
    })
    .await;
}

/// The newest model on a node's disk: its round, and its parameters as rounds carry them.
fn newest(dir: &Path, name: &str) -> (Round, Vec<f32>) {
    let models = store::list(&dir.join(name).join("models"));
    let (round, digest, path) = models.first().unwrap();
    (*round, store::read(path, *digest).unwrap().parameters)
}

/// Whose variates the ledger says are lost.
async fn lost(node: &Node) -> Vec<String> {
    let (size, _) = node.probe.ledger().size_and_root();
    let mut log = node.probe.ledger().subscribe(0);
    let mut found = Vec::new();
    for _ in 0..size {
        if let Act::VariatesReset { reason, .. } = &log.next().await.unwrap().record.act {
            found.push(reason.clone());
        }
    }
    found
}

async fn all_start(world: &World, dir: &Path, learning: &str) -> Vec<Node> {
    let mut nodes = Vec::new();
    for index in 0..NAMES.len() {
        nodes.push(start(world, dir, index, learning).await);
    }
    linked(&nodes).await;
    nodes
}

/// Reports find their rooms.
async fn linked(nodes: &[Node]) {
    until("three members up, all linked, all with keys", || {
        let epoch = nodes[0].probe.ledger().state().keys.epoch;
        nodes.iter().all(|node| {
            let state = node.probe.ledger().state();
            state.up().count() == 3
                && node.probe.cluster().links().len() == 2
                && node.probe.data_epoch() == epoch
                && epoch > KeyEpoch(0)
        })
    })
    .await;
    sleep(SETTLE).await;
}

#[tokio::test(start_paused = true)]
async fn algorithms_that_carry_something_from_round_to_round() {
    let wall = std::time::Instant::now();
    control_variates_live_through_restarts_and_start_anew_when_one_is_lost().await;
    a_slow_node_counts_late_and_holds_nobody_up().await;
    println!(
        "{:?} of virtual time in {:?}",
        runtime::clock::now().since(machine::Instant::ZERO),
        wall.elapsed()
    );
}

/// One node trains longer than a round lasts.
async fn a_slow_node_counts_late_and_holds_nobody_up() {
    const BUFFER: &str = "min_cohort = 2\nbuffer = { size = 2, max_staleness = 20 }";
    const SLOW: usize = 2;
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    let mut nodes = Vec::new();
    for index in 0..NAMES.len() {
        // Rounds may last five seconds, and begin one after the other.
        let takes = Duration::from_secs(if index == SLOW { 12 } else { 0 });
        nodes.push(start_slow(&world, dir.path(), index, BUFFER, takes).await);
    }
    linked(&nodes).await;
    deliver(&world, 0).await;
    let late = || async {
        let mut of = Vec::new();
        for (round, participants) in closes(&nodes[0]).await {
            if participants.contains(&NodeId::from(NAMES[SLOW])) {
                of.push(round);
            }
        }
        of
    };
    let mut found = late().await;
    let begin = Instant::now();
    while found.len() < 3 {
        assert!(begin.elapsed() < LIMIT, "{found:?}");
        sleep(Duration::from_secs(1)).await;
        found = late().await;
    }
    let state = nodes[0].probe.ledger().state();
    let closes = closes(&nodes[0]).await;
    // Between two of its updates the others have made several models, and each has made rounds close.
    let between = found.windows(2).map(|pair| {
        let inside = |round: &Round| pair[0] < *round && *round < pair[1];
        closes.iter().filter(|(round, _)| inside(round)).count()
    });
    assert!(between.clone().all(|closed| closed >= 3), "{closes:?}");
    assert!(
        closes
            .iter()
            .all(|(_, participants)| participants.len() == 2)
    );
    println!(
        "{} rounds closed, {} abandoned, the slow node in {found:?}",
        state.rounds.closed, state.rounds.abandoned
    );
    for node in nodes {
        stop(node).await;
    }
}

/// Rounds that closed, and whose updates are in them.
async fn closes(node: &Node) -> Vec<(Round, Vec<NodeId>)> {
    let (size, _) = node.probe.ledger().size_and_root();
    let mut log = node.probe.ledger().subscribe(0);
    let mut found = Vec::new();
    for _ in 0..size {
        let committed = log.next().await.unwrap();
        if let Act::RoundClosed {
            round,
            participants,
            ..
        } = &committed.record.act
            && committed.applied == Applied::Effective
        {
            found.push((*round, participants.clone()));
        }
    }
    found
}

async fn control_variates_live_through_restarts_and_start_anew_when_one_is_lost() {
    const FEDAVG: &str = "min_cohort = 2";
    const SCAFFOLD: &str = "min_cohort = 2\noptimizer = \"scaffold\"";
    const SECURE: &str = "min_cohort = 3\noptimizer = \"scaffold\"\nsecure_aggregation = true";
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    let weights = Shape::default().parameter_count();

    // A house that has learned by FedAvg goes on from there.
    let mut nodes = all_start(&world, dir.path(), FEDAVG).await;
    deliver(&world, 0).await;
    rounds(&nodes[0], 2).await;
    let (before, model) = newest(dir.path(), "a");
    assert_eq!(model.len(), weights);
    for node in nodes {
        stop(node).await;
    }
    nodes = all_start(&world, dir.path(), SCAFFOLD).await;
    deliver(&world, 1).await;
    rounds(&nodes[0], 4).await;
    until("all score by a model with a variate", || {
        NAMES
            .iter()
            .all(|name| newest(dir.path(), name).1.len() == 2 * weights)
    })
    .await;
    let (after, joined) = newest(dir.path(), "a");
    assert!(after > before);
    let (_, variate) = scaffold::split(&joined).unwrap();
    assert!(variate.iter().any(|c| *c != 0.0));
    assert!(
        nodes
            .iter()
            .all(|node| node.probe.status().learning.models_refused == 0)
    );
    assert_eq!(lost(&nodes[0]).await, [""; 0]);

    // One starts again in the middle, and its variate is the one it had.
    let index = follower(&nodes);
    let gone = nodes.remove(index);
    stop(gone).await;
    let so_far = closed(&nodes[0]);
    until("the others go on", || closed(&nodes[0]) > so_far).await;
    nodes.insert(index, start(&world, dir.path(), index, SCAFFOLD).await);
    linked(&nodes).await;
    deliver(&world, 2).await;
    rounds(&nodes[0], 3).await;
    assert_eq!(lost(&nodes[0]).await, [""; 0]);

    // One whose disk has lost it says so, once, and goes on with the others from zero.
    let gone = nodes.remove(index);
    stop(gone).await;
    let file = dir.path().join(NAMES[index]).join("variate");
    assert!(file.exists());
    std::fs::write(&file, b"torn").unwrap();
    nodes.insert(index, start(&world, dir.path(), index, SCAFFOLD).await);
    linked(&nodes).await;
    deliver(&world, 3).await;
    rounds(&nodes[0], 3).await;
    let told = lost(&nodes[0]).await;
    let [reason] = &told[..] else {
        panic!("{told:?}")
    };
    assert!(
        reason.starts_with(&format!("{} has lost", NAMES[index])),
        "{reason}"
    );

    // The same under masks, with the variates that are there.
    for node in nodes {
        stop(node).await;
    }
    nodes = all_start(&world, dir.path(), SECURE).await;
    deliver(&world, 4).await;
    rounds(&nodes[0], 3).await;
    assert_eq!(newest(dir.path(), "b").1.len(), 2 * weights);
    assert_eq!(lost(&nodes[0]).await.len(), 1);

    // And back: the weights are learned on, the variate goes.
    for node in nodes {
        stop(node).await;
    }
    nodes = all_start(&world, dir.path(), FEDAVG).await;
    deliver(&world, 5).await;
    rounds(&nodes[0], 2).await;
    assert_eq!(newest(dir.path(), "c").1.len(), weights);
    println!("{} rounds closed", closed(&nodes[0]));
    for node in nodes {
        stop(node).await;
    }
}

/// One that does not lead.
fn follower(nodes: &[Node]) -> usize {
    let leader = nodes[0].probe.ledger().leader().borrow().leader.clone();
    let follows = |node: &Node| Some(node.probe.me()) != leader.as_ref();
    nodes.iter().position(follows).unwrap()
}

/// What devices of all rooms report: a node that has started again has no rows to train on.
async fn deliver(world: &World, start: usize) {
    for number in start * MAILS..(start + 1) * MAILS {
        for (index, name) in NAMES.iter().enumerate() {
            let from = format!("ups-{name}@hall.example");
            let report = mail(index, number);
            world.deliver(name, &from, &report).await.unwrap();
        }
    }
}
