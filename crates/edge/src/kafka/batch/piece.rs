//! The packed records of a batch, read step by step. Only what is handed out takes a share of the buffer; everything else is
//! looked at where it lies, since a feed reads millions of records a second.

use crate::kafka::reader::Malformed;
use bytes::Bytes;

/// Most bytes of a varint: seven bits of 64 in each.
const MOST_BYTES: usize = 10;

/// What is left of a batch or of a record.
pub(super) struct Piece<'a> {
    whole: &'a Bytes,
    left: &'a [u8],
}

impl<'a> Piece<'a> {
    pub(super) fn whole(bytes: &'a Bytes) -> Self {
        Self {
            whole: bytes,
            left: bytes,
        }
    }

    fn take(&mut self, len: usize, item: &'static str) -> Result<&'a [u8], Malformed> {
        let (taken, left) = self.left.split_at_checked(len).ok_or(Malformed(item))?;
        self.left = left;
        Ok(taken)
    }

    pub(super) fn skip(&mut self, len: usize, item: &'static str) -> Result<(), Malformed> {
        self.take(len, item).map(|_| ())
    }

    /// A piece that tells its own length first.
    pub(super) fn sized(
        &mut self,
        length: &'static str,
        item: &'static str,
    ) -> Result<Self, Malformed> {
        let len = usize::try_from(self.varint(length)?).map_err(|_| Malformed(length))?;
        let left = self.take(len, item)?;
        Ok(Self {
            whole: self.whole,
            left,
        })
    }

    /// Zigzag `VARINT`/`VARLONG` (Protocol Buffers encoding).
    #[inline]
    pub(super) fn varint(&mut self, item: &'static str) -> Result<i64, Malformed> {
        // Most numbers of a record are small.
        if let [byte @ ..0x80, left @ ..] = self.left {
            self.left = left;
            return Ok(i64::from(byte >> 1) ^ -i64::from(byte & 1));
        }
        self.long_varint(item)
    }

    fn long_varint(&mut self, item: &'static str) -> Result<i64, Malformed> {
        let mut value = 0u64;
        for (index, byte) in self.left.iter().take(MOST_BYTES).enumerate() {
            value |= u64::from(byte & 0x7F) << (7 * index);
            if byte & 0x80 == 0 {
                self.left = &self.left[index + 1..];
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(Malformed(item))
    }

    /// Length as varint, −1 for null.
    pub(super) fn varbytes(&mut self, item: &'static str) -> Result<Option<Bytes>, Malformed> {
        match self.varint(item)? {
            -1 => Ok(None),
            len => {
                let len = usize::try_from(len).map_err(|_| Malformed(item))?;
                Ok(Some(self.whole.slice_ref(self.take(len, item)?)))
            }
        }
    }
}
