//! Following the keys through a segment: what recovery and readers share.

use super::cipher::{KeyPlace, RecordCipher, Under};
use super::error::OpenError;
use super::record::Framed;
use super::segment::{Head, Segment};

/// The key that is in force at a point of a segment.
#[derive(Debug)]
pub(super) struct Keys {
    /// `None`: a plain segment.
    sealed: Option<Sealed>,
}

#[derive(Debug)]
struct Sealed {
    shred: super::cipher::Shred,
    under: Option<Under>,
}

impl Keys {
    /// Before the first frame of a segment with this head.
    pub(super) fn at_start(head: Head) -> Self {
        Self {
            sealed: head.shred.map(|shred| Sealed { shred, under: None }),
        }
    }

    /// A key frame: its key is in force from here on.
    pub(super) fn take(
        &mut self,
        cipher: Option<&dyn RecordCipher>,
        segment: &Segment,
        offset: usize,
        framed: &Framed<'_>,
    ) -> Result<(), OpenError> {
        let Some(sealed) = &mut self.sealed else {
            return Err(segment.corrupt(offset, "a key stands in a segment that is not sealed"));
        };
        let unreadable = |reason: String| OpenError::Key {
            file: segment.path.clone(),
            seq: framed.seq,
            reason,
        };
        let Some(cipher) = cipher else {
            return Err(unreadable("it was opened without any key".to_owned()));
        };
        let place = KeyPlace {
            segment: segment.first,
            seq: framed.seq,
            shred: sealed.shred,
        };
        sealed.under = Some(Under {
            key: cipher.again(&place, framed.body).map_err(unreadable)?,
            segment: segment.first,
        });
        Ok(())
    }

    /// A record's payload.
    pub(super) fn open(
        &self,
        segment: &Segment,
        offset: usize,
        framed: &Framed<'_>,
    ) -> Result<Vec<u8>, OpenError> {
        let Some(sealed) = &self.sealed else {
            return Ok(framed.body.to_vec());
        };
        let Some(under) = &sealed.under else {
            return Err(segment.corrupt(offset, "a record stands before the first key"));
        };
        framed.open(under).ok_or_else(|| {
            let what = format!(
                "record {} is not what was sealed here: it was changed or moved, though its checksum holds",
                framed.seq
            );
            segment.corrupt(offset, what)
        })
    }
}
