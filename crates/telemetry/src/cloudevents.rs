//! What the cluster tells other consumers, as CloudEvents 1.0 in the JSON format (structured mode).
//!
//! An event may be delivered twice, with the same `source` and `id`: "consumers MAY assume that events
//! with identical source and id are duplicates" (CloudEvents 1.0.2, `id`).

use crate::score::Scored;
use mail_parser::DateTime;
use serde_json::{Value, json};
use wire::{Act, Alert, AlertKind, NodeId, Record, UnixMillis};

/// `content-type` of a message in structured mode (Kafka protocol binding for CloudEvents, 3.3).
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=UTF-8";

/// What events are about; each kind goes to a topic of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stream {
    /// Alerts raised and cleared.
    Alerts,
    /// Rounds of learning.
    Rounds,
    /// Scores of single reports.
    Scores,
}

/// One event, ready to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CloudEvent {
    /// Where it belongs.
    pub stream: Stream,
    /// Events with the same key stay in order.
    pub key: String,
    /// When it happened.
    pub time: UnixMillis,
    /// UTF-8 JSON.
    pub json: String,
}

/// Makes the events of one cluster.
#[derive(Clone, Debug)]
pub struct Events {
    source: String,
}

impl Events {
    /// `source` of all events is the cluster's name as a path.
    pub fn new(cluster: &str) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let name: String = cluster
            .bytes()
            .map(|byte| match plain(byte) {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02X}"),
            })
            .collect();
        Self {
            source: format!("/glasshouse/{name}"),
        }
    }

    /// What a leaf of the ledger tells others; most tell nothing. `leaf` makes the id.
    pub fn of_act(&self, leaf: u64, record: &Record) -> Option<CloudEvent> {
        let (stream, kind, key, time, data) = match &record.act {
            Act::AlertRaised(alert) => (
                Stream::Alerts,
                "glasshouse.alert.raised.v1",
                alert.device.to_string(),
                alert.at,
                raised(alert, leaf),
            ),
            Act::AlertCleared { id, at } => (
                Stream::Alerts,
                "glasshouse.alert.cleared.v1",
                // An alert's id begins with its device.
                id.split('/').next().unwrap_or(id).to_owned(),
                *at,
                json!({ "alert": id, "leaf": leaf }),
            ),
            Act::RoundClosed {
                round,
                model,
                participants,
                examples,
                loss,
            } => (
                Stream::Rounds,
                "glasshouse.round.closed.v1",
                "rounds".to_owned(),
                record.time,
                json!({
                    "round": round.0, "model": model.to_string(), "participants": names(participants),
                    "examples": examples, "loss": loss, "leaf": leaf,
                }),
            ),
            Act::BufferedRoundClosed {
                round,
                model,
                participants,
                ages,
                examples,
                loss,
            } => (
                Stream::Rounds,
                "glasshouse.round.closed.v1",
                "rounds".to_owned(),
                record.time,
                json!({
                    "round": round.0, "model": model.to_string(), "participants": names(participants),
                    "ages": ages, "examples": examples, "loss": loss, "leaf": leaf,
                }),
            ),
            Act::RoundAbandoned { round, reason } => (
                Stream::Rounds,
                "glasshouse.round.abandoned.v1",
                "rounds".to_owned(),
                record.time,
                json!({ "round": round.0, "reason": reason, "leaf": leaf }),
            ),
            Act::ModelPinned { model, reason } => (
                Stream::Rounds,
                "glasshouse.model.pinned.v1",
                "rounds".to_owned(),
                record.time,
                json!({ "model": model.to_string(), "reason": reason, "leaf": leaf }),
            ),
            Act::ModelUnpinned { reason } => (
                Stream::Rounds,
                "glasshouse.model.unpinned.v1",
                "rounds".to_owned(),
                record.time,
                json!({ "reason": reason, "leaf": leaf }),
            ),
            Act::ModelRolledBack { model, reason } => (
                Stream::Rounds,
                "glasshouse.model.rolled-back.v1",
                "rounds".to_owned(),
                record.time,
                json!({ "model": model.to_string(), "reason": reason, "leaf": leaf }),
            ),
            Act::Genesis { .. }
            | Act::NodeUp { .. }
            | Act::NodeDown { .. }
            | Act::RoleAssigned { .. }
            | Act::RoundOpened { .. }
            | Act::GroupCommit { .. }
            | Act::Ingested { .. }
            | Act::LevelRaised { .. }
            | Act::Invited { .. }
            | Act::Admitted { .. }
            | Act::Removed { .. }
            | Act::Introduced { .. }
            | Act::FunctionDeployed { .. }
            | Act::FeedAdvanced { .. }
            | Act::ReaderKeyGranted { .. }
            | Act::PrivacySpent { .. }
            | Act::VariatesReset { .. }
            | Act::BudgetDeclared { .. } => return None,
        };
        Some(self.event(stream, &format!("leaf-{leaf}"), kind, key, time, &data))
    }

    /// A judged report. `node`, its start and the number within it make the id.
    pub fn of_score(&self, node: &NodeId, start: u64, number: u64, scored: &Scored) -> CloudEvent {
        let because: Vec<Value> = scored
            .because
            .iter()
            .map(|(metric, share)| json!({ "metric": metric, "share": share }))
            .collect();
        let data =
            json!({ "score": scored.score, "unusual": scored.score > 1.0, "because": because });
        let key = scored.device.to_string();
        let id = format!("{node}-{start}-{number}");
        let kind = "glasshouse.score.v1";
        self.event(Stream::Scores, &id, kind, key, scored.at, &data)
    }

    fn event(
        &self,
        stream: Stream,
        id: &str,
        kind: &str,
        key: String,
        time: UnixMillis,
        data: &Value,
    ) -> CloudEvent {
        let json = json!({
            "specversion": "1.0", "id": id, "source": self.source, "type": kind, "subject": key,
            "time": timestamp(time), "datacontenttype": "application/json", "data": data,
        });
        CloudEvent {
            stream,
            key,
            time,
            json: json.to_string(),
        }
    }
}

