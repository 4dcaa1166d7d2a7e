use super::*;
use crate::kafka::batch::{Codec, encode};
use crate::kafka::producer::NewRecord;
use crate::kafka::writer::put_count;
use proptest::prelude::*;

const TRANSACTIONAL: u8 = 0x10;
const CONTROL: u8 = 0x20;

/// A batch as it lies in a partition: base offset, producer and attributes set.
fn batch(base: i64, producer: i64, attributes: u8, records: &[(Option<&[u8]>, &str)]) -> Vec<u8> {
    let records: Vec<_> = records
        .iter()
        .map(|(key, value)| NewRecord {
            timestamp: 1_000,
            key: key.map(Bytes::copy_from_slice),
            value: Some(Bytes::from((*value).to_owned())),
            headers: Vec::new(),
        })
        .collect();
    let mut batch = encode(&records, Codec::None).unwrap();
    batch[0..8].copy_from_slice(&base.to_be_bytes());
    batch[22] |= attributes;
    batch[43..51].copy_from_slice(&producer.to_be_bytes());
    let checksum = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&checksum.to_be_bytes());
    batch
}

fn data(base: i64, producer: i64, values: &[&str]) -> Vec<u8> {
    let records: Vec<_> = values.iter().map(|value| (None, *value)).collect();
    batch(
        base,
        producer,
        if producer < 0 { 0 } else { TRANSACTIONAL },
        &records,
    )
}

fn marker(base: i64, producer: i64, kind: u8) -> Vec<u8> {
    batch(
        base,
        producer,
        TRANSACTIONAL | CONTROL,
        &[(Some(&[0, 0, 0, kind]), "")],
    )
}

/// Partition, error code, aborted transactions (producer, first offset), record set.
type Part<'a> = (i32, i16, &'a [(i64, i64)], Vec<u8>);

