//! The data space alone: nodes that seal and write, and read each other through the product's own readers.
//! Not a node: what a node has of the data space, with keys that are there from the beginning.
//!
//! Beside the reader that keeps up there is one that does not, one that sees what comes before the seal is
//! looked at, and a stranger that writes once more what its node wrote before.

use super::Failure;
use super::ledger::identity;
use super::space::{Order, SimSpace};
use crate::lockstep::guest::{see, wish};
use crate::lockstep::invariants::REPLAYS_COUNTED;
use crate::lockstep::protocol::{Boot, Seen, Wish};
use crate::outcome::Kind;
use custody::{EpochSecrets, Grace, Sealer};
use dds::{DataSpace, Delivery, Durability, Qos, Sample, Subscription, Topic};
use node::board::Board;
use node::space::{Proofs, Refused, RoomReader, Rules, SealedSpace};
use runtime::{clock, entropy};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use wire::{Digest, KeyEpoch, Level, NodeId, Origin, Reading, Report};

const ROOM: &str = "hall";
/// Devices of each node: several keys of one writer, so that order by key is not order by writer.
const DEVICES: u64 = 3;
/// Longest pause between two samples of one writer: a dozen in a second.
const LONGEST_PAUSE_MS: u64 = 120;
/// The slow reader takes nothing for so long, in which more is written than it has room for.
const SLOW: Duration = Duration::from_secs(40);
/// What the slow reader keeps of a device, at most.
const SLOW_BACKLOG: u16 = 4;
/// Deliveries that wait in a subscription of the in-memory data space besides.
const UNREAD: u64 = 256;
/// Between two replays of the stranger, on average.
const REPLAY_MS: u64 = 1_500;
/// What the stranger remembers: more than late readers are given.
const OVERHEARD: usize = 64;
/// After the load what is under way arrives within so long.
const SETTLE: Duration = Duration::from_secs(3);

/// What of readings says who wrote them: the writer's life, and which of the device's samples it is.
const LIFE: &str = "life";
const NUMBER: &str = "number";

/// All members speak the newest level, and nothing is signed.
struct Newest;

impl Rules for Newest {
    fn level(&self) -> Level {
        Level::NEWEST
    }

    fn identity(&self, _: &NodeId) -> Option<[u8; 32]> {
        None
    }
}

/// What the one that looks before the seal has seen.
#[derive(Default)]
struct Before {
    known: BTreeSet<Digest>,
    /// Deliveries of what had been delivered before.
    repeated: u64,
    /// How many of this node's own there were of each device.
    counts: BTreeMap<String, u64>,
    /// The newest of them, with their numbers.
    own: VecDeque<(Sample, u64)>,
}

pub(super) async fn run(boot: Boot) -> Result<(), Failure> {
    let me = NodeId::new(boot.name.clone());
    let joined = SimSpace::join(&boot.name, &boot.nodes, Order::Shuffled)?;
    let port: Arc<dyn DataSpace> = Arc::new(joined);
    let board = Board::new(me.clone());
    let proofs = Proofs {
        key: identity(&boot.name),
        topics: BTreeSet::new(),
        rules: Arc::new(Newest),
    };
    let sealer = Sealer::new(me.clone(), entropy::bytes())?;
    let grace = Grace::default();
    let space = SealedSpace::new(me, port.clone(), sealer, grace, board.clone(), proofs);
    space.start_epoch(EpochSecrets {
        epoch: KeyEpoch(1),
        link: [1; 32],
        data: [2; 32],
        holders: boot.nodes.iter().map(|node| node.as_str().into()).collect(),
    });
    let before = Arc::new(Mutex::new(Before::default()));
    // All see the same: they are there before anything comes.
    let subscribed = |topic: &Topic| port.subscribe(topic, &[ROOM]);
    let (first, second) = (subscribed(&Topic::READINGS)?, subscribed(&Topic::READINGS)?);
    let third = subscribed(&slow_topic()?)?;
    tokio::spawn(read(RoomReader::new(space.clone(), ROOM), first));
    tokio::spawn(look(second, before.clone(), boot.name.clone()));
    tokio::spawn(dawdle(third, DEVICES * boot.nodes.len() as u64));
    let (rest, resting) = watch::channel(false);
    tokio::spawn(write(space, boot.name.clone(), boot.life, resting.clone()));
    tokio::spawn(replay(port, before.clone(), resting));
    loop {
        match wish().await {
            Wish::Rest => {
                rest.send_replace(true);
                tokio::time::sleep(SETTLE).await;
                count(&board, &before);
            }
            Wish::Evict(_) | Wish::Choose { .. } | Wish::Poison => {}
        }
    }
}

/// As readings, of which its reader keeps less.
fn slow_topic() -> Result<Topic, Failure> {
    let qos = Qos {
        retained: 1,
        backlog: SLOW_BACKLOG,
        ..Qos::TELEMETRY
    };
    Topic::new(Topic::READINGS.name(), qos).ok_or_else(|| "it is a topic's name".into())
}

