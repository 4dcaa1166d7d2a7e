use super::*;
use crate::kafka::producer::NewRecord;
use proptest::prelude::*;

fn record(text: &str, timestamp: i64) -> NewRecord {
    NewRecord {
        timestamp,
        key: None,
        value: Some(Bytes::from(text.to_owned())),
        headers: Vec::new(),
    }
}

fn read(batch: Vec<u8>) -> Result<Vec<Record>, BatchError> {
    let mut set = Bytes::from(batch);
    let batch = next(&mut set)?.expect("whole");
    assert!(set.is_empty());
    batch.records(&mut Budget::default())
}

/// A batch as the Java producer of Kafka 4.1 sends it: one record, key "k", value "v", header
/// a=1; laid out by hand after the documentation of the format.
#[test]
fn a_batch_by_hand() {
    let body: &[u8] = b"\x00\x00\x00\x00\x00\x00\x00\x00\x01\x8b\xcf\xe5\x68\x00\x00\x00\x01\x8b\xcf\xe5\x68\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x01\x18\x00\x00\x00\x02k\x02v\x02\x02a\x021";
    let mut batch =
        b"\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x3e\x00\x00\x00\x00\x02".to_vec();
    batch.extend(crc32c::crc32c(body).to_be_bytes());
    batch.extend(body);
    let expected = Record {
        offset: 5,
        timestamp: 0x018b_cfe5_6800,
        key: Some(Bytes::from_static(b"k")),
        value: Some(Bytes::from_static(b"v")),
        headers: vec![Header {
            key: "a".to_owned(),
            value: Some(Bytes::from_static(b"1")),
        }],
    };
    assert_eq!(read(batch.clone()), Ok(vec![expected.clone()]));
    // What our encoder makes of the same differs in base offset and leader epoch only.
    let record = NewRecord {
        timestamp: expected.timestamp,
        key: expected.key,
        value: expected.value,
        headers: expected.headers,
    };
    let own = encode(&[record], Codec::None).unwrap();
    assert_eq!(own[16..], batch[16..]);
}

#[test]
fn damaged_batches_are_refused_by_name() {
    let good = encode(&[record("one", 1), record("two", 2)], Codec::None).unwrap();
    let resealed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut batch = good.clone();
        change(&mut batch);
        let checksum = crc32c::crc32c(&batch[CRC_END..]);
        batch[17..CRC_END].copy_from_slice(&checksum.to_be_bytes());
        read(batch).unwrap_err()
    };
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(matches!(
        read(flipped),
        Err(BatchError::Checksum { offset: 0, .. })
    ));
    assert!(matches!(
        resealed(&|b| b[16] = 1),
        BatchError::Version { found: 1, .. }
    ));
    assert!(matches!(
        resealed(&|b| b[22] = 7),
        BatchError::Codec { codec: 7, .. }
    ));
    assert!(matches!(
        resealed(&|b| b[22] = 1),
        BatchError::Decompress { .. }
    ));
    assert_eq!(
        resealed(&|b| b[60] = 200),
        BatchError::Malformed {
            offset: 0,
            item: "record count"
        }
    );
    assert_eq!(
        resealed(&|b| b[57] = 0x80),
        BatchError::Malformed {
            offset: 0,
            item: "record count"
        }
    );
    assert_eq!(
        resealed(&|b| b[61] = 0x7E),
        BatchError::Malformed {
            offset: 0,
            item: "record"
        }
    );
    assert_eq!(
        resealed(&|b| b[64] = 40),
        BatchError::Malformed {
            offset: 0,
            item: "offset delta"
        }
    );
    assert_eq!(
        resealed(&|b| b[8] = 0x80),
        BatchError::Malformed {
            offset: 0,
            item: "length"
        }
    );
    assert_eq!(
        resealed(&|b| b[23] = 0x80),
        BatchError::Malformed {
            offset: 0,
            item: "last offset"
        }
    );
}

#[test]
fn a_partial_batch_waits_for_the_next_fetch() {
    let good = encode(&[record("one", 1)], Codec::None).unwrap();
    for len in [0, 5, HEADER - 1, good.len() - 1] {
        let mut set = Bytes::copy_from_slice(&good[..len]);
        assert!(next(&mut set).unwrap().is_none(), "{len}");
    }
}

#[test]
fn a_bomb_stops_at_the_budget() {
    let zeros = vec![record(&"0".repeat(1 << 20), 1); 3];
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let batch = encode(&zeros, codec).unwrap();
        let mut set = Bytes::from(batch);
        let batch = next(&mut set).unwrap().unwrap();
        assert_eq!(
            batch.records(&mut Budget(2 << 20)),
            Err(BatchError::TooLarge { offset: 0 }),
            "{codec:?}"
        );
        assert_eq!(
            batch.records(&mut Budget(4 << 20)).unwrap().len(),
            3,
            "{codec:?}"
        );
    }
}

#[test]
fn snappy_in_the_framing_of_the_java_library() {
    let plain: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    let mut framed = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for block in plain.chunks(32 << 10) {
        let packed = snap::raw::Encoder::new().compress_vec(block).unwrap();
        framed.extend((packed.len() as u32).to_be_bytes());
        framed.extend(packed);
    }
    let Ok(read) = Codec::Snappy.decompress(Bytes::from(framed.clone()), 1 << 20) else {
        panic!("refused")
    };
    assert_eq!(read, plain);
    framed.pop();
    assert!(
        Codec::Snappy
            .decompress(Bytes::from(framed), 1 << 20)
            .is_err()
    );
}

fn any_record() -> impl Strategy<Value = NewRecord> {
    let bytes = || {
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from))
    };
    let header = ("[a-zä]{0,8}", bytes()).prop_map(|(key, value)| Header { key, value });
    (
        0i64..=4_102_444_800_000,
        bytes(),
        bytes(),
        proptest::collection::vec(header, 0..4),
    )
        .prop_map(|(timestamp, key, value, headers)| NewRecord {
            timestamp,
            key,
            value,
            headers,
        })
}

proptest! {
    #[test]
    fn decode_is_the_inverse_of_encode(records in proptest::collection::vec(any_record(), 1..40), codec in 0usize..5) {
        let batch = encode(&records, Codec::ALL[codec]).unwrap();
        let expected: Vec<_> = (0..).zip(records).map(|(offset, record)| Record {
            offset, timestamp: record.timestamp, key: record.key, value: record.value, headers: record.headers,
        }).collect();
        prop_assert_eq!(read(batch).unwrap(), expected);
    }

    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 61..300), codec in 0u8..8) {
        // Past version, length and checksum, so that the inner parts are reached.
        let length = (bytes.len() - LENGTH_END) as u32;
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[0] = 0;
        bytes[16] = 2;
        bytes[22] = codec;
        bytes[23] = 0;
        bytes[57..60].fill(0);
        let checksum = crc32c::crc32c(&bytes[CRC_END..]);
        bytes[17..CRC_END].copy_from_slice(&checksum.to_be_bytes());
        let mut set = Bytes::from(bytes);
        if let Some(batch) = next(&mut set).unwrap() {
            // Either way is right; a panic or an endless loop is not.
            let _either = batch.records(&mut Budget::default());
        }
    }
}
