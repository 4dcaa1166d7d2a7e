//! How soon a cluster commits again after its leader's death, beside etcd; memory of an idle node.

use bench::etcd::PeerLinks;
use bench::group::Group;
use bench::grpc::Client;
use bench::ports::Ports;
use bench::report::{self, Better, Case, Contender, Report, Section};
use bench::{Failure, etcd, load, memory, replica_process, scaffold};
use clap::Subcommand;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Members of each cluster.
const MEMBERS: usize = 3;

/// A new put goes to each survivor this often after the leader's death, whatever became of those
/// before it: the resolution of the measurement. One that waits on its own could sit out a time
/// limit of many seconds (etcd's for proposals that die with the leader is seven).
const PUT_EVERY: Duration = Duration::from_millis(20);

/// Nothing committed for so long: it will not be.
const GIVE_UP: Duration = Duration::from_secs(30);

/// Calm before a kill: the member that came back has caught up and heard of its leader.
const CALM: Duration = Duration::from_millis(500);

/// Before memory of an idle node is read: it has linked up, elected a leader and made its key group.
const IDLE: Duration = Duration::from_secs(15);

#[derive(Subcommand)]
enum Part {
    /// One replica; the benchmark starts these itself
    #[command(name = replica_process::WORD, hide = true)]
    Replica(replica_process::Arguments),
}

#[derive(clap::Args)]
struct Plan {
    /// How often the leader is killed
    #[arg(long, default_value_t = 20)]
    kills: usize,
    /// The node whose memory is measured, if it is there [default: beside this program]
    #[arg(long)]
    glasshouse: Option<PathBuf>,
}

fn main() -> Result<(), Failure> {
    scaffold::run(
        |Part::Replica(replica)| replica_process::run(replica),
        measure,
    )
}

async fn measure(plan: &Plan) -> Result<(), Failure> {
    let program = etcd::find()?;
    let machine = report::machine();
    let place = report::workplace()?;
    let mut ports = Ports::default();
    let plans = replica_process::plans(MEMBERS, &place.path().join("ours"), &mut ports)?;
    let mut ours = Group::start("ours", plans).await?;
    let plans = etcd::plans(
        &program,
        MEMBERS,
        &place.path().join("etcd"),
        PeerLinks::Plain,
        &mut ports,
    )?;
    let mut peer = Group::start("etcd", plans).await?;

    tokio::time::sleep(CALM).await;
    let replicas = (resident(&ours), resident(&peer));
    let (mut our_times, mut peer_times) = (Vec::new(), Vec::new());
    for kill in 1..=plan.kills {
        our_times.push(failover(&mut ours).await?.as_secs_f64());
        peer_times.push(failover(&mut peer).await?.as_secs_f64());
        eprintln!(
            "killed {kill} of {}: ours {:.2} s, etcd {:.2} s",
            plan.kills,
            our_times[kill - 1],
            peer_times[kill - 1]
        );
    }
    drop((ours, peer));

    let mut notes = vec![
        machine,
        format!("{MEMBERS} members; a put every {PUT_EVERY:?} to each survivor from the kill on; medians of {} kills (least–most)", plan.kills),
        "both with their default timings: ours a lease of 0.65 s and 0.35–0.65 s on top, etcd 1–2 s".to_owned(),
        "\"times\" over 1: ours is the better one".to_owned(),
    ];
    let mut memory = vec![case("one replica alone", replicas.0, replicas.1)];
    let node = plan.glasshouse.clone().map_or_else(beside, Ok)?;
    match idle_nodes(&node, place.path()).await {
        // Without a ratio: a whole node with its model and data space has no counterpart in etcd.
        Ok(nodes) => memory.push(case("a whole node of three, idle", nodes, Vec::new())),
        Err(why) => notes.push(format!("memory of an idle node was not measured: {why}")),
    }
    let section = |title: &str, cases| Section {
        title: title.to_owned(),
        better: Better::Lower,
        cases,
    };
    Report {
        name: "cluster",
        notes,
        sections: vec![
            section(
                "from kill -9 of the leader to the next committed entry (s)",
                vec![case("failover", our_times, peer_times)],
            ),
            section("resident memory (MiB)", memory),
        ],
    }
    .publish()
}