/// As readings, which late readers do not get: who was there has had the sample before.
fn fleeting() -> Option<Topic> {
    let qos = Qos {
        durability: Durability::Volatile,
        ..Qos::TELEMETRY
    };
    Topic::new(Topic::READINGS.name(), qos)
}

async fn write(space: Arc<SealedSpace>, me: String, life: u32, rest: watch::Receiver<bool>) {
    let mut written = [0u64; DEVICES as usize];
    while !*rest.borrow() {
        let pause = 1 + entropy::below(LONGEST_PAUSE_MS);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let which = entropy::below(DEVICES) as usize;
        written[which] += 1;
        let (device, number) = (format!("ups-{me}-{which}"), written[which]);
        let reading = |name: &str, value: f64| Reading {
            name: name.to_owned(),
            value,
            unit: None,
        };
        let report = Report {
            device: device.as_str().into(),
            room: ROOM.into(),
            class: "ups".to_owned(),
            device_time: None,
            arrival: clock::unix_now(),
            readings: vec![reading(LIFE, life.into()), reading(NUMBER, number as f64)],
            event: None,
            origin: Origin::Mail {
                node: me.as_str().into(),
                seq: number,
                part: 0,
            },
        };
        see(Seen::Wrote { device, number });
        if space.publish(report, clock::unix_now_ns()).await.is_err() {
            return;
        }
    }
}

/// The reader that keeps up.
async fn read(mut reader: RoomReader, mut samples: Subscription) {
    while let Some(sample) = samples.sample().await {
        for taken in reader.take(sample) {
            let value = |name| {
                let mut readings = taken.report.readings.iter();
                readings
                    .find(|reading| reading.name == name)
                    .map_or(0, |reading| reading.value as u64)
            };
            see(Seen::Read {
                writer: taken.writer.to_string(),
                life: value(LIFE),
                device: taken.report.device.to_string(),
                number: value(NUMBER),
            });
        }
    }
}

/// Sees what comes before the seal is looked at.
async fn look(mut samples: Subscription, before: Arc<Mutex<Before>>, me: String) {
    while let Some(sample) = samples.sample().await {
        let mut before = before.lock().unwrap_or_else(PoisonError::into_inner);
        if !before.known.insert(Digest::of(&sample.sealed)) {
            before.repeated += 1;
        } else if sample.writer == me {
            let count = before.counts.entry(sample.key.clone()).or_default();
            *count += 1;
            let number = *count;
            before.own.push_back((sample, number));
            if before.own.len() > OVERHEARD {
                before.own.pop_front();
            }
        }
    }
}

/// The reader that does not keep up: what waits for it stays within what its topic allows.
async fn dawdle(mut samples: Subscription, devices: u64) {
    loop {
        tokio::time::sleep(SLOW).await;
        let mut waiting = 0;
        // What waits behind the subscription's own places moves up as they become free.
        while let Some(Delivery::Sample(_) | Delivery::Disposed { .. }) = samples.try_recv() {
            waiting += 1;
        }
        tell(format!("{waiting} samples waited for the slow reader"));
        see(Seen::Gauge {
            name: "samples that wait for a slow reader".to_owned(),
            value: waiting,
            limit: UNREAD + devices * u64::from(SLOW_BACKLOG),
        });
    }
}

/// For the story.
fn tell(what: String) {
    see(Seen::Kind(Kind::Edge(what)));
}

/// Writes once more what the node wrote before.
async fn replay(port: Arc<dyn DataSpace>, before: Arc<Mutex<Before>>, rest: watch::Receiver<bool>) {
    let Some(topic) = fleeting() else { return };
    while !*rest.borrow() {
        tokio::time::sleep(Duration::from_millis(entropy::below(2 * REPLAY_MS))).await;
        let sample = {
            let before = before.lock().unwrap_or_else(PoisonError::into_inner);
            let count = before.own.len() as u64;
            let which = (count > 0).then(|| entropy::below(count) as usize);
            which.and_then(|which| before.own.get(which).cloned())
        };
        if let Some((sample, number)) = sample {
            let device = sample.key.clone();
            see(Seen::WroteAgain { device, number });
            // A full queue is for the stranger to bear.
            let _ = port.publish(&topic, ROOM, sample);
        }
    }
}

/// What came again was refused as a replay, each time, and nothing else was refused.
fn count(board: &Board, before: &Mutex<Before>) {
    let before = before.lock().unwrap_or_else(PoisonError::into_inner);
    let topics = board.status().dds.topics;
    let refused = topics
        .get(Topic::READINGS.name())
        .map(|topic| topic.refused.clone())
        .unwrap_or_default();
    let replayed = refused.get(Refused::Replayed.name()).copied().unwrap_or(0);
    let all: u64 = refused.values().sum();
    tell(format!("{replayed} replays refused"));
    if (replayed, all) != (before.repeated, before.repeated) {
        see(Seen::Broken {
            id: REPLAYS_COUNTED.id.to_owned(),
            detail: format!(
                "{} samples came again, {replayed} were counted as replays, {all} were refused",
                before.repeated
            ),
        });
    }
}
