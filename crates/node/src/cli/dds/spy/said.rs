//! Samples and events as lines.

use super::super::super::quarantine::harmless;
use dds::{Promise, Sample, SpaceEvent, Topic};
use serde_json::{Value, json};
use std::io::{self, Write as _};
use wire::payload::{
    Alert, AlertState, ModelAnnouncement, NodeStatus, Score, Severity, decode_reports,
};
use wire::xcdr::decode;

/// One line in both forms.
pub(super) struct Line {
    text: String,
    json: Value,
}

impl Line {
    pub(super) fn print(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        // What comes from the data space may be a stranger's.
        let line = if json {
            self.json.to_string()
        } else {
            harmless(&self.text)
        };
        writeln!(out, "{line}")?;
        out.flush()
    }
}

/// What a sample says, and as JSON.
type Said = (String, Value);

pub(super) fn sample_line(topic: &str, sample: &Sample, opened: &Result<Vec<u8>, String>) -> Line {
    let said = opened.clone().and_then(|plaintext| {
        said(topic, &plaintext).map_err(|reason| format!("opened, and {reason}"))
    });
    let (text, field, value) = match said {
        Ok((text, value)) => (text, "said", value),
        Err(reason) => {
            let text = format!("sealed, {} bytes: {reason}", sample.sealed.len());
            (text, "sealed", json!(reason))
        }
    };
    Line {
        text: format!(
            "{} {} {}  {text}  ({} {}, epoch {})",
            clock(sample.source_time_ns),
            short(topic),
            sample.key,
            sample.writer,
            sample.sequence,
            sample.key_epoch
        ),
        json: json!({
            "topic": topic,
            "key": sample.key,
            "writer": sample.writer,
            "sequence": sample.sequence,
            "epoch": sample.key_epoch,
            "source_time_ns": sample.source_time_ns,
            "bytes": sample.sealed.len(),
            field: value,
        }),
    }
}

pub(super) fn over_line(topic: &str, key: &str) -> Line {
    Line {
        text: format!("{:12} {} {key}  is over", "", short(topic)),
        json: json!({ "topic": topic, "key": key, "over": true }),
    }
}

pub(super) fn event_line(event: &SpaceEvent) -> Line {
    let (name, text) = happened(event);
    Line {
        text: format!("{:12} * {text}", ""),
        json: json!({ "event": name, "text": text }),
    }
}

fn said(topic: &str, plaintext: &[u8]) -> Result<Said, String> {
    let known = Topic::ALL.into_iter();
    let name = known.clone().find(|(_, known)| known.name() == topic);
    let no_type = |error: &dyn std::fmt::Display| error.to_string();
    match name.map(|(short, _)| short) {
        Some("readings") => {
            let reports = decode_reports(plaintext).map_err(|error| no_type(&error))?;
            Ok((readings(&reports), json!(reports)))
        }
        Some("scores") => {
            let score: Score = decode(plaintext).map_err(|error| no_type(&error))?;
            let because = score.because.iter().map(|part| part.metric.as_str());
            let because: Vec<&str> = because.collect();
            let text = format!("{}  {:.2} {}", score.room, score.score, because.join(", "));
            let value = json!({"room": score.room, "at_ms": score.at_ms, "score": score.score, "because": because});
            Ok((text.trim_end().to_owned(), value))
        }
        Some("alerts") => {
            let alert: Alert = decode(plaintext).map_err(|error| no_type(&error))?;
            let state = match alert.state {
                AlertState::Raised => "raised",
                AlertState::Cleared => "cleared",
            };
            let severity = match alert.severity {
                Severity::Info => "info",
                Severity::Warning => "warning",
                Severity::Critical => "critical",
            };
            let text = format!("{}  {state}, {severity}: {}", alert.room, alert.summary);
            let value = json!({
                "device": alert.device, "room": alert.room, "state": state, "severity": severity,
                "at_ms": alert.at_ms, "summary": alert.summary, "leaf": alert.leaf,
            });
            Ok((text, value))
        }
        Some("models") => {
            let model: ModelAnnouncement = decode(plaintext).map_err(|error| no_type(&error))?;
            let count = model.participants.len();
            let text = format!(
                "round {} of {count} nodes, loss {:.4}",
                model.round, model.loss
            );
            let value = json!({
                "round": model.round, "digest": model.digest, "participants": model.participants,
                "examples": model.examples, "loss": model.loss, "leaf": model.leaf,
            });
            Ok((text, value))
        }
        Some("status") => {
            let node: NodeStatus = decode(plaintext).map_err(|error| no_type(&error))?;
            let text = format!(
                "rooms {}; leader {}, round {}, ledger {}, {} open alerts",
                node.rooms.join(", "),
                node.leader,
                node.round,
                node.ledger_size,
                node.open_alerts
            );
            let value = json!({
                "rooms": node.rooms, "leader": node.leader, "round": node.round, "at_ms": node.at_ms,
                "ledger_size": node.ledger_size, "open_alerts": node.open_alerts, "version": node.version,
            });
            Ok((text, value))
        }
        Some(_) | None => Err(format!("topic {topic} is none of ours")),
    }
}

