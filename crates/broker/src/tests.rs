mod space;

use crate::codec::Code;
use crate::groups::{Group, Join};
use crate::log::Log;
use crate::offsets::{Committed, Offsets};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;

/// A batch of `records` records (its payload is not looked at).
fn batch(records: i32, payload: usize) -> Vec<u8> {
    let mut bytes = vec![0u8; 61 + payload];
    bytes[8..12].copy_from_slice(&(49 + payload as i32).to_be_bytes());
    bytes[16] = 2;
    bytes[23..27].copy_from_slice(&(records - 1).to_be_bytes());
    bytes[35..43].copy_from_slice(&1_000i64.to_be_bytes());
    bytes[57..61].copy_from_slice(&records.to_be_bytes());
    let checksum = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

#[test]
fn a_log_gives_offsets_and_keeps_its_bounds() {
    let mut log = Log::in_memory(1000);
    assert_eq!(
        log.append([batch(3, 100), batch(2, 100)].concat().into()),
        Ok(0)
    );
    assert_eq!(log.append(batch(1, 100).into()), Ok(5));
    assert_eq!((log.start(), log.end()), (0, 6));
    assert_eq!(
        log.read(4, 10).len(),
        161,
        "a batch comes whole, whatever the limit"
    );
    assert_eq!(log.read(0, 400).len(), 322);
    assert_eq!(log.read(6, 400).len(), 0);
    assert_eq!(log.find(1_000), Some((1_000, 0)));
    assert_eq!(log.find(1_001), None);
    for _ in 0..10 {
        log.append(batch(1, 100).into()).unwrap();
    }
    assert_eq!(
        (log.start(), log.end()),
        (10, 16),
        "the oldest batches are gone"
    );
}

#[test]
fn bad_batches_are_refused_and_leave_nothing() {
    let mut log = Log::in_memory(1000);
    let check = |log: &mut Log, at: usize, value: u8, code: Code| {
        let mut bytes = batch(2, 10);
        bytes[at] = value;
        assert_eq!(log.append([batch(1, 1), bytes].concat().into()), Err(code));
        assert_eq!(log.end(), 0);
    };
    check(&mut log, 16, 1, Code::UnsupportedForMessageFormat);
    check(&mut log, 70, 9, Code::CorruptMessage);
    check(&mut log, 8, 0x80, Code::CorruptMessage);
    check(&mut log, 11, 255, Code::CorruptMessage);
    assert_eq!(log.append(batch(0, 10).into()), Err(Code::InvalidRecord));
    assert_eq!(
        log.append(batch(1, 10)[..40].to_vec().into()),
        Err(Code::CorruptMessage)
    );
}

#[test]
fn a_log_file_survives_a_torn_tail_and_is_compacted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t-0.log");
    let mut log = Log::open(path.clone(), 1000).unwrap();
    log.append(batch(3, 100).into()).unwrap();
    log.append(batch(2, 100).into()).unwrap();
    drop(log);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 7]).unwrap();
    let mut log = Log::open(path.clone(), 1000).unwrap();
    assert_eq!(log.end(), 3, "the torn batch is cut off");
    for _ in 0..40 {
        log.append(batch(1, 100).into()).unwrap();
    }
    assert!(std::fs::metadata(&path).unwrap().len() <= 2_500);
    let (start, end) = (log.start(), log.end());
    drop(log);
    let log = Log::open(path, 1000).unwrap();
    assert_eq!((log.start(), log.end()), (start, end));
}

#[test]
fn committed_offsets_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("offsets.tsv");
    let mut offsets = Offsets::open(&path).unwrap();
    let value = |offset| Committed {
        offset,
        metadata: "a\tb\\n\n".to_owned(),
    };
    offsets.put("g\t1", "t", 0, value(1)).unwrap();
    offsets.put("g\t1", "t", 0, value(7)).unwrap();
    offsets.put("other", "t", 1, value(3)).unwrap();
    let offsets = Offsets::open(&path).unwrap();
    assert_eq!(offsets.get("g\t1", "t", 0), Some(&value(7)));
    assert_eq!(offsets.get("g\t1", "t", 1), None);
    assert_eq!(offsets.of_group("other"), [("t".to_owned(), vec![1])]);
}

