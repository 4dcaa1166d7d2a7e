//! Mail a second, its cost, memory of open connections and the way to the data space: our door with
//! its journal beside Postfix, `smtp-sink` and aiosmtpd.

use bench::mail::crowd::{self, Crowd};
use bench::mail::door::{self, Door, Work};
use bench::mail::generator::{Load, Way};
use bench::mail::goals::Goal;
use bench::mail::postfix::Postfix;
use bench::mail::rates::{self, Drive, Measured, Row};
use bench::mail::server::{Kind, Stage};
use bench::mail::source::Source;
use bench::mail::{Certificate, message};
use bench::ports::Ports;
use bench::report::{self, Better, Case, Contender, Report, Section};
use bench::samples::Samples;
use bench::{Failure, scaffold};
use clap::Subcommand;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

/// Open files of a contender under load: far more than the sessions of any load.
const FILES: usize = 1_024;

/// Connections of which Postfix has a process each; by default it has so many and no more.
const FEW: usize = 100;

/// Sessions that bring the steady stream: gear's mail comes from many sides.
const STREAM_SESSIONS: usize = 100;
/// How long it flows at least.
const STREAM_SECONDS: f64 = 4.0;

#[derive(Subcommand)]
enum Part {
    /// Our door; the benchmark starts it itself
    #[command(name = door::WORD, hide = true)]
    Door(door::Arguments),
    /// Silent connections; the benchmark starts it itself
    #[command(name = crowd::WORD, hide = true)]
    Crowd(crowd::Arguments),
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Measure {
    /// Messages a second and what each costs.
    Rates,
    /// Memory of open connections.
    Memory,
    /// The way to the data space.
    Published,
}

#[derive(clap::Args)]
struct Plan {
    /// What to measure
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "rates,memory,published"
    )]
    parts: Vec<Measure>,
    /// Numbers of sessions
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    sessions: Vec<usize>,
    /// Seconds of each repetition, about
    #[arg(long, default_value_t = 0.7)]
    seconds: f64,
    /// Repetitions of each case
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// Silent connections
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Silent connections with TLS
    #[arg(long, default_value_t = 1_000)]
    tls_connections: usize,
    /// Messages a second of the steady stream
    #[arg(long, default_value_t = 1_000.0)]
    stream: f64,
    /// Ours alone, for a profiler
    #[arg(long)]
    alone: bool,
}

fn main() -> Result<(), Failure> {
    scaffold::run(
        |part| match part {
            Part::Door(door) => door::run(door),
            Part::Crowd(crowd) => crowd::run(crowd),
        },
        measure,
    )
}

async fn measure(plan: &Plan) -> Result<(), Failure> {
    let postfix = Postfix::find()?;
    let machine = report::machine();
    println!("{machine}\n");
    let mut notes = vec![machine];
    let floor = report::disk_floor()?;
    notes.push(format!(
        "making 4 KiB durable takes this disk {floor:.1?} (median): one session, which waits for each of its messages, is never faster"
    ));
    let place = report::workplace()?;
    // Postfix's processes pass through it as users of their own.
    fs::set_permissions(place.path(), Permissions::from_mode(0o711))?;
    let source = Arc::new(Source::new(postfix.clone(), place.path())?);
    let mut stage = Stage {
        certificate: Certificate::make(place.path())?,
        place: place.path().to_owned(),
        postfix,
        ports: Ports::default(),
    };
    notes.push(format!(
        "messages of {} octets; about {} s a repetition, in turns; medians of {} (least–most); \"times\" over 1: ours is the better one",
        message::plain().len(),
        plan.seconds,
        plan.repetitions
    ));
    notes.extend(METHOD.map(str::to_owned));
    let rows = if plan.parts.contains(&Measure::Rates) {
        rates(plan, &mut stage, &source, &mut notes).await?
    } else {
        Vec::new()
    };
    let memory = if plan.parts.contains(&Measure::Memory) {
        memory(plan, &mut stage, &mut notes).await?
    } else {
        Vec::new()
    };
    let ways = if plan.parts.contains(&Measure::Published) {
        published(plan, &mut stage).await?
    } else {
        Vec::new()
    };
    let (rates, costs): (Vec<Case>, Vec<Case>) = rows
        .iter()
        .map(|row| {
            (
                row.case(&|found: &Measured| found.rate),
                row.case(&|found: &Measured| found.processor),
            )
        })
        .unzip();
    let latencies = |share| {
        ways.iter()
            .map(|way| way.case(&|found| found.quantile(share)))
            .collect()
    };
    let goals = goals(plan, &rates, &memory, &ways);
    for line in goals.iter().map(Goal::line).rev() {
        notes.insert(0, line);
    }
    let section = |title: &str, better, cases| Section {
        title: title.to_owned(),
        better,
        cases,
    };
    let mut sections = vec![
        section("messages a second", Better::Higher, rates),
        section("processor time of a message (µs)", Better::Lower, costs),
        section("memory of an open connection (KiB)", Better::Lower, memory),
        section(
            "from sending the end of data to reading published, p50 (ms)",
            Better::Lower,
            latencies(0.5),
        ),
        section(
            "from sending the end of data to reading published, p99 (ms)",
            Better::Lower,
            latencies(0.99),
        ),
        section(
            "readings published a second",
            Better::Higher,
            ways.iter().map(|way| way.case(&Samples::rate)).collect(),
        ),
    ];
    sections.retain(|section| !section.cases.is_empty());
    Report {
        name: "mail",
        notes,
        sections,
    }
    .publish()
}

