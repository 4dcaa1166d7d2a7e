//! A step of training on one thread, beside Python's torch: the same network from the same file, the same rows, batch
//! and optimiser, and the very same libtorch, out of one wheel.
//!
//! Repetitions alternate, and ratios are of neighbours. Ours is timed as the product trains: with its copy of the
//! model, the shuffling, the check that it did not diverge and the loss before, which the round reports.
//! Python's is timed around its loop alone.

use clap::Parser;
use learn::{CLIP, Model, Row, SLOTS, Shape, TrainConfig, file};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

type Failure = Box<dyn std::error::Error>;

#[derive(Parser)]
#[command(about, version)]
struct Plan {
    /// Rows
    #[arg(long, default_value_t = 2048)]
    rows: usize,
    /// Repetitions
    #[arg(long, default_value_t = 9)]
    repetitions: usize,
}

/// Rows a step, as a node trains.
const BATCH: usize = 64;
/// What two programs may differ by that add the same numbers in another order, over some steps.
const SAME: f64 = 1e-4;

struct Network {
    name: &'static str,
    hidden: &'static [usize],
    epochs: u32,
}

const NETWORKS: [Network; 2] = [
    Network {
        name: "the product's, 9,912 parameters",
        hidden: &[64, 16, 64],
        epochs: 8,
    },
    Network {
        name: "a hundred times as large",
        hidden: &[920, 460, 920],
        epochs: 1,
    },
];

fn main() -> Result<(), Failure> {
    let plan = Plan::parse();
    let rows = rows(plan.rows);
    println!(
        "a step of {BATCH} rows on one thread (ms), medians of {} (least–most)\n",
        plan.repetitions
    );
    let mut figures = Vec::new();
    for network in &NETWORKS {
        figures.push(measure(&plan, network, &rows)?);
    }
    let load = std::fs::read_to_string("/proc/loadavg")?;
    println!("\n- load {} at the end", load.trim());
    let program = std::env::current_exe()?;
    let folder = program.ancestors().nth(2).unwrap_or(Path::new("."));
    let place = folder.join("bench/training.json");
    std::fs::create_dir_all(folder.join("bench"))?;
    std::fs::write(&place, serde_json::to_string_pretty(&figures)? + "\n")?;
    println!("{}", place.display());
    Ok(())
}

/// Like a room's: correlated, some slots absent.
fn rows(count: usize) -> Vec<Row> {
    let row = |at: usize| {
        let mut row = Row::dense(&[0.0; SLOTS]);
        for slot in 0..SLOTS {
            let phase = at as f32 * 0.05 + (slot % 5) as f32;
            row.values[slot] = phase.sin() + ((at * 31 + slot * 17) % 23) as f32 / 50.0;
            row.mask[slot] = slot < 30 || at.is_multiple_of(2);
        }
        row
    };
    (0..count).map(row).collect()
}

fn measure(plan: &Plan, network: &Network, rows: &[Row]) -> Result<serde_json::Value, Failure> {
    let shape = Shape {
        hidden: network.hidden.to_vec(),
        ..Shape::default()
    };
    let model = Model::initial(shape.clone(), 3)?;
    let place = tempfile::tempdir()?;
    let (stored, data) = (place.path().join("model"), place.path().join("rows"));
    std::fs::write(
        &stored,
        file::encode(&shape, &model.parameters(), &BTreeMap::new())?,
    )?;
    std::fs::write(&data, bytes(rows))?;
    let mut python = Python::start(&stored, &data)?;
    agree(&model, rows, &mut python)?;
    let config = TrainConfig {
        epochs: network.epochs,
        batch: BATCH,
        masking: 0.0, // random numbers are another's
        ..TrainConfig::default()
    };
    let steps = rows.len().div_ceil(BATCH) as f64 * f64::from(network.epochs);
    let series = [rows.to_vec().into()];
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // The first time warms up and is not counted.
    for repetition in 0..=plan.repetitions {
        let begin = Instant::now();
        model.train(&series, config)?;
        let mine = begin.elapsed().as_secs_f64();
        let (other, _) = python.train(config)?;
        if repetition > 0 {
            ours.push(mine * 1e3 / steps);
            theirs.push(other * 1e3 / steps);
        }
    }
    let ratios: Vec<f64> = theirs.iter().zip(&ours).map(|(t, o)| t / o).collect();
    println!(
        "{}: ours {}, {} {}, ours is {} times as fast",
        network.name,
        spread(&ours),
        python.version,
        spread(&theirs),
        spread(&ratios)
    );
    Ok(serde_json::json!({
        "network": network.name,
        "hidden": network.hidden,
        "batch": BATCH,
        "ours_ms": ours,
        "python_ms": theirs,
        "python": python.version,
        "ours_is_times_as_fast": ratios,
    }))
}

