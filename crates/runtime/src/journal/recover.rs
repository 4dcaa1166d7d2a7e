//! Bringing a journal back: read all segments, check every record, find a torn tail.

use super::cipher::RecordCipher;
use super::error::OpenError;
use super::record;
use super::segment::{self, Head, Segment};
use super::unseal::Keys;
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
    /// How many bytes were cut off behind that, up to the last that is not zero.
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
    /// Where its whole records end.
    pub(super) len: u64,
    /// `None` when its very header is torn.
    pub(super) head: Option<Head>,
}

/// Reads everything; changes nothing. `floor` is the next sequence number of a journal without
/// segments (one more than the processed watermark). Sealed records are not opened, but every key of
/// theirs is: whether it can be had must not turn out later.
pub(super) fn scan(
    dir: &Path,
    floor: u64,
    cipher: Option<&dyn RecordCipher>,
) -> Result<Found, OpenError> {
    let segments = segment::list(dir)?;
    let first = segments.first().map_or(floor, |segment| segment.first);
    let mut recovery = Recovery {
        records: 0,
        first,
        next: first,
        torn_tail: None,
    };
    let mut last: Option<Tail> = None;
    let count = segments.len();
    for (index, segment) in segments.into_iter().enumerate() {
        if segment.first != recovery.next {
            let what = format!(
                "it starts at record {}, expected {}",
                segment.first, recovery.next
            );
            return Err(segment.corrupt(0, what));
        }
        let was_sealed = last.is_some_and(|tail| is_sealed(&tail));
        let tail = scan_segment(segment, index + 1 == count, cipher, &mut recovery)?;
        if was_sealed && tail.head.is_some() && !is_sealed(&tail) {
            let what =
                "it is not sealed, and the segment before it is; only older ones may be plain";
            return Err(tail.segment.corrupt(0, what));
        }
        last = Some(tail);
    }
    Ok(Found { recovery, last })
}

fn is_sealed(tail: &Tail) -> bool {
    tail.head.is_some_and(|head| head.shred.is_some())
}

/// Counts the records of one segment and finds where the whole ones end.
fn scan_segment(
    segment: Segment,
    is_last: bool,
    cipher: Option<&dyn RecordCipher>,
    recovery: &mut Recovery,
) -> Result<Tail, OpenError> {
    let bytes = segment.load()?;
    let Some(head) = segment.head(&bytes) else {
        // The header is durable before the first record is written behind it.
        if is_last && segment::is_unfinished(&bytes) {
            recovery.torn_tail = torn(&segment, 0, bytes.len(), "an unfinished segment header");
            return Ok(Tail {
                segment,
                len: 0,
                head: None,
            });
        }
        return Err(segment.corrupt(0, "not a sound header of a journal segment of this version"));
    };
    let salt = head.salt;
    let mut keys = Keys::at_start(head);
    let mut offset = head.len();
    while !segment::is_reserve(&bytes[offset..]) {
        let problem = match record::read(salt, &bytes[offset..]) {
            Ok(framed) if framed.seq == recovery.next && framed.is_key => {
                keys.take(cipher, &segment, offset, &framed)?;
                offset += framed.len();
                continue;
            }
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
        // Without the zeros behind it, which nobody wrote.
        let written = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |at| at + 1);
        recovery.torn_tail = torn(&segment, offset, written - offset, &problem);
        break;
    }
    Ok(Tail {
        segment,
        len: offset as u64,
        head: Some(head),
    })
}

/// Whether a whole record somewhere in `bytes`, which should begin with record `seq` but does not,
/// bears witness that record `seq` had been durable.
fn was_durable(salt: u32, bytes: &[u8], seq: u64) -> bool {
    (0..bytes.len()).any(|offset| {
        let rest = &bytes[offset..];
        // The frames between take at least a header each: a cheap test that spares the checksum.
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
