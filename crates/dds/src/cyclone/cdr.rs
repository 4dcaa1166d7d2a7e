//! Reading a `SealedSample` from its CDR (DDS-XTypes 1.3 §7.4), which Cyclone has checked against the type and brought
//! into this machine's byte order.
//!
//! Cyclone could make a C struct of it instead. It does that while it holds the lock of the reader's cache, so its
//! receiving thread and the subscriber wait for each other; and all that it allocates we would copy once more.

use crate::sample::NAME_MAX;
use std::ops::Range;

/// The encapsulation header: an identifier and options (§7.6.3.1.2).
const HEADER: usize = 4;

/// Enough for all in front of the payload: headers, two names with their lengths and ends, padding, three numbers
/// and the payload's length.
pub(super) const HEAD_MAX: usize = 2 * HEADER + 2 * (NAME_MAX + 1 + 4 + 7) + 3 * 8 + 4;

/// What stands in front of the payload, and where that is.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub(super) key: String,
    pub(super) writer: String,
    pub(super) sequence: u64,
    pub(super) key_epoch: u64,
    pub(super) source_time_ns: i64,
    /// From the beginning of the encapsulation header.
    pub(super) sealed: Range<usize>,
}

/// Reads `bytes`, of which there may be more: `size` in all.
pub(super) fn head(bytes: &[u8], size: usize) -> Option<Head> {
    let mut cursor = Cursor::behind_the_header(bytes, size)?;
    let key = cursor.text()?;
    let writer = cursor.text()?;
    let (sequence, key_epoch) = (cursor.long()?, cursor.long()?);
    let source_time_ns = i64::from_ne_bytes(cursor.long()?.to_ne_bytes());
    let length = cursor.length()?;
    let sealed = cursor.at..cursor.at.checked_add(length)?;
    (sealed.end <= cursor.end).then_some(Head {
        key,
        writer,
        sequence,
        key_epoch,
        source_time_ns,
        sealed,
    })
}

/// The key of an instance without data: a string, with the size of the struct before it or without.
pub(super) fn key(bytes: &[u8]) -> Option<String> {
    let blob = bytes.get(HEADER..)?;
    let number = |at: usize| Some(u32::from_ne_bytes(blob.get(at..at + 4)?.try_into().ok()?));
    let first = number(0)?;
    // No string begins with the length of what is behind it: it would have a NUL in it.
    let at = match number(4) {
        Some(second) if second.checked_add(4) == Some(first) => 4,
        Some(_) | None => 0,
    };
    let mut cursor = Cursor {
        bytes: blob,
        at,
        origin: 0,
        end: blob.len(),
        widest: 4,
    };
    cursor.text()
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// What alignment counts from.
    origin: usize,
    /// Of the struct; a member that would stand behind it has its default (§7.4.3.4.2).
    end: usize,
    /// The strictest alignment: 8, with version 2 of the encoding 4.
    widest: usize,
}

impl<'a> Cursor<'a> {
    fn behind_the_header(bytes: &'a [u8], size: usize) -> Option<Self> {
        let widest = match (bytes.first()?, bytes.get(1)? & !1) {
            (0, 0) => 8,
            (0, 6 | 8) => 4,
            _ => return None,
        };
        let delimited = bytes[1] & !1 == 8;
        let mut cursor = Self {
            bytes,
            at: HEADER,
            origin: HEADER,
            end: size,
            widest,
        };
        if delimited {
            let length = cursor.length()?;
            cursor.end = cursor.at.checked_add(length)?;
        }
        (cursor.end <= size).then_some(cursor)
    }

    fn align(&mut self, to: usize) {
        let to = to.min(self.widest);
        self.at = self.origin + (self.at - self.origin).next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.end)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn ended(&self) -> bool {
        self.at >= self.end
    }

    fn length(&mut self) -> Option<usize> {
        if self.ended() {
            return Some(0);
        }
        self.align(4);
        let bytes = self.take(4)?.try_into().ok()?;
        usize::try_from(u32::from_ne_bytes(bytes)).ok()
    }

