//! What a benchmark says: a table on the terminal, a JSON file and a picture beside it.

use crate::samples::Spread;
use crate::{Failure, chart};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Which of two figures is the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Rates.
    Higher,
    /// Latencies, memory.
    Lower,
}

/// What one contender reached in one case, repetition by repetition.
#[derive(Clone, Debug)]
pub struct Contender {
    /// For the head of the table.
    pub name: String,
    /// Empty: not measured.
    pub values: Vec<f64>,
}

impl Contender {
    /// With its values.
    pub fn new(name: impl Into<String>, values: Vec<f64>) -> Self {
        Self {
            name: name.into(),
            values,
        }
    }
}

/// One line of a table: all did the same under the same circumstances.
#[derive(Clone, Debug)]
pub struct Case {
    /// The circumstances.
    pub label: String,
    /// Ours.
    pub ours: Contender,
    /// Those it is compared with; repetition `n` was measured next to ours of the same number.
    pub peers: Vec<Contender>,
}

impl Case {
    /// How many times as good as the peer we are, per pair of neighbouring repetitions.
    pub fn ratio(&self, peer: &Contender, better: Better) -> Option<Spread> {
        let pairs = self.ours.values.iter().zip(&peer.values);
        Spread::of(pairs.map(|(ours, peer)| match better {
            Better::Higher => ours / peer,
            Better::Lower => peer / ours,
        }))
    }
}

/// One figure in all cases.
#[derive(Clone, Debug)]
pub struct Section {
    /// What the figure is, with its unit.
    pub title: String,
    /// Its good end.
    pub better: Better,
    /// The lines.
    pub cases: Vec<Case>,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The benchmark's.
    pub name: &'static str,
    /// What a reader should know beside the figures.
    pub notes: Vec<String>,
    /// The figures.
    pub sections: Vec<Section>,
}

/// `bench` in the target folder that this program lies in.
pub fn folder() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe()?;
    let target = program.parent().and_then(|profile| profile.parent());
    let folder = target
        .ok_or("this program does not lie in a target folder")?
        .join("bench");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A folder for the data of one run, gone with it. In [`folder`], and so on a real disk: a
/// temporary folder of the system may be memory.
pub fn workplace() -> Result<TempDir, Failure> {
    Ok(tempfile::Builder::new()
        .prefix("run-")
        .tempdir_in(folder()?)?)
}

/// Lets libraries speak as `RUST_LOG` says (by default only of errors), on the standard error: the
/// standard output belongs to tables and answers.
pub fn log() {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
}

/// How long the disk takes to make 4 KiB durable (median): the floor under every commit.
pub fn disk_floor() -> Result<Duration, Failure> {
    const WRITES: u64 = 200;
    let place = workplace()?;
    let file = File::create(place.path().join("floor"))?;
    let mut took = Vec::new();
    for at in 0..WRITES {
        let begin = Instant::now();
        file.write_all_at(&[1; 4096], at * 4096)?;
        file.sync_data()?;
        took.push(begin.elapsed());
    }
    took.sort_unstable();
    Ok(took[took.len() / 2])
}

/// The machine in a sentence.
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    format!(
        "{cores} cores, Linux {}, load {load} at the start",
        kernel.trim()
    )
}

impl Report {
    /// Prints the tables and writes `NAME.json` and `NAME.svg`.
    pub fn publish(&self) -> Result<(), Failure> {
        println!("{}", self.text());
        let folder = folder()?;
        let file = |ending: &str| folder.join(format!("{}.{ending}", self.name));
        fs::write(
            file("json"),
            serde_json::to_string_pretty(&self.json())? + "\n",
        )?;
        fs::write(file("svg"), chart::svg(self))?;
        println!("{}\n{}", file("json").display(), file("svg").display());
        Ok(())
    }

