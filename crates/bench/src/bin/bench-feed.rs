//! The feed beside kcat and samsa's own stream, its decoder of EBCDIC records beside coboljsonifier.

use bench::Failure;
use bench::feed::Records;
use bench::feed::broker::{Kafka, VALUE};
use bench::feed::consume::{self, Reached};
use bench::report::{self, Better, Case, Contender, Report, Section};
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
    /// What to measure
    #[arg(long, value_enum, value_delimiter = ',', default_value = "read,decode")]
    parts: Vec<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Reading a topic of a real Kafka.
    Read,
    /// Decoding records.
    Decode,
}

fn main() -> Result<(), Failure> {
    let plan = Plan::parse();
    let mut sections = Vec::new();
    let mut notes = vec![report::machine()];
    if plan.parts.contains(&Part::Read) {
        notes.push(format!(
            "{} records of {VALUE} bytes on one Apache Kafka 4.1 of this machine, in batches of 1,000; from connecting to the last record; medians of {} repetitions (least–most), contenders in turn", plan.records, plan.repetitions));
        notes.push("kcat (librdkafka) throws values away; samsa's own stream reads one partition without compression, and fails on the others".to_owned());
        sections.extend(runtime()?.block_on(read(&plan))?);
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

async fn read(plan: &Plan) -> Result<[Section; 2], Failure> {
    let folder = report::workplace()?;
    let kafka = Kafka::start(folder.path()).await?;
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for (partitions, codec) in [1, 12].into_iter().flat_map(|partitions| {
        [Codec::None, Codec::Lz4, Codec::Zstd].map(|codec| (partitions, codec))
    }) {
        let label = format!("{partitions} partition(s), {codec:?}").to_lowercase();
        let topic = format!("bench-{partitions}-{codec:?}").to_lowercase();
        kafka.fill(&topic, partitions, codec, plan.records).await?;
        let plain = partitions == 1 && codec == Codec::None;
        let mut reached = [const { Vec::new() }; 3];
        // The first time warms the broker's caches and is not counted.
        for repetition in 0..=plan.repetitions {
            let mut all = vec![
                consume::ours(&kafka, &topic, plan.records).await?,
                consume::kcat(&kafka, &topic, plan.records)?,
            ];
            if plain {
                all.push(consume::samsa(&kafka, &topic, plan.records).await?);
            }
            if repetition > 0 {
                for (of, one) in reached.iter_mut().zip(all) {
                    of.push(one);
                }
            }
        }
        eprintln!("{label}: done");
        let case = |value: fn(&Reached) -> f64| {
            let contender =
                |name: &str, of: &[Reached]| Contender::new(name, of.iter().map(value).collect());
            let [ours, kcat, samsa] = &reached;
            Case {
                label: label.clone(),
                ours: contender("ours", ours),
                peers: vec![contender("kcat", kcat), contender("samsa", samsa)],
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
