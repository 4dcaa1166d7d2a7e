//! One record as lines, or as a JSON object.

use crate::cli::quarantine::harmless;
use serde_json::{Map, Value, json};
use telemetry::copybook::framing::{FrameError, Place};
use telemetry::copybook::{Copybook, Item, Row};
use telemetry::ebcdic::CodePage;

/// Path, value and condition names that hold, of every field that is there.
pub(super) fn text(copybook: &Copybook, page: CodePage, place: Place, row: &Row) -> String {
    let present = || {
        let fields = copybook.fields().iter().enumerate();
        fields.filter_map(|(index, field)| Some((index, field, row.get(index)?)))
    };
    let width = present()
        .map(|(_, field, _)| field.path.len())
        .max()
        .unwrap_or(0);
    let mut out = format!("{place}, {} bytes\n", place.len);
    for (index, field, item) in present() {
        let value = match item {
            Item::Text(text) => format!("\"{}\"", harmless(text.trim_end())),
            Item::Number(_) | Item::Float(_) => item.to_string(),
        };
        let held: Vec<&str> = copybook.conditions(page, row, index).collect();
        let held = match held.as_slice() {
            [] => String::new(),
            names => format!("  [{}]", names.join(", ")),
        };
        out.push_str(&format!("  {:width$}  {value}{held}\n", field.path));
    }
    out
}

/// Numbers are strings: a JSON number is a double to most readers, and 31 digits are not.
pub(super) fn json(copybook: &Copybook, page: CodePage, place: Place, row: &Row) -> String {
    let (mut fields, mut conditions) = (Map::new(), Map::new());
    for (index, field) in copybook.fields().iter().enumerate() {
        let Some(item) = row.get(index) else {
            continue;
        };
        let value = match item {
            Item::Text(text) => Value::from(text.trim_end()),
            Item::Number(number) => Value::from(number.to_string()),
            Item::Float(float) => Value::from(float),
        };
        fields.insert(field.path.clone(), value);
        let held: Vec<&str> = copybook.conditions(page, row, index).collect();
        if !held.is_empty() {
            conditions.insert(field.path.clone(), held.into());
        }
    }
    let mut object = json!({"record": place.record, "offset": place.offset, "fields": fields});
    if !conditions.is_empty() {
        object["conditions"] = conditions.into();
    }
    format!("{object}\n")
}

/// A record that could not be read.
pub(super) fn json_refusal(place: Place, error: &FrameError) -> String {
    let object =
        json!({"record": place.record, "offset": place.offset, "refused": error.to_string()});
    format!("{object}\n")
}
