//! One mail instead of thousands: alerts over the rate are held back and told in a digest.

use machine::Instant;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;
use wire::{Alert, AlertKind, DeviceId, Severity, UnixMillis};

use super::{ALERTS_PER_MINUTE, Output, STORM};

const MINUTE: Duration = Duration::from_secs(60);
/// Devices named in a digest: what a phone shows.
const NAMED: usize = 5;
/// Devices counted exactly in a digest.
const MAX_COUNTED: usize = 1_000;

/// What to do with an alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Tell it now.
    Tell,
    /// It is counted in the next digest.
    HoldBack,
}

/// A sliding minute of told alerts, and what was held back.
#[derive(Debug, Default)]
pub(super) struct Rate {
    told: VecDeque<Instant>,
    held: Option<Held>,
    /// The digest told last, to be cleared when a minute passes without a storm.
    digest: Option<Digest>,
}

#[derive(Debug)]
struct Digest {
    id: String,
    at: UnixMillis,
    told: Instant,
}

#[derive(Debug)]
struct Held {
    first: Alert,
    since: Instant,
    last: UnixMillis,
    count: usize,
    critical: usize,
    devices: BTreeSet<DeviceId>,
}

impl Rate {
    pub(super) fn admit(&mut self, now: Instant, alert: &Alert) -> Verdict {
        while self
            .told
            .front()
            .is_some_and(|&told| now.since(told) >= MINUTE)
        {
            self.told.pop_front();
        }
        if self.told.len() < ALERTS_PER_MINUTE {
            self.told.push_back(now);
            return Verdict::Tell;
        }
        let held = self.held.get_or_insert_with(|| Held {
            first: alert.clone(),
            since: now,
            last: alert.at,
            count: 0,
            critical: 0,
            devices: BTreeSet::new(),
        });
        held.count += 1;
        held.critical += usize::from(alert.severity == Severity::Critical);
        held.last = held.last.max(alert.at);
        if held.devices.len() < MAX_COUNTED {
            held.devices.insert(alert.device.clone());
        }
        Verdict::HoldBack
    }

    /// A minute after the first alert was held back the digest is told; a minute after the
    /// digest, if the storm is over, it is cleared.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<Output>) {
        if let Some(held) = self.held.take_if(|held| now.since(held.since) >= MINUTE) {
            let at = held.last;
            if let Some(former) = self.digest.take() {
                out.push(Output::Clear { id: former.id, at });
            }
            let alert = held.digest();
            self.digest = Some(Digest {
                id: alert.id.clone(),
                at,
                told: now,
            });
            out.push(Output::Raise(alert));
        } else if self.held.is_none()
            && let Some(digest) = self
                .digest
                .take_if(|digest| now.since(digest.told) >= MINUTE)
        {
            let calm = u64::try_from(now.since(digest.told).as_millis()).unwrap_or(u64::MAX);
            let at = UnixMillis(digest.at.0.saturating_add(calm));
            out.push(Output::Clear { id: digest.id, at });
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let digest = self.digest.as_ref().map(|digest| digest.told + MINUTE);
        self.held
            .as_ref()
            .map(|held| held.since + MINUTE)
            .or(digest)
    }
}

impl Held {
    fn digest(&self) -> Alert {
        let names: Vec<&str> = self
            .devices
            .iter()
            .take(NAMED)
            .map(DeviceId::as_str)
            .collect();
        let more = if self.devices.len() > NAMED {
            ", …"
        } else {
            ""
        };
        Alert {
            id: format!("{STORM}/digest/{}", self.last),
            device: STORM.into(),
            room: self.first.room.clone(),
            kind: AlertKind::Reported {
                condition: STORM.to_owned(),
            },
            severity: if self.critical > 0 {
                Severity::Critical
            } else {
                Severity::Warning
            },
            at: self.first.at,
            summary: format!(
                "{} more alerts ({} critical) from {} devices were held back in one minute: {}{more}",
                self.count,
                self.critical,
                self.devices.len(),
                names.join(", "),
            ),
        }
    }
}
