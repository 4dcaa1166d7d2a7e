use super::compress::DecompressError;
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
    records(&batch, &mut Budget::default())
}

fn records(batch: &decode::Batch, budget: &mut Budget) -> Result<Vec<Record>, BatchError> {
    let mut records = Vec::new();
    batch.records(budget, 0, &mut records).map(|()| records)
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
            records(&batch, &mut Budget::of(2 << 20)),
            Err(BatchError::TooLarge { offset: 0 }),
            "{codec:?}"
        );
        assert_eq!(
            records(&batch, &mut Budget::of(4 << 20)).unwrap().len(),
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
    assert_eq!(plainly(Codec::Snappy, &framed, 1 << 20).unwrap(), plain);
    framed.pop();
    assert!(plainly(Codec::Snappy, &framed, 1 << 20).is_err());
}

fn plainly(codec: Codec, packed: &[u8], limit: usize) -> Result<Bytes, String> {
    let packed = Bytes::copy_from_slice(packed);
    let read = codec.decompress(packed, limit, &mut Workspace::default());
    read.map_err(|error| match error {
        DecompressError::TooLarge => "too large".to_owned(),
        DecompressError::Corrupt(reason) => reason,
    })
}

/// Streamed as the Java client does it, without the size in front; several frames one after the other; one that
/// claims more than it has.
#[test]
fn zstd_of_whatever_size_is_told() {
    use std::io::Write as _;
    let plain: Vec<u8> = (0..300_000u32)
        .flat_map(|n| (n % 1_000).to_le_bytes())
        .collect();
    let mut streaming = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    streaming.write_all(&plain).unwrap();
    let streamed = streaming.finish().unwrap();
    let size = zstd::zstd_safe::get_frame_content_size(&streamed);
    assert!(matches!(size, Ok(None)));
    let told = zstd::bulk::compress(&plain, 3).unwrap();
    let limit = plain.len();
    for packed in [&streamed, &told] {
        assert_eq!(plainly(Codec::Zstd, packed, limit).unwrap(), plain);
        let refused = plainly(Codec::Zstd, packed, limit - 1).unwrap_err();
        assert_eq!(refused, "too large");
        for len in [0, 3, packed.len() / 2, packed.len() - 1] {
            assert!(
                plainly(Codec::Zstd, &packed[..len], limit).is_err(),
                "{len}"
            );
        }
        let twice = [&packed[..], &told].concat();
        let both = plainly(Codec::Zstd, &twice, 2 * limit).unwrap();
        assert_eq!(both, [&plain[..], &plain].concat());
        let refused = plainly(Codec::Zstd, &twice, 2 * limit - 1).unwrap_err();
        assert_eq!(refused, "too large");
    }
    assert_eq!(plainly(Codec::Zstd, &told, 0).unwrap_err(), "too large");
}

/// As an independent encoder writes them: blocks of every size, alone or referring to the ones before, with checksums
/// and without, compressible or not.
#[test]
fn lz4_frames_of_every_kind() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    use std::io::Write as _;
    let repetitive = b"again and again, ".repeat(40_000);
    let mixed: Vec<u8> = (0..150_000u32)
        .flat_map(|n| n.wrapping_mul(0x9E37_79B9).to_le_bytes())
        .collect();
    for plain in [
        &repetitive[..],
        &mixed,
        &[&mixed[..70_000], &repetitive].concat(),
        b"x",
        b"",
    ] {
        for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max4MB] {
            for (mode, checksums) in [(BlockMode::Independent, false), (BlockMode::Linked, true)] {
                let info = FrameInfo::new()
                    .block_size(size)
                    .block_mode(mode)
                    .block_checksums(checksums)
                    .content_checksum(checksums)
                    .content_size(checksums.then_some(plain.len() as u64));
                let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(plain).unwrap();
                let frame = encoder.finish().unwrap();
                let len = plain.len();
                assert_eq!(plainly(Codec::Lz4, &frame, len).unwrap(), plain);
                let twice = [
                    &frame[..],
                    &[0x5A, 0x2A, 0x4D, 0x18, 2, 0, 0, 0, 9, 9],
                    &frame,
                ]
                .concat();
                assert_eq!(
                    plainly(Codec::Lz4, &twice, 2 * len).unwrap(),
                    plain.repeat(2)
                );
                for limit in [len / 2, len.saturating_sub(1)]
                    .into_iter()
                    .filter(|limit| *limit < len)
                {
                    assert_eq!(plainly(Codec::Lz4, &frame, limit).unwrap_err(), "too large");
                }
                for cut in [3, 6, frame.len() / 2, frame.len() - 1]
                    .into_iter()
                    .filter(|cut| *cut < frame.len())
                {
                    assert!(
                        plainly(Codec::Lz4, &frame[..cut], len).is_err(),
                        "{cut} of {}",
                        frame.len()
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_no_lz4_frame_is_refused() {
    let good = Codec::Lz4.compress(b"some").unwrap();
    for (at, value) in [(0, 0), (4, 0), (4, 0x61), (5, 0x30), (8, 0xFF)] {
        let mut bad = good.clone();
        bad[at] = value;
        assert!(
            plainly(Codec::Lz4, &bad, 1 << 20).is_err(),
            "{at} = {value}"
        );
    }
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
            let _either = records(&batch, &mut Budget::default());
        }
    }
}
