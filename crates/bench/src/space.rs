//! The data space between two processes on loopback, and Cyclone's own `ddsperf` doing the same.

mod ddsperf;
mod seal;

pub use ddsperf::{DdsPerf, Trip};
pub use seal::{Seal, seal};

use crate::Failure;
use crate::lines::{Led, obey};
use crate::samples::{Samples, micros};
use dds::{CycloneSpace, DataSpace, DomainConfig, Durability, Qos, Sample, SpaceEvent, Topic};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The subcommand of the process at the other end.
pub const WORD: &str = "space-end";
/// A domain that nobody else uses by habit; the tag keeps the rest out.
const DOMAIN: u32 = 91;
const ROOM: &str = "bench";
/// Round trips before those that count.
const WARM_UP: u64 = 300;
/// Nothing here takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the process at the other end has to know.
#[derive(clap::Args)]
pub struct Arguments {
    /// Separates this run from others
    #[arg(long)]
    tag: String,
}

/// As readings, with a cache that holds what a starved reader has not taken yet: a benchmark counts
/// every sample.
const QOS: Qos = Qos {
    durability: Durability::Volatile,
    backlog: u16::MAX,
    ..Qos::TELEMETRY
};

fn topic(name: &str) -> Result<Topic, Failure> {
    Topic::new(name, QOS).ok_or_else(|| format!("{name} is no topic name").into())
}

fn join(tag: &str) -> Result<CycloneSpace, Failure> {
    Ok(CycloneSpace::join(
        &DomainConfig::loopback(DOMAIN).with_tag(tag),
    )?)
}

fn sample(sequence: u64, size: usize) -> Sample {
    Sample {
        key: "device".into(),
        writer: "bench".into(),
        sequence,
        key_epoch: 1,
        source_time_ns: 0,
        sealed: vec![7; size],
    }
}

/// The other end: echoes what comes on one topic, counts what comes on another.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let space = Arc::new(join(&arguments.tag)?);
        let mut requests = space.subscribe(&topic("bench_ping")?, &[ROOM])?;
        let (pong, echo) = (topic("bench_pong")?, Arc::clone(&space));
        tokio::spawn(async move {
            while let Some(request) = requests.sample().await {
                if echo.publish_wait(&pong, ROOM, request).await.is_err() {
                    return;
                }
            }
        });
        let flood = Arc::new(tokio::sync::Mutex::new(
            space.subscribe(&topic("bench_flood")?, &[ROOM])?,
        ));
        // An order is how many samples are to be awaited; sequence 1 is the first of them.
        obey(move |order| {
            let flood = Arc::clone(&flood);
            async move {
                let count: u64 = order.parse()?;
                let mut flood = flood.lock().await;
                let mut last = 0;
                while last < count {
                    let next = tokio::time::timeout(PATIENCE, flood.sample()).await?;
                    let sequence = next.ok_or("the data space closed")?.sequence;
                    if sequence != last + 1 {
                        return Err(format!("sample {sequence} came after {last}").into());
                    }
                    last = sequence;
                }
                Ok(count.to_string())
            }
        })
        .await
    })
}

/// Both ends.
pub struct Ours {
    space: CycloneSpace,
    other: Led,
}

/// Samples and what they took.
#[derive(Clone, Copy, Debug)]
pub struct Flood {
    /// Samples a second.
    pub rate: f64,
    /// Processor time of both ends for one of them, in microseconds.
    pub cost: f64,
    /// Resident memory of the receiving end afterwards, in MiB.
    pub resident: f64,
}

/// How long a new participant takes to be matched with the readers of `count` processes that are there.
pub async fn discover(count: u32) -> Result<Duration, Failure> {
    let tag = format!("discover-{}", std::process::id());
    let mut others = Vec::new();
    for _ in 0..count {
        others.push(Led::start(&[WORD.into(), "--tag".into(), tag.clone()]).await?);
    }
    let start = Instant::now();
    let space = join(&tag)?;
    let mut events = space.events();
    space.publish(&topic("bench_flood")?, ROOM, sample(0, 1))?;
    tokio::time::timeout(PATIENCE, async {
        loop {
            if let SpaceEvent::ReaderMatched { readers, .. } = events.recv().await?
                && readers >= count
            {
                return Ok(start.elapsed());
            }
        }
    })
    .await?
}

impl Ours {
    /// Starts the other end and waits until both have met.
    pub async fn start() -> Result<Self, Failure> {
        let tag = format!("bench-{}", std::process::id());
        let space = join(&tag)?;
        let mut events = space.events();
        space.publish(&topic("bench_flood")?, ROOM, sample(0, 1))?;
        let other = Led::start(&[WORD.into(), "--tag".into(), tag]).await?;
        tokio::time::timeout(PATIENCE, async {
            while !matches!(events.recv().await?, SpaceEvent::ReaderMatched { .. }) {}
            Ok::<(), Failure>(())
        })
        .await??;
        Ok(Self { space, other })
    }

    /// Resident memory of the other end, in MiB.
    pub fn resident(&self) -> Option<f64> {
        crate::memory::resident(self.other.pid()?)
    }

    fn processor(&self) -> Duration {
        let pids = [Some(std::process::id()), self.other.pid()];
        let used = pids.into_iter().flatten();
        used.filter_map(crate::memory::processor).sum()
    }

    /// Round trips of `size` bytes for `span`, one at a time.
    pub async fn trips(&self, size: usize, span: Duration) -> Result<Samples, Failure> {
        let (ping, pong) = (topic("bench_ping")?, topic("bench_pong")?);
        let mut replies = self.space.subscribe(&pong, &[ROOM])?;
        let (mut trips, mut sequence) = (Vec::new(), 0);
        let mut begin = Instant::now();
        while sequence <= WARM_UP || begin.elapsed() < span {
            if sequence == WARM_UP {
                begin = Instant::now();
            }
            let start = Instant::now();
            self.space.publish(&ping, ROOM, sample(sequence, size))?;
            loop {
                // Before both ends have matched, a volatile sample is lost: ask again.
                match tokio::time::timeout(Duration::from_secs(1), replies.sample()).await {
                    Ok(reply) => {
                        if reply.ok_or("the data space closed")?.sequence == sequence {
                            break;
                        }
                    }
                    Err(_) => self.space.publish(&ping, ROOM, sample(sequence, size))?,
                }
            }
            if sequence >= WARM_UP {
                trips.push(micros(start.elapsed()));
            }
            sequence += 1;
        }
        Ok(Samples::new(trips, begin.elapsed()))
    }

    /// Samples of `size` bytes a second, from the first to the last one's arrival.
    pub async fn flood(&mut self, size: usize, count: u64) -> Result<Flood, Failure> {
        let before = self.processor();
        let topic = topic("bench_flood")?;
        let (space, start) = (&self.space, Instant::now());
        let publishing = async {
            for sequence in 1..=count {
                space
                    .publish_wait(&topic, ROOM, sample(sequence, size))
                    .await?;
            }
            Ok::<(), Failure>(())
        };
        let order = count.to_string();
        let (published, counted) = tokio::join!(publishing, self.other.order(&order));
        published?;
        counted?;
        let rate = count as f64 / start.elapsed().as_secs_f64();
        let used = self.processor().saturating_sub(before);
        let cost = 1e6 * used.as_secs_f64() / count as f64;
        Ok(Flood {
            rate,
            cost,
            resident: self.resident().ok_or("the other end is gone")?,
        })
    }
}
