//! The JSON report.

use crate::labels::Agreement;
use crate::observe::Totals;
use crate::progress::Outside;
use crate::verdict::Stage;
use serde_json::{Value, json};
use wire::status::Status;

/// What goes into it.
pub(crate) struct Report<'a> {
    pub(crate) nodes: usize,
    pub(crate) seconds: f64,
    pub(crate) totals: Totals,
    pub(crate) outside: Outside,
    pub(crate) rejected: u64,
    pub(crate) best: Option<&'a Status>,
    pub(crate) latency_ms: Option<(f64, f64)>,
    pub(crate) wire_by_capture: bool,
    pub(crate) strikes: &'a [String],
    pub(crate) agreement: Option<Agreement>,
    pub(crate) stages: &'a [Stage],
}

/// As the issue of the first release names the keys; times in milliseconds.
pub(crate) fn json(report: &Report<'_>) -> Value {
    let Report {
        totals, outside, ..
    } = report;
    let (p50, p99) = report.latency_ms.unwrap_or_default();
    let best = report.best;
    json!({
        "ok": report.stages.iter().all(|stage| stage.ok),
        "seconds": report.seconds,
        "nodes": report.nodes,
        "mails": { "sent": outside.sent, "accepted": outside.accepted, "rejected": report.rejected, "quarantined": totals.mails_quarantined },
        "kafka_records": totals.kafka_records,
        "kafka_produced": outside.records_sent,
        "readings": totals.readings,
        "dds": { "published": totals.published, "received": totals.received, "received_from_other_processes": totals.received_remote, "refused": totals.refused },
        "rounds_closed": best.map_or(0, |status| status.learning.closed),
        "rounds_abandoned": best.map_or(0, |status| status.learning.abandoned),
        "losses": best.map_or_else(Vec::new, |status| status.learning.losses.clone()),
        "key_epochs": best.map_or(0, |status| status.key_epoch.0),
        "alerts": {
            "raised": best.map_or(0, |status| status.ledger.alerts_raised),
            "cleared": best.map_or(0, |status| status.ledger.alerts_cleared),
            "mailed": outside.alert_mails,
            "clears_mailed": outside.clear_mails,
        },
        "labels": report.agreement,
        "ledger": { "size": best.map_or(0, |status| status.ledger.size), "root": best.map_or("", |status| &status.ledger.root) },
        "latency_ms": { "mail_to_dds": { "p50": p50, "p99": p99 } },
        "plaintext_payload_bytes": outside.wire_plaintext + totals.plaintext_payload_bytes,
        "wire": { "method": if report.wire_by_capture { "packets captured on the loopback interface" } else { "counters of the nodes (no right to capture packets)" }, "packets": outside.wire_packets, "bytes": outside.wire_bytes },
        "faults": report.strikes,
        "stages": report.stages,
    })
}
