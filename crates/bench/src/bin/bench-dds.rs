//! Round trips and throughput of the data space, beside Cyclone's own `ddsperf`.

use bench::Failure;
use bench::report::{self, Better, Case, Contender, Report, Section};
use bench::scaffold;
use bench::space::{self, DdsPerf, Ours};
use clap::Subcommand;
use std::time::Duration;

#[derive(Subcommand)]
enum Part {
    /// The other end; the benchmark starts it itself
    #[command(name = space::WORD, hide = true)]
    End(space::Arguments),
}

#[derive(clap::Args)]
struct Plan {
    /// Seconds of each measurement
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Repetitions
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
}

/// Sizes of round trips, in bytes.
const TRIPS: [usize; 2] = [256, 1_024];
/// Sizes of floods, and how many samples last a second or more.
const FLOODS: [(usize, u64); 3] = [(256, 150_000), (1_024, 100_000), (65_536, 8_000)];
/// One reading, and the batch that carries as many as fit.
const READING: usize = 256;
const BATCH: usize = 32_768;
const BATCHES: u64 = 10_000;

fn main() -> Result<(), Failure> {
    scaffold::run(|Part::End(end)| space::run(&end), measure)
}

/// What one contender reached, by case and repetition.
#[derive(Default)]
struct Reached {
    p50: Vec<Vec<f64>>,
    p99: Vec<Vec<f64>>,
    floods: Vec<Vec<f64>>,
    batched: Vec<f64>,
    memory: Vec<f64>,
}

fn put(all: &mut Vec<Vec<f64>>, at: usize, value: f64) {
    if all.len() <= at {
        all.resize(at + 1, Vec::new());
    }
    all[at].push(value);
}

async fn measure(plan: &Plan) -> Result<(), Failure> {
    let (machine, span) = (report::machine(), Duration::from_secs(plan.seconds));
    let (mut ours, mut cyclone) = (Reached::default(), Reached::default());
    let mut listeners = Reached::default();
    let tool = DdsPerf::find()?;
    for repetition in 1..=plan.repetitions {
        let mut pair = Ours::start().await?;
        ours.memory.extend(pair.resident());
        for (at, size) in TRIPS.into_iter().enumerate() {
            let trips = pair.trips(size, span).await?;
            put(&mut ours.p50, at, 1_000.0 * trips.quantile(0.5));
            put(&mut ours.p99, at, 1_000.0 * trips.quantile(0.99));
            for (reached, waits) in [(&mut cyclone, "waitset"), (&mut listeners, "listener")] {
                let trip = tool.trips(size, waits, span)?;
                put(&mut reached.p50, at, trip.p50);
                put(&mut reached.p99, at, trip.p99);
            }
        }
        for (at, (size, count)) in FLOODS.into_iter().enumerate() {
            put(&mut ours.floods, at, pair.flood(size, count).await?);
            put(&mut cyclone.floods, at, tool.flood(size, span)?);
        }
        let per_batch = (BATCH / READING) as f64;
        ours.batched
            .push(per_batch * pair.flood(BATCH, BATCHES).await?);
        eprintln!("repetition {repetition} of {} done", plan.repetitions);
    }
    report(plan, machine, &ours, &cyclone, &listeners).publish()
}

fn report(
    plan: &Plan,
    machine: String,
    ours: &Reached,
    cyclone: &Reached,
    listeners: &Reached,
) -> Report {
    let case = |label: String, ours: &[f64], peers: Vec<(&str, &[f64])>| Case {
        label,
        ours: Contender::new("ours", ours.to_vec()),
        peers: peers
            .into_iter()
            .map(|(name, values)| Contender::new(name, values.to_vec()))
            .collect(),
    };
    let trips = |title: &str, figure: fn(&Reached) -> &Vec<Vec<f64>>| Section {
        title: title.to_owned(),
        better: Better::Lower,
        cases: TRIPS
            .iter()
            .enumerate()
            .map(|(at, size)| {
                let peers = vec![
                    ("Cyclone, waitset", figure(cyclone)[at].as_slice()),
                    ("Cyclone, listener", figure(listeners)[at].as_slice()),
                ];
                case(format!("{size} B"), &figure(ours)[at], peers)
            })
            .collect(),
    };
    let floods = FLOODS.iter().enumerate().map(|(at, (size, _))| {
        let peers = vec![("Cyclone", cyclone.floods[at].as_slice())];
        case(format!("{size} B"), &ours.floods[at], peers)
    });
    let batched = case(
        format!("{READING} B, {} in a sample", BATCH / READING),
        &ours.batched,
        vec![("Cyclone, one a sample", cyclone.floods[0].as_slice())],
    );
    Report {
        name: "dds",
        notes: vec![
            machine,
            format!(
                "two processes on loopback, reliable, one key, without multicast; medians of {} repetitions (least–most)",
                plan.repetitions
            ),
            "ours: through queue, threads and channel of both ends; Cyclone: its C tool ddsperf, which writes and reads directly".to_owned(),
            "\"times\" over 1: ours is the better one".to_owned(),
        ],
        sections: vec![
            trips("round trip, p50 (µs)", |reached| &reached.p50),
            trips("round trip, p99 (µs)", |reached| &reached.p99),
            Section {
                title: "samples a second".to_owned(),
                better: Better::Higher,
                cases: floods.collect(),
            },
            Section {
                title: "readings a second".to_owned(),
                better: Better::Higher,
                cases: vec![batched],
            },
            Section {
                title: "resident memory at rest (MiB)".to_owned(),
                better: Better::Lower,
                cases: vec![case("a participant".to_owned(), &ours.memory, Vec::new())],
            },
        ],
    }
}