fn raised(alert: &Alert, leaf: u64) -> Value {
    let kind = match &alert.kind {
        AlertKind::Anomaly { score, because } => {
            let because: Vec<Value> = because
                .iter()
                .map(|(metric, share)| json!({ "metric": metric, "share": share }))
                .collect();
            json!({ "name": "anomaly", "score": score, "because": because })
        }
        AlertKind::Reported { condition } => json!({ "name": "reported", "condition": condition }),
        AlertKind::Silent { for_ms } => json!({ "name": "silent", "for_ms": for_ms }),
    };
    json!({
        "alert": alert.id, "device": alert.device.as_str(), "room": alert.room.as_str(),
        "severity": alert.severity, "kind": kind, "summary": alert.summary, "leaf": leaf,
    })
}

fn names(nodes: &[NodeId]) -> Vec<&str> {
    nodes.iter().map(NodeId::as_str).collect()
}

/// RFC 3339 in UTC, with milliseconds.
fn timestamp(time: UnixMillis) -> String {
    let seconds = i64::try_from(time.0 / 1000).unwrap_or(i64::MAX);
    let whole = DateTime::from_timestamp(seconds).to_rfc3339();
    let whole = whole.trim_end_matches('Z');
    format!("{whole}.{:03}Z", time.0 % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Digest, ProposalId, Round, Severity};

    fn record(act: Act) -> Record {
        Record {
            id: ProposalId([0; 16]),
            proposer: "node-1".into(),
            time: UnixMillis(1_772_366_400_042),
            act,
        }
    }

    fn told(act: Act) -> (Stream, String, Value) {
        let event = Events::new("hall 1").of_act(7, &record(act)).unwrap();
        (
            event.stream,
            event.key,
            serde_json::from_str(&event.json).unwrap(),
        )
    }

    #[test]
    fn an_alert_is_an_event_with_all_that_an_operator_would_ask_for() {
        let alert = Alert {
            id: "ups-1/anomaly/5".into(),
            device: "ups-1".into(),
            room: "hall".into(),
            kind: AlertKind::Anomaly {
                score: 2.5,
                because: vec![("load".into(), 0.75)],
            },
            severity: Severity::Warning,
            at: UnixMillis(1_772_366_400_007),
            summary: "unusual".into(),
        };
        let (stream, key, json) = told(Act::AlertRaised(alert));
        assert_eq!((stream, key.as_str()), (Stream::Alerts, "ups-1"));
        let expected = json!({
            "specversion": "1.0", "id": "leaf-7", "source": "/glasshouse/hall%201",
            "type": "glasshouse.alert.raised.v1", "subject": "ups-1", "time": "2026-03-01T12:00:00.007Z",
            "datacontenttype": "application/json",
            "data": {
                "alert": "ups-1/anomaly/5", "device": "ups-1", "room": "hall", "severity": "warning",
                "kind": { "name": "anomaly", "score": 2.5, "because": [{ "metric": "load", "share": 0.75 }] },
                "summary": "unusual", "leaf": 7,
            },
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn the_end_of_an_alert_has_the_key_of_its_beginning() {
        let id = "ups-1/anomaly/5".to_owned();
        let at = UnixMillis(1_000);
        let (stream, key, json) = told(Act::AlertCleared { id, at });
        assert_eq!((stream, key.as_str()), (Stream::Alerts, "ups-1"));
        assert_eq!(json["time"], "1970-01-01T00:00:01.000Z");
        assert_eq!(json["data"]["alert"], "ups-1/anomaly/5");
    }

    #[test]
    fn rounds_are_told_when_they_end() {
        let closed = Act::RoundClosed {
            round: Round(3),
            model: Digest([1; 32]),
            participants: vec!["a".into(), "b".into()],
            examples: 90,
            loss: 0.5,
        };
        let (stream, _, json) = told(closed);
        assert_eq!(stream, Stream::Rounds);
        assert_eq!(json["time"], "2026-03-01T12:00:00.042Z");
        assert_eq!(json["data"]["participants"], json!(["a", "b"]));
        assert_eq!(json["data"]["ages"], Value::Null);
        let buffered = Act::BufferedRoundClosed {
            round: Round(3),
            model: Digest([1; 32]),
            participants: vec!["a".into(), "b".into()],
            ages: vec![0, 2],
            examples: 90,
            loss: 0.5,
        };
        let (_, _, later) = told(buffered);
        assert_eq!(later["type"], json["type"]);
        assert_eq!(later["data"]["ages"], json!([0, 2]));
        let opened = Act::RoundOpened {
            round: Round(3),
            model: Digest([1; 32]),
            cohort: vec![],
        };
        assert_eq!(Events::new("x").of_act(1, &record(opened)), None);
    }

    #[test]
    fn a_score_that_is_no_number_is_null_and_still_json() {
        let scored = Scored {
            device: "ups-1".into(),
            at: UnixMillis(5),
            score: f64::NAN,
            normal: false,
            because: vec![],
        };
        let event = Events::new("x").of_score(&"node-1".into(), 9, 4, &scored);
        let json: Value = serde_json::from_str(&event.json).unwrap();
        assert_eq!(json["id"], "node-1-9-4");
        assert_eq!(json["data"]["score"], Value::Null);
        assert_eq!(json["data"]["unusual"], false);
    }
}
