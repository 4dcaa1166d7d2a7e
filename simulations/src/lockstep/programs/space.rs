//! The data space of a simulated node: the product's own in-memory space inside the process, and
//! streams over the simulated network between the processes.
//!
//! What it keeps of the port's promises across processes: order per writer; a reader that comes
//! late, or comes back, first gets the last [`Qos::retained`] samples of every key; a writer that
//! was not heard for the lease is gone with what it retained. Between processes best-effort topics
//! are carried as reliably as the others: none of their samples is lost here.

use super::Failure;
use crate::lockstep::guest::net::{Door, Stream, dial};
use dds::{
    Counters, DataSpace, DrainError, Durability, MemoryDomain, MemorySpace, PublishError, Qos,
    Sample, SpaceEvent, SpaceFuture, SubscribeError, Subscription, Topic,
};
use runtime::entropy;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split};
use tokio::sync::{Notify, broadcast};
use tokio::task::AbortHandle;

/// The door of samples.
const DOOR: &str = "space";
/// As a node's DDS participant: one that was silent for so long is gone.
const LEASE: Duration = Duration::from_secs(4);
/// Between two signs of life.
const LIFE: Duration = Duration::from_secs(1);
/// Pause before a peer is dialed again.
const REDIAL: Duration = Duration::from_millis(500);
/// Items that wait for one peer. More than a topic's queue takes: beyond it the oldest go, as from
/// a reader that does not keep up.
const WAITING: usize = 4_096;
/// Of so many samples one is late in a disorderly network: lost and sent again, or overtaken.
const LATE_ONE_IN: u64 = 8;
/// So many others pass it, at most.
const PASSED_BY: u64 = 12;
/// Largest item: a sample of the port's largest size with its names.
const MAX_ITEM: u32 = 2 << 20;

/// Whether samples overtake each other between two processes, as datagrams do. What RTPS restores is restored
/// at the reader's end, from the number that each has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As they were written.
    Kept,
    /// Some come late.
    Shuffled,
}

/// What goes over a stream: an item, and which one it is.
#[derive(Serialize, Deserialize)]
struct Numbered(u64, Item);

#[derive(Clone, Serialize, Deserialize)]
enum Item {
    Alive,
    Write(Place, SampleBytes),
    Dispose(Place, String),
}

/// A sign of life is in no order.
const ALIVE: Numbered = Numbered(0, Item::Alive);

/// Topic and partition.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Place(String, String);

#[derive(Clone, Serialize, Deserialize)]
struct SampleBytes {
    key: String,
    writer: String,
    sequence: u64,
    key_epoch: u64,
    source_time_ns: i64,
    #[serde(with = "serde_bytes")]
    sealed: Vec<u8>,
}

impl From<Sample> for SampleBytes {
    fn from(sample: Sample) -> Self {
        Self {
            key: sample.key,
            writer: sample.writer,
            sequence: sample.sequence,
            key_epoch: sample.key_epoch,
            source_time_ns: sample.source_time_ns,
            sealed: sample.sealed,
        }
    }
}

impl From<SampleBytes> for Sample {
    fn from(bytes: SampleBytes) -> Self {
        Self {
            key: bytes.key,
            writer: bytes.writer,
            sequence: bytes.sequence,
            key_epoch: bytes.key_epoch,
            source_time_ns: bytes.source_time_ns,
            sealed: bytes.sealed,
        }
    }
}

/// The topics there are.
fn topic(name: &str) -> Option<Topic> {
    let mut all = Topic::ALL.into_iter().map(|(_, topic)| topic);
    all.find(|topic| topic.name() == name)
}

/// What this node writes for others.
#[derive(Default)]
struct Written {
    /// Per place and key: what late readers get.
    retained: BTreeMap<(Place, String), VecDeque<SampleBytes>>,
    /// Per linked peer.
    queues: BTreeMap<String, VecDeque<Item>>,
}

struct Shared {
    written: Mutex<Written>,
    news: Notify,
}

impl Shared {
    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, qos: &Qos, item: Item) {
        let mut written = self.written();
        match &item {
            Item::Alive => {}
            Item::Write(..) if qos.durability == Durability::Volatile => {}
            Item::Write(place, sample) => {
                let key = (place.clone(), sample.key.clone());
                let kept = written.retained.entry(key).or_default();
                kept.push_back(sample.clone());
                while kept.len() > usize::from(qos.retained.max(1)) {
                    kept.pop_front();
                }
            }
            Item::Dispose(place, key) => {
                written.retained.remove(&(place.clone(), key.clone()));
            }
        }
        for queue in written.queues.values_mut() {
            queue.push_back(item.clone());
            if queue.len() > WAITING {
                queue.pop_front();
            }
        }
        drop(written);
        self.news.notify_waiters();
    }
}