/// One topic `t`; each partition with its aborted transactions and record set.
fn response(partitions: &[Part<'_>]) -> Bytes {
    let mut out = Vec::new();
    out.extend(7i32.to_be_bytes()); // correlation id
    out.extend(0i32.to_be_bytes());
    out.extend(1i32.to_be_bytes());
    out.extend(b"\0\x01t");
    out.extend((partitions.len() as i32).to_be_bytes());
    for (partition, error, aborted, set) in partitions {
        out.extend(partition.to_be_bytes());
        out.extend(error.to_be_bytes());
        out.extend(100i64.to_be_bytes());
        out.extend(100i64.to_be_bytes());
        out.extend((aborted.len() as i32).to_be_bytes());
        for (producer, first) in *aborted {
            out.extend(producer.to_be_bytes());
            out.extend(first.to_be_bytes());
        }
        out.extend((set.len() as i32).to_be_bytes());
        out.extend(set);
    }
    Bytes::from(out)
}

const ID: TopicId = TopicId([7; 16]);

/// The same in the compact encoding, with a tagged field wherever one may stand.
fn response_by_id(error: i16, partitions: &[Part<'_>]) -> Bytes {
    let tagged: &[u8] = &[1, 9, 2, 0xAA, 0xBB];
    let mut out = Vec::new();
    out.extend(7i32.to_be_bytes()); // correlation id
    out.extend(tagged);
    out.extend(0i32.to_be_bytes());
    out.extend(error.to_be_bytes());
    out.extend(0i32.to_be_bytes()); // session
    put_count(&mut out, 1);
    out.extend(ID.0);
    put_count(&mut out, partitions.len());
    for (partition, error, aborted, set) in partitions {
        out.extend(partition.to_be_bytes());
        out.extend(error.to_be_bytes());
        out.extend(100i64.to_be_bytes());
        out.extend(100i64.to_be_bytes());
        out.extend(0i64.to_be_bytes()); // log start
        put_count(&mut out, aborted.len());
        for (producer, first) in *aborted {
            out.extend(producer.to_be_bytes());
            out.extend(first.to_be_bytes());
            out.extend(tagged);
        }
        out.extend((-1i32).to_be_bytes()); // preferred replica
        put_count(&mut out, set.len());
        out.extend(set);
        out.extend(tagged);
    }
    out.extend(tagged);
    out.extend(tagged);
    Bytes::from(out)
}

fn named(answer: Bytes, position: impl Fn(i32) -> i64 + Copy) -> Result<Vec<Fetched>, FetchError> {
    let topic = Topic::Name("t".to_owned());
    let position = |of: &Topic, partition| (*of == topic).then(|| position(partition));
    let packed = parse(answer.clone(), Dialect::Named, position);
    let fetched = decode(answer, Dialect::Named, position)?.partitions;
    for (packed, read) in packed?.partitions.iter().zip(&fetched) {
        // Where to go on is known before; if a batch is refused, it is not gone so far.
        assert!(read.next_offset <= packed.end());
        assert!(packed.end() == read.next_offset || read.partition == BROKEN);
        assert_eq!(batch_by_batch(packed.clone()), *read);
    }
    Ok(fetched)
}

/// Unpacked in the smallest portions.
fn batch_by_batch(mut packed: Packed) -> Fetched {
    let mut budget = Budget::in_portions_of(1);
    let mut all = packed.unpack(&mut budget);
    while let (Ok(records), false) = (&mut all.records, packed.is_done()) {
        budget.renew();
        let more = packed.unpack(&mut budget);
        // What cannot be read is told when it comes first.
        records.extend(more.records.unwrap_or_default());
        all.next_offset = more.next_offset;
    }
    all
}

fn by_id(answer: Bytes, position: impl Fn(i32) -> i64) -> Result<Vec<Fetched>, FetchError> {
    let position = |of: &Topic, partition| (*of == Topic::Id(ID)).then(|| position(partition));
    decode(answer, Dialect::ById, position).map(|response| response.partitions)
}

/// Both encodings say the same.
fn both(
    partitions: &[Part<'_>],
    position: impl Fn(i32) -> i64,
) -> Result<Vec<Fetched>, FetchError> {
    let fetched = named(response(partitions), &position);
    assert_eq!(by_id(response_by_id(0, partitions), position), fetched);
    fetched
}

fn told(fetched: &Fetched) -> (i32, i64, Vec<(i64, String)>) {
    let records = fetched.records.as_ref().unwrap().iter();
    let values = records.map(|record| {
        (
            record.offset,
            String::from_utf8_lossy(record.value.as_deref().unwrap()).into_owned(),
        )
    });
    (fetched.partition, fetched.next_offset, values.collect())
}

fn values(list: &[(i64, &str)]) -> Vec<(i64, String)> {
    list.iter()
        .map(|(offset, value)| (*offset, (*value).to_owned()))
        .collect()
}

#[test]
fn many_partitions_with_cut_and_empty_sets() {
    let mut cut = data(7, -1, &["g", "h"]);
    cut.extend(&data(9, -1, &["i"])[..60]);
    let sets: Vec<Part<'_>> = vec![
        (0, 0, &[], data(5, -1, &["a", "b", "c"])),
        (3, 0, &[], cut),
        (1, 0, &[], vec![]),
        (2, 1, &[], vec![]),
    ];
    let fetched = both(&sets, |partition| if partition == 0 { 6 } else { 7 }).unwrap();
    assert_eq!(
        told(&fetched[0]),
        (0, 8, values(&[(6, "b"), (7, "c")])),
        "records before the position are dropped"
    );
    assert_eq!(
        told(&fetched[1]),
        (3, 9, values(&[(7, "g"), (8, "h")])),
        "the cut batch comes again"
    );
    assert_eq!(told(&fetched[2]), (1, 7, vec![]));
    assert_eq!(
        (
            fetched[3].error,
            fetched[3].high_watermark,
            fetched[3].next_offset
        ),
        (1, 100, 7)
    );
}

#[test]
fn aborted_transactions_and_markers_are_left_out() {
    const ABORT: u8 = 0;
    const COMMIT: u8 = 1;
    let set = [
        data(0, -1, &["plain"]),
        data(1, 8, &["aborted 1"]),
        data(2, 9, &["committed 1"]),
        data(3, 8, &["aborted 2"]),
        marker(4, 8, ABORT),
        data(5, 8, &["later, committed"]),
        marker(6, 9, COMMIT),
        marker(7, 8, COMMIT),
        data(8, 9, &["aborted 3"]),
        marker(9, 9, ABORT),
    ]
    .concat();
    let fetched = both(&[(0, 0, &[(9, 8), (8, 1)], set)], |_| 0).unwrap();
    assert_eq!(
        told(&fetched[0]),
        (
            0,
            10,
            values(&[(0, "plain"), (2, "committed 1"), (5, "later, committed")])
        )
    );
}

#[test]
fn a_portion_ends_with_the_batch_that_fills_it() {
    let set = [data(0, -1, &["a", "b"]), data(2, -1, &["c"])].concat();
    let position = |_: &Topic, _| Some(1);
    let parts = parse(response(&[(0, 0, &[], set)]), Dialect::Named, position);
    let mut part = parts.unwrap().partitions.remove(0);
    let mut budget = Budget::in_portions_of(1);
    let first = part.unpack(&mut budget);
    assert_eq!(told(&first), (0, 2, values(&[(1, "b")])));
    assert!(budget.is_enough() && !part.is_done());
    assert_eq!((part.from, part.end()), (2, 3));
    // Before it is renewed there is no more of it.
    assert_eq!(told(&part.unpack(&mut budget)), (0, 2, vec![]));
    budget.renew();
    assert_eq!(told(&part.unpack(&mut budget)), (0, 3, values(&[(2, "c")])));
    assert!(part.is_done());
}

/// The partition that tests break.
const BROKEN: i32 = 77;

#[test]
fn one_broken_batch_does_not_hide_what_is_before_it_and_elsewhere() {
    let mut broken = data(1, -1, &["b", "c"]);
    broken[65] ^= 1;
    let set = [data(0, -1, &["a"]), broken].concat();
    let sets: [Part<'_>; 2] = [(BROKEN, 0, &[], set), (1, 0, &[], data(0, -1, &["b"]))];
    let fetched = both(&sets, |_| 0).unwrap();
    assert_eq!(told(&fetched[0]), (BROKEN, 1, values(&[(0, "a")])));
    assert_eq!(told(&fetched[1]), (1, 1, values(&[(0, "b")])));
    // Nothing before it: now it is told.
    let fetched = both(&sets, |partition| i64::from(partition == BROKEN)).unwrap();
    let refused = &fetched[0].records;
    assert!(matches!(
        refused,
        Err(BatchError::Checksum { offset: 1, .. })
    ));
    assert_eq!(told(&fetched[1]), (1, 1, values(&[(0, "b")])));
}

#[test]
fn lengths_from_outside_are_not_believed() {
    let sets: [Part<'_>; 1] = [(0, 0, &[(1, 1)], data(0, -1, &["a"]))];
    let good = response(&sets);
    for at in [8, 12, 15, 41, 61] {
        let mut bad = good.to_vec();
        bad[at..at + 2].fill(0x7F);
        assert!(named(Bytes::from(bad), |_| 0).is_err(), "at {at}");
    }
    for len in 0..good.len() {
        assert!(named(good.slice(..len), |_| 0).is_err(), "cut at {len}");
    }
    let good = response_by_id(0, &sets);
    // Counts of topics, partitions, aborted transactions, bytes; sizes of tagged fields.
    for at in [19, 36, 67, 93, 6, good.len() - 3] {
        let mut bad = good.to_vec();
        bad[at] = 0x7F;
        assert!(by_id(Bytes::from(bad), |_| 0).is_err(), "at {at}");
    }
    for len in 0..good.len() {
        assert!(by_id(good.slice(..len), |_| 0).is_err(), "cut at {len}");
    }
}

#[test]
fn what_was_not_asked_for_is_not_handed_out() {
    let sets: [Part<'_>; 1] = [(3, 0, &[], data(0, -1, &["a"]))];
    for (answer, dialect, topic) in [
        (response(&sets), Dialect::Named, Topic::Name("t".to_owned())),
        (response_by_id(0, &sets), Dialect::ById, Topic::Id(ID)),
    ] {
        let only = |asked: i32| {
            let topic = topic.clone();
            move |of: &Topic, partition| (*of == topic && partition == asked).then_some(0)
        };
        assert!(decode(answer.clone(), dialect, only(3)).is_ok());
        let expected = FetchError("partition, which was not asked for");
        assert_eq!(decode(answer.clone(), dialect, only(4)), Err(expected));
        let another = |of: &Topic, _| (*of == Topic::Id(TopicId([8; 16]))).then_some(0);
        assert_eq!(decode(answer, dialect, another), Err(expected));
    }
}

#[test]
fn an_error_of_all_of_it_is_told() {
    const UNKNOWN_TOPIC_ID: i16 = 100;
    let response = decode(
        response_by_id(UNKNOWN_TOPIC_ID, &[]),
        Dialect::ById,
        |_, _| None,
    );
    assert_eq!(response.unwrap().error, UNKNOWN_TOPIC_ID);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), topics in 0u8..3) {
        let mut answer = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, topics];
        answer.extend(&bytes);
        // Either way is right; a panic is not.
        let _either = decode(Bytes::from(answer), Dialect::Named, |_, _| Some(0));
        let mut answer = vec![0; 15];
        answer.push(topics);
        answer.extend(bytes);
        let _either = decode(Bytes::from(answer), Dialect::ById, |_, _| Some(0));
    }
}
