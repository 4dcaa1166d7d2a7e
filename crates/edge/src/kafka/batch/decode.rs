use super::compress::{Codec, DecompressError};
use super::piece::Piece;
use super::{BatchError, Budget, CRC_END, HEADER, Header, LENGTH_END, Record};
use crate::kafka::reader::Malformed;
use bytes::{Buf, Bytes};

/// Format version of batches since Kafka 0.11.
const VERSION: u8 = 2;

const CODEC_BITS: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// Fewest bytes of a record: its length and six fields of one byte each.
const MIN_RECORD: usize = 7;

/// What a control batch says about its producer's transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::kafka) enum Control {
    Abort,
    Commit,
}

/// A complete batch with a good checksum, its records still packed.
#[derive(Debug)]
pub(in crate::kafka) struct Batch {
    base_offset: i64,
    attributes: i16,
    last_offset_delta: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    producer: i64,
    count: usize,
    packed: Bytes,
}

/// One past the last offset of the whole batches that a record set begins with, by their headers alone: where to go on, known
/// before anything is decompressed. Some of them may be refused when they are read. `None` where there is none.
pub(in crate::kafka) fn end_of(set: &[u8]) -> Option<i64> {
    let (mut left, mut end) = (set, None);
    while let Some((batch, behind)) = whole(left) {
        end = end.max(Some(behind));
        left = &left[batch..];
    }
    end
}

/// Length of the batch in front, and the offset behind it.
fn whole(set: &[u8]) -> Option<(usize, i64)> {
    let header = set.get(..HEADER)?;
    let length = usize::try_from((&header[8..LENGTH_END]).get_i32()).ok()?;
    let length = length.checked_add(LENGTH_END)?;
    if !(HEADER..=set.len()).contains(&length) || header[16] != VERSION {
        return None;
    }
    let (base, delta) = ((&header[0..8]).get_i64(), (&header[23..27]).get_i32());
    let behind = base.checked_add(i64::from(delta))?.checked_add(1)?;
    Some((length, behind))
}

/// Takes the next batch off a record set; `None` when what is left is not a whole one.
pub(in crate::kafka) fn next(set: &mut Bytes) -> Result<Option<Batch>, BatchError> {
    if set.len() < HEADER {
        return Ok(None);
    }
    let offset = (&set[0..8]).get_i64();
    let malformed = |item| BatchError::Malformed { offset, item };
    // The version stands at the same place in all formats, and tells whether the rest means anything.
    let found = set[16] as i8;
    if set[16] != VERSION {
        return Err(BatchError::Version { offset, found });
    }
    let length =
        usize::try_from((&set[8..LENGTH_END]).get_i32()).map_err(|_| malformed("length"))?;
    if length < HEADER - LENGTH_END {
        return Err(malformed("length"));
    }
    if set.len() - LENGTH_END < length {
        return Ok(None);
    }
    let batch = set.split_to(LENGTH_END + length);
    let (found, computed) = (
        (&batch[17..CRC_END]).get_u32(),
        crc32c::crc32c(&batch[CRC_END..]),
    );
    if found != computed {
        return Err(BatchError::Checksum {
            offset,
            found,
            computed,
        });
    }
    let last_offset_delta = (&batch[23..27]).get_i32();
    let count = (&batch[57..HEADER]).get_i32();
    if last_offset_delta < 0
        || offset < 0
        || offset
            .checked_add(i64::from(last_offset_delta))
            .is_none_or(|last| last == i64::MAX)
    {
        return Err(malformed("last offset"));
    }
    Ok(Some(Batch {
        base_offset: offset,
        attributes: (&batch[21..23]).get_i16(),
        last_offset_delta,
        base_timestamp: (&batch[27..35]).get_i64(),
        max_timestamp: (&batch[35..43]).get_i64(),
        producer: (&batch[43..51]).get_i64(),
        // Compaction may leave a batch without records.
        count: usize::try_from(count).map_err(|_| malformed("record count"))?,
        packed: batch.slice(HEADER..),
    }))
}

impl Batch {
    /// Offset of the last record it had before compaction.
    pub(in crate::kafka) fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    pub(in crate::kafka) const fn producer(&self) -> i64 {
        self.producer
    }

    pub(in crate::kafka) const fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    pub(in crate::kafka) const fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// The marker in a control batch; `None` for kinds that do not end a transaction. Its key is
    /// a version and a type, both of two bytes: 0 aborts, 1 commits.
    pub(in crate::kafka) fn control(
        &self,
        budget: &mut Budget,
    ) -> Result<Option<Control>, BatchError> {
        let mut records = Vec::new();
        self.records(budget, self.base_offset, &mut records)?;
        let key = records
            .first()
            .and_then(|record| record.key.as_deref())
            .unwrap_or_default();
        Ok(match key {
            [_, _, 0, 0, ..] => Some(Control::Abort),
            [_, _, 0, 1, ..] => Some(Control::Commit),
            _ => None,
        })
    }

    /// Appends the records at or above the offset `from`. After an error some of them may be there.
    pub(in crate::kafka) fn records(
        &self,
        budget: &mut Budget,
        from: i64,
        records: &mut Vec<Record>,
    ) -> Result<(), BatchError> {
        let offset = self.base_offset;
        let number = self.attributes & CODEC_BITS;
        let codec = Codec::from_number(number).ok_or(BatchError::Codec {
            offset,
            codec: number,
        })?;
        let plain = codec
            .decompress(self.packed.clone(), budget.left, &mut budget.workspace)
            .map_err(|error| match error {
                DecompressError::TooLarge => BatchError::TooLarge { offset },
                DecompressError::Corrupt(reason) => BatchError::Decompress { offset, reason },
            })?;
        budget
            .take(plain.len())
            .ok_or(BatchError::TooLarge { offset })?;
        let malformed = |Malformed(item)| BatchError::Malformed { offset, item };
        if self.count > plain.len() / MIN_RECORD {
            return Err(malformed(Malformed("record count")));
        }
        records.reserve(self.count);
        let mut left = Piece::whole(&plain);
        for _ in 0..self.count {
            let record = self.record(&mut left).map_err(malformed)?;
            if record.offset >= from {
                records.push(record);
            }
        }
        Ok(())
    }

    fn record(&self, batch: &mut Piece<'_>) -> Result<Record, Malformed> {
        let mut piece = batch.sized("record length", "record")?;
        piece.skip(1, "record attributes")?;
        let timestamp_delta = piece.varint("timestamp delta")?;
        let offset_delta = piece.varint("offset delta")?;
        if !(0..=i64::from(self.last_offset_delta)).contains(&offset_delta) {
            return Err(Malformed("offset delta"));
        }
        let key = piece.varbytes("key")?;
        let value = piece.varbytes("value")?;
        let count = usize::try_from(piece.varint("header count")?)
            .map_err(|_| Malformed("header count"))?;
        let mut headers = Vec::new();
        for _ in 0..count {
            let name = piece
                .varbytes("header name")?
                .ok_or(Malformed("header name"))?;
            let key = String::from_utf8(name.to_vec()).map_err(|_| Malformed("header name"))?;
            headers.push(Header {
                key,
                value: piece.varbytes("header value")?,
            });
        }
        let timestamp = if self.attributes & LOG_APPEND_TIME != 0 {
            self.max_timestamp
        } else {
            self.base_timestamp.wrapping_add(timestamp_delta)
        };
        Ok(Record {
            offset: self.base_offset + offset_delta,
            timestamp,
            key,
            value,
            headers,
        })
    }
}
