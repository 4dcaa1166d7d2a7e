//! What was accepted but not understood, as it rests on disk.

use crate::{Source, UnixMillis};
use serde::{Deserialize, Serialize};

/// One message or record with the reason why it gave no report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Quarantined {
    /// When it was accepted.
    pub at: UnixMillis,
    /// Through which door it came.
    pub source: Source,
    /// Where: journal sequence of a mail, `topic/partition/offset` of a record.
    pub position: String,
    /// Who sent it, as far as known.
    pub sender: String,
    /// Why: a sentence.
    pub reason: String,
    /// The message itself, cut at a limit.
    pub raw: Vec<u8>,
}
