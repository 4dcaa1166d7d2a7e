//! One run from the first process to the verdict.

mod wounds;

use crate::Arguments;
use crate::faults;
use crate::gearmail::{self, Post};
use crate::house::{DOMAIN, House, NODES, TOPIC};
use crate::inventory::Inventory;
use crate::labels;
use crate::mainframe;
use crate::observe::Observer;
use crate::operator::{self, Inbox};
use crate::progress::{Outside, Progress};
use crate::report::{self, Report};
use crate::verdict::{self, Evidence};
use crate::wirecheck::WireCheck;
use broker::{Broker, BrokerConfig, BrokerTls};
use edge::kafka::{ClientConfig, Security};
use edge::tls;
use local::process::NodeProcess;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal as signal_stream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use wire::AlertKind;
use wounds::Wound;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// How often the nodes are asked.
const LOOK: Duration = Duration::from_millis(500);
/// Time for the cluster to elect, create its key group and join it.
const START_LIMIT: Duration = Duration::from_secs(30);
/// After the gear has stopped: time for what is under way to arrive.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// A fault must be noticed, and healed once it is undone, within this.
const HEAL_LIMIT: Duration = Duration::from_secs(20);
/// An alert may be raised this long after its segment's last row was mailed: scores are means
/// over the last rows, and three of five must agree.
const LABEL_GRACE_MS: u64 = 2_000;
/// What payload carries in clear before it is protected: the sender of every mail, the head of the
/// data set's CSV, the host's SenML, and every transaction's masked account number in EBCDIC.
const MARKERS: [&[u8]; 4] = [
    b"@gear.glasshouse.example",
    b"time,m00,m01,m02",
    b"urn:dev:ops:this-host",
    b"\xf4\xf0\xf0\xf0\x5c\x5c\x5c\x5c\x5c\x5c\x5c\x5c",
];

struct Run<'a> {
    arguments: &'a Arguments,
    house: House,
    processes: Vec<NodeProcess>,
    observer: Observer,
    progress: Progress,
    post: Arc<Post>,
    produced: Arc<AtomicU64>,
    inbox: Arc<Inbox>,
    wire: Option<WireCheck>,
    wounds: Vec<Wound>,
    failures: Vec<String>,
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// Runs everything; true if every stage worked.
pub(crate) async fn run(arguments: &Arguments) -> Result<bool, Fault> {
    let glasshouse = match &arguments.glasshouse {
        Some(path) => path.clone(),
        None => std::env::current_exe()?.with_file_name("glasshouse"),
    };
    if !glasshouse.is_file() {
        return Err(format!("{} is missing; build it with `cargo build --release -p node` or run `cargo xtask demo`", glasshouse.display()).into());
    }
    let inventory = match &arguments.data {
        Some(folder) => Inventory::recorded(folder, arguments.span)?,
        None => Inventory::live(),
    };
    let (dir, keep) = place(arguments.dir.as_deref())?;
    let house = House::build(&dir, &inventory)?;
    let outcome = Run::start(arguments, house, &glasshouse, inventory).await;
    match &outcome {
        Ok(true) if !keep => {
            if let Err(error) = std::fs::remove_dir_all(&dir) {
                eprintln!("{} could not be removed: {error}", dir.display());
            }
        }
        Ok(_) | Err(_) => println!("Configurations, logs and ledgers are in {}", dir.display()),
    }
    outcome
}

/// The run's folder, and whether the user wants to keep it.
fn place(dir: Option<&Path>) -> Result<(PathBuf, bool), Fault> {
    if let Some(dir) = dir {
        if dir.exists() {
            return Err(format!(
                "{} exists already; name a new folder with --dir",
                dir.display()
            )
            .into());
        }
        std::fs::create_dir_all(dir)?;
        return Ok((std::path::absolute(dir)?, true));
    }
    let mut random = [0u8; 4];
    getrandom::fill(&mut random)?;
    let dir = std::env::temp_dir().join(format!("glasshouse-demo-{}", hex::encode(random)));
    std::fs::create_dir_all(&dir)?;
    Ok((dir, false))
}