/// How it is measured, for whoever reads the figures.
const METHOD: [&str; 8] = [
    "ours: the listener and its journal, each message durable before its 250; behind that it is handed on and marked as worked off, neither decoded nor published",
    "Postfix: Debian's defaults with fsync; delivery by its discard transport goes on beside; smtp-sink and aiosmtpd keep nothing, in one process of one thread each",
    "smtp-source sends one file without Message-ID; our generator numbers its messages, so that each is looked for among the former ones, and keeps connections open with one message of each under way",
    "– : not offered (smtp-sink no BDAT and no TLS, aiosmtpd neither pipelining nor BDAT) or left out, with the reason below",
    "processor time: of all processes of a server, with what follows acceptance; without the clients'",
    "memory: what the server's processes grow by (shared pages in shares), each connection after EHLO; without the kernel's socket buffers",
    "sending: when our generator wrote the end of data, or, at the steady rate, when it should have (a session that its former message held up is late, and that counts)",
    "published: our door decodes each message and writes its reading to the data space (Cyclone DDS on loopback); a subscription of the same process notes when it is there; neither sealed nor noted on a ledger; a reading that made room for a newer one of the same device before it was taken is not counted",
];

/// All loads, each contender in turn.
async fn rates(
    plan: &Plan,
    stage: &mut Stage,
    source: &Arc<Source>,
    notes: &mut Vec<String>,
) -> Result<Vec<Row>, Failure> {
    let mut servers = Vec::new();
    for kind in Kind::ALL {
        if kind != Kind::Ours && plan.alone {
            continue;
        }
        match stage.start(kind, kind.name(), FILES).await {
            Ok(server) => servers.push(server),
            Err(why) if kind == Kind::Ours => return Err(why),
            Err(why) => notes.push(format!("{} left out: {why}", kind.name())),
        }
    }
    let tls = edge::tls::client_config(&stage.certificate.roots)?;
    let mut drives = Vec::new();
    for keep in [false, true] {
        drives.extend(plan.sessions.iter().map(|sessions| Drive::Source {
            source: Arc::clone(source),
            sessions: *sessions,
            keep,
        }));
    }
    for (way, tls) in [
        (Way::Pipelined, None),
        (Way::Pipelined, Some(&tls)),
        (Way::Chunked, None),
        (Way::Chunked, Some(&tls)),
    ] {
        drives.extend(plan.sessions.iter().map(|sessions| Drive::Own {
            sessions: *sessions,
            way,
            tls: tls.cloned(),
        }));
    }
    let span = Duration::from_secs_f64(plan.seconds);
    let mut rows = Vec::new();
    for drive in &drives {
        rows.push(rates::take_turns(drive, &mut servers, plan.repetitions, span, notes).await?);
    }
    Ok(rows)
}

