//! The feed beside kcat, rdkafka_performance and samsa's own stream, its decoder of EBCDIC records beside coboljsonifier.

use bench::Failure;
use bench::feed::Records;
use bench::feed::broker::{Kafka, VALUE};
use bench::feed::consume::{self, Reached};
use bench::feed::latency;
use bench::report::{self, Better, Case, Contender, Report, Section};
use bench::samples::Samples;
use clap::Parser;
use edge::kafka::Codec;
use std::time::Duration;

/// What a core has to decode of a copybook of thirty fields.
const GOAL: f64 = 300.0;
const MEGABYTE: f64 = 1e6;

#[derive(Parser)]
#[command(about, version)]
struct Plan {
    /// Seconds of processor time in each repetition
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Repetitions
    #[arg(long, default_value_t = 5)]
    repetitions: usize,
    /// Records on each topic
    #[arg(long, default_value_t = 1_000_000)]
    records: usize,
    /// Records whose latency is measured in each repetition
    #[arg(long, default_value_t = 1_000)]
    single: usize,
    /// What to measure
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "read,latency,decode"
    )]
    parts: Vec<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Reading a topic of a real Kafka.
    Read,
    /// How soon a record is here.
    Latency,
    /// Decoding records.
    Decode,
}

fn main() -> Result<(), Failure> {
    report::log();
    let plan = Plan::parse();
    let mut sections = Vec::new();
    let mut notes = vec![report::machine()];
    let on_kafka = [Part::Read, Part::Latency].map(|part| plan.parts.contains(&part));
    if on_kafka.contains(&true) {
        let folder = report::workplace()?;
        let runtime = runtime()?;
        let kafka = runtime.block_on(Kafka::start(folder.path()))?;
        if on_kafka[0] {
            notes.extend(reading_notes(&plan));
            sections.extend(runtime.block_on(read(&plan, &kafka))?);
        }
        if on_kafka[1] {
            notes.push(format!("latency: {} records of {} bytes, one every 5 ms, from the call of the producer (all in-sync replicas acknowledge) until our feed has decoded its fields, or kcat has printed its offset; both at the same time", plan.single, Records::new()?.copybook.record_len()));
            sections.push(runtime.block_on(latencies(&plan, &kafka))?);
        }
    }
    let mut least = f64::INFINITY;
    if plan.parts.contains(&Part::Decode) {
        let (section, note, slowest) = decode(&plan)?;
        (least, notes) = (slowest, [notes, note].concat());
        sections.push(section);
    }
    let report = Report {
        name: "feed",
        notes,
        sections,
    };
    report.publish()?;
    match least >= GOAL {
        true => Ok(()),
        false => Err(format!("the goal of {GOAL} MB/s a core was missed: {least:.0}").into()),
    }
}

/// As a node has it: two threads.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}

fn reading_notes(plan: &Plan) -> [String; 2] {
    [
        format!(
            "{} records of {VALUE} bytes on one Apache Kafka 4.1 of this machine, in batches of 1,000; from connecting to the last record; medians of {} repetitions (least–most), contenders in turn",
            plan.records, plan.repetitions
        ),
        "kcat and rdkafka_performance (librdkafka) throw values away, the latter without looking at them; samsa's own stream reads one partition without compression, and fails on the others".to_owned(),
    ]
}

const READERS: [&str; 4] = ["ours", "kcat", "rdkafka_performance", "samsa"];

