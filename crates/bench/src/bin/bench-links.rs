//! Remote calls and casts between two processes, beside plain `ractor_cluster`.

use bench::Failure;
use bench::links::{self, Kind, MESSAGE, Pair};
use bench::ports::Ports;
use bench::report::{self, Better, Case, Contender, Report, Section};
use bench::samples::Samples;
use bench::scaffold;
use clap::Subcommand;
use std::time::Duration;

#[derive(Subcommand)]
enum Part {
    /// One end of a link; the benchmark starts these itself
    #[command(name = links::WORD, hide = true)]
    End(links::Arguments),
}

#[derive(clap::Args)]
struct Plan {
    /// Numbers of callers, each with one call under way
    #[arg(long, value_delimiter = ',', default_value = "1,32")]
    callers: Vec<usize>,
    /// Seconds of calls in each repetition
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Casts in each repetition
    #[arg(long, default_value_t = 50_000)]
    casts: u64,
    /// Repetitions
    #[arg(long, default_value_t = 7)]
    repetitions: usize,
}

fn main() -> Result<(), Failure> {
    scaffold::run(|Part::End(end)| links::run(end), measure)
}

/// What one kind of link reached: calls per number of callers, casts a second.
#[derive(Default)]
struct Reached {
    calls: Vec<Vec<Samples>>,
    casts: Vec<f64>,
}

async fn measure(plan: &Plan) -> Result<(), Failure> {
    let machine = report::machine();
    let mut ports = Ports::default();
    let mut pairs = Vec::new();
    for kind in [Kind::Ours, Kind::Plain] {
        let reached = Reached {
            calls: vec![Vec::new(); plan.callers.len()],
            casts: Vec::new(),
        };
        pairs.push((Pair::start(kind, &mut ports).await?, reached));
    }
    let span = Duration::from_secs_f64(plan.seconds);
    // The first time warms up and is not counted.
    for repetition in 0..=plan.repetitions {
        for (pair, reached) in &mut pairs {
            for (callers, samples) in plan.callers.iter().zip(&mut reached.calls) {
                let measured = pair.calls(*callers, span).await?;
                if repetition > 0 {
                    samples.push(measured);
                }
            }
            let casts = pair.casts(plan.casts).await?;
            if repetition > 0 {
                reached.casts.push(casts);
            }
        }
        eprintln!("repetition {repetition} of {} done", plan.repetitions);
    }
    let [(_, ours), (_, plain)] = &pairs[..] else {
        return Err("two kinds of links were to be measured".into());
    };
    report(plan, machine, ours, plain).publish()
}

fn report(plan: &Plan, machine: String, ours: &Reached, plain: &Reached) -> Report {
    let case = |label: String, ours: Vec<f64>, plain: Vec<f64>| Case {
        label,
        ours: Contender::new("ours", ours),
        peers: vec![Contender::new("plain ractor_cluster", plain)],
    };
    let calls = |title: &str, better, figure: &dyn Fn(&Samples) -> f64| {
        let figures = |samples: &[Samples]| samples.iter().map(figure).collect();
        let cases = plan.callers.iter().enumerate().map(|(n, callers)| {
            let unit = if *callers == 1 { "caller" } else { "callers" };
            case(
                format!("{callers} {unit}"),
                figures(&ours.calls[n]),
                figures(&plain.calls[n]),
            )
        });
        Section {
            title: title.to_owned(),
            better,
            cases: cases.collect(),
        }
    };
    let casts = Section {
        title: "casts a second".to_owned(),
        better: Better::Higher,
        cases: vec![case(
            format!("{} casts", plan.casts),
            ours.casts.clone(),
            plain.casts.clone(),
        )],
    };
    Report {
        name: "links",
        notes: vec![
            machine,
            format!("{MESSAGE} bytes a message; a call's answer has as many; medians of {} repetitions (least–most)", plan.repetitions),
            "ours: Noise with ChaCha20-Poly1305, proven peers, a window of frames; plain: TCP and a cookie, no bound on what is queued".to_owned(),
            "\"times\" over 1: ours is the better one (latencies: plain's by ours)".to_owned(),
        ],
        sections: vec![
            calls("latency of a call, p50 (ms)", Better::Lower, &|samples| samples.quantile(0.5)),
            calls("latency of a call, p99 (ms)", Better::Lower, &|samples| samples.quantile(0.99)),
            calls("calls a second", Better::Higher, &Samples::rate),
            casts,
        ],
    }
}
