//! `cargo xtask eval smd`: how well detectors find the labelled faults of the Server Machine Dataset.

use clap::Parser;
use eval::data::{self, Machine};
use eval::detect::{self, Scores};
use eval::metrics::Measures;
use eval::product;
use eval::report::{self, Line};
use eval::thresholds::{self, Kept};
use eval::together::{Cohort, Plan, Way};
use gear::seed::Seed;
use learn::Shape;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Measures how well detectors, alone and trained together, find the labelled faults of the Server Machine
/// Dataset (Su et al., KDD 2019).
#[derive(Parser)]
struct Options {
    /// Folder with train/, test/ and test_label/, each of machine-X-Y.txt.zst
    #[arg(long, default_value = "../shared/data/smd")]
    data: PathBuf,
    /// Seeds of initial weights, the order of rows and the random score
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
    /// Rounds of federated averaging, and passes of the ways without rounds
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Rows from one round of the nodes, and one calibration, to the next: at the default eight hours of minutes. In a
    /// cluster rounds are far more frequent; on these rows they would take a day
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    every: u32,
    /// Of what is trained only the lines whose name contains this, such as "nodes"
    #[arg(long)]
    only: Option<String>,
    /// Lines of the smd.json of an earlier run that this one lacks come into the table and the pictures, as means
    #[arg(long)]
    with: Vec<PathBuf>,
    /// Where smd.json and the pictures go
    #[arg(long, default_value = "target/eval")]
    out: PathBuf,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only))
    }
}

/// False alarms per row that nodes' thresholds are set for; the first is the default, by which lines are measured.
const RATES: [f64; 3] = [telemetry::score::DEFAULT_FALSE_ALARM_RATE, 1e-3, 1e-5];
/// Those whose thresholds are looked at.
const AT_THRESHOLDS: &str = "nodes with a shared model";

type Failure = Box<dyn std::error::Error + Send + Sync>;
/// Tells how far it is.
type Say<'a> = dyn Fn(&str) + Sync + 'a;

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Failure> {
    let start = Instant::now();
    let machines = data::load(&options.data)?;
    let say = |text: &str| eprintln!("{:7.1} s  {text}", start.elapsed().as_secs_f64());
    say(&format!(
        "{} machines, {} rows to learn from, {} to judge",
        machines.len(),
        machines.iter().map(|m| m.train.len()).sum::<usize>(),
        machines.iter().map(|m| m.test.len()).sum::<usize>()
    ));

    let mut lines = vec![random(&machines, options.seeds)];
    let own = alone(&machines);
    for (name, scores) in &own {
        lines.push(Line {
            name: (*name).to_owned(),
            runs: vec![measured(&machines, scores)],
        });
        say(name);
    }
    lines.extend(together(&machines, &own, options, &say)?);
    let (by_nodes, kept) = nodes(&machines, options, &say)?;
    lines.extend(by_nodes);

    let names: Vec<String> = machines
        .iter()
        .map(|machine| machine.name.clone())
        .collect();
    for file in &options.with {
        let text = std::fs::read_to_string(file).map_err(|error| {
            format!(
                "{}: {error}; --with takes an earlier smd.json",
                file.display()
            )
        })?;
        let earlier = report::earlier(&names, &serde_json::from_str(&text)?);
        let earlier = earlier.ok_or_else(|| {
            format!(
                "{} is no evaluation of these machines; --with takes an earlier smd.json",
                file.display()
            )
        })?;
        let new = |line: &Line| lines.iter().all(|other| other.name != line.name);
        let new: Vec<Line> = earlier.into_iter().filter(new).collect();
        lines.extend(new);
    }
    println!("{}", report::table(&lines));
    println!(
        "Means over machines; in brackets the means of the worst and the best of the seeds. \"Adjusted\" takes one"
    );
    println!(
        "row above the threshold for the whole stretch: read it only beside the random score's.\n"
    );
    println!("{}", thresholds::table(&kept));
    std::fs::create_dir_all(&options.out)?;
    std::fs::write(
        options.out.join("smd.json"),
        serde_json::to_string_pretty(&report::json(&names, &lines, &kept))?,
    )?;
    for ((title, figure), file) in
        report::FIGURES
            .into_iter()
            .zip(["auc-pr", "vus-pr", "f1", "f1-adjusted"])
    {
        let title = format!("{title} on the Server Machine Dataset");
        let picture = report::svg(&names, &lines, &title, figure);
        std::fs::write(options.out.join(format!("smd-{file}.svg")), picture)?;
    }
    say(&format!(
        "figures and pictures are in {}",
        options.out.display()
    ));
    Ok(())
}

