//! CSV (RFC 4180) with a header row: one time column (`time`, `timestamp`, or `date` and `time`)
//! and one column per metric. Each row becomes a report.

use wire::Reading;

use crate::formats::{Draft, Format, Letter, Part};
use crate::mail::{MAX_METRICS_PER_ROW, MAX_ROWS_PER_MAIL, quoted};
use crate::moment;
use crate::quarantine::Reason;

/// A table as text: header and rows of equal width.
pub(crate) struct Table {
    pub(crate) header: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// Where a row says when it was taken.
pub(crate) enum TimeColumns {
    /// Date and time in one column.
    One(usize),
    /// A column each.
    DateAndClock(usize, usize),
}

impl TimeColumns {
    pub(crate) fn find(header: &[String]) -> Option<Self> {
        let at = |wanted: &[&str]| {
            header
                .iter()
                .position(|name| wanted.iter().any(|w| name.eq_ignore_ascii_case(w)))
        };
        match (
            at(&["date"]),
            at(&["time", "timestamp", "datetime", "date/time"]),
        ) {
            (Some(date), Some(clock)) => Some(Self::DateAndClock(date, clock)),
            (_, Some(time)) => Some(Self::One(time)),
            (_, None) => None,
        }
    }

    /// The row's date and time as one text.
    pub(crate) fn text(&self, row: &[String]) -> Option<String> {
        match self {
            Self::One(time) => row.get(*time).cloned(),
            Self::DateAndClock(date, clock) => Some(format!(
                "{} {}",
                row.get(*date)?.trim(),
                row.get(*clock)?.trim()
            )),
        }
    }

    fn contains(&self, column: usize) -> bool {
        match self {
            Self::One(time) => *time == column,
            Self::DateAndClock(date, clock) => *date == column || *clock == column,
        }
    }
}

pub(crate) fn is_csv(part: &Part) -> bool {
    part.kind == "text/csv" || part.named(".csv")
}

/// CSV by type or file name, or a body whose first line is a header with a time column.
pub(crate) fn recognises(letter: &Letter) -> bool {
    letter.parts.iter().any(is_csv) || is_table(letter.body())
}

fn is_table(body: &str) -> bool {
    let header: Vec<String> = body
        .trim_start()
        .lines()
        .next()
        .unwrap_or_default()
        .split(',')
        .map(|name| name.trim().to_owned())
        .collect();
    header.len() > 1 && TimeColumns::find(&header).is_some()
}

pub(crate) fn decode_letter(letter: &Letter) -> Result<Vec<Draft>, Reason> {
    if !letter.parts.iter().any(is_csv) {
        return decode(letter.body(), letter.zone(), Format::Csv);
    }
    let mut drafts = Vec::new();
    for text in letter.texts(is_csv) {
        drafts.extend(decode(text, letter.zone(), Format::Csv)?);
    }
    Ok(drafts)
}

/// Header and rows, of equal width and within the limits.
pub(crate) fn table(text: &str, format: Format) -> Result<Table, Reason> {
    let mut reader = ::csv::ReaderBuilder::new()
        .trim(::csv::Trim::All)
        .from_reader(text.trim_start_matches('\u{feff}').trim_start().as_bytes());
    let broken = |error: ::csv::Error| format.malformed(format!("its CSV is broken: {error}"));
    let header: Vec<String> = reader
        .headers()
        .map_err(broken)?
        .iter()
        .map(str::to_owned)
        .collect();
    if header.len() > MAX_METRICS_PER_ROW {
        return Err(Reason::TooManyMetrics {
            found: header.len(),
        });
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        if rows.len() == MAX_ROWS_PER_MAIL {
            return Err(Reason::TooManyRows);
        }
        rows.push(record.map_err(broken)?.iter().map(str::to_owned).collect());
    }
    Ok(Table { header, rows })
}

/// One draft a row. An empty cell is a missing value; anything else must be a number.
pub(crate) fn decode(text: &str, zone: i64, format: Format) -> Result<Vec<Draft>, Reason> {
    let Table { header, rows } = table(text, format)?;
    let clock = TimeColumns::find(&header)
        .ok_or_else(|| format.malformed("its header row has no column \"time\""))?;
    let columns: Vec<(usize, String, Option<String>)> = header
        .iter()
        .enumerate()
        .filter(|(column, _)| !clock.contains(*column))
        .map(|(column, title)| {
            let (name, unit) = name_and_unit(title);
            (column, name, unit)
        })
        .collect();
    let mut drafts = Vec::with_capacity(rows.len());
    for (row, line) in rows.iter().zip(2u32..) {
        let when = clock.text(row).unwrap_or_default();
        let device_time = moment::parse(&when, zone).ok_or_else(|| {
            format.malformed(format!(
                "the time \"{}\" of line {line} is unreadable",
                quoted(&when)
            ))
        })?;
        let mut readings = Vec::with_capacity(columns.len());
        for (column, name, unit) in &columns {
            let cell = row.get(*column).map(String::as_str).unwrap_or_default();
            if cell.is_empty() {
                continue;
            }
            let value = cell.parse().map_err(|_| {
                format.malformed(format!(
                    "\"{}\" in column \"{}\" of line {line} is no number",
                    quoted(cell),
                    quoted(name)
                ))
            })?;
            readings.push(Reading {
                name: name.clone(),
                value,
                unit: unit.clone(),
            });
        }
        drafts.push(Draft {
            device_time: Some(device_time),
            readings,
            event: None,
            ..Draft::default()
        });
    }
    Ok(drafts)
}

/// `Voltage (V)` → `voltage`, V. A title without a unit stays as it is: it may be a name that
/// other devices of the class use.
fn name_and_unit(title: &str) -> (String, Option<String>) {
    match title
        .trim()
        .strip_suffix(')')
        .and_then(|title| title.rsplit_once('('))
    {
        Some((name, unit)) if !name.trim().is_empty() && !unit.trim().is_empty() => {
            let name = name.trim().to_ascii_lowercase().replace(' ', "_");
            (name, Some(unit.trim().to_owned()))
        }
        Some(_) | None => (title.trim().to_owned(), None),
    }
}
