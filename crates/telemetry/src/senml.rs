//! SenML (RFC 8428) as JSON and as CBOR: base fields, relative times, resolved records, grouped by
//! their time.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use wire::{Reading, UnixMillis};

use crate::cbor;
use crate::formats::{Draft, Format, Letter, Part};
use crate::json;
use crate::mail::{MAX_METRICS_PER_ROW, MAX_ROWS_PER_MAIL, quoted};
use crate::moment;
use crate::quarantine::Reason;

/// The version of RFC 8428 §4.4; a pack that asks for more cannot be understood.
const VERSION: f64 = 10.0;
/// Below this a time is relative to now (§4.5.3).
const ABSOLUTE_FROM: f64 = 268_435_456.0;
/// Labels of §4.3; with any of them an array of objects is SenML rather than plain JSON.
const MARKS: [&str; 9] = ["bn", "bt", "bu", "bv", "bver", "n", "v", "vb", "vs"];

/// Labels of SenML in CBOR (RFC 8428 §6, table 4), by number from -6 to 8.
const CBOR_LABELS: [&str; 15] = [
    "bs", "bv", "bu", "bt", "bn", "bver", "n", "u", "v", "vs", "vb", "s", "t", "ut", "vd",
];
const FIRST_CBOR_LABEL: i64 = -6;

fn is_cbor(part: &Part) -> bool {
    matches!(
        part.kind.as_str(),
        "application/senml+cbor" | "application/cbor"
    ) || part.named(".senmlc")
}

/// The label that a number stands for; numbers that the registry does not know stay numbers, and
/// are passed over like every unknown label.
fn cbor_label(number: i64) -> String {
    number
        .checked_sub(FIRST_CBOR_LABEL)
        .and_then(|index| CBOR_LABELS.get(usize::try_from(index).ok()?))
        .map_or_else(|| number.to_string(), |label| (*label).to_owned())
}

pub(crate) fn recognises(letter: &Letter) -> bool {
    letter
        .parts
        .iter()
        .any(|part| part.kind == "application/senml+json" || is_cbor(part))
        || json::recognises(letter)
            && json::texts(letter)
                .first()
                .is_some_and(|text| looks_like_a_pack(text))
}

fn looks_like_a_pack(text: &str) -> bool {
    text.trim_start().starts_with('[')
        && serde_json::from_str::<Vec<Map<String, Value>>>(text).is_ok_and(|pack| {
            pack.iter()
                .any(|r| MARKS.iter().any(|mark| r.contains_key(*mark)))
        })
}

/// All packs of a letter; `arrival` is the "now" of relative times.
pub(crate) fn decode_letter(letter: &Letter, arrival: UnixMillis) -> Result<Vec<Draft>, Reason> {
    let mut packs = Vec::new();
    for part in letter.parts.iter().filter(|part| is_cbor(part)) {
        let value = cbor::parse(part.content(), cbor_label);
        packs.push(value.map_err(|error| match error {
            cbor::CborError::NotFinite => Reason::NotFinite {
                metric: quoted(part.name.as_deref().unwrap_or(&part.kind)),
            },
            other => Format::SenMl.malformed(other.to_string()),
        })?);
    }
    if packs.is_empty() || letter.parts.iter().any(json::is_json) {
        for text in json::texts(letter) {
            packs.push(json::parse(text, Format::SenMl)?);
        }
    }
    let mut drafts = Vec::new();
    for value in &packs {
        let Value::Array(records) = value else {
            return Err(Format::SenMl.malformed("is no array of records"));
        };
        drafts.extend(pack(records, arrival)?);
    }
    Ok(drafts)
}

/// Base fields, which hold from the record that sets them on (§4.1).
#[derive(Default)]
struct Base<'p> {
    name: &'p str,
    time: f64,
    unit: Option<&'p str>,
    value: f64,
    sum: f64,
}

/// A record after resolution (§4.6).
struct Resolved<'p> {
    base_name: &'p str,
    name: &'p str,
    millis: Option<UnixMillis>,
    unit: Option<&'p str>,
    value: f64,
}

fn pack(records: &[Value], arrival: UnixMillis) -> Result<Vec<Draft>, Reason> {
    let mut base = Base::default();
    let mut resolved = Vec::new();
    for record in records {
        let Value::Object(record) = record else {
            return Err(Format::SenMl.malformed("one of its records is no object"));
        };
        resolved.extend(resolve(record, &mut base, arrival)?);
    }
    group(&resolved)
}

