//! Mail to operators about alerts: which mails there are, when, and what stands in them.
//!
//! [`Postman`] gets the ledger's leaves in order and the relay's answers. One alert goes out at once;
//! when more come than somebody reads one by one they are `gathered` into a digest, and a
//! device that raises the same again is counted in the next digest. [`Progress`] is what has to
//! be kept before a mail leaves, so that after a crash the very same mail goes out again: the same
//! leaves under the same Message-ID. [`bounce`] reads what comes back.

pub mod bounce;
mod gathered;
mod postman;
mod progress;
mod queue;
mod text;

pub use postman::{Input, Output, Postman};
pub use progress::{Progress, ProgressError};

use std::time::Duration;
use wire::{Alert, AlertKind, DeviceId, UnixMillis};

/// Minutes east of UTC at a moment, where the operators are.
pub type Zone = fn(UnixMillis) -> i32;

/// How the postman goes about it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the cluster, for Message-IDs.
    pub cluster: String,
    /// Mails within [`digest_window`](Self::digest_window) that go out one by one; what comes beyond
    /// them is gathered.
    pub digest_after: usize,
    /// How long a digest gathers. In a storm that goes on each next one gathers twice as long.
    pub digest_window: Duration,
    /// The same kind of alert of the same device, raised again within this time, is no mail of its own.
    pub repeat: Duration,
    /// Where the operators are.
    pub zone: Zone,
}

impl Settings {
    /// Mails one by one: a person reads five in a minute, and one event in a room with several devices
    /// (power, say) is seldom more.
    pub const DIGEST_AFTER: usize = 5;
    /// Short enough that an alert which comes in the middle of a storm is still news.
    pub const DIGEST_WINDOW: Duration = Duration::from_secs(60);
    /// Whatever comes and goes within a quarter of an hour flaps; somebody who has been told is on the way.
    pub const REPEAT: Duration = Duration::from_secs(15 * 60);
}

/// What a leaf says about alerts.
#[derive(Clone, PartialEq, Debug)]
pub enum Event {
    /// One was raised.
    Raised(Alert),
    /// One is over.
    Cleared {
        /// Its id.
        id: String,
        /// Since when.
        at: UnixMillis,
    },
}

/// One mail, ready to go.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Letter {
    /// At most [`MAX_SUBJECT`] characters, severity first.
    pub subject: String,
    /// Plain text in lines of at most [`COLUMNS`] columns.
    pub body: String,
    /// Message-ID without brackets; the same for the same leaves.
    pub id: String,
    /// Message-ID of the mail that this one follows up.
    pub in_reply_to: Option<String>,
    /// Raised alerts that it tells.
    pub raised: u64,
    /// Ends of alerts that it tells.
    pub cleared: u64,
}

/// Longest subject in characters: what RFC 5322 §2.1.1 asks of a whole line, less `Subject: `.
pub const MAX_SUBJECT: usize = 70;
/// Longest line of the text: within the 78 of RFC 5322 §2.1.1 when it is quoted twice.
pub const COLUMNS: usize = 72;

/// What the relay said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It has the mail.
    Taken,
    /// It does not have it, or nobody knows; the same mail again, later.
    NotNow,
    /// It will never take this mail.
    Refused,
}

/// What makes two alerts the same to somebody who was told: whose, and of which kind.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Subject {
    device: DeviceId,
    kind: String,
}

impl Subject {
    pub(crate) fn of(alert: &Alert) -> Self {
        Self {
            device: alert.device.clone(),
            kind: kind(&alert.kind).to_owned(),
        }
    }
}

/// The kind in a word or two.
pub(crate) fn kind(kind: &AlertKind) -> &str {
    match kind {
        AlertKind::Anomaly { .. } => "anomaly",
        AlertKind::Reported { condition } => condition,
        AlertKind::Silent { .. } => "silence",
    }
}

/// Right-hand side of our Message-IDs.
pub(crate) fn id_domain(cluster: &str) -> String {
    format!("{cluster}.glasshouse")
}

pub(crate) fn raised_id(leaf: u64, cluster: &str) -> String {
    format!("raised.{leaf}@{}", id_domain(cluster))
}

#[cfg(test)]
mod tests;