/// What open connections cost, of servers that have done nothing else.
async fn memory(
    plan: &Plan,
    stage: &mut Stage,
    notes: &mut Vec<String>,
) -> Result<Vec<Case>, Failure> {
    let mut cases = Vec::new();
    for (count, tls) in [
        (plan.connections, false),
        (FEW, false),
        (plan.tls_connections, true),
    ] {
        let with = if tls { ", TLS" } else { "" };
        let label = format!("{count} connections{with}");
        let mut found = Vec::new();
        for kind in Kind::ALL {
            let has_no_place = kind == Kind::Postfix && count > FEW;
            let has_no_tls = kind == Kind::Sink && tls;
            if has_no_place || has_no_tls || (plan.alone && kind != Kind::Ours) {
                continue;
            }
            let folder = format!("{}-{count}-{tls}", kind.name());
            match grown(stage, kind, &folder, count, tls).await {
                Ok(kib) => found.push(Contender::new(kind.name(), vec![kib])),
                Err(why) => {
                    if kind == Kind::Ours {
                        found.push(Contender::new(kind.name(), Vec::new()));
                    }
                    notes.push(format!("{} left out of \"{label}\": {why}", kind.name()));
                }
            }
        }
        eprintln!("measured: {label}");
        let mut contenders = found.into_iter();
        cases.extend(contenders.next().map(|ours| Case {
            label,
            ours,
            peers: contenders.collect(),
        }));
    }
    notes.push(format!(
        "Postfix has a process for each connection, {FEW} by default, and so no figure for more"
    ));
    Ok(cases)
}

/// KiB a connection.
async fn grown(
    stage: &mut Stage,
    kind: Kind,
    folder: &str,
    count: usize,
    tls: bool,
) -> Result<f64, Failure> {
    let server = stage
        .start(kind, folder, count + crowd::OTHER_FILES)
        .await?;
    let roots = tls.then_some(stage.certificate.certificate.as_path());
    let mut crowd = Crowd::start(server.address, count, roots).await?;
    let before = server.memory()?;
    crowd.come(count).await?;
    Ok((server.memory()? - before) / count as f64)
}

/// The way to the data space under one load.
struct Published {
    label: String,
    found: Vec<Samples>,
}

impl Published {
    fn case(&self, figure: &dyn Fn(&Samples) -> f64) -> Case {
        Case {
            label: self.label.clone(),
            ours: Contender::new("ours", self.found.iter().map(figure).collect()),
            peers: Vec::new(),
        }
    }
}

/// A steady stream, and as much as goes.
async fn published(plan: &Plan, stage: &mut Stage) -> Result<Vec<Published>, Failure> {
    let dir = stage.place.join("published");
    let mut door = Door::start(Work::Publish, &dir, &stage.place, FILES, &mut stage.ports).await?;
    let load = Load {
        address: door.address,
        sessions: STREAM_SESSIONS,
        way: Way::Pipelined,
        tls: None,
    };
    // As many as a rate needs to have a 99th percentile that one hiccup of the machine does not make.
    let span = plan.seconds.max(STREAM_SECONDS);
    let messages = (plan.stream * span) as u64;
    let mut steady = Published {
        label: format!("{} messages a second", plan.stream),
        found: Vec::new(),
    };
    let mut full = Published {
        label: format!("at saturation, pipelined, {STREAM_SESSIONS} sessions"),
        found: Vec::new(),
    };
    let mut many = messages;
    // Zero: the trial.
    for repetition in 0..=plan.repetitions {
        let took = load.paced(messages, plan.stream).await?;
        let samples = Samples::new(door.latencies().await?, took);
        let begin = std::time::Instant::now();
        load.send(many).await?;
        door.worked().await?;
        let took = begin.elapsed();
        let saturated = Samples::new(door.latencies().await?, took);
        if repetition == 0 {
            many = ((saturated.rate() * span) as u64).max(messages);
        } else {
            steady.found.push(samples);
            full.found.push(saturated);
        }
    }
    eprintln!("measured: end of data to reading published");
    Ok(vec![steady, full])
}

fn goals(plan: &Plan, rates: &[Case], memory: &[Case], ways: &[Published]) -> Vec<Goal> {
    let mut goals = Vec::new();
    let sessions = plan.sessions.len();
    for case in rates.iter().take(2 * sessions) {
        let postfix = Kind::Postfix.name();
        let goal = Goal::times(case, postfix, 10.0);
        goals.push(goal.beside(case, postfix, Kind::Sink.name()));
    }
    let kept = rates.iter().take(2 * sessions).skip(sessions);
    for (case, _) in kept
        .zip(&plan.sessions)
        .filter(|(_, sessions)| **sessions == 100)
    {
        goals.push(Goal::times(case, Kind::Sink.name(), 1.0));
    }
    if let Some(case) = memory.first() {
        goals.push(Goal::under(case, "KiB a connection", 16.0));
    }
    if let Some(steady) = ways.first() {
        let case = steady.case(&|found| found.quantile(0.99));
        goals.push(Goal::under(&case, "ms to published, p99", 10.0));
    }
    goals
}