    fn long(&mut self) -> Option<u64> {
        if self.ended() {
            return Some(0);
        }
        self.align(8);
        Some(u64::from_ne_bytes(self.take(8)?.try_into().ok()?))
    }

    /// A string ends with NUL, which its length counts.
    fn text(&mut self) -> Option<String> {
        let length = self.length()?;
        if length == 0 {
            return Some(String::new());
        }
        let (_, text) = self.take(length)?.split_last()?;
        if text.len() > NAME_MAX {
            return None;
        }
        std::str::from_utf8(text).ok().map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample as an encoding has it: numbers aligned to `widest`, within a delimiter or not.
    fn encoded(identifier: u8, widest: usize, more: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        let align = |body: &mut Vec<u8>, to: usize| {
            let delimiter = if identifier == 9 { 4 } else { 0 };
            let at = body.len() + delimiter;
            body.resize(body.len() + at.next_multiple_of(to.min(widest)) - at, 0);
        };
        for text in ["ups-1", "rack-7-node"] {
            align(&mut body, 4);
            body.extend((text.len() as u32 + 1).to_ne_bytes());
            body.extend(text.as_bytes());
            body.push(0);
        }
        for number in [7u64, 3, u64::MAX] {
            align(&mut body, 8);
            body.extend(number.to_ne_bytes());
        }
        body.extend(3u32.to_ne_bytes());
        body.extend([1, 2, 3]);
        body.extend(more);
        let mut all = vec![0, identifier, 0, 0];
        if identifier == 9 {
            all.extend((body.len() as u32).to_ne_bytes());
        }
        all.extend(body);
        all
    }

    #[test]
    fn both_encodings_are_read_also_with_what_a_newer_type_has_more() {
        for (identifier, widest) in [(1, 8), (9, 4), (7, 4)] {
            for more in [&[][..], &[9; 12]] {
                let bytes = encoded(identifier, widest, more);
                let head = head(&bytes, bytes.len()).expect("a sample");
                assert_eq!(
                    (head.key.as_str(), head.writer.as_str()),
                    ("ups-1", "rack-7-node")
                );
                assert_eq!(
                    (head.sequence, head.key_epoch, head.source_time_ns),
                    (7, 3, -1)
                );
                assert_eq!(bytes[head.sealed], [1, 2, 3]);
            }
        }
    }

    #[test]
    fn a_cut_sample_is_refused_or_has_defaults_and_never_more_than_there_is() {
        for (identifier, widest) in [(1, 8), (9, 4)] {
            let bytes = encoded(identifier, widest, &[]);
            for length in 0..bytes.len() {
                if let Some(head) = head(&bytes[..length], length) {
                    assert!(head.sealed.end <= length);
                }
            }
            for at in 0..bytes.len() {
                for byte in [0, 0x7f, 0xff] {
                    let mut changed = bytes.clone();
                    changed[at] = byte;
                    let end = head(&changed, changed.len()).map(|head| head.sealed.end);
                    assert!(end.is_none_or(|end| end <= changed.len()));
                }
            }
        }
        // An older type ends after its key.
        let older = [
            &[0, 9, 0, 0][..],
            &6u32.to_ne_bytes(),
            &2u32.to_ne_bytes(),
            b"a\0",
        ]
        .concat();
        let head = head(&older, older.len()).expect("the rest has defaults");
        assert_eq!(
            (head.key.as_str(), head.writer.as_str(), head.sequence),
            ("a", "", 0)
        );
        assert!(head.sealed.is_empty());
    }

    #[test]
    fn a_key_alone_is_read_with_its_delimiter_and_without() {
        let text = [&6u32.to_ne_bytes()[..], b"ups-1\0"].concat();
        let plain = [&[0, 9, 0, 0][..], &text].concat();
        let delimited = [&[0, 9, 0, 0][..], &10u32.to_ne_bytes(), &text].concat();
        for bytes in [plain, delimited] {
            assert_eq!(key(&bytes).as_deref(), Some("ups-1"));
            for length in 0..bytes.len() {
                assert_ne!(key(&bytes[..length]).as_deref(), Some("ups-1"));
            }
        }
    }
}
