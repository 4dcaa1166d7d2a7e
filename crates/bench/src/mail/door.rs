//! Our door as a process of its own: what a node runs between a client's connection and the data
//! space, and nothing else of a node. Not here: sealing and the digest on the ledger.

use super::message::{self, FROM};
use crate::Failure;
use crate::lines::{self, Led};
use crate::ports::Ports;
use crate::samples::micros;
use dds::{CycloneSpace, DataSpace, DomainConfig, Sample, Topic};
use edge::smtp::{
    JournalSink, JournalSinkOptions, Network, Policy, Profile, Recipients, SmtpConfig, SmtpLimits,
    SmtpServer, Stored,
};
use edge::tls::{Certified, Reloading, mailbox_config};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use telemetry::Patterns;
use telemetry::directory::{Device, Directory, DirectoryError};
use telemetry::mail::{DecodeContext, decode};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;
use wire::{NodeId, UnixMillis};

/// The word by which a benchmark starts itself as a door.
pub const WORD: &str = "door";

/// As often as a node moves its journal's mark.
const MARK_EVERY: Duration = Duration::from_secs(1);

/// Orders that a door obeys.
const WORKED: &str = "worked";
const LATENCIES: &str = "latencies";

/// Between two looks at how far the work is.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// No reading for so long, with none left to publish: there are none under way.
const QUIET: Duration = Duration::from_millis(300);

/// A DDS domain that a house is unlikely to use; other runs are kept apart by a tag.
const DOMAIN: u32 = 177;

/// Connections at once: those of the benchmark come from one address.
const SESSIONS: usize = 20_000;

/// What becomes of a message once it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Work {
    /// It is handed on and marked as worked off, as far as a mail server goes.
    Keep,
    /// It is read and its reading published on the data space, as a node does.
    Publish,
}

/// What a door process is told on its command line.
#[derive(clap::Args)]
pub struct Arguments {
    /// What becomes of messages
    work: Work,
    /// Its directory
    dir: PathBuf,
    /// Where the certificate lies
    certificate: PathBuf,
    /// Where it listens
    listen: SocketAddr,
}

/// A door that was started.
pub struct Door {
    /// Where it listens.
    pub address: SocketAddr,
    led: Led,
}

impl Door {
    /// Starts one with its data in `dir`, the certificate's in `certificate`, that may hold `files`.
    pub async fn start(
        work: Work,
        dir: &Path,
        certificate: &Path,
        files: usize,
        ports: &mut Ports,
    ) -> Result<Self, Failure> {
        let address = ports.free()?;
        let word = match work {
            Work::Keep => "keep",
            Work::Publish => "publish",
        };
        let mut command = super::with_files(files, &std::env::current_exe()?);
        command.args([WORD, word]).arg(dir).arg(certificate);
        command.arg(address.to_string());
        let led = Led::lead(command).await?;
        Ok(Self { address, led })
    }

    /// Its process.
    pub fn pid(&self) -> Option<u32> {
        self.led.pid()
    }

    /// Waits until all it has accepted is worked off.
    pub async fn worked(&mut self) -> Result<(), Failure> {
        self.led.order(WORKED).await?;
        Ok(())
    }

    /// The same, and until no more readings come back from the data space; gives the microseconds from
    /// sending to there for each since the last question. The data space keeps a bounded number of
    /// readings of a device for a subscriber that is behind, and the oldest make room.
    pub async fn latencies(&mut self) -> Result<Vec<u32>, Failure> {
        let answer = self.led.order(LATENCIES).await?;
        Ok(answer
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?)
    }
}

/// Runs until its orders end.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> Result<(), Failure> {
    let journal = arguments.dir.join("journal");
    let (sink, stored, _) = JournalSink::open(&journal, JournalSinkOptions::default()).await?;
    let config = config(&arguments)?;
    let server = SmtpServer::bind(config, sink.clone()).await?;
    let counters = server.counters();
    let done = Arc::new(Done::default());
    let house = match arguments.work {
        Work::Keep => None,
        Work::Publish => Some(House::open(done.clone())?),
    };
    let publishes = house.is_some();
    let work = Worker {
        sink,
        house,
        done: done.clone(),
    };
    tokio::spawn(async move {
        if let Err(why) = work.run(stored).await {
            // The benchmark notices that its orders are not answered any more.
            eprintln!("{why}");
            std::process::exit(1);
        }
    });
    lines::obey(move |order| {
        let (counters, done) = (counters.clone(), done.clone());
        async move {
            let accepted = counters.read().accepted;
            while done.worked.load(Ordering::Acquire) < accepted {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            if order == WORKED || !publishes {
                return Ok(String::new());
            }
            let mut arrived = done.latencies().len();
            loop {
                // What is on its way arrives within this; what a newer reading took the place of never.
                tokio::time::sleep(QUIET).await;
                let now = done.latencies().len();
                if now == arrived {
                    break;
                }
                arrived = now;
            }
            let latencies = std::mem::take(&mut *done.latencies());
            let words: Vec<String> = latencies.iter().map(u32::to_string).collect();
            Ok(words.join(" "))
        }
    })
    .await
}