async fn read(plan: &Plan, kafka: &Kafka) -> Result<[Section; 2], Failure> {
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for (partitions, codec) in [1, 12].into_iter().flat_map(|partitions| {
        [Codec::None, Codec::Lz4, Codec::Zstd].map(|codec| (partitions, codec))
    }) {
        let label = format!("{partitions} partition(s), {codec:?}").to_lowercase();
        let topic = format!("bench-{partitions}-{codec:?}").to_lowercase();
        kafka.fill(&topic, partitions, codec, plan.records).await?;
        let plain = partitions == 1 && codec == Codec::None;
        let mut reached = READERS.map(|name| (name, Vec::new()));
        // The first time warms the broker's caches and is not counted.
        for repetition in 0..=plan.repetitions {
            let mut all = vec![
                consume::ours(kafka, &topic, plan.records).await?,
                consume::kcat(kafka, &topic, plan.records)?,
                consume::performance(kafka, &topic, partitions, plan.records)?,
            ];
            if plain {
                all.push(consume::samsa(kafka, &topic, plan.records).await?);
            }
            if repetition > 0 {
                for ((_, of), one) in reached.iter_mut().zip(all) {
                    of.push(one);
                }
            }
        }
        eprintln!("{label}: done");
        let case = |value: fn(&Reached) -> f64| {
            let contender = |(name, of): &(&str, Vec<Reached>)| {
                Contender::new(*name, of.iter().map(value).collect())
            };
            let [ours, peers @ ..] = &reached;
            Case {
                label: label.clone(),
                ours: contender(ours),
                peers: peers.iter().map(contender).collect(),
            }
        };
        rates.push(case(|reached| reached.rate));
        costs.push(case(|reached| reached.micros));
    }
    Ok([
        Section {
            title: "records read from Kafka (a second)".to_owned(),
            better: Better::Higher,
            cases: rates,
        },
        Section {
            title: "processor time of the client (µs a record)".to_owned(),
            better: Better::Lower,
            cases: costs,
        },
    ])
}

async fn latencies(plan: &Plan, kafka: &Kafka) -> Result<Section, Failure> {
    let records = Records::new()?;
    let (mut ours, mut kcat) = (Vec::new(), Vec::new());
    for repetition in 0..plan.repetitions {
        let topic = format!("latency-{repetition}");
        let both = latency::measure(kafka, &records, &topic, plan.single).await?;
        ours.push(both.ours);
        kcat.push(both.kcat);
    }
    let case = |label: &str, share: f64| {
        let of = |samples: &[Samples]| samples.iter().map(|one| one.quantile(share)).collect();
        Case {
            label: label.to_owned(),
            ours: Contender::new("ours", of(&ours)),
            peers: vec![Contender::new("kcat", of(&kcat))],
        }
    };
    Ok(Section {
        title: "from producing a record to its fields (ms)".to_owned(),
        better: Better::Lower,
        cases: vec![case("p50", 0.5), case("p99", 0.99)],
    })
}

/// The section, its notes, and the slowest repetition of ours.
fn decode(plan: &Plan) -> Result<(Section, Vec<String>, f64), Failure> {
    let records = Records::new()?;
    let span = Duration::from_secs_f64(plan.seconds);
    let folder = report::workplace()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // The first time warms up and is not counted.
    for repetition in 0..=plan.repetitions {
        let pair = (
            records.ours(span)? / MEGABYTE,
            records.theirs(folder.path(), span)? / MEGABYTE,
        );
        if repetition > 0 {
            ours.push(pair.0);
            theirs.push(pair.1);
        }
    }
    let least = ours.iter().copied().fold(f64::INFINITY, f64::min);
    let (fields, len) = (records.fields(), records.copybook.record_len());
    let notes = vec![
        format!("decoding: {fields} fields in {len} bytes (text, zoned, packed, binary), one thread; processor time, so that other load costs neither side; {} repetitions", plan.repetitions),
        "ours: every field checked and decoded into a row that is used again; coboljsonifier 1.0.8 (Python): a dictionary of values for each record. Both read the same values".to_owned(),
        format!("goal of decoding: {GOAL} MB/s a core; the slowest repetition reached {least:.0}"),
    ];
    let section = Section {
        title: "records decoded (MB a second of one core)".to_owned(),
        better: Better::Higher,
        cases: vec![Case {
            label: format!("{fields} fields"),
            ours: Contender::new("ours", ours),
            peers: vec![Contender::new("coboljsonifier", theirs)],
        }],
    };
    Ok((section, notes, least))
}
