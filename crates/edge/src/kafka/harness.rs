//! Entries for fuzzing the decoders of what a broker sends: arbitrary bytes in, invariants checked,
//! nothing out. The fuzz targets (`fuzz/`) and an ordinary test over the stored corpora call the same
//! functions.

use super::batch::{Budget, Codec, Record, encode, next};
use super::fetch::{self, Dialect, Fetched};
use super::producer::NewRecord;
use bytes::Bytes;

/// The offset asked for: some records lie before it.
const POSITION: i64 = 2;

/// The body of a Fetch response, in either encoding: refused, or what is in it is in order.
pub fn fetch_response(body: &[u8]) {
    for (dialect, header) in [(Dialect::Named, &[0; 4][..]), (Dialect::ById, &[0; 5][..])] {
        let answer = Bytes::from([header, body].concat());
        let decode = || fetch::decode(answer.clone(), dialect, |_, _| Some(POSITION));
        let decoded = decode();
        assert_eq!(decode(), decoded);
        let packed = fetch::parse(answer.clone(), dialect, |_, _| Some(POSITION));
        if let (Ok(decoded), Ok(packed)) = (&decoded, packed) {
            for (part, packed) in decoded.partitions.iter().zip(packed.partitions) {
                // Or a batch that was refused stands in between.
                assert!(part.next_offset <= packed.end());
            }
        }
        match decoded {
            Ok(response) => response.partitions.iter().for_each(in_order),
            Err(refused) => assert!(!refused.to_string().is_empty()),
        }
    }
}

fn in_order(partition: &Fetched) {
    assert!(partition.next_offset >= POSITION);
    match &partition.records {
        Ok(records) => {
            assert!(records.iter().all(|record| record.offset >= POSITION));
            let behind = |record: &Record| record.offset < partition.next_offset;
            assert!(records.iter().all(behind));
        }
        Err(refused) => assert!(!refused.to_string().is_empty()),
    }
}

/// Bytes of a batch up to its checksum, and where that begins.
const CHECKSUM: core::ops::Range<usize> = 17..21;

/// A record set, as it is and with its first checksum put right: a fuzzer does not find one. What comes
/// out of a batch goes into one again, by every codec, and comes out the same.
pub fn record_batches(set: &[u8]) {
    read_all(set);
    let mut righted = set.to_vec();
    let length = set.get(8..12).and_then(|bytes| bytes.try_into().ok());
    let length = length.map_or(0, u32::from_be_bytes);
    let end = usize::try_from(length)
        .map_or(set.len(), |length| length.saturating_add(12).min(set.len()));
    if end > CHECKSUM.end {
        let checksum = crc32c::crc32c(&righted[CHECKSUM.end..end]);
        righted[CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
        read_all(&righted);
    }
}

fn read_all(set: &[u8]) {
    let mut set = Bytes::copy_from_slice(set);
    let mut budget = Budget::default();
    while let Ok(Some(batch)) = next(&mut set) {
        let mut records = Vec::new();
        if batch.records(&mut budget, i64::MIN, &mut records).is_err() {
            return;
        }
        assert!(
            records
                .iter()
                .all(|record| record.offset <= batch.last_offset())
        );
        again(&records);
    }
}

/// Most records that are packed again, and their bytes; more of them show nothing new and cost time.
const MAX_REPACKED: usize = 64;
const MAX_REPACKED_BYTES: usize = 64 << 10;

fn again(records: &[Record]) {
    let records = &records[..records.len().min(MAX_REPACKED)];
    let values = records.iter().filter_map(|record| record.value.as_ref());
    if values.map(Bytes::len).sum::<usize>() > MAX_REPACKED_BYTES {
        return;
    }
    let new: Vec<NewRecord> = records
        .iter()
        .map(|record| NewRecord {
            timestamp: record.timestamp,
            key: record.key.clone(),
            value: record.value.clone(),
            headers: record.headers.clone(),
        })
        .collect();
    for codec in [
        Codec::None,
        Codec::Gzip,
        Codec::Snappy,
        Codec::Lz4,
        Codec::Zstd,
    ] {
        let Ok(bytes) = encode(&new, codec) else {
            continue;
        };
        let mut set = Bytes::from(bytes);
        let batch = next(&mut set)
            .expect("what we encode is a batch")
            .expect("and a whole one");
        let mut read = Vec::new();
        batch
            .records(&mut Budget::default(), i64::MIN, &mut read)
            .expect("with records that can be read");
        assert_eq!(read.len(), records.len());
        for (one, other) in read.iter().zip(records) {
            assert_eq!(
                (one.timestamp, &one.key, &one.value, &one.headers),
                (other.timestamp, &other.key, &other.value, &other.headers)
            );
        }
    }
}
