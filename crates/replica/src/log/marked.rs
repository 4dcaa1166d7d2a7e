//! How an entry lies in its frame.
//!
//! Entries may be written before the ones in front of them are durable. A crash can then leave a gap
//! with intact frames behind it, and so can a disk that loses what it had confirmed; only the first
//! may be cut off. So each entry tells how far the log was durable when it was written: a gap in
//! front of that point is damage.

use super::super::types::Entry;
use wire::DecodeError;

/// First byte of an entry that carries its mark. Any other entry was written when everything in
/// front of it was durable, as the first release did, and begins with the codec's version.
const MARKED: u8 = 0xb2;

/// An entry and how far the log was durable, in bytes, when it was written.
pub(super) struct Marked {
    pub(super) entry: Entry,
    pub(super) durable: u64,
}

/// The payload of the frame at `offset`, written while the log is durable up to `durable`.
pub(super) fn encode(entry: &Entry, offset: u64, durable: u64) -> Vec<u8> {
    let encoded = wire::encode(entry);
    if durable >= offset {
        return encoded;
    }
    let mut payload = Vec::with_capacity(1 + size_of::<u64>() + encoded.len());
    payload.push(MARKED);
    payload.extend_from_slice(&durable.to_le_bytes());
    payload.extend_from_slice(&encoded);
    payload
}

/// The entry of the frame at `offset`.
pub(super) fn decode(payload: &[u8], offset: u64) -> Result<Marked, DecodeError> {
    let Some((&MARKED, rest)) = payload.split_first() else {
        return Ok(Marked {
            entry: wire::decode(payload)?,
            durable: offset,
        });
    };
    let cut_off = || DecodeError::Malformed("its mark is cut off".to_owned());
    let (durable, encoded) = rest.split_first_chunk().ok_or_else(cut_off)?;
    Ok(Marked {
        entry: wire::decode(encoded)?,
        durable: u64::from_le_bytes(*durable).min(offset),
    })
}
