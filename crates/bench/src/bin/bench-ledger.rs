//! Commits a second and commit latency of 3 and 5 replicas with fsync, beside etcd.

use bench::etcd::PeerLinks;
use bench::group::Group;
use bench::grpc::Client;
use bench::ports::Ports;
use bench::report::{self, Better, Case, Contender, Report, Section};
use bench::samples::Samples;
use bench::{Failure, etcd, load, replica_process, scaffold};
use clap::Subcommand;
use std::path::Path;
use std::time::Duration;

#[derive(Subcommand)]
enum Part {
    /// One replica; the benchmark starts these itself
    #[command(name = replica_process::WORD, hide = true)]
    Replica(replica_process::Arguments),
}

#[derive(clap::Args)]
struct Plan {
    /// Sizes of the clusters
    #[arg(long, value_delimiter = ',', default_value = "3,5")]
    replicas: Vec<usize>,
    /// Numbers of clients, each with one entry under way
    #[arg(long, value_delimiter = ',', default_value = "1,16,128")]
    clients: Vec<usize>,
    /// Seconds of each repetition
    #[arg(long, default_value_t = 0.7)]
    seconds: f64,
    /// Repetitions of each case
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// Ours alone, for a profiler
    #[arg(long)]
    alone: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Leader,
    Follower,
    /// By tasks of the replica itself, as a node proposes.
    Embedded,
}

fn main() -> Result<(), Failure> {
    scaffold::run(
        |Part::Replica(replica)| replica_process::run(replica),
        measure,
    )
}

async fn measure(plan: &Plan) -> Result<(), Failure> {
    let etcd = if plan.alone {
        None
    } else {
        Some(etcd::find()?)
    };
    let machine = report::machine();
    let floor = report::disk_floor()?;
    let place = report::workplace()?;
    let mut measured = Vec::new();
    for (n, size) in plan.replicas.iter().enumerate() {
        let dir = place.path().join(size.to_string());
        measured.extend(one_size(plan, *size, n == 0, &dir, etcd.as_deref()).await?);
    }
    let section = |title: &str, better, figure: &dyn Fn(&Samples) -> f64| Section {
        title: title.to_owned(),
        better,
        cases: measured.iter().map(|row| row.case(figure)).collect(),
    };
    Report {
        name: "ledger",
        notes: vec![
            machine,
            format!("making 4 KiB durable takes this disk {floor:.1?} (median)"),
            format!("{} bytes a value; a repetition takes {} s; medians of {} (least–most)", load::PAYLOAD, plan.seconds, plan.repetitions),
            "all by the same gRPC client, one connection a client, except \"in process\": proposed by tasks of the leader itself, beside etcd by its clients".to_owned(),
            "ours is encrypted between replicas; etcd is not, unless TLS is named".to_owned(),
            "\"times\" over 1: ours is the better one (latencies: etcd's by ours)".to_owned(),
        ],
        sections: vec![
            section("entries a second", Better::Higher, &Samples::rate),
            section("latency of a commit, p50 (ms)", Better::Lower, &|samples| samples.quantile(0.5)),
            section("latency of a commit, p99 (ms)", Better::Lower, &|samples| samples.quantile(0.99)),
        ],
    }
    .publish()
}

/// The samples of one case.
struct Row {
    label: String,
    ours: Vec<Samples>,
    peers: Vec<(String, Vec<Samples>)>,
}

impl Row {
    fn case(&self, figure: &dyn Fn(&Samples) -> f64) -> Case {
        let contender = |name: &str, samples: &[Samples]| {
            Contender::new(name, samples.iter().map(figure).collect())
        };
        let peers = self
            .peers
            .iter()
            .map(|(name, samples)| contender(name, samples));
        Case {
            label: self.label.clone(),
            ours: contender("ours", &self.ours),
            peers: peers.collect(),
        }
    }
}

/// All cases of one size. The `first` size is also compared with etcd under TLS, and within the process.
async fn one_size(
    plan: &Plan,
    size: usize,
    first: bool,
    dir: &Path,
    etcd: Option<&Path>,
) -> Result<Vec<Row>, Failure> {
    let mut ports = Ports::default();
    let ours = Group::start(
        "ours",
        replica_process::plans(size, &dir.join("ours"), &mut ports)?,
    )
    .await?;
    let mut plain = Vec::new();
    if let Some(program) = etcd {
        let plans = etcd::plans(
            program,
            size,
            &dir.join("etcd"),
            PeerLinks::Plain,
            &mut ports,
        )?;
        plain.push(Group::start("etcd", plans).await?);
    }
    let mut rows = Vec::new();
    for way in [Way::Leader, Way::Follower] {
        for clients in &plan.clients {
            rows.push(repeated(plan, way, *clients, &ours, &plain).await?);
        }
    }
    if first {
        for clients in &plan.clients {
            rows.push(repeated(plan, Way::Embedded, *clients, &ours, &plain).await?);
        }
        if let Some(program) = etcd {
            drop(plain);
            let plans = etcd::plans(
                program,
                size,
                &dir.join("etcd-tls"),
                PeerLinks::Tls,
                &mut ports,
            )?;
            let tls = [Group::start("etcd with TLS", plans).await?];
            for clients in &plan.clients {
                rows.push(repeated(plan, Way::Leader, *clients, &ours, &tls).await?);
            }
        }
    }
    Ok(rows)
}

async fn repeated(
    plan: &Plan,
    way: Way,
    clients: usize,
    ours: &Group,
    peers: &[Group],
) -> Result<Row, Failure> {
    let by = match way {
        Way::Leader => "by the leader",
        Way::Follower => "by a follower",
        Way::Embedded => "in process",
    };
    let unit = if clients == 1 { "client" } else { "clients" };
    let mut row = Row {
        label: format!("{} replicas, {by}, {clients} {unit}", ours.size()),
        ours: Vec::new(),
        peers: peers
            .iter()
            .map(|peer| (peer.name.clone(), Vec::new()))
            .collect(),
    };
    for _ in 0..plan.repetitions {
        row.ours.push(once(plan, way, clients, ours).await?);
        for (peer, (_, samples)) in peers.iter().zip(&mut row.peers) {
            // etcd has no other way in than its clients.
            let way = if way == Way::Embedded {
                Way::Leader
            } else {
                way
            };
            samples.push(once(plan, way, clients, peer).await?);
        }
    }
    eprintln!("measured: {}", row.label);
    Ok(row)
}

async fn once(plan: &Plan, way: Way, clients: usize, group: &Group) -> Result<Samples, Failure> {
    let span = Duration::from_secs_f64(plan.seconds);
    // Asked anew each time: a busy machine can depose a leader.
    let leader = group.settled().await?;
    match way {
        Way::Leader => load::puts(group.address(leader), clients, span).await,
        Way::Follower => {
            load::puts(group.address((leader + 1) % group.size()), clients, span).await
        }
        Way::Embedded => {
            let mut client = Client::connect(group.address(leader)).await?;
            let millis = u64::try_from(span.as_millis())?;
            let latencies = client
                .embedded(clients as u64, load::PAYLOAD as u64, millis)
                .await?;
            Ok(Samples::new(latencies, span))
        }
    }
}