/// The node's participant.
pub(super) struct SimSpace {
    local: MemorySpace,
    shared: Arc<Shared>,
}

impl SimSpace {
    /// Joins, and finds the other nodes.
    pub(super) fn join(me: &str, nodes: &[String], order: Order) -> Result<Self, Failure> {
        let domain = MemoryDomain::new();
        let shared = Arc::new(Shared {
            written: Mutex::default(),
            news: Notify::new(),
        });
        let door = Door::open(DOOR)?;
        tokio::spawn(listen(door, domain.clone()));
        for peer in nodes.iter().filter(|node| *node != me) {
            tokio::spawn(feed(peer.clone(), Arc::clone(&shared), order));
        }
        Ok(Self {
            local: domain.join(),
            shared,
        })
    }
}

/// Takes in what peers write.
async fn listen(door: Door, domain: MemoryDomain) {
    let mut streams: BTreeMap<String, AbortHandle> = BTreeMap::new();
    loop {
        let (stream, peer) = door.accept().await;
        let domain = domain.clone();
        let task = tokio::spawn(async move { take(stream, &domain).await });
        // What is still under way on a former stream would come after what followed it.
        if let Some(former) = streams.insert(peer, task.abort_handle()) {
            former.abort();
        }
    }
}

/// One writer, until it is not heard any more. It hears meanwhile that it is read: a connection that only
/// one end believes in is noticed by both.
async fn take(stream: Stream, domain: &MemoryDomain) {
    let (mut incoming, mut outgoing) = split(stream);
    let life = async {
        while send_in_time(&mut outgoing, &ALIVE).await.is_ok() {
            tokio::time::sleep(LIFE).await;
        }
    };
    tokio::select! {
        () = take_in(&mut incoming, domain) => {}
        () = life => {}
    }
}

async fn take_in(stream: &mut ReadHalf<Stream>, domain: &MemoryDomain) {
    let writer = domain.join();
    let (mut next, mut early) = (0, BTreeMap::new());
    while let Ok(Some(Numbered(number, item))) = tokio::time::timeout(LEASE, receive(stream)).await
    {
        if matches!(item, Item::Alive) {
            continue;
        }
        early.insert(number, item);
        while let Some(item) = early.remove(&next) {
            next += 1;
            hand_on(&writer, item);
        }
    }
}

/// A full queue is the local readers' business: what they cannot take they lose, oldest first.
fn hand_on(writer: &MemorySpace, item: Item) {
    let _ = match item {
        Item::Alive => Ok(()),
        Item::Write(Place(name, partition), sample) => match topic(&name) {
            Some(topic) => writer.publish(&topic, &partition, sample.into()),
            None => Ok(()),
        },
        Item::Dispose(Place(name, partition), key) => match topic(&name) {
            Some(topic) => writer.dispose(&topic, &partition, &key),
            None => Ok(()),
        },
    };
}

async fn receive(stream: &mut ReadHalf<Stream>) -> Option<Numbered> {
    let len = stream
        .read_u32()
        .await
        .ok()
        .filter(|len| *len <= MAX_ITEM)?;
    let mut bytes = vec![0; len as usize];
    stream.read_exact(&mut bytes).await.ok()?;
    postcard::from_bytes(&bytes).ok()
}

async fn send(stream: &mut WriteHalf<Stream>, item: &Numbered) -> Result<(), Failure> {
    let bytes = postcard::to_stdvec(item)?;
    let mut whole = u32::try_from(bytes.len())?.to_be_bytes().to_vec();
    whole.extend(bytes);
    stream.write_all(&whole).await?;
    Ok(())
}