impl<'a> Run<'a> {
    async fn start(
        arguments: &'a Arguments,
        house: House,
        glasshouse: &Path,
        inventory: Inventory,
    ) -> Result<bool, Fault> {
        let roots = std::fs::read_to_string(&house.pki.ca)?;
        let certified = tls::Certified::load(&house.pki.server_certificate, &house.pki.server_key)?;
        let broker = Broker::start(BrokerConfig {
            bind: house.broker,
            advertised_host: Some("localhost".into()),
            tls: Some(BrokerTls {
                cert_chain_pem: std::fs::read_to_string(&house.pki.server_certificate)?,
                key_pem: std::fs::read_to_string(&house.pki.server_key)?,
                client_ca_pem: Some(roots.clone()),
            }),
            ..BrokerConfig::default()
        })
        .await?;
        let inbox = Arc::new(Inbox::default());
        let sink = operator::open(
            house.sink,
            DOMAIN,
            tls::server_config(&certified)?,
            inbox.clone(),
        )
        .await?;
        let processes = house
            .nodes
            .iter()
            .map(|site| NodeProcess::new(&site.name, glasshouse, &site.config, &site.log))
            .collect();
        let post = Arc::new(Post {
            mailboxes: house.nodes.iter().map(|site| site.mailbox).collect(),
            roots,
            counts: gearmail::GearCounts::default(),
            segments: Mutex::default(),
        });
        let mut run = Run {
            arguments,
            observer: Observer::new(
                house
                    .nodes
                    .iter()
                    .map(|site| (site.name.clone(), site.admin))
                    .collect(),
            ),
            house,
            processes,
            progress: Progress::new(),
            post,
            produced: Arc::default(),
            inbox,
            wire: WireCheck::start(&MARKERS).ok(),
            wounds: Vec::new(),
            failures: Vec::new(),
            interrupt: signal_stream(SignalKind::interrupt())?,
            terminate: signal_stream(SignalKind::terminate())?,
            hangup: signal_stream(SignalKind::hangup())?,
        };
        let ok = run.play(inventory).await;
        sink.shutdown().await;
        broker.stop().await;
        ok
    }

    async fn play(&mut self, inventory: Inventory) -> Result<bool, Fault> {
        let started = Instant::now();
        let labelled = inventory.is_labelled();
        self.progress.say(&format!(
            "{} nodes, {} devices in {} rooms, a mainframe on Kafka; {}",
            NODES,
            inventory.devices.len(),
            inventory.rooms.len(),
            if self.wire.is_some() {
                "watching every packet for payload in clear"
            } else {
                "no right to capture packets: the nodes count payload in clear"
            }
        ));
        for process in &mut self.processes {
            process.start()?;
        }
        let interrupted = self.come_up().await?;
        if !interrupted {
            let up = started.elapsed();
            self.progress.say(&format!("the cluster stands: a leader, a key group of {NODES}, all links encrypted under its keys"));
            self.perform(inventory, up).await?;
        }
        let verdict = self.finish(started.elapsed(), labelled).await;
        if interrupted {
            println!("Stopped before the cluster stood.");
            return Ok(false);
        }
        verdict
    }