fn measured(machines: &[Machine], scores: &[Scores]) -> Vec<Measures> {
    let pairs = machines.iter().zip(scores);
    pairs
        .map(|(machine, scores)| Measures::of(&scores.test, &machine.labels))
        .collect()
}

fn random(machines: &[Machine], seeds: u64) -> Line {
    let run = |seed| {
        let mut dice = Seed::new(seed);
        let scores = |machine: &Machine| Scores {
            train: Vec::new(),
            test: machine.test.iter().map(|_| dice.unit()).collect(),
        };
        let scores: Vec<Scores> = machines.iter().map(scores).collect();
        measured(machines, &scores)
    };
    Line {
        name: "random".to_owned(),
        runs: (1..=seeds).map(run).collect(),
    }
}

/// Detectors that need nobody else.
fn alone(machines: &[Machine]) -> Vec<(&'static str, Vec<Scores>)> {
    let mut all: Vec<(&'static str, Vec<Scores>)> = vec![
        ("largest |z|", Vec::new()),
        ("top 3 |z|", Vec::new()),
        ("top 3 |z|, following drift", Vec::new()),
        ("principal components", Vec::new()),
    ];
    for machine in machines {
        let (train, test) = (
            machine.standardised(&machine.train),
            machine.standardised(&machine.test),
        );
        let followed = detect::following(&[train.as_slice(), test.as_slice()].concat());
        let (left_train, left_test) = (
            detect::principal_residuals(&train, &train),
            detect::principal_residuals(&train, &test),
        );
        let scores = [
            Scores {
                train: detect::largest(&train),
                test: detect::largest(&test),
            },
            Scores {
                train: detect::top(&train),
                test: detect::top(&test),
            }
            .smoothed(),
            Scores {
                train: followed[..train.len()].to_vec(),
                test: followed[train.len()..].to_vec(),
            }
            .smoothed(),
            Scores {
                train: detect::top(&detect::standardised_residuals(&left_train, &left_train)),
                test: detect::top(&detect::standardised_residuals(&left_train, &left_test)),
            }
            .smoothed(),
        ];
        for ((_, list), scores) in all.iter_mut().zip(scores) {
            list.push(scores);
        }
    }
    all
}

