use super::*;
use crate::kafka::writer::put_count;
use bytes::BytesMut;

const ID: [u8; 16] = [7; 16];

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_count(out, text.len());
    out.put_slice(text.as_bytes());
}

/// Two brokers, a topic with two partitions, of which one has no leader.
fn answer(error: i16) -> Bytes {
    let mut out = Vec::new();
    out.put_i32(1);
    out.put_u8(0);
    out.put_i32(0); // throttle time
    put_count(&mut out, 2);
    for node in [1, 2] {
        out.put_i32(node);
        put_text(&mut out, "kafka.example");
        out.put_i32(9092 + node);
        out.put_u8(0); // no rack
        out.put_u8(0);
    }
    put_text(&mut out, "cluster");
    out.put_i32(1);
    put_count(&mut out, 1);
    out.put_i16(error);
    put_text(&mut out, "t");
    out.put_slice(&ID);
    out.put_u8(0);
    put_count(&mut out, 2);
    for (partition, leader) in [(0, 2), (1, -1)] {
        out.put_i16(0);
        out.put_i32(partition);
        out.put_i32(leader);
        out.put_i32(5); // leader epoch
        for nodes in [2, 1, 0] {
            put_count(&mut out, nodes);
            (0..nodes).for_each(|node| out.put_i32(node as i32));
        }
        out.put_u8(0);
    }
    out.put_i32(i32::MIN);
    out.put_u8(0);
    out.put_u8(0);
    Bytes::from(out)
}

#[test]
fn leaders_and_the_id_are_read() {
    let place = |port| ("kafka.example".to_owned(), port);
    let expected = Metadata {
        error: 0,
        id: Some(TopicId(ID)),
        leaders: BTreeMap::from([(0, 2), (1, -1)]),
        brokers: BTreeMap::from([(1, place(9093)), (2, place(9094))]),
    };
    assert_eq!(read(answer(0), "t"), Ok(expected));
    assert_eq!(read(answer(3), "t").unwrap().error, 3);
    let other = read(answer(0), "another").unwrap();
    assert_eq!((other.id, other.leaders.len()), (None, 0));
    let whole = answer(0);
    for len in 0..whole.len() {
        assert!(read(whole.slice(..len), "t").is_err(), "cut at {len}");
    }
}

#[test]
fn a_request_in_the_compact_encoding() {
    let name = "n".repeat(200);
    let request = |absent| {
        let request = Request {
            key: METADATA,
            version: METADATA_BY_ID,
            correlation: 9,
            client_id: "me",
            body: Some((&name, absent)),
        };
        let mut out = BytesMut::new();
        request.encode(&mut out).unwrap();
        out
    };
    let bytes = request(Absent::Refused);
    assert_eq!(bytes[..14], *b"\0\x03\0\x0c\0\0\0\x09\0\x02me\0\x02");
    assert_eq!(bytes[14..30], [0; 16]);
    // 201 as a varint.
    assert_eq!(bytes[30..33], [0xC9, 0x01, b'n']);
    assert_eq!(bytes[32 + 200..], [0, 0, 0, 0]);
    assert_eq!(request(Absent::MayBeMade)[32 + 200..], [0, 1, 0, 0]);
}

#[test]
fn versions_are_read() {
    let mut out = Vec::new();
    out.put_i32(1);
    out.put_i16(0);
    out.put_i32(2);
    for (key, newest) in [(FETCH, 17), (METADATA, 13)] {
        out.put_i16(key);
        out.put_i16(0);
        out.put_i16(newest);
    }
    let found = newest(Bytes::from(out.clone())).unwrap();
    assert_eq!(found, BTreeMap::from([(FETCH, 17), (METADATA, 13)]));
    out.truncate(out.len() - 1);
    assert!(newest(Bytes::from(out)).is_err());
}

#[test]
fn ids_are_shown_as_kafka_shows_them() {
    assert_eq!(TopicId([0xFB; 16]).to_string(), "-_v7-_v7-_v7-_v7-_v7-w");
    assert_eq!(TopicId([0; 16]).known(), None);
}
