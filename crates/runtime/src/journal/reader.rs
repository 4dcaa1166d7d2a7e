use super::error::OpenError;
use super::record::{self, Record};
use super::segment::{self, Segment};
use std::path::Path;

/// Iterator over durable records; one segment is in memory at a time.
#[derive(Debug)]
pub struct Records {
    /// Segments not yet read, last first.
    ahead: Vec<Segment>,
    current: Option<Loaded>,
    from: u64,
    to: u64,
}

#[derive(Debug)]
struct Loaded {
    segment: Segment,
    bytes: Vec<u8>,
    salt: u32,
    offset: usize,
}

impl Records {
    /// Records `from..=to`; the caller knows that `to` is durable.
    pub(super) fn new(dir: &Path, from: u64, to: u64) -> Result<Self, OpenError> {
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
                let salt = segment
                    .salt(&bytes)
                    .ok_or_else(|| segment.corrupt(0, "damaged header"))?;
                self.current = Some(Loaded {
                    segment,
                    bytes,
                    salt,
                    offset: segment::HEADER,
                });
                continue;
            };
            if loaded.offset >= loaded.bytes.len() {
                self.current = None;
                continue;
            }
            // Behind `to` the writer may be at work, half-way through a record.
            if self.from > self.to {
                return Ok(None);
            }
            let framed = record::read(loaded.salt, &loaded.bytes[loaded.offset..])
                .map_err(|what| loaded.segment.corrupt(loaded.offset, what))?;
            loaded.offset += framed.len();
            if framed.seq >= self.from {
                self.from = framed.seq + 1;
                return Ok(Some(Record {
                    seq: framed.seq,
                    payload: framed.payload.to_vec(),
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