fn join() -> Join {
    Join {
        session_ms: 6_000,
        rebalance_ms: 10_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::from_static(b"m"))],
    }
}

#[test]
fn a_group_joins_syncs_and_rebalances() {
    let start = Instant::now();
    let at = |millis| start + Duration::from_millis(millis);
    let mut group = Group::new(start);
    let delay = Duration::from_millis(50);
    let mut a = group
        .join(at(0), "a".to_owned(), false, join(), delay)
        .unwrap();
    assert!(
        a.try_recv().is_err(),
        "the first generation waits for more members"
    );
    let mut b = group
        .join(at(10), "b".to_owned(), false, join(), delay)
        .unwrap();
    group.expire(at(60));
    let (a, b) = (a.try_recv().unwrap(), b.try_recv().unwrap());
    assert_eq!(
        (
            a.generation,
            b.generation,
            a.leader.as_str(),
            a.members.len(),
            b.members.len()
        ),
        (1, 1, "a", 2, 0)
    );

    let mut waiting = group.sync(at(70), "b", 1, vec![]).unwrap();
    assert!(waiting.try_recv().is_err());
    assert_eq!(
        group.may_commit(at(70), "b", 1),
        Err(Code::RebalanceInProgress)
    );
    let given = vec![
        ("a".to_owned(), Bytes::from_static(b"0")),
        ("b".to_owned(), Bytes::from_static(b"1")),
    ];
    assert_eq!(
        group
            .sync(at(80), "a", 1, given)
            .unwrap()
            .try_recv()
            .unwrap(),
        Ok(Bytes::from_static(b"0"))
    );
    assert_eq!(waiting.try_recv().unwrap(), Ok(Bytes::from_static(b"1")));
    assert_eq!(group.may_commit(at(90), "b", 1), Ok(()));
    assert_eq!(
        group.may_commit(at(90), "", -1),
        Err(Code::UnknownMember),
        "members fence others off"
    );
    assert_eq!(
        group.heartbeat(at(90), "b", 2),
        Err(Code::IllegalGeneration)
    );

    // b falls silent; a notices by its heartbeat and joins again alone.
    assert_eq!(group.heartbeat(at(5_000), "a", 1), Ok(()));
    group.expire(at(6_200));
    assert_eq!(
        group.heartbeat(at(6_300), "a", 1),
        Err(Code::RebalanceInProgress)
    );
    let again = group
        .join(at(6_300), "a".to_owned(), true, join(), delay)
        .unwrap()
        .try_recv()
        .unwrap();
    assert_eq!((again.generation, again.members.len()), (2, 1));
    assert_eq!(group.heartbeat(at(6_300), "b", 1), Err(Code::UnknownMember));
    group.leave(at(6_400), "a").unwrap();
    assert_eq!(group.may_commit(at(6_500), "", -1), Ok(()));
}

#[test]
fn unfit_members_are_refused() {
    let start = Instant::now();
    let mut group = Group::new(start);
    let mut attempt = |id: &str, known, change: &dyn Fn(&mut Join)| {
        let mut join = join();
        change(&mut join);
        group
            .join(start, id.to_owned(), known, join, Duration::ZERO)
            .map(|_| ())
    };
    assert_eq!(attempt("a", true, &|_| {}), Err(Code::UnknownMember));
    assert_eq!(
        attempt("a", false, &|join| join.session_ms = 0),
        Err(Code::InvalidSessionTimeout)
    );
    assert_eq!(
        attempt("a", false, &|join| join.protocols.clear()),
        Err(Code::InconsistentGroupProtocol)
    );
    assert_eq!(attempt("a", false, &|_| {}), Ok(()));
    assert_eq!(
        attempt("b", false, &|join| join.protocols[0].0 =
            "sticky".to_owned()),
        Err(Code::InconsistentGroupProtocol)
    );
    assert_eq!(
        attempt("b", false, &|join| join.protocol_type =
            "connect".to_owned()),
        Err(Code::InconsistentGroupProtocol)
    );
}
