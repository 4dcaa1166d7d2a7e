//! Kafka's primitive types, read with a check before every step. Nothing is copied: what is taken
//! shares the response's buffer.

use bytes::{Buf, Bytes};

/// The input ended within the named item, or the item is malformed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Malformed(pub(super) &'static str);

pub(super) struct Reader(pub(super) Bytes);

impl Reader {
    pub(super) fn left(&self) -> usize {
        self.0.len()
    }

    pub(super) fn take(&mut self, len: usize, item: &'static str) -> Result<Bytes, Malformed> {
        if self.0.len() < len {
            Err(Malformed(item))
        } else {
            Ok(self.0.split_to(len))
        }
    }

    pub(super) fn i8(&mut self, item: &'static str) -> Result<i8, Malformed> {
        self.0.try_get_i8().map_err(|_| Malformed(item))
    }

    pub(super) fn i16(&mut self, item: &'static str) -> Result<i16, Malformed> {
        self.0.try_get_i16().map_err(|_| Malformed(item))
    }

    pub(super) fn i32(&mut self, item: &'static str) -> Result<i32, Malformed> {
        self.0.try_get_i32().map_err(|_| Malformed(item))
    }

    pub(super) fn i64(&mut self, item: &'static str) -> Result<i64, Malformed> {
        self.0.try_get_i64().map_err(|_| Malformed(item))
    }

    /// A count of items that take at least `least` bytes each: more than fit is malformed, so no
    /// count from outside makes us allocate. Null counts as none.
    pub(super) fn count(&mut self, least: usize, item: &'static str) -> Result<usize, Malformed> {
        let count = usize::try_from(self.i32(item)?).unwrap_or(0);
        if count > self.left() / least {
            Err(Malformed(item))
        } else {
            Ok(count)
        }
    }

    /// `STRING`: a length of two bytes, UTF-8.
    pub(super) fn string(&mut self, item: &'static str) -> Result<String, Malformed> {
        let len = usize::try_from(self.i16(item)?).map_err(|_| Malformed(item))?;
        String::from_utf8(self.take(len, item)?.to_vec()).map_err(|_| Malformed(item))
    }

    /// `BYTES` with a null, as a byte count of four bytes.
    pub(super) fn sized(&mut self, item: &'static str) -> Result<Bytes, Malformed> {
        let len = usize::try_from(self.i32(item)?).unwrap_or(0);
        self.take(len, item)
    }

    /// As [`count`](Self::count), in the compact encoding (KIP-482): one more than there are, so that zero is null.
    pub(super) fn compact_count(
        &mut self,
        least: usize,
        item: &'static str,
    ) -> Result<usize, Malformed> {
        let count = self.compact_len(item)?;
        if count > self.left() / least {
            Err(Malformed(item))
        } else {
            Ok(count)
        }
    }

    /// As [`sized`](Self::sized), in the compact encoding.
    pub(super) fn compact_sized(&mut self, item: &'static str) -> Result<Bytes, Malformed> {
        let len = self.compact_len(item)?;
        self.take(len, item)
    }

    /// `COMPACT_STRING`; null reads as empty.
    pub(super) fn compact_string(&mut self, item: &'static str) -> Result<String, Malformed> {
        String::from_utf8(self.compact_sized(item)?.to_vec()).map_err(|_| Malformed(item))
    }

    /// What later versions may have put at the end of a structure: told by number and size, passed over.
    pub(super) fn tagged_fields(&mut self) -> Result<(), Malformed> {
        const ITEM: &str = "tagged fields";
        for _ in 0..self.uvarint(ITEM)? {
            self.uvarint(ITEM)?;
            let len = usize::try_from(self.uvarint(ITEM)?).map_err(|_| Malformed(ITEM))?;
            self.take(len, ITEM)?;
        }
        Ok(())
    }

    fn compact_len(&mut self, item: &'static str) -> Result<usize, Malformed> {
        let len = self.uvarint(item)?.saturating_sub(1);
        usize::try_from(len).map_err(|_| Malformed(item))
    }

    /// `UNSIGNED_VARINT`.
    fn uvarint(&mut self, item: &'static str) -> Result<u64, Malformed> {
        const MOST_BYTES: usize = 10;
        let mut value = 0u64;
        for (index, byte) in self.0.iter().take(MOST_BYTES).enumerate() {
            value |= u64::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                self.0.advance(index + 1);
                return Ok(value);
            }
        }
        Err(Malformed(item))
    }
}
