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
/// What is sealed: a size, and whether it is signed.
const SEALS: [(usize, bool); 3] = [(256, false), (1_024, false), (256, true)];
/// Participants that are there when another joins.
const CROWDS: [u32; 2] = [3, 50];

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
    costs: Vec<Vec<f64>>,
    memory: Vec<f64>,
    memory_at_rate: Vec<Vec<f64>>,
    discovery: Vec<Vec<f64>>,
    sealing: Vec<Vec<f64>>,
    opening: Vec<Vec<f64>>,
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
            let flood = pair.flood(size, count).await?;
            put(&mut ours.floods, at, flood.rate);
            put(&mut ours.costs, at, flood.cost);
            put(&mut ours.memory_at_rate, at, flood.resident);
            let flood = tool.flood(size, span)?;
            put(&mut cyclone.floods, at, flood.rate);
            put(&mut cyclone.costs, at, flood.cost);
            put(&mut cyclone.memory_at_rate, at, flood.resident);
        }
        let per_batch = (BATCH / READING) as f64;
        ours.batched
            .push(per_batch * pair.flood(BATCH, BATCHES).await?.rate);
        drop(pair);
        cyclone.memory.push(tool.at_rest()?);
        for (at, (size, signed)) in SEALS.into_iter().enumerate() {
            let took = space::seal(size, signed)?;
            put(&mut ours.sealing, at, took.seal);
            put(&mut ours.opening, at, took.open);
        }
        for (at, count) in CROWDS.into_iter().enumerate() {
            let took = space::discover(count).await?;
            put(&mut ours.discovery, at, 1e3 * took.as_secs_f64());
            // On a busy machine fifty of them may not meet while they run.
            match tool.discover(count as usize) {
                Ok(took) => put(&mut cyclone.discovery, at, 1e3 * took.as_secs_f64()),
                Err(error) => eprintln!("not measured: {error}"),
            }
        }
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
    let costs = FLOODS.iter().enumerate().map(|(at, (size, _))| {
        let peers = vec![("Cyclone", cyclone.costs[at].as_slice())];
        case(format!("{size} B"), &ours.costs[at], peers)
    });
    let mut memory = vec![case(
        "at rest".to_owned(),
        &ours.memory,
        vec![("Cyclone", cyclone.memory.as_slice())],
    )];
    for (at, (size, _)) in FLOODS.iter().enumerate() {
        let peers = vec![("Cyclone", cyclone.memory_at_rate[at].as_slice())];
        let label = format!("reader after {size} B at full rate");
        memory.push(case(label, &ours.memory_at_rate[at], peers));
    }
    let seals = |what: &str, values: &[Vec<f64>]| -> Vec<Case> {
        let named = SEALS.iter().zip(values).map(|((size, signed), values)| {
            let signed = if *signed { ", signed" } else { "" };
            case(format!("{what} {size} B{signed}"), values, Vec::new())
        });
        named.collect()
    };
    let sealing = [seals("seal", &ours.sealing), seals("open", &ours.opening)].concat();
    let discovery = CROWDS.iter().enumerate().map(|(at, count)| {
        case(
            format!("{count} participants"),
            &ours.discovery[at],
            vec![(
                "Cyclone, with its start, participants only",
                cyclone.discovery.get(at).map_or(&[][..], Vec::as_slice),
            )],
        )
    });
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
                title: "processor time of both ends, a sample at full rate (µs)".to_owned(),
                better: Better::Lower,
                cases: costs.collect(),
            },
            Section {
                title: "resident memory of a participant (MiB)".to_owned(),
                better: Better::Lower,
                cases: memory,
            },
            Section {
                title: "the seal of a sample, not in any figure above (µs)".to_owned(),
                better: Better::Lower,
                cases: sealing,
            },
            Section {
                title: "joining until the readers of all are met (ms)".to_owned(),
                better: Better::Lower,
                cases: discovery.collect(),
            },
        ],
    }
}