    /// Until there is a leader and everyone is in the key group. True: Ctrl-C.
    async fn come_up(&mut self) -> Result<bool, Fault> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if self.look().await {
                return Ok(true);
            }
            if self.whole() {
                return Ok(false);
            }
            if let Some(sentence) = self.processes.iter_mut().find_map(NodeProcess::ended) {
                return Err(sentence.into());
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "the cluster did not stand within {} s; see the logs in {}",
                    START_LIMIT.as_secs(),
                    self.house.dir.join("logs").display()
                )
                .into());
            }
        }
    }

    /// Everyone answers, is up by everyone's ledger, agrees on the key epoch and sends under it.
    fn whole(&self) -> bool {
        let statuses: Vec<_> = self
            .observer
            .answering()
            .map(|(_, status)| status)
            .collect();
        let newest = statuses
            .iter()
            .map(|status| status.key_epoch.0)
            .max()
            .unwrap_or(0);
        statuses.len() == NODES
            && newest >= NODES as u64
            && statuses.iter().all(|status| {
                status.leader.is_some()
                    && status.members.len() == NODES
                    && status.members.values().all(|up| *up)
                    && status.links.len() == NODES - 1
                    && status.links.values().all(|epoch| *epoch + 2 >= newest)
                    && status.key_epoch.0 + 2 >= newest
            })
    }

    async fn perform(&mut self, inventory: Inventory, up: Duration) -> Result<(), Fault> {
        let span = self
            .arguments
            .span
            .saturating_sub(up)
            .max(self.arguments.span / 2);
        let (stop, stopped) = watch::channel(false);
        let mut gear = JoinSet::new();
        for (index, (device, script)) in inventory.devices.into_iter().enumerate() {
            let (post, stopped) = (self.post.clone(), stopped.clone());
            gear.spawn(async move {
                let name = device.id.clone();
                gearmail::play(device, script, index + index / NODES, span, post, stopped)
                    .await
                    .map_err(|error| format!("{name}: {error}"))
            });
        }
        let pki = &self.house.pki;
        let security = Security::mutual_tls(
            pki.ca.clone(),
            pki.client_certificate.clone(),
            pki.client_key.clone(),
        );
        let client = ClientConfig::new(
            [format!("localhost:{}", self.house.broker.port())],
            security,
        );
        let produced = self.produced.clone();
        gear.spawn(async move {
            mainframe::run(client, TOPIC, span, produced, stopped)
                .await
                .map_err(|error| format!("mainframe: {error}"))
        });

        let begun = Instant::now();
        let mut plan = faults::plan(span);
        plan.reverse();
        while begun.elapsed() < span {
            if self.look().await {
                self.progress.say("stopping, as asked");
                break;
            }
            if plan
                .last()
                .is_some_and(|strike| begun.elapsed() >= strike.at)
                && let Some(strike) = plan.pop()
            {
                self.strike(strike);
            }
            self.tend().await?;
        }
        // What is still wounded heals before the gear's last words are waited for.
        self.undo_all()?;
        stop.send_replace(true);
        while let Some(joined) = gear.join_next().await {
            if let Ok(Err(sentence)) = joined {
                self.failures.push(sentence);
            }
        }
        self.settle().await?;
        Ok(())
    }

    /// Until everything accepted has been worked off and every wound has healed.
    async fn settle(&mut self) -> Result<(), Fault> {
        self.progress
            .say("the gear is silent; waiting for what is under way");
        let deadline = Instant::now() + DRAIN_LIMIT.max(HEAL_LIMIT);
        while Instant::now() < deadline {
            if self.look().await {
                break;
            }
            self.tend().await?;
            let pending: u64 = self
                .observer
                .answering()
                .map(|(_, status)| status.mail.pending)
                .sum();
            let recorded = self.observer.best().map_or(0, |status| status.ledger.mails);
            let raised = self
                .observer
                .best()
                .map_or(0, |status| status.ledger.alerts_raised);
            let mailed = self.inbox.alerts() >= raised;
            let taken = self.observer.totals().kafka_records >= self.produced.load(Relaxed);
            let accepted = self.post.counts.accepted.load(Relaxed);
            let healed = self.wounds.iter().all(|wound| wound.healed);
            if pending == 0 && mailed && recorded >= accepted && taken && healed && self.whole() {
                break;
            }
        }
        Ok(())
    }

    /// Asks the nodes and shows what they say. True: Ctrl-C.
    async fn look(&mut self) -> bool {
        self.observer.poll().await;
        let outside = self.outside();
        self.progress.show(&self.observer, outside);
        tokio::select! {
            _ = self.interrupt.recv() => true,
            _ = self.terminate.recv() => true,
            _ = self.hangup.recv() => true,
            () = tokio::time::sleep(LOOK) => false,
        }
    }

    fn outside(&self) -> Outside {
        let counts = &self.post.counts;
        let wire = self
            .wire
            .as_ref()
            .map(WireCheck::report)
            .unwrap_or_default();
        Outside {
            sent: counts.sent.load(Relaxed),
            accepted: counts.accepted.load(Relaxed),
            failed_over: counts.failed_over.load(Relaxed),
            records_sent: self.produced.load(Relaxed),
            alert_mails: self.inbox.alerts(),
            clear_mails: self.inbox.clears(),
            wire_packets: wire.packets,
            wire_bytes: wire.bytes,
            wire_plaintext: wire.plaintext_bytes,
        }
    }

    async fn finish(&mut self, took: Duration, labelled: bool) -> Result<bool, Fault> {
        self.observer.poll().await;
        self.progress.erase();
        for process in &mut self.processes {
            // Blocks for as long as the node needs; the broker and the gear's doors go on meanwhile.
            if let Err(sentence) = tokio::task::block_in_place(|| process.stop()) {
                self.failures.push(sentence);
            }
        }
        self.verify_ledgers();
        let outside = self.outside();
        let segments = self
            .post
            .segments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let agreement =
            labelled.then(|| labels::compare(&segments, &self.anomalies(), LABEL_GRACE_MS));
        let strikes: Vec<String> = self.wounds.iter().map(|wound| wound.name.clone()).collect();
        let unhealed = self.unhealed();
        let statuses: Vec<_> = self
            .observer
            .answering()
            .map(|(_, status)| status)
            .collect();
        let counts = &self.post.counts;
        let stages = verdict::judge(&Evidence {
            nodes: NODES,
            outside,
            rejected: counts.rejected.load(Relaxed),
            given_up: counts.given_up.load(Relaxed),
            totals: self.observer.totals(),
            statuses: statuses.clone(),
            // Ten rounds in the usual minute; a shorter run has time for fewer.
            min_rounds: (self.arguments.span.as_secs() / 5).min(10),
            strikes: &strikes,
            unhealed: &unhealed,
            agreement,
            failures: &self.failures,
        });
        let report = report::json(&Report {
            nodes: NODES,
            seconds: took.as_secs_f64(),
            totals: self.observer.totals(),
            outside,
            rejected: counts.rejected.load(Relaxed),
            best: self.observer.best(),
            latency_ms: self.observer.mail_to_dds_ms(),
            wire_by_capture: self.wire.is_some(),
            strikes: &strikes,
            agreement,
            stages: &stages,
        });
        if let Some(path) = &self.arguments.json {
            std::fs::write(path, serde_json::to_string_pretty(&report)? + "\n").map_err(
                |error| format!("cannot write the report to {}: {error}", path.display()),
            )?;
        }
        self.tell(&stages);
        Ok(stages.iter().all(|stage| stage.ok))
    }

    fn tell(&self, stages: &[verdict::Stage]) {
        println!("\nWhat happened");
        for stage in stages {
            println!(
                "  {} {:<13} {}",
                if stage.ok { "ok  " } else { "FAIL" },
                stage.name,
                stage.says
            );
        }
        if let Some((p50, p99)) = self.observer.mail_to_dds_ms() {
            println!(
                "       latency       end of a mail's data → reading opened at its room's node: p50 {p50:.1} ms, p99 {p99:.1} ms"
            );
        }
        if let Some(status) = self.observer.best() {
            println!(
                "       ledger        {} leaves, root {}",
                status.ledger.size, status.ledger.root
            );
        }
        let subjects = self.inbox.subjects();
        for subject in subjects.iter().rev().take(5) {
            println!("       alert mail    {subject}");
        }
        if subjects.len() > 5 {
            println!("       alert mail    … and {} more", subjects.len() - 5);
        }
    }

    fn anomalies(&self) -> Vec<(String, u64)> {
        let mut alerts: Vec<(String, u64)> = self
            .observer
            .all_lives()
            .flat_map(|status| &status.alerts.history)
            .filter(|alert| matches!(alert.kind, AlertKind::Anomaly { .. }))
            .map(|alert| (alert.device.to_string(), alert.at.0))
            .collect();
        alerts.sort();
        alerts.dedup();
        alerts
    }

    fn verify_ledgers(&mut self) {
        for site in &self.house.nodes {
            let dir = site.data.join("ledger");
            if let Err(error) = replica::verify(&dir, &replica::VerifyOptions::default()) {
                self.failures
                    .push(format!("ledger of {}: {error}", site.name));
            }
        }
    }
}