/// A node's, but for limits that keep one address from having the house to itself.
fn config(arguments: &Arguments) -> Result<SmtpConfig, Failure> {
    let here = Network::parse("127.0.0.0/8").ok_or("loopback is a network")?;
    let policy = Policy {
        profiles: vec![Profile::allow_plaintext_from(vec![here])],
        max_session_octets: u64::MAX,
        ..Policy::new(super::HOST, Recipients::new(["house.example"], []))
    };
    let (certificate, key) = Certified::files(&arguments.certificate, "mail");
    let tls = mailbox_config(Reloading::open(&certificate, &key)?, false)?;
    let limits = SmtpLimits {
        sessions: SESSIONS,
        sessions_per_address: SESSIONS,
        sessions_per_network: SESSIONS,
        messages_per_minute: u32::MAX,
        failed_logins: u32::MAX,
    };
    Ok(SmtpConfig {
        limits,
        ..SmtpConfig::new(arguments.listen, policy, tls)
    })
}

/// The one device that reports.
pub(crate) fn directory() -> Result<Directory, DirectoryError> {
    Directory::new([Device {
        id: "ups-1".into(),
        room: "hall".into(),
        class: "ups".to_owned(),
        addresses: vec![FROM.to_owned()],
    }])
}

/// How far the work is.
#[derive(Default)]
struct Done {
    worked: AtomicU64,
    latencies: Mutex<Vec<u32>>,
}

impl Done {
    fn latencies(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Works messages off as a node's mailbox does.
struct Worker {
    sink: Arc<JournalSink>,
    house: Option<House>,
    done: Arc<Done>,
}

impl Worker {
    async fn run(self, mut stored: Receiver<Stored>) -> Result<(), Failure> {
        let mut last = 0;
        let mut marking: Option<JoinHandle<()>> = None;
        let mut period = tokio::time::interval(MARK_EVERY);
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = period.tick() => {
                    if marking.as_ref().is_none_or(JoinHandle::is_finished) {
                        let sink = self.sink.clone();
                        marking = Some(tokio::spawn(async move {
                            if let Err(error) = sink.mark_processed(last).await {
                                eprintln!("the journal's mark stays behind: {error}");
                            }
                        }));
                    }
                }
                mail = stored.recv() => {
                    let mail = mail.ok_or("the journal has closed its hand-over")?;
                    last = mail.seq;
                    if let Some(house) = &self.house {
                        house.publish(mail).await?;
                    }
                    self.done.worked.fetch_add(1, Ordering::Release);
                }
            }
        }
    }
}

/// What a message is read with, and where its reading goes.
struct House {
    node: NodeId,
    directory: Directory,
    space: Arc<dyn DataSpace>,
}

impl House {
    fn open(done: Arc<Done>) -> Result<Self, Failure> {
        let domain =
            DomainConfig::loopback(DOMAIN).with_tag(format!("bench-{}", std::process::id()));
        let space: Arc<dyn DataSpace> = Arc::new(CycloneSpace::join(&domain)?);
        let mut readings = space.subscribe(&Topic::READINGS, &["*"])?;
        tokio::spawn(async move {
            while let Some(sample) = readings.sample().await {
                let took = runtime::clock::unix_now_ns().saturating_sub(sample.source_time_ns);
                let took = Duration::from_nanos(u64::try_from(took).unwrap_or(0));
                done.latencies().push(micros(took));
            }
        });
        Ok(Self {
            node: "bench".into(),
            directory: directory()?,
            space,
        })
    }

    async fn publish(&self, Stored { seq, mail }: Stored) -> Result<(), Failure> {
        let context = DecodeContext {
            node: &self.node,
            seq,
            arrival: UnixMillis(mail.end_of_data.0 / 1_000),
            directory: &self.directory,
            patterns: &Patterns::NONE,
        };
        let sender = mail.reverse_path.as_deref().unwrap_or("<>");
        let reports = decode(&context, sender, &mail.data)
            .map_err(|refused| format!("mail {seq} is no report: {refused}"))?;
        let sent = message::sent(&mail.data);
        let end_of_data = i64::try_from(mail.end_of_data.0.saturating_mul(1_000))?;
        for report in reports {
            let sample = Sample {
                key: report.device.to_string(),
                writer: self.node.to_string(),
                sequence: seq,
                key_epoch: 0,
                source_time_ns: sent.unwrap_or(end_of_data),
                sealed: wire::encode(&report),
            };
            let room = report.room.as_str();
            self.space
                .publish_wait(&Topic::READINGS, room, sample)
                .await?;
        }
        Ok(())
    }
}