fn case(label: &str, ours: Vec<f64>, etcd: Vec<f64>) -> Case {
    Case {
        label: label.to_owned(),
        ours: Contender::new("ours", ours),
        peers: vec![Contender::new("etcd", etcd)],
    }
}

fn resident(group: &Group) -> Vec<f64> {
    let pids = (0..group.size()).filter_map(|at| group.pid(at));
    pids.filter_map(memory::resident).collect()
}

/// Kills the leader and waits for a commit; then brings it back.
async fn failover(group: &mut Group) -> Result<Duration, Failure> {
    group.settled().await?;
    tokio::time::sleep(CALM).await;
    let leader = group.settled().await?;
    let survivors = (0..group.size()).filter(|at| *at != leader);
    let mut clients = Vec::new();
    for at in survivors {
        clients.push((group.address(at), Client::connect(group.address(at)).await?));
    }
    let killed = group.kill(leader)?;
    let committed = next_commit(clients).await;
    group.bring_back(leader)?;
    Ok(committed?.saturating_duration_since(killed))
}

/// When the first of many puts was committed.
async fn next_commit(clients: Vec<(SocketAddr, Client)>) -> Result<Instant, Failure> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut every = tokio::time::interval(PUT_EVERY);
    let putting = async {
        loop {
            every.tick().await;
            for (_, client) in &clients {
                let (mut client, tell) = (client.clone(), tell.clone());
                tokio::spawn(async move {
                    if client
                        .put(b"bench/failover", &[b'x'; load::PAYLOAD])
                        .await
                        .is_ok()
                    {
                        // Later ones find nobody listening.
                        let _ = tell.send(Instant::now());
                    }
                });
            }
        }
    };
    tokio::select! {
        () = putting => Err("the puts ended".into()),
        first = told.recv() => first.ok_or_else(|| "nobody puts".into()),
        () = tokio::time::sleep(GIVE_UP) => {
            Err(format!("nothing was committed within {GIVE_UP:?} of the leader's death").into())
        }
    }
}

/// `glasshouse` in the folder of this program.
fn beside() -> Result<PathBuf, Failure> {
    Ok(std::env::current_exe()?.with_file_name("glasshouse"))
}

/// Resident memory of each of three real nodes, started by the node's own launcher.
async fn idle_nodes(node: &Path, place: &Path) -> Result<Vec<f64>, Failure> {
    let node = node.canonicalize().map_err(|_| {
        format!(
            "{} is not there; build it with `cargo build --release -p node`",
            node.display()
        )
    })?;
    let dir = place.join("nodes");
    let dir_word = dir.display().to_string();
    let launcher = |words: &[&str]| {
        let status = Command::new(&node)
            .args(["cluster"])
            .args(words)
            .args(["--dir", &dir_word])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::from(format!(
                "`glasshouse cluster {}` ended with {status}",
                words.join(" ")
            ))),
            Err(error) => Err(Failure::from(format!("{}: {error}", node.display()))),
        }
    };
    // 127.0.0.1 rather than network namespaces: those would need root, and memory is the same.
    let members = MEMBERS.to_string();
    let up = launcher(&["up", "--nodes", &members, "--network", "loopback"]);
    let found: Vec<f64> = if up.is_ok() {
        tokio::time::sleep(IDLE).await;
        let pids = memory::running(&node, &dir_word).into_iter();
        pids.filter_map(memory::resident).collect()
    } else {
        Vec::new()
    };
    // Also after a start that failed half-way: nothing may stay behind.
    let down = launcher(&["down"]);
    up?;
    down?;
    if found.len() == MEMBERS {
        Ok(found)
    } else {
        Err(format!("{} processes of {MEMBERS} nodes were found", found.len()).into())
    }
}
