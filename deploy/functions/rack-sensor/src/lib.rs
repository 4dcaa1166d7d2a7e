//! Reads what a rack sensor mails: a table whose columns are named in its first line, one sensor a line,
//! which a pattern file cannot read, since what a number means stands somewhere else.
//!
//! ```text
//! Subject: RackMon report 17
//!
//! sensor     temp/C  hum/%  door
//! A1-top     24.5    41     closed
//! A1-bottom  19.0    44     OPEN
//! ```

#[cfg(target_arch = "wasm32")]
mod interface;

use serde::{Deserialize, Serialize};

/// The letter, as far as it is of interest here; docs/formats.md has all of it.
#[derive(Deserialize)]
pub struct Letter {
    subject: String,
    parts: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: Option<String>,
}

/// What we answer.
#[derive(Serialize, PartialEq, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Reports(Vec<Report>),
    Error(String),
}

#[derive(Serialize, PartialEq, Debug, Default)]
pub struct Report {
    readings: Vec<Reading>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Event>,
}

#[derive(Serialize, PartialEq, Debug)]
struct Reading {
    name: String,
    value: f64,
    unit: String,
}

#[derive(Serialize, PartialEq, Debug)]
struct Event {
    condition: String,
    text: String,
    severity: &'static str,
    clears: bool,
}

/// `None`: the letter is not ours.
pub fn decode(letter: &Letter) -> Option<Answer> {
    letter.subject.strip_prefix("RackMon report ")?;
    let body = letter.parts.iter().find_map(|part| part.text.as_deref());
    Some(match table(body.unwrap_or_default()) {
        Ok(reports) => Answer::Reports(reports),
        Err(problem) => Answer::Error(problem),
    })
}

fn table(body: &str) -> Result<Vec<Report>, String> {
    let mut lines = body.lines().filter(|line| !line.trim().is_empty());
    let header: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ["sensor", columns @ ..] = header.as_slice() else {
        return Err("the table has no line that names its columns".to_owned());
    };
    lines.map(|line| row(columns, line)).collect()
}

fn row(columns: &[&str], line: &str) -> Result<Report, String> {
    let mut cells = line.split_whitespace();
    let sensor = cells.next().unwrap_or_default();
    let mut report = Report::default();
    for column in columns {
        let cell = cells
            .next()
            .ok_or_else(|| format!("the line of sensor {sensor} has too few columns"))?;
        match column.split_once('/') {
            Some((name, unit)) => report.readings.push(Reading {
                name: format!("{sensor}.{name}"),
                value: cell
                    .parse()
                    .map_err(|_| format!("{sensor} has {cell} for {name}"))?,
                unit: match unit {
                    "C" => "Cel".to_owned(),
                    other => other.to_owned(),
                },
            }),
            None => report.event = Some(door(sensor, column, cell)),
        }
    }
    Ok(report)
}

/// An open door is an event that begins, a closed one its end, whether or not it was open.
fn door(sensor: &str, what: &str, state: &str) -> Event {
    Event {
        condition: format!("{sensor} {what}"),
        text: format!("{what} at {sensor} is {}", state.to_lowercase()),
        severity: "warning",
        clears: state.eq_ignore_ascii_case("closed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(subject: &str, text: &str) -> Option<Answer> {
        let letter = serde_json::json!({
            "version": 1, "device": "rack-a", "subject": subject,
            "parts": [{"type": "image/png", "base64": ""}, {"type": "text/plain", "text": text}],
        });
        decode(&serde_json::from_value(letter).unwrap())
    }

    #[test]
    fn a_report_is_read_by_its_columns() {
        let table = "sensor hum/% temp/C door\n\nA1 41 24.5 closed\nA2 44 19 OPEN\n";
        let Some(Answer::Reports(reports)) = decoded("RackMon report 17", table) else {
            panic!("it is ours");
        };
        assert_eq!(reports[0].readings[1].name, "A1.temp");
        assert_eq!(reports[0].readings[1].value, 24.5);
        assert!(reports[0].event.as_ref().unwrap().clears);
        assert!(!reports[1].event.as_ref().unwrap().clears);
    }

    #[test]
    fn others_are_left_alone_and_damage_is_told() {
        assert_eq!(decoded("Fan 1", "sensor temp/C\nA1 24\n"), None);
        for (table, told) in [
            ("", "no line that names"),
            ("sensor temp/C\nA1\n", "too few columns"),
            ("sensor temp/C\nA1 warm\n", "A1 has warm for temp"),
        ] {
            let Some(Answer::Error(problem)) = decoded("RackMon report 1", table) else {
                panic!("{table}");
            };
            assert!(problem.contains(told), "{problem}");
        }
    }
}
