//! The Server Machine Dataset (Su et al., KDD 2019): 38 metrics a minute of production servers,
//! a normal stretch to train on and a test stretch with labelled faults. Expected layout:
//! `train/`, `test/`, `test_label/`, each with `machine-X-Y.txt.zst`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};
use wire::UnixMillis;

use crate::mail::{Device, Mail, Metric, Row, csv_mail};

/// Metrics of a machine.
pub const METRICS: usize = 38;
/// Longest file read, in rows; the longest of the dataset has 28,743.
const MAX_ROWS: usize = 100_000;

/// Why the dataset could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SmdError {
    /// Missing or unreadable.
    #[error("cannot read {}: {source}; the dataset needs train/, test/ and test_label/ with machine-X-Y.txt.zst", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not a zstd stream.
    #[error("{} is no zstd file: {problem}", path.display())]
    NotZstd {
        /// The file.
        path: PathBuf,
        /// What the decoder says.
        problem: String,
    },
    /// A line that is not as expected.
    #[error("line {line} of {} is not {expected}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// 1 for the first.
        line: usize,
        /// What it should be.
        expected: &'static str,
    },
    /// Values and labels differ in number.
    #[error("{} has {rows} rows but {labels} labels", path.display())]
    Uneven {
        /// The test file.
        path: PathBuf,
        /// Its rows.
        rows: usize,
        /// Its labels.
        labels: usize,
    },
    /// Nothing to use.
    #[error("{} holds no machine-X-Y.txt.zst", .0.display())]
    Empty(PathBuf),
}

/// One minute of a machine.
pub type Values = [f64; METRICS];

/// The dataset's folder.
#[derive(Clone, Debug)]
pub struct Smd {
    root: PathBuf,
    machines: Vec<String>,
}

/// What to take of a machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slice {
    /// First rows of the training stretch.
    pub train: usize,
    /// Rows of the test stretch.
    pub test: usize,
    /// How many of those lie before the first labelled fault, where the stretch has so many.
    pub lead_in: usize,
}

/// A slice of one machine.
#[derive(Clone, PartialEq, Debug)]
pub struct Machine {
    /// `machine-1-2`.
    pub name: String,
    /// Normal rows.
    pub train: Vec<Values>,
    /// Rows with faults.
    pub test: Vec<Values>,
    /// Labelled faults, as rows of `test`.
    pub segments: Vec<Range<usize>>,
}

impl Smd {
    /// Finds the machines whose three files are there.
    pub fn open(root: &Path) -> Result<Self, SmdError> {
        let folder = root.join("train");
        let unreadable = |source| SmdError::Unreadable {
            path: folder.clone(),
            source,
        };
        let mut machines = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            if let Some(machine) = name.to_str().and_then(|name| name.strip_suffix(".txt.zst")) {
                machines.push(machine.to_owned());
            }
        }
        if machines.is_empty() {
            return Err(SmdError::Empty(folder));
        }
        machines.sort_unstable();
        Ok(Self {
            root: root.to_owned(),
            machines,
        })
    }

    /// Names, sorted.
    pub fn machines(&self) -> &[String] {
        &self.machines
    }

    /// Reads a slice of a machine.
    pub fn load(&self, machine: &str, slice: Slice) -> Result<Machine, SmdError> {
        let labels = labels(&self.file("test_label", machine))?;
        let first = labels.iter().position(|&faulty| faulty).unwrap_or_default();
        let start = first.saturating_sub(slice.lead_in);
        let end = start.saturating_add(slice.test).min(labels.len());
        let train = values(&self.file("train", machine), 0..slice.train)?;
        let path = self.file("test", machine);
        let test = values(&path, start..end)?;
        if test.len() != end - start {
            return Err(SmdError::Uneven {
                path,
                rows: start + test.len(),
                labels: labels.len(),
            });
        }
        Ok(Machine {
            name: machine.to_owned(),
            train,
            test,
            segments: segments(&labels[start..end]),
        })
    }

    fn file(&self, folder: &str, machine: &str) -> PathBuf {
        self.root.join(folder).join(format!("{machine}.txt.zst"))
    }
}

/// Metrics `m00` … `m37` of one minute.
pub fn row(at: UnixMillis, values: &Values) -> Row {
    let metrics = values
        .iter()
        .enumerate()
        .map(|(index, &value)| Metric::new(format!("m{index:02}"), value, ""))
        .collect();
    Row { at, metrics }
}

/// Rows as CSV mails of `per_mail` rows each; the first row is taken at `first`, the others
/// `step_ms` apart.
pub fn mails<'r>(
    device: &'r Device,
    rows: &'r [Values],
    first: UnixMillis,
    step_ms: u64,
    per_mail: usize,
) -> impl Iterator<Item = Mail> + 'r {
    let per_mail = per_mail.max(1);
    rows.chunks(per_mail).zip(0u64..).map(move |(chunk, mail)| {
        let rows: Vec<Row> = chunk
            .iter()
            .zip(mail * per_mail as u64..)
            .map(|(values, index)| row(UnixMillis(first.0 + index * step_ms), values))
            .collect();
        csv_mail(device, &rows)
    })
}

/// Runs of true.
fn segments(labels: &[bool]) -> Vec<Range<usize>> {
    let mut segments: Vec<Range<usize>> = Vec::new();
    for (index, _) in labels.iter().enumerate().filter(|&(_, &faulty)| faulty) {
        match segments.last_mut() {
            Some(segment) if segment.end == index => segment.end += 1,
            Some(_) | None => segments.push(index..index + 1),
        }
    }
    segments
}

fn labels(path: &Path) -> Result<Vec<bool>, SmdError> {
    collect(path, 0..MAX_ROWS, "0 or 1", |line| match line {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    })
}

fn values(path: &Path, wanted: Range<usize>) -> Result<Vec<Values>, SmdError> {
    collect(
        path,
        wanted,
        "38 finite numbers separated by commas",
        |line| {
            let mut values = [0.0; METRICS];
            let mut fields = line.split(',');
            for value in &mut values {
                *value = fields
                    .next()?
                    .trim()
                    .parse()
                    .ok()
                    .filter(|number: &f64| number.is_finite())?;
            }
            fields.next().is_none().then_some(values)
        },
    )
}

/// The wanted lines, parsed. Decoding stops after the last of them.
fn collect<T>(
    path: &Path,
    wanted: Range<usize>,
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, SmdError> {
    let unreadable = |source| SmdError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = BufReader::new(File::open(path).map_err(unreadable)?);
    let decoder =
        ruzstd::decoding::StreamingDecoder::new(file).map_err(|error| SmdError::NotZstd {
            path: path.to_owned(),
            problem: error.to_string(),
        })?;
    let mut taken = Vec::new();
    for (index, line) in BufReader::new(decoder)
        .lines()
        .enumerate()
        .take(wanted.end.min(MAX_ROWS))
    {
        let line = line.map_err(unreadable)?;
        if index < wanted.start {
            continue;
        }
        let value = parse(line.trim());
        let line = index + 1;
        taken.push(value.ok_or(SmdError::Malformed {
            path: path.to_owned(),
            line,
            expected,
        })?);
    }
    Ok(taken)
}

#[cfg(test)]
mod tests;
