//! Federated rounds between processes, in clear and secure, beside Flower.

use bench::Failure;
use bench::ports::Ports;
use bench::report::{self, Better, Case, Contender, Report, Section};
use bench::rounds::flower::{self, Flower};
use bench::rounds::house::{Processes, Series};
use bench::rounds::{self, Algorithm, bare, scale};
use bench::scaffold;
use clap::Subcommand;

#[derive(Subcommand)]
enum Part {
    /// One process of a house; the benchmark starts these itself
    #[command(name = rounds::WORD, hide = true)]
    Peer(rounds::Arguments),
    /// One process that carries bytes; the benchmark starts these itself
    #[command(name = bare::WORD, hide = true)]
    Bare(bare::Arguments),
}

#[derive(clap::Args)]
struct Plan {
    /// Participants, each a process
    #[arg(long, default_value_t = 8)]
    participants: usize,
    /// Numbers of parameters
    #[arg(long, value_delimiter = ',', default_value = "7000,1000000")]
    parameters: Vec<usize>,
    /// Numbers of participants that drop out
    #[arg(long, value_delimiter = ',', default_value = "0,2")]
    dropped: Vec<usize>,
    /// Rounds of ours of each kind
    #[arg(long, default_value_t = 15)]
    rounds: usize,
    #[command(flatten)]
    flower: flower::Plan,
    /// Measures secure aggregation at scale instead, all machines in one process; SIZES: clients:entries:percent
    /// dropped, …; by default those of docs/rounds.md, two minutes on two cores
    #[arg(long, num_args = 0..=1, default_missing_value = scale::DEFAULT, value_name = "SIZES")]
    scale: Option<scale::Cases>,
}

/// Rounds that warm up and are not counted.
const WARM_UP: usize = 2;

fn main() -> Result<(), Failure> {
    let part = |part| match part {
        Part::Peer(peer) => rounds::run(peer),
        Part::Bare(peer) => bare::run(peer),
    };
    scaffold::run(part, measure)
}

/// One kind of round.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    algorithm: Algorithm,
    parameters: usize,
    dropped: usize,
}

impl Kind {
    fn label(self) -> String {
        let algorithm = match self.algorithm {
            Algorithm::FedAvg => "FedAvg",
            Algorithm::Secure => "secure",
        };
        let (parameters, dropped) = (self.parameters, self.dropped);
        format!("{algorithm}, {parameters} parameters, {dropped} dropped")
    }
}

/// Ours, and its bytes alone.
struct Measured {
    kind: Kind,
    rounds: Series,
    bare: Series,
}

async fn measure(plan: &Plan) -> Result<(), Failure> {
    if let Some(cases) = &plan.scale {
        return scale::measure(cases);
    }
    let machine = report::machine();
    let mut ports = Ports::default();
    let mut carriers = Processes::start_bare(plan.participants, &mut ports).await?;
    let mut ours = Vec::new();
    for parameters in plan.parameters.iter().copied() {
        let mut house = Processes::start(plan.participants, parameters, &mut ports).await?;
        for algorithm in [Algorithm::FedAvg, Algorithm::Secure] {
            for dropped in plan.dropped.iter().copied() {
                let kind = Kind {
                    algorithm,
                    parameters,
                    dropped,
                };
                house.rounds(algorithm, dropped, WARM_UP).await?;
                let rounds = house.rounds(algorithm, dropped, plan.rounds).await?;
                carriers.exchanges(&rounds, dropped, WARM_UP).await?;
                let bare = carriers.exchanges(&rounds, dropped, plan.rounds).await?;
                eprintln!("{}: done", kind.label());
                ours.push(Measured { kind, rounds, bare });
            }
        }
    }
    let kinds = flower::Kinds {
        clients: plan.participants,
        parameters: &plan.parameters,
        dropped: &plan.dropped,
    };
    let flower = flower::measure(&plan.flower, &kinds, &mut ports).await;
    report(plan, machine, &ours, &flower).publish()
}

/// What stands beside a figure of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    Bare,
    BareAndFlower,
}

fn report(plan: &Plan, machine: String, ours: &[Measured], flower: &Flower) -> Report {
    let section = |title: &str, figures: &dyn Fn(&Series) -> Vec<f64>, beside: Beside| Section {
        title: title.to_owned(),
        better: Better::Lower,
        cases: ours
            .iter()
            .map(|Measured { kind, rounds, bare }| {
                let mut peers = match beside {
                    Beside::Nothing => Vec::new(),
                    Beside::Bare | Beside::BareAndFlower => {
                        vec![Contender::new("links alone", figures(bare))]
                    }
                };
                if beside == Beside::BareAndFlower {
                    peers.extend(flower.peers(kind.algorithm, kind.parameters, kind.dropped));
                }
                Case {
                    label: kind.label(),
                    ours: Contender::new("ours", figures(rounds)),
                    peers,
                }
            })
            .collect(),
    };
    let one = |figure: fn(&Series) -> f64| move |series: &Series| vec![figure(series)];
    let mut notes = vec![
        machine,
        format!(
            "{} participants and an aggregator, each a process, over encrypted links on loopback; medians of {} rounds (least–most), the other figures are means of them",
            plan.participants, plan.rounds
        ),
        "nobody trains, on either side; an act of ours takes effect when a majority has answered, without a disk"
            .to_owned(),
        "who drops out says so: in clear instead of its update, in a secure round when it has dealt its shares"
            .to_owned(),
        "links alone: as many bytes each way between as many processes, encrypted, over loopback and decrypted, and nothing else; times links alone is their share of our round"
            .to_owned(),
    ];
    notes.extend(flower.notes());
    Report {
        name: "rounds",
        notes,
        sections: vec![
            section(
                "a round (ms)",
                &|series| series.wall_ms.clone(),
                Beside::BareAndFlower,
            ),
            section(
                "processor time of a participant (ms a round)",
                &one(|series| series.client.processor_ms),
                Beside::Bare,
            ),
            section(
                "processor time of the aggregator (ms a round)",
                &one(|series| series.server.processor_ms),
                Beside::Bare,
            ),
            section(
                "sent by a participant (kB a round)",
                &one(|series| series.client.sent_kb),
                Beside::Nothing,
            ),
            section(
                "received by a participant (kB a round)",
                &one(|series| series.client.received_kb),
                Beside::Nothing,
            ),
        ],
    }
}
