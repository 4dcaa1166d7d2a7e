//! Federated rounds between processes, in clear and secure, beside Flower.

use bench::Failure;
use bench::ports::Ports;
use bench::report::{self, Better, Case, Contender, Report, Section};
use bench::rounds::flower::{self, Flower};
use bench::rounds::house::{Processes, Series};
use bench::rounds::{self, Algorithm};
use bench::scaffold;
use clap::Subcommand;

#[derive(Subcommand)]
enum Part {
    /// One process of a house; the benchmark starts these itself
    #[command(name = rounds::WORD, hide = true)]
    Peer(rounds::Arguments),
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
}

/// Rounds that warm up and are not counted.
const WARM_UP: usize = 2;

fn main() -> Result<(), Failure> {
    scaffold::run(|Part::Peer(peer)| rounds::run(peer), measure)
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

async fn measure(plan: &Plan) -> Result<(), Failure> {
    let machine = report::machine();
    let mut ports = Ports::default();
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
                let series = house.rounds(algorithm, dropped, plan.rounds).await?;
                eprintln!("{}: done", kind.label());
                ours.push((kind, series));
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

fn report(plan: &Plan, machine: String, ours: &[(Kind, Series)], flower: &Flower) -> Report {
    let section = |title: &str, figures: &dyn Fn(&Series) -> Vec<f64>, beside: bool| Section {
        title: title.to_owned(),
        better: Better::Lower,
        cases: ours
            .iter()
            .map(|(kind, series)| Case {
                label: kind.label(),
                ours: Contender::new("ours", figures(series)),
                peers: match beside {
                    true => flower.peers(kind.algorithm, kind.parameters, kind.dropped),
                    false => Vec::new(),
                },
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
    ];
    notes.extend(flower.notes());
    Report {
        name: "rounds",
        notes,
        sections: vec![
            section("a round (ms)", &|series| series.wall_ms.clone(), true),
            section(
                "processor time of a participant (ms a round)",
                &one(|series| series.client.processor_ms),
                false,
            ),
            section(
                "processor time of the aggregator (ms a round)",
                &one(|series| series.server.processor_ms),
                false,
            ),
            section(
                "sent by a participant (kB a round)",
                &one(|series| series.client.sent_kb),
                false,
            ),
            section(
                "received by a participant (kB a round)",
                &one(|series| series.client.received_kb),
                false,
            ),
        ],
    }
}
