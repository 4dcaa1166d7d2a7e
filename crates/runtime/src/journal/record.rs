//! One frame: `len u32 | crc32c u32 | seq u64 | synced u64 | body`, all little-endian. The
//! checksum (CRC-32C, RFC 3720 appendix B.4) covers the segment's salt and every other byte of the
//! frame. The salt is random, so that a payload (a stranger's mail) cannot contain bytes that
//! recovery would take for a record.
//!
//! `synced` is the last sequence number that was durable when the frame was written. Recovery
//! needs it to tell two things apart that look alike, an unreadable record with readable ones
//! behind it: a batch of which the disk kept a later page but not an earlier one (never
//! acknowledged, a torn tail), and damage to a record that had been acknowledged.
//!
//! In a plain segment every body is a record's payload. In a sealed one it is a sealed payload with its
//! tag, or, where the highest bit of `len` is set, what is kept of the key of the records behind it; such
//! a key frame has the number of the next record.

use super::cipher::{MAX_KEPT, TAG, Under};

/// Bytes before the body.
pub(super) const HEADER: usize = 24;

/// Largest payload, in bytes: an encoded value of the largest size that `wire` accepts.
pub const MAX_PAYLOAD: usize = wire::codec::MAX_ENCODED;

/// In `len`: a key frame.
const KEY: u32 = 1 << 31;

/// A record read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its sequence number; the first record of a journal is 1, and there are no gaps.
    pub seq: u64,
    /// What was appended.
    pub payload: Vec<u8>,
}

/// A frame inside a segment's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framed<'a> {
    pub(super) seq: u64,
    pub(super) synced: u64,
    /// Whether the body is a key's, not a record's.
    pub(super) is_key: bool,
    pub(super) body: &'a [u8],
    header: &'a [u8; HEADER],
}

impl Framed<'_> {
    pub(super) fn len(&self) -> usize {
        HEADER + self.body.len()
    }

    /// The payload of a sealed record; `None`: it is not what was sealed here.
    pub(super) fn open(&self, under: &Under) -> Option<Vec<u8>> {
        let (payload, tag) = self.body.split_last_chunk::<TAG>()?;
        let mut payload = payload.to_vec();
        let bound = under.bound(self.header);
        under
            .key
            .open(self.seq, &bound, &mut payload, tag)
            .then_some(payload)
    }
}

/// Appends a plain record's bytes to `out`.
pub(super) fn write(salt: u32, seq: u64, synced: u64, payload: &[u8], out: &mut Vec<u8>) {
    let start = begin(length(payload.len()), seq, synced, out);
    out.extend_from_slice(payload);
    finish(salt, start, out);
}

/// Appends a sealed record's bytes to `out`.
pub(super) fn seal(
    salt: u32,
    under: &Under,
    seq: u64,
    synced: u64,
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    let start = begin(length(payload.len() + TAG), seq, synced, out);
    out.extend_from_slice(payload);
    let (header, payload) = out[start..]
        .split_first_chunk_mut::<HEADER>()
        .expect("the header was just written");
    let bound = under.bound(header);
    let tag = under.key.seal(seq, &bound, payload);
    out.extend_from_slice(&tag);
    finish(salt, start, out);
}

/// Appends a key frame's bytes to `out`.
pub(super) fn write_key(salt: u32, seq: u64, synced: u64, kept: &[u8], out: &mut Vec<u8>) {
    debug_assert!(kept.len() <= MAX_KEPT, "{} bytes kept of a key", kept.len());
    let start = begin(length(kept.len()) | KEY, seq, synced, out);
    out.extend_from_slice(kept);
    finish(salt, start, out);
}

fn length(len: usize) -> u32 {
    u32::try_from(len).expect("callers refuse payloads over MAX_PAYLOAD")
}

fn begin(len: u32, seq: u64, synced: u64, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&synced.to_le_bytes());
    start
}

fn finish(salt: u32, start: usize, out: &mut [u8]) {
    let crc = checksum(salt, &out[start..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// The frame that starts `bytes`, if it is whole and its checksum holds; otherwise what is wrong.
pub(super) fn read(salt: u32, bytes: &[u8]) -> Result<Framed<'_>, String> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(format!(
            "{} bytes left where a header needs {HEADER}",
            bytes.len()
        ));
    };
    let (is_key, len) = match le32(&header[0..4]) {
        len if len & KEY == 0 => (false, len as usize),
        len => (true, (len & !KEY) as usize),
    };
    let limit = if is_key { MAX_KEPT } else { MAX_PAYLOAD + TAG };
    if len > limit {
        return Err(format!("length {len} is over the limit of {limit}"));
    }
    let Some(body) = rest.get(..len) else {
        return Err(format!(
            "{} bytes left where the record needs {}",
            bytes.len(),
            HEADER + len
        ));
    };
    let (stored, computed) = (le32(&header[4..8]), checksum(salt, &bytes[..HEADER + len]));
    if stored != computed {
        return Err(format!(
            "checksum {stored:08x} stored, {computed:08x} computed"
        ));
    }
    let (seq, synced) = (le64(&header[8..16]), le64(&header[16..24]));
    Ok(Framed {
        seq,
        synced,
        is_key,
        body,
        header,
    })
}

/// The sequence number that a header at the start of `bytes` would have. Costs no checksum, so
/// that a search through garbage stays linear.
pub(super) fn claimed_seq(bytes: &[u8]) -> Option<u64> {
    bytes.get(8..16).map(le64)
}

fn checksum(salt: u32, record: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&salt.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &record[0..4]), &record[8..])
}

fn le32(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().expect("callers pass four bytes"))
}

fn le64(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("callers pass eight bytes"))
}
