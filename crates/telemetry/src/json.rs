//! A JSON object of numbers, or an array of such objects: `{"time": …, "fan": {"1": 4200}}`.
//! Nested objects become dotted names, booleans 0 and 1; texts and nulls are left out.

use serde_json::{Map, Value};

use crate::formats::{Draft, Format, Letter, Part, reading};
use crate::mail::{MAX_METRICS_PER_ROW, MAX_ROWS_PER_MAIL};
use crate::moment;
use crate::quarantine::Reason;

/// How deep objects may nest; the reports we have seen use two levels.
const MAX_DEPTH: usize = 6;
/// Members that hold the device's time instead of a metric.
const TIME_KEYS: [&str; 4] = ["time", "timestamp", "datetime", "@timestamp"];

pub(crate) fn is_json(part: &Part) -> bool {
    part.kind == "application/json" || part.kind.ends_with("+json") || part.named(".json")
}

/// JSON by type or file name, or a body that starts like it.
pub(crate) fn recognises(letter: &Letter) -> bool {
    letter.parts.iter().any(is_json) || letter.body().trim_start().starts_with(['{', '['])
}

/// The JSON texts of a letter.
pub(crate) fn texts(letter: &Letter) -> Vec<&str> {
    let attached: Vec<&str> = letter.texts(is_json).collect();
    if attached.is_empty() {
        vec![letter.body()]
    } else {
        attached
    }
}

pub(crate) fn parse(text: &str, format: Format) -> Result<Value, Reason> {
    serde_json::from_str(text).map_err(|error| {
        if error.to_string().starts_with("number out of range") {
            return Reason::NotFinite {
                metric: format!("line {}", error.line()),
            };
        }
        format.malformed(format!("is no valid JSON: {error}"))
    })
}

pub(crate) fn decode_letter(letter: &Letter) -> Result<Vec<Draft>, Reason> {
    let mut drafts = Vec::new();
    for text in texts(letter) {
        match parse(text, Format::Json)? {
            Value::Object(object) => drafts.push(draft(&object, letter.zone())?),
            Value::Array(rows) if rows.len() > MAX_ROWS_PER_MAIL => {
                return Err(Reason::TooManyRows);
            }
            Value::Array(rows) => {
                for row in &rows {
                    let Value::Object(object) = row else {
                        return Err(
                            Format::Json.malformed("its array holds something else than objects")
                        );
                    };
                    drafts.push(draft(object, letter.zone())?);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                return Err(Format::Json.malformed("is neither an object nor an array of objects"));
            }
        }
    }
    Ok(drafts)
}

fn draft(object: &Map<String, Value>, zone: i64) -> Result<Draft, Reason> {
    let mut draft = Draft::default();
    for key in TIME_KEYS {
        let Some(value) = object.get(key) else {
            continue;
        };
        draft.device_time = match value {
            Value::Number(number) => number.as_f64().and_then(moment::from_number),
            Value::String(text) => moment::parse(text, zone),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        if draft.device_time.is_none() {
            return Err(Format::Json.malformed(format!("the value of its \"{key}\" is no time")));
        }
        break;
    }
    collect(object, "", MAX_DEPTH, &mut draft)?;
    Ok(draft)
}

fn collect(
    object: &Map<String, Value>,
    prefix: &str,
    depth: usize,
    draft: &mut Draft,
) -> Result<(), Reason> {
    for (key, value) in object {
        if prefix.is_empty() && TIME_KEYS.contains(&key.as_str()) {
            continue;
        }
        let name = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        match value {
            Value::Number(number) => match number.as_f64() {
                Some(value) => draft.readings.push(reading(&name, value)),
                None => return Err(Reason::NotFinite { metric: name }),
            },
            Value::Bool(flag) => draft
                .readings
                .push(reading(&name, f64::from(u8::from(*flag)))),
            Value::Object(inner) if depth > 1 => collect(inner, &name, depth - 1, draft)?,
            Value::Object(_) => {
                return Err(
                    Format::Json.malformed(format!("nests deeper than {MAX_DEPTH} objects"))
                );
            }
            Value::Array(_) => {
                return Err(Format::Json.malformed(format!(
                    "the value of \"{}\" is an array",
                    crate::mail::quoted(&name)
                )));
            }
            Value::Null | Value::String(_) => {}
        }
        if draft.readings.len() > MAX_METRICS_PER_ROW {
            return Err(Reason::TooManyMetrics {
                found: draft.readings.len(),
            });
        }
    }
    Ok(())
}
