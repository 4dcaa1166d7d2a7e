//! What must be true for the demo to have worked. Each stage is one line; any failed one makes the
//! exit code 1.

use crate::labels::Agreement;
use crate::observe::Totals;
use crate::progress::Outside;
use serde::Serialize;
use wire::status::Status;

/// A stage and what came of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    pub(crate) ok: bool,
    pub(crate) says: String,
}

/// Everything that is judged.
pub(crate) struct Evidence<'a> {
    pub(crate) nodes: usize,
    pub(crate) outside: Outside,
    pub(crate) rejected: u64,
    pub(crate) given_up: u64,
    pub(crate) totals: Totals,
    /// Each node's last status.
    pub(crate) statuses: Vec<&'a Status>,
    pub(crate) min_rounds: u64,
    pub(crate) strikes: &'a [String],
    /// For each strike: noticed and healed, as sentences of what was missing.
    pub(crate) unhealed: &'a [String],
    pub(crate) agreement: Option<Agreement>,
    pub(crate) failures: &'a [String],
}

/// How far a node may lag behind another when it is asked a moment later.
const EPOCH_SLACK: u64 = 2;

/// All stages.
pub(crate) fn judge(evidence: &Evidence<'_>) -> Vec<Stage> {
    let Evidence {
        outside,
        totals,
        statuses,
        ..
    } = evidence;
    let mut stages = Vec::new();
    let mut stage = |name, ok, says: String| stages.push(Stage { name, ok, says });
    let best = statuses.iter().max_by_key(|status| status.ledger.size);

    let up = best.map_or(0, |status| {
        status.members.values().filter(|up| **up).count()
    });
    stage(
        "cluster",
        up == evidence.nodes && statuses.len() == evidence.nodes,
        format!("{up} of {} nodes up at the end", evidence.nodes),
    );
    stage(
        "mail",
        outside.sent > 0
            && outside.accepted + evidence.rejected + evidence.given_up == outside.sent
            && evidence.given_up == 0
            && evidence.rejected == 0,
        format!(
            "{} sent, {} accepted ({} by another node's mailbox), {} refused, {} given up",
            outside.sent,
            outside.accepted,
            outside.failed_over,
            evidence.rejected,
            evidence.given_up
        ),
    );
    let recorded = best.map_or(0, |status| status.ledger.mails);
    stage(
        "nothing lost",
        recorded >= outside.accepted,
        format!(
            "{} mails acknowledged, {recorded} accounted for on the ledger",
            outside.accepted
        ),
    );
    stage(
        "mainframe",
        outside.records_sent > 0 && totals.kafka_records >= outside.records_sent,
        format!(
            "{} records produced, {} taken{}",
            outside.records_sent,
            totals.kafka_records,
            match totals.kafka_records.saturating_sub(outside.records_sent) {
                0 => String::new(),
                again => format!(", {again} of them again by a new holder of the feed"),
            }
        ),
    );
    stage(
        "data space",
        totals.received > 0 && totals.received_remote > 0,
        format!(
            "{} samples published, {} received ({} from another process), {} refused",
            totals.published, totals.received, totals.received_remote, totals.refused
        ),
    );
    let (closed, falling, says) = learning(best.copied(), evidence.min_rounds);
    stage("learning", closed && falling, says);
    let epochs: Vec<u64> = statuses.iter().map(|status| status.key_epoch.0).collect();
    let (low, high) = (
        epochs.iter().min().copied().unwrap_or(0),
        epochs.iter().max().copied().unwrap_or(0),
    );
    let rounds = best.map_or(0, |status| status.learning.closed);
    let links = statuses
        .iter()
        .flat_map(|status| status.links.values())
        .min()
        .copied()
        .unwrap_or(0);
    stage(
        "keys",
        high >= rounds && high > 0 && low + EPOCH_SLACK >= high && links + EPOCH_SLACK >= low,
        format!(
            "{high} key epochs for {rounds} rounds; nodes at {epochs:?}, slowest link at {links}"
        ),
    );
    stage(
        "faults",
        evidence.unhealed.is_empty(),
        match evidence.unhealed {
            [] => format!("{}; all noticed and healed", evidence.strikes.join(", ")),
            missing => missing.join("; "),
        },
    );
    let (raised, cleared) = best.map_or((0, 0), |status| {
        (status.ledger.alerts_raised, status.ledger.alerts_cleared)
    });
    stage(
        "alerts",
        raised > 0 && outside.alert_mails >= raised,
        format!(
            "{raised} raised, {cleared} cleared; {} alerts and {} all-clears in the operator's mailbox",
            outside.alert_mails, outside.clear_mails
        ),
    );
    if let Some(Agreement {
        segments,
        found,
        alerts,
        right,
    }) = evidence.agreement
    {
        stage(
            "labels",
            found > 0,
            format!(
                "{found} of {segments} labelled faults found, {right} of {alerts} anomaly alerts within one"
            ),
        );
    }
    let plaintext = outside.wire_plaintext + totals.plaintext_payload_bytes;
    stage(
        "wire",
        plaintext == 0,
        format!(
            "{plaintext} bytes of payload in clear; {} packets looked at",
            outside.wire_packets
        ),
    );
    stage(
        "processes",
        evidence.failures.is_empty(),
        match evidence.failures {
            [] => "all nodes stopped cleanly, every ledger verified".into(),
            failures => failures.join("; "),
        },
    );
    stages
}

fn learning(best: Option<&Status>, min_rounds: u64) -> (bool, bool, String) {
    let Some(status) = best else {
        return (false, false, "no node answered".into());
    };
    let losses: Vec<f64> = status
        .learning
        .losses
        .iter()
        .map(|(_, loss)| *loss)
        .collect();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    // The first round's loss is that of the untrained model; the end is a mean, since nodes that
    // came back learn from young windows.
    let edge = (losses.len() / 4).max(1);
    let first = losses.first().copied().unwrap_or_default();
    let last = mean(&losses[losses.len().saturating_sub(edge)..]);
    let closed = status.learning.closed;
    (
        closed >= min_rounds,
        losses.len() > 1 && last < first,
        format!(
            "{closed} rounds closed (at least {min_rounds} wanted), {} abandoned, loss {first:.3} → {last:.3}",
            status.learning.abandoned
        ),
    )
}
