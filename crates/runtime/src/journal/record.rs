//! One record: `len u32 | crc32c u32 | seq u64 | synced u64 | payload`, all little-endian. The
//! checksum (CRC-32C, RFC 3720 appendix B.4) covers the segment's salt and every other byte of the
//! record. The salt is random, so that a payload (a stranger's mail) cannot contain bytes that
//! recovery would take for a record.
//!
//! `synced` is the last sequence number that was durable when the record was written. Recovery
//! needs it to tell two things apart that look alike, an unreadable record with readable ones
//! behind it: a batch of which the disk kept a later page but not an earlier one (never
//! acknowledged, a torn tail), and damage to a record that had been acknowledged.

/// Bytes before the payload.
pub(super) const HEADER: usize = 24;

/// Largest payload, in bytes: an encoded value of the largest size that `wire` accepts.
pub const MAX_PAYLOAD: usize = wire::codec::MAX_ENCODED;

/// A record read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its sequence number; the first record of a journal is 1, and there are no gaps.
    pub seq: u64,
    /// What was appended.
    pub payload: Vec<u8>,
}

/// A record inside a segment's bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Framed<'a> {
    pub(super) seq: u64,
    pub(super) synced: u64,
    pub(super) payload: &'a [u8],
}

impl Framed<'_> {
    pub(super) fn len(&self) -> usize {
        HEADER + self.payload.len()
    }
}

/// Appends the record's bytes to `out`.
pub(super) fn write(salt: u32, seq: u64, synced: u64, payload: &[u8], out: &mut Vec<u8>) {
    let len = u32::try_from(payload.len()).expect("callers refuse payloads over MAX_PAYLOAD");
    let start = out.len();
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&synced.to_le_bytes());
    out.extend_from_slice(payload);
    let crc = checksum(salt, &out[start..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// The record that starts `bytes`, if it is whole and its checksum holds; otherwise what is wrong.
pub(super) fn read(salt: u32, bytes: &[u8]) -> Result<Framed<'_>, String> {
    let Some(header) = bytes.get(..HEADER) else {
        return Err(format!(
            "{} bytes left where a header needs {HEADER}",
            bytes.len()
        ));
    };
    let len = le32(&header[0..4]) as usize;
    if len > MAX_PAYLOAD {
        return Err(format!("length {len} is over the limit of {MAX_PAYLOAD}"));
    }
    let Some(record) = bytes.get(..HEADER + len) else {
        return Err(format!(
            "{} bytes left where the record needs {}",
            bytes.len(),
            HEADER + len
        ));
    };
    let (stored, computed) = (le32(&header[4..8]), checksum(salt, record));
    if stored != computed {
        return Err(format!(
            "checksum {stored:08x} stored, {computed:08x} computed"
        ));
    }
    let (seq, synced) = (le64(&header[8..16]), le64(&header[16..24]));
    Ok(Framed {
        seq,
        synced,
        payload: &record[HEADER..],
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
