//! Kafka's classic (non-flexible) encodings (<https://kafka.apache.org/protocol.html#protocol_types>).

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Kafka's error codes as far as this broker uses them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i16)]
pub(crate) enum Code {
    None = 0,
    OffsetOutOfRange = 1,
    CorruptMessage = 2,
    UnknownTopicOrPartition = 3,
    InvalidTopic = 17,
    IllegalGeneration = 22,
    InconsistentGroupProtocol = 23,
    UnknownMember = 25,
    InvalidSessionTimeout = 26,
    RebalanceInProgress = 27,
    UnsupportedVersion = 35,
    TopicAlreadyExists = 36,
    InvalidPartitions = 37,
    UnsupportedForMessageFormat = 43,
    StorageError = 56,
    InvalidRecord = 87,
}

/// A request that does not follow the protocol; its connection is closed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("malformed request: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

pub(crate) struct Reader(pub(crate) Bytes);

impl Reader {
    fn take(&mut self, len: usize, item: &'static str) -> Result<Bytes, Malformed> {
        if self.0.len() < len {
            Err(Malformed(item))
        } else {
            Ok(self.0.split_to(len))
        }
    }

    pub(crate) fn bool(&mut self) -> Result<bool, Malformed> {
        self.take(1, "boolean").map(|mut bytes| bytes.get_u8() != 0)
    }

    pub(crate) fn i8(&mut self) -> Result<i8, Malformed> {
        self.take(1, "int8").map(|mut bytes| bytes.get_i8())
    }

    pub(crate) fn i16(&mut self) -> Result<i16, Malformed> {
        self.take(2, "int16").map(|mut bytes| bytes.get_i16())
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Malformed> {
        self.take(4, "int32").map(|mut bytes| bytes.get_i32())
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Malformed> {
        self.take(8, "int64").map(|mut bytes| bytes.get_i64())
    }

    pub(crate) fn nullable_string(&mut self) -> Result<Option<String>, Malformed> {
        match usize::try_from(self.i16()?) {
            Err(_) => Ok(None),
            Ok(len) => {
                let bytes = self.take(len, "string")?;
                String::from_utf8(bytes.to_vec())
                    .map(Some)
                    .map_err(|_| Malformed("string is not UTF-8"))
            }
        }
    }

    pub(crate) fn string(&mut self) -> Result<String, Malformed> {
        self.nullable_string()?.ok_or(Malformed("null string"))
    }

    /// Null counts as empty.
    pub(crate) fn bytes(&mut self) -> Result<Bytes, Malformed> {
        let len = usize::try_from(self.i32()?).unwrap_or(0);
        self.take(len, "bytes")
    }

    /// `None` for null. The count never exceeds the bytes left, as every item takes at least one.
    pub(crate) fn nullable_array<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<Vec<T>>, Malformed> {
        match usize::try_from(self.i32()?) {
            Err(_) => Ok(None),
            Ok(count) if count > self.0.len() => Err(Malformed("array length")),
            Ok(count) => (0..count)
                .map(|_| item(self))
                .collect::<Result<_, _>>()
                .map(Some),
        }
    }

    /// Null counts as empty.
    pub(crate) fn array<T>(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        self.nullable_array(item).map(Option::unwrap_or_default)
    }
}

/// A response being written.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) BytesMut);

impl Writer {
    pub(crate) fn bool(&mut self, value: bool) {
        self.0.put_u8(u8::from(value));
    }

    pub(crate) fn i16(&mut self, value: i16) {
        self.0.put_i16(value);
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.0.put_i32(value);
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.0.put_i64(value);
    }

    pub(crate) fn code(&mut self, code: Code) {
        self.i16(code as i16);
    }

    /// Strings come from requests or from us and are short: a longer one would have been refused.
    pub(crate) fn string(&mut self, text: &str) {
        let len = text.len().min(i16::MAX as usize);
        self.0.put_i16(len as i16);
        self.0.put_slice(&text.as_bytes()[..len]);
    }

    pub(crate) fn null_string(&mut self) {
        self.i16(-1);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.put_slice(bytes);
    }

    pub(crate) fn count(&mut self, count: usize) {
        // Bounded by the frame limit, far below 2 GiB.
        self.0.put_i32(count as i32);
    }

    pub(crate) fn array<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut item: impl FnMut(&mut Self, T),
    ) {
        self.count(items.len());
        items.for_each(|value| item(self, value));
    }
}
