//! Numbers as SenML, JSON and CSV mails.

use serde_json::{Map, Value, json};
use wire::UnixMillis;

use super::{Device, Mail, Row, iso, typed};

/// One SenML pack (RFC 8428) of all rows: the base name names the device, times are absolute.
pub fn senml_mail(device: &Device, rows: &[Row]) -> Mail {
    let mut records = Vec::new();
    for row in rows {
        for (index, metric) in row.metrics.iter().enumerate() {
            let mut record = Map::new();
            if records.is_empty() {
                record.insert(
                    "bn".to_owned(),
                    json!(format!("urn:dev:ops:{}:", device.id)),
                );
            }
            if index == 0 {
                record.insert("bt".to_owned(), json!(row.at.0 as f64 / 1000.0));
            }
            record.insert("n".to_owned(), json!(metric.name));
            if !metric.unit.is_empty() {
                record.insert("u".to_owned(), json!(metric.unit));
            }
            record.insert("v".to_owned(), json!(metric.value));
            records.push(Value::Object(record));
        }
    }
    let body = Value::Array(records).to_string();
    typed(
        device,
        latest(rows),
        "report",
        "application/senml+json",
        &wrapped(&body),
    )
}

/// One JSON object with the row's time.
pub fn json_mail(device: &Device, row: &Row) -> Mail {
    let mut object = Map::new();
    object.insert("time".to_owned(), json!(iso(row.at)));
    for metric in &row.metrics {
        object.insert(metric.name.clone(), json!(metric.value));
    }
    let body = Value::Object(object).to_string();
    typed(
        device,
        row.at,
        "report",
        "application/json",
        &wrapped(&body),
    )
}

/// A CSV table with a `time` column in milliseconds since 1970. Columns are those of the first
/// row; a metric that a later row lacks stays empty.
pub fn csv_mail(device: &Device, rows: &[Row]) -> Mail {
    let names: Vec<&str> = rows
        .first()
        .map(|row| row.metrics.iter().map(|m| m.name.as_str()).collect())
        .unwrap_or_default();
    let mut body = format!("time,{}\n", names.join(","));
    for row in rows {
        body.push_str(&row.at.0.to_string());
        for name in &names {
            body.push(',');
            if let Some(metric) = row.metrics.iter().find(|metric| metric.name == *name) {
                body.push_str(&metric.value.to_string());
            }
        }
        body.push('\n');
    }
    typed(
        device,
        latest(rows),
        "report",
        "text/csv; charset=us-ascii; header=present",
        &body,
    )
}

fn latest(rows: &[Row]) -> UnixMillis {
    rows.iter().map(|row| row.at).max().unwrap_or_default()
}

/// RFC 5321 §4.5.3.1.6: no line over 998 octets. JSON may break after any comma between tokens.
fn wrapped(body: &str) -> String {
    body.replace("},{", "},\n{").replace(",\"", ",\n\"")
}