/// Writes to one peer, for ever.
async fn feed(peer: String, shared: Arc<Shared>, order: Order) {
    loop {
        let dialed = tokio::time::timeout(LEASE, dial(&format!("{peer}:{DOOR}"))).await;
        if let Ok(Ok(stream)) = dialed {
            {
                let mut written = shared.written();
                // In order of place, key and time; the reader sorts nothing out.
                let retained = written.retained.iter().flat_map(|((place, _), kept)| {
                    kept.iter()
                        .map(|sample| Item::Write(place.clone(), sample.clone()))
                });
                let first: VecDeque<Item> = retained.collect();
                written.queues.insert(peer.clone(), first);
            }
            let (mut incoming, outgoing) = split(stream);
            let is_read = async {
                while let Ok(Some(_)) = tokio::time::timeout(LEASE, receive(&mut incoming)).await {}
            };
            // It ends with the stream, and with its reader.
            tokio::select! {
                _ = write(outgoing, &peer, &shared, order) => {}
                () = is_read => {}
            }
            shared.written().queues.remove(&peer);
        }
        tokio::time::sleep(REDIAL).await;
    }
}

async fn write(
    mut stream: WriteHalf<Stream>,
    peer: &str,
    shared: &Shared,
    order: Order,
) -> Result<(), Failure> {
    let (mut number, mut late) = (0, Late::default());
    loop {
        let news = shared.news.notified();
        let next = shared
            .written()
            .queues
            .get_mut(peer)
            .and_then(VecDeque::pop_front);
        let Some(item) = next else {
            // What is lost is asked for when nothing else comes.
            for item in late.all() {
                send_in_time(&mut stream, &item).await?;
            }
            if tokio::time::timeout(LIFE, news).await.is_err() {
                send_in_time(&mut stream, &ALIVE).await?;
            }
            continue;
        };
        let item = Numbered(number, item);
        number += 1;
        if order == Order::Shuffled && entropy::below(LATE_ONE_IN) == 0 {
            late.hold(number + entropy::below(PASSED_BY), item);
        } else {
            send_in_time(&mut stream, &item).await?;
        }
        for item in late.due(number) {
            send_in_time(&mut stream, &item).await?;
        }
    }
}

/// Samples that others overtake, by the number of the one that they come behind.
#[derive(Default)]
struct Late(BTreeMap<(u64, u64), Numbered>);

impl Late {
    fn hold(&mut self, behind: u64, item: Numbered) {
        self.0.insert((behind, item.0), item);
    }

    fn due(&mut self, number: u64) -> Vec<Numbered> {
        let later = self.0.split_off(&(number, 0));
        std::mem::replace(&mut self.0, later)
            .into_values()
            .collect()
    }

    fn all(&mut self) -> Vec<Numbered> {
        std::mem::take(&mut self.0).into_values().collect()
    }
}

/// A reader that takes nothing for the lease is gone.
async fn send_in_time(stream: &mut WriteHalf<Stream>, item: &Numbered) -> Result<(), Failure> {
    tokio::time::timeout(LEASE, send(stream, item)).await?
}

impl DataSpace for SimSpace {
    fn publish(&self, topic: &Topic, partition: &str, sample: Sample) -> Result<(), PublishError> {
        self.local.publish(topic, partition, sample.clone())?;
        let place = Place(topic.name().to_owned(), partition.to_owned());
        self.shared
            .push(topic.qos(), Item::Write(place, sample.into()));
        Ok(())
    }

    fn publish_wait<'a>(
        &'a self,
        topic: &'a Topic,
        partition: &'a str,
        sample: Sample,
    ) -> SpaceFuture<'a, Result<(), PublishError>> {
        Box::pin(async move {
            self.local
                .publish_wait(topic, partition, sample.clone())
                .await?;
            let place = Place(topic.name().to_owned(), partition.to_owned());
            self.shared
                .push(topic.qos(), Item::Write(place, sample.into()));
            Ok(())
        })
    }

    fn dispose(&self, topic: &Topic, partition: &str, key: &str) -> Result<(), PublishError> {
        self.local.dispose(topic, partition, key)?;
        let place = Place(topic.name().to_owned(), partition.to_owned());
        self.shared
            .push(topic.qos(), Item::Dispose(place, key.to_owned()));
        Ok(())
    }

    fn subscribe(
        &self,
        topic: &Topic,
        partitions: &[&str],
    ) -> Result<Subscription, SubscribeError> {
        self.local.subscribe(topic, partitions)
    }

    fn events(&self) -> broadcast::Receiver<SpaceEvent> {
        self.local.events()
    }

    fn drain(&self, limit: Duration) -> SpaceFuture<'_, Result<(), DrainError>> {
        self.local.drain(limit)
    }

    fn counters(&self) -> Counters {
        self.local.counters()
    }
}
