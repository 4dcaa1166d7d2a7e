//! Bringing a journal back: read all segments, check every record, find a torn tail.

use super::error::OpenError;
use super::record;
use super::segment::{self, Segment};
use std::path::{Path, PathBuf};

/// What was found when the journal was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovery {
    /// Whole records in the journal.
    pub records: u64,
    /// Sequence number of the first of them, or of the next append if there is none.
    pub first: u64,
    /// Sequence number that the next append gets.
    pub next: u64,
    /// What a crash left of a write that was never acknowledged.
    pub torn_tail: Option<TornTail>,
}

/// An unfinished write at the end of the last segment. It has been cut off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TornTail {
    /// The segment.
    pub file: PathBuf,
    /// Where the whole records end.
    pub offset: u64,
    /// How many bytes were cut off behind that.
    pub bytes: u64,
    /// What was wrong with the first record there.
    pub what: String,
}

/// State of the directory, as the writer needs it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) recovery: Recovery,
    pub(super) last: Option<Tail>,
}

/// The last segment.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) segment: Segment,
    /// Where its whole records end; 0 when its very header is torn.
    pub(super) len: u64,
    pub(super) salt: u32,
}

/// Reads everything; changes nothing. `floor` is the next sequence number of a journal without
/// segments (one more than the processed watermark).
pub(super) fn scan(dir: &Path, floor: u64) -> Result<Found, OpenError> {
    let segments = segment::list(dir)?;
    let first = segments.first().map_or(floor, |segment| segment.first);
    let mut recovery = Recovery {
        records: 0,
        first,
        next: first,
        torn_tail: None,
    };
    let mut last = None;
    let count = segments.len();
    for (index, segment) in segments.into_iter().enumerate() {
        if segment.first != recovery.next {
            let what = format!(
                "it starts at record {}, expected {}",
                segment.first, recovery.next
            );
            return Err(segment.corrupt(0, what));
        }
        last = Some(scan_segment(segment, index + 1 == count, &mut recovery)?);
    }
    Ok(Found { recovery, last })
}

/// Counts the records of one segment and finds where the whole ones end.
fn scan_segment(
    segment: Segment,
    is_last: bool,
    recovery: &mut Recovery,
) -> Result<Tail, OpenError> {
    let bytes = segment.load()?;
    let Some(salt) = segment.salt(&bytes) else {
        // The header is durable before the first record is written behind it.
        if is_last && bytes.len() <= segment::HEADER {
            recovery.torn_tail = torn(&segment, 0, bytes.len(), "an unfinished segment header");
            return Ok(Tail {
                segment,
                len: 0,
                salt: 0,
            });
        }
        return Err(segment.corrupt(0, "not a sound header of a journal segment of this version"));
    };
    let mut offset = segment::HEADER;
    while offset < bytes.len() {
        let problem = match record::read(salt, &bytes[offset..]) {
            Ok(framed) if framed.seq == recovery.next => {
                recovery.records += 1;
                recovery.next += 1;
                offset += framed.len();
                continue;
            }
            Ok(framed) => format!(
                "record {} stands where {} belongs",
                framed.seq, recovery.next
            ),
            Err(problem) => problem,
        };
        if !is_last || was_durable(salt, &bytes[offset..], recovery.next) {
            return Err(segment.corrupt(offset, problem));
        }
        recovery.torn_tail = torn(&segment, offset, bytes.len() - offset, &problem);
        break;
    }
    Ok(Tail {
        segment,
        len: offset as u64,
        salt,
    })
}

/// Whether a whole record somewhere in `bytes`, which should begin with record `seq` but does not,
/// bears witness that record `seq` had been durable.
fn was_durable(salt: u32, bytes: &[u8], seq: u64) -> bool {
    (0..bytes.len()).any(|offset| {
        let rest = &bytes[offset..];
        // The records between take at least a header each: a cheap test that spares the checksum.
        let most_between = (offset / record::HEADER) as u64;
        record::claimed_seq(rest).is_some_and(|seen| seen > seq && seen - seq <= most_between)
            && record::read(salt, rest).is_ok_and(|later| later.synced >= seq)
    })
}

fn torn(segment: &Segment, offset: usize, bytes: usize, what: &str) -> Option<TornTail> {
    Some(TornTail {
        file: segment.path.clone(),
        offset: offset as u64,
        bytes: bytes as u64,
        what: what.to_owned(),
    })
}
