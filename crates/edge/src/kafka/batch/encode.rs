use super::compress::Codec;
use super::{CRC_END, HEADER, LENGTH_END};
use crate::kafka::producer::NewRecord;

/// Records that make no batch.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    /// None at all.
    #[error("a batch has at least one record")]
    Empty,
    /// More bytes than the format's length field counts.
    #[error("a batch of more than 2 GiB cannot be encoded; send fewer records at a time")]
    TooLarge,
    /// The compressor failed.
    #[error("compression by {codec:?} failed: {reason}")]
    Compress {
        /// Codec.
        codec: Codec,
        /// Why.
        reason: String,
    },
}

/// A batch as a producer sends it: base offset 0, no producer id, the records' own timestamps.
pub fn encode(records: &[NewRecord], codec: Codec) -> Result<Vec<u8>, EncodeError> {
    let base_timestamp = records.first().ok_or(EncodeError::Empty)?.timestamp;
    let max_timestamp = records
        .iter()
        .map(|record| record.timestamp)
        .max()
        .unwrap_or(base_timestamp);
    let mut plain = Vec::new();
    for (delta, record) in (0i64..).zip(records) {
        put_record(&mut plain, record, base_timestamp, delta);
    }
    let packed = codec
        .compress(&plain)
        .map_err(|reason| EncodeError::Compress { codec, reason })?;
    let count = i32::try_from(records.len()).map_err(|_| EncodeError::TooLarge)?;
    let length =
        i32::try_from(HEADER - LENGTH_END + packed.len()).map_err(|_| EncodeError::TooLarge)?;

    let mut batch = Vec::with_capacity(HEADER + packed.len());
    batch.extend(0i64.to_be_bytes()); // base offset: the broker's to fill in
    batch.extend(length.to_be_bytes());
    batch.extend((-1i32).to_be_bytes()); // leader epoch: the broker's
    batch.push(2); // version
    batch.extend(0u32.to_be_bytes()); // checksum, below
    batch.extend(codec.number().to_be_bytes());
    batch.extend((count - 1).to_be_bytes());
    batch.extend(base_timestamp.to_be_bytes());
    batch.extend(max_timestamp.to_be_bytes());
    batch.extend((-1i64).to_be_bytes()); // producer id
    batch.extend((-1i16).to_be_bytes()); // producer epoch
    batch.extend((-1i32).to_be_bytes()); // base sequence
    batch.extend(count.to_be_bytes());
    batch.extend(packed);
    let checksum = crc32c::crc32c(&batch[CRC_END..]);
    batch[CRC_END - 4..CRC_END].copy_from_slice(&checksum.to_be_bytes());
    Ok(batch)
}

fn put_record(out: &mut Vec<u8>, record: &NewRecord, base_timestamp: i64, delta: i64) {
    let mut body = vec![0]; // attributes: none are defined
    put_varint(&mut body, record.timestamp.wrapping_sub(base_timestamp));
    put_varint(&mut body, delta);
    put_varbytes(&mut body, record.key.as_deref());
    put_varbytes(&mut body, record.value.as_deref());
    put_varint(&mut body, record.headers.len() as i64);
    for header in &record.headers {
        put_varbytes(&mut body, Some(header.key.as_bytes()));
        put_varbytes(&mut body, header.value.as_deref());
    }
    put_varint(out, body.len() as i64);
    out.extend(body);
}

fn put_varbytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_varint(out, bytes.len() as i64);
            out.extend(bytes);
        }
    }
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
