use super::cipher::RecordCipher;
use super::error::OpenError;
use super::record::{self, Record};
use super::segment::{self, Segment};
use super::unseal::Keys;
use std::path::Path;
use std::sync::Arc;

/// Iterator over durable records; one segment is in memory at a time.
#[derive(Debug)]
pub struct Records {
    /// Segments not yet read, last first.
    ahead: Vec<Segment>,
    current: Option<Loaded>,
    from: u64,
    to: u64,
    cipher: Option<Arc<dyn RecordCipher>>,
}

#[derive(Debug)]
struct Loaded {
    segment: Segment,
    bytes: Vec<u8>,
    salt: u32,
    keys: Keys,
    offset: usize,
}

impl Records {
    /// Records `from..=to`; the caller knows that `to` is durable.
    pub(super) fn new(
        dir: &Path,
        from: u64,
        to: u64,
        cipher: Option<Arc<dyn RecordCipher>>,
    ) -> Result<Self, OpenError> {
        let mut ahead = segment::list(dir)?;
        // Segments before the one that holds `from` need not be read.
        let skip = ahead
            .partition_point(|segment| segment.first <= from)
            .saturating_sub(1);
        ahead.drain(..skip);
        ahead.reverse();
        Ok(Self {
            ahead,
            current: None,
            from,
            to,
            cipher,
        })
    }

    fn step(&mut self) -> Result<Option<Record>, OpenError> {
        loop {
            let Some(loaded) = &mut self.current else {
                let Some(segment) = self.ahead.pop() else {
                    return Ok(None);
                };
                if segment.first > self.to {
                    return Ok(None);
                }
                let bytes = segment.load()?;
                let head = segment
                    .head(&bytes)
                    .ok_or_else(|| segment.corrupt(0, "damaged header"))?;
                self.current = Some(Loaded {
                    segment,
                    bytes,
                    salt: head.salt,
                    keys: Keys::at_start(head),
                    offset: head.len(),
                });
                continue;
            };
            // Behind `to` the writer may be at work, half-way through a record.
            if self.from > self.to {
                return Ok(None);
            }
            let rest = &loaded.bytes[loaded.offset..];
            if segment::is_reserve(rest) {
                self.current = None;
                continue;
            }
            let framed = record::read(loaded.salt, rest)
                .map_err(|what| loaded.segment.corrupt(loaded.offset, what))?;
            let offset = loaded.offset;
            loaded.offset += framed.len();
            if framed.is_key {
                let cipher = self.cipher.as_deref();
                loaded.keys.take(cipher, &loaded.segment, offset, &framed)?;
            } else if framed.seq >= self.from {
                let payload = loaded.keys.open(&loaded.segment, offset, &framed)?;
                self.from = framed.seq + 1;
                return Ok(Some(Record {
                    seq: framed.seq,
                    payload,
                }));
            }
        }
    }
}

impl Iterator for Records {
    type Item = Result<Record, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.current = None;
            self.ahead.clear();
        }
        step.transpose()
    }
}
