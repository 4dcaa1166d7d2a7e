//! `glasshouse dds publish`: readings in a device's name, by hand, over the control socket of the running
//! node.

use super::super::{Outcome, done};
use serde_json::{Map, Value, json};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wire::control::Ask;

/// The mailbox, the data space and the ledger come before the answer.
const LIMIT: Duration = Duration::from_secs(20);
/// Longest pack in bytes: quoted once more it still is a request that the node reads.
const MAX_SENML: u64 = 24 << 10;

#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Configuration of the node to ask.
    #[arg(long)]
    config: PathBuf,
    /// In whose name: a device of the configuration.
    device: String,
    /// METRIC=VALUE or "METRIC=VALUE UNIT", for example battery.charge=98.5 or "battery.charge=98.5 %".
    #[arg(required_unless_present = "senml")]
    readings: Vec<String>,
    /// Instead: a SenML pack (RFC 8428) in JSON; - reads it from standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "readings")]
    senml: Option<PathBuf>,
    /// Why: stands in the message whose digest goes onto the ledger, and in the node's log.
    #[arg(long)]
    reason: String,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let senml = match &arguments.senml {
        Some(file) => read(file)?,
        None => pack(&arguments.readings)?,
    };
    let ask = Ask::Publish {
        device: arguments.device.as_str().into(),
        senml,
        reason: arguments.reason.clone(),
    };
    done(super::super::ask(&arguments.config, &ask, LIMIT)?)
}

fn read(file: &Path) -> Result<String, String> {
    let mut text = String::new();
    let mut limited: Box<dyn std::io::Read> = match file.as_os_str() == "-" {
        true => Box::new(std::io::stdin().lock().take(MAX_SENML + 1)),
        false => {
            let opened = std::fs::File::open(file);
            Box::new(
                opened
                    .map_err(|error| format!("cannot read {}: {error}", file.display()))?
                    .take(MAX_SENML + 1),
            )
        }
    };
    limited
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    within(text)
}

fn within(text: String) -> Result<String, String> {
    if text.len() as u64 > MAX_SENML {
        return Err(format!(
            "that is more than {} KiB; mail it to the mailbox instead",
            MAX_SENML >> 10
        ));
    }
    Ok(text)
}

/// One SenML record for each reading.
fn pack(readings: &[String]) -> Result<String, String> {
    let records: Result<Vec<Value>, String> =
        readings.iter().map(|reading| record(reading)).collect();
    within(Value::Array(records?).to_string())
}

fn record(reading: &str) -> Result<Value, String> {
    let wrong = |why: &str| {
        format!("`{reading}` is no reading: {why}; write METRIC=VALUE or \"METRIC=VALUE UNIT\"")
    };
    let (metric, rest) = reading
        .split_once('=')
        .ok_or_else(|| wrong("it has no ="))?;
    let (value, unit) = match rest.trim().split_once(' ') {
        Some((value, unit)) => (value, Some(unit.trim())),
        None => (rest.trim(), None),
    };
    let number: f64 = value
        .parse()
        .map_err(|_| wrong(&format!("{value:?} is no number")))?;
    if !number.is_finite() {
        return Err(wrong("only finite numbers can be judged"));
    }
    let mut record = Map::from_iter([
        ("n".to_owned(), json!(metric)),
        ("v".to_owned(), json!(number)),
    ]);
    if let Some(unit) = unit {
        record.insert("u".to_owned(), json!(unit));
    }
    Ok(Value::Object(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_become_records() {
        for (reading, expected) in [
            ("battery.charge=98.5", r#"{"n":"battery.charge","v":98.5}"#),
            ("t=-2e1 Cel", r#"{"n":"t","u":"Cel","v":-20.0}"#),
            ("load=3 %", r#"{"n":"load","u":"%","v":3.0}"#),
        ] {
            assert_eq!(record(reading).unwrap().to_string(), expected);
        }
        for (reading, why) in [
            ("battery.charge", "no ="),
            ("t=warm", "no number"),
            ("t=", "no number"),
            ("t=NaN", "finite"),
            ("t=inf", "finite"),
        ] {
            let sentence = record(reading).unwrap_err();
            assert!(sentence.contains(why), "{sentence}");
        }
        let many = vec!["a=1".to_owned(); 10_000];
        assert!(pack(&many).unwrap_err().contains("KiB"));
    }
}