/// The autoencoder in every way, and together with the detector that follows drift.
fn together(
    machines: &[Machine],
    own: &[(&'static str, Vec<Scores>)],
    options: &Options,
    say: &Say<'_>,
) -> Result<Vec<Line>, Failure> {
    let cohort = Cohort::of(machines);
    let following = own.iter().find(|(name, _)| name.ends_with("drift"));
    let following = following
        .map(|(_, scores)| scores)
        .ok_or("no detector follows drift")?;
    let ways = [
        (
            "autoencoder, centralised",
            Way::Centralised,
            Shape::default(),
        ),
        ("autoencoder, local", Way::Local, Shape::default()),
        ("autoencoder, federated", Way::Federated, Shape::default()),
        (
            "autoencoder, federated and personalised",
            Way::Personalised,
            Shape::default(),
        ),
        (
            "temporal autoencoder, federated",
            Way::Federated,
            Shape::temporal(),
        ),
    ];
    let mut lines = Vec::new();
    for (name, way, shape) in ways {
        if !options.wants(name) {
            continue;
        }
        let run = |seed| -> Result<(Vec<Measures>, Vec<Measures>), Failure> {
            let plan = Plan {
                shape: shape.clone(),
                rounds: options.rounds,
                seed,
            };
            let models = cohort.train(way, &plan, &mut |_| {})?;
            let scores = models
                .iter()
                .enumerate()
                .map(|(machine, model)| Ok(cohort.scores(machine, model)?.smoothed()))
                .collect::<Result<Vec<Scores>, learn::Error>>()?;
            let both: Vec<Scores> = scores
                .iter()
                .zip(following)
                .map(|(shared, own)| Scores::geometric_mean(&[shared.clone(), own.clone()]))
                .collect();
            say(&format!("{name}, seed {seed}"));
            Ok((measured(machines, &scores), measured(machines, &both)))
        };
        let (alone, joined) = seeds(options, &run)?.into_iter().unzip();
        lines.push(Line {
            name: name.to_owned(),
            runs: alone,
        });
        if way == Way::Federated || way == Way::Personalised {
            lines.push(Line {
                name: format!("{name}, with top 3 |z|"),
                runs: joined,
            });
        }
    }
    Ok(lines)
}

/// The nodes of a cluster, without a shared model and with each kind of it.
/// The first seed of [`AT_THRESHOLDS`] says what becomes of thresholds.
fn nodes(
    machines: &[Machine],
    options: &Options,
    say: &Say<'_>,
) -> Result<(Vec<Line>, Vec<Kept>), Failure> {
    let kinds = [
        ("nodes with a shared model", Some(Shape::default()), 0),
        ("nodes that make it their own", Some(Shape::default()), 2),
        ("nodes with a temporal model", Some(Shape::temporal()), 0),
    ];
    let alone = product::said(machines, &cluster(options, None, 0, 1), &mut |_| {})?;
    say("nodes without a shared model");
    let mut lines = vec![Line {
        name: "nodes without a shared model".to_owned(),
        runs: vec![judged(machines, &alone)],
    }];
    let mut kept = Vec::new();
    for (name, model, personal_epochs) in kinds {
        if !options.wants(name) {
            continue;
        }
        let run = |seed| -> Result<_, Failure> {
            let plan = cluster(options, model.clone(), personal_epochs, seed);
            let said = product::said(machines, &plan, &mut |_| {})?;
            say(&format!("{name}, seed {seed}"));
            let kept = match name == AT_THRESHOLDS && seed == 1 {
                true => at_thresholds(machines, &said),
                false => Vec::new(),
            };
            Ok((judged(machines, &said), kept))
        };
        let (runs, of_seeds): (_, Vec<_>) = seeds(options, &run)?.into_iter().unzip();
        lines.push(Line {
            name: name.to_owned(),
            runs,
        });
        kept.extend(of_seeds.into_iter().flatten());
    }
    Ok((lines, kept))
}

/// What they do at the thresholds that they set themselves, the largest rate first.
fn at_thresholds(machines: &[Machine], said: &[product::Said]) -> Vec<Kept> {
    let mut kept: Vec<Kept> = RATES
        .iter()
        .enumerate()
        .map(|(index, rate)| {
            let scores = said.iter().map(|said| said.scores[index].as_slice());
            Kept::of(*rate, machines, &scores.collect::<Vec<_>>())
        })
        .collect();
    kept.sort_by(|one, other| other.stated.total_cmp(&one.stated));
    kept
}

fn cluster(
    options: &Options,
    model: Option<Shape>,
    personal_epochs: u32,
    seed: u64,
) -> product::Plan {
    product::Plan {
        model,
        every: options.every as usize,
        false_alarm_rates: RATES.to_vec(),
        personal_epochs,
        seed,
    }
}

fn judged(machines: &[Machine], said: &[product::Said]) -> Vec<Measures> {
    let pairs = machines.iter().zip(said);
    pairs
        .map(|(machine, said)| Measures::of(&said.scores[0], &machine.labels))
        .collect()
}

/// A run for each seed, as many at a time as there are processors: libtorch keeps to the thread that calls it.
fn seeds<T: Send>(
    options: &Options,
    run: &(dyn Fn(u64) -> Result<T, Failure> + Sync),
) -> Result<Vec<T>, Failure> {
    let next = AtomicU64::new(1);
    let done = Mutex::new(BTreeMap::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > options.seeds {
                        return;
                    }
                    let result = run(seed);
                    done.lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(seed, result);
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.into_values().collect()
}