    /// The tables.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for section in &self.sections {
            let _ = writeln!(text, "{}", section.title);
            let _ = writeln!(text, "{}\n", aligned(&section.rows()));
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }

    fn json(&self) -> Value {
        let spread = |spread: Option<Spread>| {
            spread.map(
                |Spread {
                     median,
                     least,
                     most,
                 }| json!({"median": median, "least": least, "most": most}),
            )
        };
        let contender = |contender: &Contender| json!({"name": contender.name, "values": contender.values, "spread": spread(Spread::of(contender.values.iter().copied()))});
        let section = |section: &Section| {
            let case = |case: &Case| {
                let peer = |peer: &Contender| {
                    let mut value = contender(peer);
                    value["ours_is_times_as_good"] =
                        json!(spread(case.ratio(peer, section.better)));
                    value
                };
                json!({"case": case.label, "ours": contender(&case.ours), "peers": case.peers.iter().map(peer).collect::<Vec<_>>()})
            };
            let better = match section.better {
                Better::Higher => "higher",
                Better::Lower => "lower",
            };
            json!({"figure": section.title, "better": better, "cases": section.cases.iter().map(case).collect::<Vec<_>>()})
        };
        json!({
            "benchmark": self.name,
            "notes": self.notes,
            "figures": self.sections.iter().map(section).collect::<Vec<_>>(),
        })
    }
}

impl Section {
    fn rows(&self) -> Vec<Vec<String>> {
        let mut peers: Vec<&str> = Vec::new();
        for peer in self.cases.iter().flat_map(|case| &case.peers) {
            if !peers.contains(&peer.name.as_str()) {
                peers.push(&peer.name);
            }
        }
        let ours = self.cases.first().map_or("", |case| &case.ours.name);
        let mut head = vec![String::new(), ours.to_owned()];
        for peer in &peers {
            head.extend([(*peer).to_owned(), format!("times {peer}")]);
        }
        let mut rows = vec![head];
        for case in &self.cases {
            let mut row = vec![
                case.label.clone(),
                shown(Spread::of(case.ours.values.iter().copied())),
            ];
            for name in &peers {
                let peer = case.peers.iter().find(|peer| peer.name == *name);
                row.push(shown(
                    peer.and_then(|peer| Spread::of(peer.values.iter().copied())),
                ));
                row.push(shown(peer.and_then(|peer| case.ratio(peer, self.better))));
            }
            rows.push(row);
        }
        rows
    }
}

/// Median and, where there is more than one value, the ends.
fn shown(spread: Option<Spread>) -> String {
    match spread {
        None => "–".to_owned(),
        Some(Spread {
            median,
            least,
            most,
        }) if least.total_cmp(&most).is_eq() => figure(median),
        Some(Spread {
            median,
            least,
            most,
        }) => {
            format!("{} ({}–{})", figure(median), figure(least), figure(most))
        }
    }
}

/// Three digits that mean something.
pub(crate) fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// The first column to the left, the others to the right.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell =
        |row: &[String], column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().map(|row| cell(row, column)).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                if column == 0 {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
        cells.collect::<Vec<_>>().join("   ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn example() -> Report {
        let case = |label: &str, ours: &[f64], peer: &[f64]| Case {
            label: label.to_owned(),
            ours: Contender::new("ours", ours.to_vec()),
            peers: vec![Contender::new("<etcd>", peer.to_vec())],
        };
        Report {
            name: "example",
            notes: vec!["a note".to_owned()],
            sections: vec![Section {
                title: "latency (ms)".to_owned(),
                better: Better::Lower,
                cases: vec![
                    case("1 client", &[1.0, 2.0, 4.0], &[2.0, 8.0, 2.0]),
                    case("16 clients", &[150.0], &[]),
                ],
            }],
        }
    }

    #[test]
    fn a_table_shows_spreads_and_ratios_of_neighbours() {
        let expected = "\
latency (ms)
                         ours             <etcd>       times <etcd>
1 client     2.00 (1.00–4.00)   2.00 (2.00–8.00)   2.00 (0.50–4.00)
16 clients                150                  –                  –

- a note
";
        assert_eq!(example().text(), expected);
    }

    #[test]
    fn the_json_holds_every_value() {
        let json = example().json();
        let case = &json["figures"][0]["cases"][0];
        assert_eq!(case["ours"]["values"], json!([1.0, 2.0, 4.0]));
        assert_eq!(
            case["peers"][0]["ours_is_times_as_good"]["median"],
            json!(2.0)
        );
        assert_eq!(
            json["figures"][0]["cases"][1]["peers"][0]["spread"],
            Value::Null
        );
    }
}