fn resolve<'p>(
    record: &'p Map<String, Value>,
    base: &mut Base<'p>,
    arrival: UnixMillis,
) -> Result<Option<Resolved<'p>>, Reason> {
    // §4.4: a label that ends in an underscore must be understood or the pack refused.
    if let Some(label) = record.keys().find(|label| label.ends_with('_')) {
        let label = quoted(label);
        return Err(Format::SenMl.malformed(format!("demands the unknown extension \"{label}\"")));
    }
    if let Some(version) = number(record, "bver")?.filter(|&version| version > VERSION) {
        return Err(Format::SenMl.malformed(format!("has version {version}, over {VERSION}")));
    }
    base.name = text(record, "bn")?.unwrap_or(base.name);
    base.unit = text(record, "bu")?.or(base.unit);
    base.time = number(record, "bt")?.unwrap_or(base.time);
    base.value = number(record, "bv")?.unwrap_or(base.value);
    base.sum = number(record, "bs")?.unwrap_or(base.sum);

    let flag = match record.get("vb") {
        None => None,
        Some(Value::Bool(flag)) => Some(f64::from(u8::from(*flag))),
        Some(_) => return Err(Format::SenMl.malformed("its \"vb\" is neither true nor false")),
    };
    let given = number(record, "v")?.map(|v| v + base.value).or(flag);
    // A record with a sum alone reports the integral (§4.2); texts and data are no readings.
    let Some(value) = given.or(number(record, "s")?.map(|sum| sum + base.sum)) else {
        return Ok(None);
    };
    let name = text(record, "n")?.unwrap_or_default();
    check_name(base.name, name)?;
    let time = base.time + number(record, "t")?.unwrap_or_default();
    Ok(Some(Resolved {
        base_name: base.name,
        name,
        millis: absolute(time, arrival)?,
        unit: text(record, "u")?.or(base.unit),
        value,
    }))
}

/// §4.5.1: letters, digits and `-:./_`, beginning with a letter or digit.
fn check_name(base: &str, name: &str) -> Result<(), Reason> {
    let mut chars = base.chars().chain(name.chars());
    let starts = chars.next().is_some_and(|c| c.is_ascii_alphanumeric());
    if starts && chars.all(|c| c.is_ascii_alphanumeric() || "-:./_".contains(c)) {
        Ok(())
    } else {
        Err(Reason::BadName {
            name: quoted(&format!("{base}{name}")),
        })
    }
}

/// `None` for "now": a sensor without a clock sends 0.
fn absolute(time: f64, arrival: UnixMillis) -> Result<Option<UnixMillis>, Reason> {
    if time == 0.0 {
        return Ok(None);
    }
    let seconds = if time < ABSOLUTE_FROM {
        arrival.0 as f64 / 1000.0 + time
    } else {
        time
    };
    // Not through `from_number`, which would take large seconds for milliseconds.
    let millis = (seconds * 1000.0).round();
    let valid = millis >= 0.0 && moment::from_number(millis.max(1e11)).is_some();
    valid
        .then_some(Some(UnixMillis(millis as u64)))
        .ok_or_else(|| {
            Format::SenMl.malformed(format!("the time {time} lies outside of 1970 to 9999"))
        })
}

/// Records of one time make one report. The base name names the device (§4.5.1 recommends a
/// device URN there), the name the metric; only a pack with several base names needs both.
fn group(records: &[Resolved<'_>]) -> Result<Vec<Draft>, Reason> {
    let bases: BTreeSet<&str> = records.iter().map(|record| record.base_name).collect();
    let mut groups: BTreeMap<Option<UnixMillis>, Vec<Reading>> = BTreeMap::new();
    for record in records {
        let name = if record.name.is_empty() {
            record.base_name.to_owned()
        } else if bases.len() == 1 {
            record.name.to_owned()
        } else {
            format!("{}{}", record.base_name, record.name)
        };
        let unit = record.unit.map(str::to_owned);
        let readings = groups.entry(record.millis).or_default();
        readings.push(Reading {
            name,
            value: record.value,
            unit,
        });
        if readings.len() > MAX_METRICS_PER_ROW {
            return Err(Reason::TooManyMetrics {
                found: readings.len(),
            });
        }
        if groups.len() > MAX_ROWS_PER_MAIL {
            return Err(Reason::TooManyRows);
        }
    }
    Ok(groups
        .into_iter()
        .map(|(device_time, readings)| Draft {
            device_time,
            readings,
            event: None,
            ..Draft::default()
        })
        .collect())
}

fn number(record: &Map<String, Value>, label: &str) -> Result<Option<f64>, Reason> {
    match record.get(label) {
        None => Ok(None),
        Some(Value::Number(number)) => match number.as_f64().filter(|number| number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(Reason::NotFinite {
                metric: label.to_owned(),
            }),
        },
        Some(_) => Err(Format::SenMl.malformed(format!("its \"{label}\" is no number"))),
    }
}

fn text<'p>(record: &'p Map<String, Value>, label: &str) -> Result<Option<&'p str>, Reason> {
    match record.get(label) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Format::SenMl.malformed(format!("its \"{label}\" is no text"))),
    }
}
