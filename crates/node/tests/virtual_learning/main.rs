//! Whole nodes on one thread in virtual time, as in `virtual_time`, whose rounds run algorithms that not every
//! house has: what they carry from round to round, through restarts and damage.
//!
//! One test, for the process has one time line.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "nobody here reads what the broker has")]
#[path = "../virtual_time/kafka.rs"]
mod kafka;
mod lies;
#[path = "../virtual_time/world.rs"]
mod world;

use federation::scaffold;
use learn::Shape;
use ledger::{Applied, RoundOutcome};
use node::models::store;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use wire::{Act, KeyEpoch, NodeId, Round};
use world::{LIMIT, LOOK, NAMES, Node, World, until};

/// Until rooms are held again by who is up.
const SETTLE: Duration = Duration::from_secs(10);
/// Mails of each device: enough to warm it up and to have something to train on.
const MAILS: usize = 60;

fn tables(learning: &str) -> String {
    format!("[learning]\nmin_examples = 8\npause_ms = 1000\nround_timeout_ms = 5000\n{learning}\n")
}

async fn start(world: &World, dir: &Path, index: usize, learning: &str) -> Node {
    let tables = tables(learning);
    world.start(dir, index, &tables, Duration::ZERO).await
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
    lies::another_set_of_survivors_ends_the_round_and_an_old_one_does_not().await;
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
    let slow = NodeId::from(NAMES[SLOW]);
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(dir.path());
    let mut nodes = Vec::new();
    for index in 0..NAMES.len() {
        // Rounds may last five seconds, and begin one after the other.
        let takes = Duration::from_secs(if index == SLOW { 12 } else { 0 });
        let tables = tables(BUFFER);
        nodes.push(world.start(dir.path(), index, &tables, takes).await);
    }
    linked(&nodes).await;
    deliver(&world, 0).await;
    let begin = Instant::now();
    let (mut closes, mut late): (Vec<_>, Vec<usize>) = Default::default();
    while late.len() < 3 {
        assert!(begin.elapsed() < LIMIT, "{closes:?}");
        sleep(Duration::from_secs(1)).await;
        closes = ages(&nodes[0]).await;
        let places = closes.iter().enumerate();
        let places = places.filter(|(_, (_, of))| of.contains_key(&slow));
        late = places.map(|(place, _)| place).collect();
    }
    assert!(closes.iter().all(|(_, of)| of.len() == 2), "{closes:?}");
    // Between two of its updates the others have made several models; and each training of it counted: it is as old as there
    // are models since the one before.
    for pair in late.windows(2) {
        let (_, of) = &closes[pair[1]];
        let between = pair[1] - pair[0] - 1;
        assert!(between >= 3, "{closes:?}");
        assert_eq!(of[&slow] as usize, between, "{closes:?}");
    }
    // Rounds end without a model only while nobody has anything to learn from.
    let rounds = nodes[0].probe.ledger().state().rounds.clone();
    for ended in &rounds.history {
        if let RoundOutcome::Abandoned(reason) = &ended.outcome {
            let nothing = reason.contains("0 examples here, 8 are needed");
            assert!(
                nothing && ended.round < closes[0].0,
                "{}: {reason}",
                ended.round
            );
        }
    }
    println!(
        "{} rounds closed, {} abandoned before the first, the slow node in {late:?}",
        rounds.closed, rounds.abandoned
    );
    for node in nodes {
        node.stop().await;
    }
}

/// Rounds that closed, and how old the updates in them are.
async fn ages(node: &Node) -> Vec<(Round, BTreeMap<NodeId, u32>)> {
    let (size, _) = node.probe.ledger().size_and_root();
    let mut log = node.probe.ledger().subscribe(0);
    let mut found = Vec::new();
    for _ in 0..size {
        let committed = log.next().await.unwrap();
        if let Act::BufferedRoundClosed {
            round,
            participants,
            ages,
            ..
        } = &committed.record.act
            && committed.applied == Applied::Effective
        {
            let of = participants.iter().cloned().zip(ages.iter().copied());
            found.push((*round, of.collect()));
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
        node.stop().await;
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
    gone.stop().await;
    let so_far = closed(&nodes[0]);
    until("the others go on", || closed(&nodes[0]) > so_far).await;
    nodes.insert(index, start(&world, dir.path(), index, SCAFFOLD).await);
    linked(&nodes).await;
    deliver(&world, 2).await;
    rounds(&nodes[0], 3).await;
    assert_eq!(lost(&nodes[0]).await, [""; 0]);

    // One whose disk has lost it says so, once, and goes on with the others from zero.
    let gone = nodes.remove(index);
    gone.stop().await;
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
        node.stop().await;
    }
    nodes = all_start(&world, dir.path(), SECURE).await;
    deliver(&world, 4).await;
    rounds(&nodes[0], 3).await;
    assert_eq!(newest(dir.path(), "b").1.len(), 2 * weights);
    assert_eq!(lost(&nodes[0]).await.len(), 1);

    // And back: the weights are learned on, the variate goes.
    for node in nodes {
        node.stop().await;
    }
    nodes = all_start(&world, dir.path(), FEDAVG).await;
    deliver(&world, 5).await;
    rounds(&nodes[0], 2).await;
    assert_eq!(newest(dir.path(), "c").1.len(), weights);
    println!("{} rounds closed", closed(&nodes[0]));
    for node in nodes {
        node.stop().await;
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
