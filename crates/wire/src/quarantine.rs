//! What was accepted but not understood, as it rests on disk.

use crate::codec::{self, DecodeError};
use crate::{DeviceId, Source, UnixMillis};
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
    /// The device that it was shown to be from, in a way that can be trusted: who tries it again later
    /// must not believe more than was believed at first.
    pub shown: Option<DeviceId>,
}

impl Quarantined {
    /// Reads an item, also one set aside before devices could show who they are.
    ///
    /// # Errors
    /// It is neither.
    pub fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        // The former item ends where `shown` would begin, so that none can pass for the other.
        codec::decode(bytes).or_else(|error| {
            let former: Former = codec::decode(bytes).map_err(|_| error)?;
            let (at, source, position, sender, reason, raw) = former;
            Ok(Self {
                at,
                source,
                position,
                sender,
                reason,
                raw,
                shown: None,
            })
        })
    }
}

/// Up to and with version 0.1.
type Former = (UnixMillis, Source, String, String, String, Vec<u8>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn former_items_are_read_as_shown_by_nobody() {
        let item = |shown| Quarantined {
            at: UnixMillis(7),
            source: Source::Mail,
            position: "9".to_owned(),
            sender: "ups-1@hall.example".to_owned(),
            reason: "no format knows it".to_owned(),
            raw: b"Subject: x".to_vec(),
            shown,
        };
        let now = item(Some("ups-1".into()));
        assert_eq!(Quarantined::read(&codec::encode(&now)), Ok(now));
        let Quarantined {
            at,
            source,
            position,
            sender,
            reason,
            raw,
            shown: _,
        } = item(None);
        let former: Former = (at, source, position, sender, reason, raw);
        assert_eq!(Quarantined::read(&codec::encode(&former)), Ok(item(None)));
        assert!(Quarantined::read(b"junk").is_err());
    }
}