fn readings(reports: &[wire::Report]) -> String {
    let each = reports.iter().map(|report| {
        let values = report.readings.iter().map(ToString::to_string);
        let event = report.event.iter().map(|event| {
            let ends = if event.clears { " ends" } else { "" };
            format!("{}{ends}: {}", event.condition, event.text)
        });
        values.chain(event).collect::<Vec<_>>().join(", ")
    });
    let each: Vec<String> = each.collect();
    let room = reports.first().map_or("", |report| report.room.as_str());
    format!("{room}  {}", each.join("; "))
}

fn happened(event: &SpaceEvent) -> (&'static str, String) {
    match event {
        SpaceEvent::WriterMatched { topic, writers } => (
            "writer_matched",
            format!("{}: a writer came, {writers} now", short(topic)),
        ),
        SpaceEvent::WriterLost { topic, writers } => (
            "writer_lost",
            format!("{}: a writer left, {writers} now", short(topic)),
        ),
        SpaceEvent::ReaderMatched { topic, readers, .. } => (
            "reader_matched",
            format!("{}: a reader came, {readers} now", short(topic)),
        ),
        SpaceEvent::ReaderLost { topic, readers, .. } => (
            "reader_lost",
            format!("{}: a reader left, {readers} now", short(topic)),
        ),
        SpaceEvent::DeadlineMissed {
            topic,
            key,
            deadline,
            ..
        } => {
            let key = key.as_deref().unwrap_or("a key");
            let text = format!(
                "{}: {key} was silent for its deadline of {deadline:?}",
                short(topic)
            );
            ("deadline_missed", text)
        }
        SpaceEvent::LivelinessLost {
            topic,
            alive,
            silent,
            ..
        } => {
            let text = format!(
                "{}: {silent} writers show no life, {alive} do",
                short(topic)
            );
            ("liveliness_lost", text)
        }
        SpaceEvent::LivelinessRegained {
            topic,
            alive,
            silent,
            ..
        } => {
            let text = format!(
                "{}: {alive} writers show life, {silent} do not",
                short(topic)
            );
            ("liveliness_regained", text)
        }
        SpaceEvent::PromiseBroken { topic, promise, .. } => {
            let what = match promise {
                Promise::Deadline => "deadline",
                Promise::Liveliness => "liveliness",
            };
            (
                "promise_broken",
                format!("{}: a {what} was promised and not kept", short(topic)),
            )
        }
        SpaceEvent::IncompatibleQos { sentence, .. } => ("incompatible_qos", sentence.clone()),
    }
}

fn short(topic: &str) -> &str {
    topic.strip_prefix("glasshouse_").unwrap_or(topic)
}

/// The time of day, UTC.
fn clock(unix_ns: i64) -> String {
    let ms = unix_ns.div_euclid(1_000_000).rem_euclid(86_400_000);
    let (second, ms) = (ms / 1_000, ms % 1_000);
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("{hour:02}:{minute:02}:{:02}.{ms:03}", second % 60)
}

#[cfg(test)]
mod tests;