/// Both do the same: in steps of all rows their order does not matter, and both end at one loss.
fn agree(model: &Model, rows: &[Row], python: &mut Python) -> Result<(), Failure> {
    let config = TrainConfig {
        epochs: 5,
        batch: rows.len(),
        masking: 0.0,
        ..TrainConfig::default()
    };
    let series = [rows.to_vec().into()];
    let ours = model.moved(&model.train(&series, config)?)?.loss(&series)?;
    let (_, theirs) = python.train(config)?;
    if (ours - theirs).abs() > SAME * ours {
        return Err(
            format!("after the same training our loss is {ours}, Python's {theirs}").into(),
        );
    }
    Ok(())
}

fn bytes(rows: &[Row]) -> Vec<u8> {
    let number = |value: f32| value.to_le_bytes();
    let row = |row: &Row| {
        let value = |slot: usize| match row.mask[slot] {
            true => row.values[slot].clamp(-CLIP, CLIP),
            false => 0.0,
        };
        let values: Vec<_> = (0..SLOTS).map(|slot| number(value(slot))).collect();
        let mask = row
            .mask
            .iter()
            .map(|there| number(f32::from(u8::from(*there))));
        values
            .into_iter()
            .chain(mask)
            .flatten()
            .collect::<Vec<u8>>()
    };
    rows.iter().flat_map(row).collect()
}

/// Median and ends.
fn spread(values: &[f64]) -> String {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match (values.first(), values.get(values.len() / 2), values.last()) {
        (Some(least), Some(median), Some(most)) => {
            format!("{median:.3} ({least:.3}–{most:.3})")
        }
        _ => "–".to_owned(),
    }
}

/// deploy/bench/training.py.
struct Python {
    process: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    version: String,
}

impl Python {
    fn start(model: &Path, rows: &Path) -> Result<Self, Failure> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let needed = |path: &str| -> Result<PathBuf, Failure> {
            let path = root.join(path);
            match path.exists() {
                true => Ok(path),
                false => Err(format!(
                    "{} is missing: run `cargo xtask setup` (without a LIBTORCH of your own)",
                    path.display()
                )
                .into()),
            }
        };
        let mut process = Command::new(needed(".tools/safetensors-venv/bin/python")?)
            .env("PYTHONPATH", needed(".libtorch/python")?)
            .arg(root.join("deploy/bench/training.py"))
            .args([model, rows])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = process.stdin.take().ok_or("no standard input")?;
        let output = process.stdout.take().ok_or("no standard output")?;
        let mut python = Self {
            process,
            orders,
            answers: BufReader::new(output).lines(),
            version: String::new(),
        };
        let ready = python.answer()?;
        let version = ready.strip_prefix("ready ").ok_or("Python is not ready")?;
        python.version = format!("Python's torch {version}");
        Ok(python)
    }

    /// Seconds, and the loss afterwards.
    fn train(&mut self, config: TrainConfig) -> Result<(f64, f64), Failure> {
        let TrainConfig {
            epochs,
            batch,
            learning_rate,
            ..
        } = config;
        writeln!(self.orders, "{epochs} {batch} {learning_rate}")?;
        let answer = self.answer()?;
        let (seconds, loss) = answer.split_once(' ').ok_or("not seconds and a loss")?;
        Ok((seconds.parse()?, loss.parse()?))
    }

    fn answer(&mut self) -> Result<String, Failure> {
        let line = self.answers.next();
        Ok(line.ok_or("Python's torch has ended; its complaint stands above")??)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
