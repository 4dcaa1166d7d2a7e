//! Flower (PyPI `flwr`), in its simulation and in its deployment: `deploy/bench/flower`.
//!
//! Its rounds are timed within its server app, around the workflow of one round; ours in the aggregator's process. Its
//! clients have their updates ready as ours have. It runs as it comes, without TLS.

use super::Algorithm;
use crate::Failure;
use crate::ports::Ports;
use crate::report::Contender;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// What of Flower is measured.
#[derive(clap::Args)]
pub struct Plan {
    /// Seconds for its simulation; 0: not measured
    #[arg(long, default_value_t = 60)]
    simulation: u64,
    /// Seconds for its deployment; 0: not measured
    #[arg(long, default_value_t = 300)]
    deployment: u64,
}

/// Rounds of each kind in the simulation. A deployment takes so long that one has to do.
const SIMULATED: usize = 5;
const DEPLOYED: usize = 1;
/// Beyond the time for its rounds: it starts Python nine times over, and Ray; and a case that has begun may end.
const START: Duration = Duration::from_secs(60);

/// A place where it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Simulation,
    Deployment,
}

impl Place {
    const ALL: [Self; 2] = [Self::Simulation, Self::Deployment];

    const fn name(self) -> &'static str {
        match self {
            Self::Simulation => "Flower's simulation",
            Self::Deployment => "Flower's deployment",
        }
    }

    const fn script(self) -> &'static str {
        match self {
            Self::Simulation => "rounds.py",
            Self::Deployment => "deployment.py",
        }
    }
}

/// One round, as its script writes it.
#[derive(Deserialize)]
struct Line {
    algorithm: String,
    parameters: usize,
    dropped: usize,
    ms: f64,
}

/// What Flower reached.
pub struct Flower {
    rounds: Vec<(Place, Line)>,
    notes: Vec<String>,
}

/// Which rounds there are to be.
pub struct Kinds<'a> {
    /// Clients.
    pub clients: usize,
    /// Of the model.
    pub parameters: &'a [usize],
    /// Clients that drop out.
    pub dropped: &'a [usize],
}

impl Kinds<'_> {
    /// In the order of their worth: what time runs out for is the last.
    fn cases(&self, rounds: usize) -> Vec<Value> {
        let mut cases = Vec::new();
        for dropped in self.dropped {
            for parameters in self.parameters {
                for algorithm in [Algorithm::FedAvg, Algorithm::Secure] {
                    cases.push(json!([algorithm.word(), parameters, dropped, rounds]));
                }
            }
        }
        cases
    }
}

/// Runs it. That it cannot be run is no failure: the report says so.
pub async fn measure(plan: &Plan, kinds: &Kinds<'_>, ports: &mut Ports) -> Flower {
    let mut flower = Flower {
        rounds: Vec::new(),
        notes: vec!["Flower 1.41.0 as it comes, without TLS; its simulation on Ray with an actor per processor, its SecAgg+ with all as neighbours and 6 of 8 needed, as ours; ratios are of its rounds and as many of ours".to_owned()],
    };
    for place in Place::ALL {
        let seconds = match place {
            Place::Simulation => plan.simulation,
            Place::Deployment => plan.deployment,
        };
        if seconds == 0 {
            continue;
        }
        match run(place, seconds, kinds, ports).await {
            Ok((lines, ended)) => {
                let lines = lines.into_iter().map(|line| (place, line));
                flower.rounds.extend(lines);
                let note = ended.map(|why| format!("{} broke off: {why}", place.name()));
                flower.notes.extend(note);
            }
            Err(error) => {
                let note = format!("{} is not measured: {error}", place.name());
                flower.notes.push(note);
            }
        }
        eprintln!("{}: done", place.name());
    }
    flower
}

/// Its rounds; and why there are no more, if it is not that all are there or that time was up.
async fn run(
    place: Place,
    seconds: u64,
    kinds: &Kinds<'_>,
    ports: &mut Ports,
) -> Result<(Vec<Line>, Option<String>), Failure> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join(".tools/flower-venv/bin/python");
    if !python.exists() {
        return Err(
            "it could not be installed; `cargo xtask setup --for bench` tries again".into(),
        );
    }
    let folder = crate::report::workplace()?;
    let file = |name: &str| -> PathBuf { folder.path().join(name) };
    let rounds = match place {
        Place::Simulation => SIMULATED,
        Place::Deployment => DEPLOYED,
    };
    let listen = (0..=kinds.clients)
        .map(|_| ports.free().map(|at| at.port()))
        .collect::<Result<Vec<_>, _>>()?;
    let limit = Duration::from_secs(seconds) + START;
    let order = json!({
        "out": file("rounds"),
        "log": file("log"),
        "clients": kinds.clients,
        "seconds": seconds,
        "limit": limit.as_secs(),
        "ports": listen,
        "cases": kinds.cases(rounds),
    });
    let log = std::fs::File::create(file("output"))?;
    let mut child = Command::new(python)
        .arg(root.join("deploy/bench/flower").join(place.script()))
        .env("GLASSHOUSE_ROUNDS", order.to_string())
        .env("FLWR_HOME", folder.path())
        .env("FLWR_TELEMETRY_ENABLED", "0")
        .env("RAY_USAGE_STATS_ENABLED", "0")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()?;
    // The deployment ends itself at the limit, and all its processes.
    let ended = tokio::time::timeout(limit + Duration::from_secs(10), child.wait()).await;
    let text = std::fs::read_to_string(file("rounds")).unwrap_or_default();
    let lines: Vec<Line> = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let why = match ended {
        Ok(status) => {
            let status = status?;
            (!status.success()).then(|| format!("it ended with {status}; its words stand above"))
        }
        Err(_) => Some(format!("it had not ended after {} s", limit.as_secs())),
    };
    if why.is_some() || lines.is_empty() {
        let output = std::fs::read_to_string(file("output")).unwrap_or_default();
        let log = std::fs::read_to_string(file("log")).unwrap_or_default();
        eprintln!("{output}{log}");
    }
    match lines.is_empty() {
        true => Err(why.unwrap_or_else(|| "it made no round".to_owned()).into()),
        false => Ok((lines, why)),
    }
}

impl Flower {
    /// Its figures beside ours; none of what was not measured.
    pub fn peers(&self, algorithm: Algorithm, parameters: usize, dropped: usize) -> Vec<Contender> {
        let of = |place: Place| {
            let rounds = self.rounds.iter().filter(move |(at, line)| {
                *at == place
                    && line.algorithm == algorithm.word()
                    && (line.parameters, line.dropped) == (parameters, dropped)
            });
            rounds.map(|(_, line)| line.ms).collect::<Vec<_>>()
        };
        Place::ALL
            .map(|place| Contender::new(place.name(), of(place)))
            .to_vec()
    }

    /// What a reader should know.
    pub fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}
