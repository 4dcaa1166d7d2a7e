//! The feed's decoder of EBCDIC records, beside coboljsonifier.

use bench::Failure;
use bench::feed::Records;
use bench::report::{self, Better, Case, Contender, Report, Section};
use clap::Parser;
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
    #[arg(long, default_value_t = 7)]
    repetitions: usize,
}

fn main() -> Result<(), Failure> {
    let plan = Plan::parse();
    let (machine, records) = (report::machine(), Records::new()?);
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
        eprintln!("repetition {repetition} of {} done", plan.repetitions);
    }
    let least = ours.iter().copied().fold(f64::INFINITY, f64::min);
    let (fields, len) = (records.fields(), records.copybook.record_len());
    Report {
        name: "feed",
        notes: vec![
            machine,
            format!("{fields} fields in {len} bytes (text, zoned, packed, binary), one thread; processor time, so that other load costs neither side; medians of {} repetitions (least–most)", plan.repetitions),
            "ours: every field checked and decoded into a row that is used again; coboljsonifier 1.0.8 (Python): a dictionary of values for each record. Both read the same values".to_owned(),
            format!("goal: {GOAL} MB/s a core; the slowest repetition reached {least:.0}"),
        ],
        sections: vec![Section {
            title: "records decoded (MB a second of one core)".to_owned(),
            better: Better::Higher,
            cases: vec![Case {
                label: format!("{fields} fields"),
                ours: Contender::new("ours", ours),
                peers: vec![Contender::new("coboljsonifier", theirs)],
            }],
        }],
    }
    .publish()?;
    match least >= GOAL {
        true => Ok(()),
        false => Err(format!("the goal of {GOAL} MB/s a core was missed: {least:.0}").into()),
    }
}
