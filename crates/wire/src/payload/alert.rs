//! The ledger's alerts as the IDL's.

use super::types::{Alert, AlertKind, AlertState, Contribution};
use crate::UnixMillis;

impl Alert {
    /// An open alert; `leaf` raised it.
    pub fn raised(alert: &crate::Alert, leaf: u64) -> Self {
        let mut said = Self {
            id: alert.id.clone(),
            device: alert.device.to_string(),
            room: alert.room.to_string(),
            severity: alert.severity.into(),
            state: AlertState::Raised,
            at_ms: alert.at.0,
            summary: alert.summary.clone(),
            leaf,
            ..Self::default()
        };
        match &alert.kind {
            crate::AlertKind::Anomaly { score, because } => {
                said.kind = AlertKind::Anomaly;
                said.score = *score;
                said.because = Contribution::all(because);
            }
            crate::AlertKind::Reported { condition } => {
                said.kind = AlertKind::Reported;
                said.condition.clone_from(condition);
            }
            crate::AlertKind::Silent { for_ms } => {
                said.kind = AlertKind::Silent;
                said.silent_ms = *for_ms;
            }
        }
        said
    }

    /// The same alert, over; `leaf` cleared it.
    pub fn cleared(alert: &crate::Alert, at: UnixMillis, leaf: u64) -> Self {
        Self {
            state: AlertState::Cleared,
            cleared_ms: Some(at.0),
            ..Self::raised(alert, leaf)
        }
    }
}

impl Contribution {
    /// Metrics and their shares, in order.
    pub fn all(because: &[(String, f64)]) -> Vec<Self> {
        let each = because.iter().map(|(metric, share)| Self {
            metric: metric.clone(),
            share: *share,
        });
        each.collect()
    }
}
