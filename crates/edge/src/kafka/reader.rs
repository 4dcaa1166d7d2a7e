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
        self.take(1, item).map(|mut bytes| bytes.get_i8())
    }

    pub(super) fn i16(&mut self, item: &'static str) -> Result<i16, Malformed> {
        self.take(2, item).map(|mut bytes| bytes.get_i16())
    }

    pub(super) fn i32(&mut self, item: &'static str) -> Result<i32, Malformed> {
        self.take(4, item).map(|mut bytes| bytes.get_i32())
    }

    pub(super) fn i64(&mut self, item: &'static str) -> Result<i64, Malformed> {
        self.take(8, item).map(|mut bytes| bytes.get_i64())
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

    /// Zigzag `VARINT`/`VARLONG` (Protocol Buffers encoding).
    pub(super) fn varint(&mut self, item: &'static str) -> Result<i64, Malformed> {
        const MOST_BYTES: u32 = 10;
        let mut value = 0u64;
        for index in 0..MOST_BYTES {
            let byte = self.i8(item)? as u8;
            value |= u64::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(Malformed(item))
    }

    /// Length as varint, −1 for null.
    pub(super) fn varbytes(&mut self, item: &'static str) -> Result<Option<Bytes>, Malformed> {
        match self.varint(item)? {
            -1 => Ok(None),
            len => usize::try_from(len)
                .map_err(|_| Malformed(item))
                .and_then(|len| self.take(len, item))
                .map(Some),
        }
    }
}
