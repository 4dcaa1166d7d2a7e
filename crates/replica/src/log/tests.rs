//! openraft's own suite for storages, and what a disk can do to the log.

use super::super::machine::LeafMachine;
use super::super::store::Store;
use super::super::types::Leaf;
use super::scan::scan;
use super::*;
use openraft::EntryPayload;
use openraft::testing::{StoreBuilder, Suite, log_id};
use std::fs;
use tempfile::TempDir;
use wire::Level;

struct OnDisk;

impl StoreBuilder<Types, RaftLog, LeafMachine, TempDir> for OnDisk {
    async fn build(&self) -> Result<(TempDir, RaftLog, LeafMachine), StorageError> {
        let dir = TempDir::new().expect("a temporary directory");
        let log = RaftLog::create(dir.path(), StoreId::FOUNDING).map_err(read_failed)?;
        let store = Store::empty();
        let loaded = store.load(dir.path(), "demo", Level::NEWEST, Default::default());
        loaded.map_err(read_failed)?;
        let machine = LeafMachine::new(Arc::new(store), log.clone());
        Ok((dir, log, machine))
    }
}

#[test]
fn passes_openrafts_storage_suite() {
    Suite::test_all(OnDisk).unwrap();
}

fn entry(index: u64) -> Entry {
    Entry {
        log_id: log_id(1, 0, index),
        payload: EntryPayload::Normal(Leaf(vec![index as u8; 600])),
    }
}

fn filled(dir: &Path, entries: u64) -> RaftLog {
    let log = RaftLog::create(dir, StoreId::FOUNDING).unwrap();
    log.lock().save_vote(&Vote::new(1, 0)).unwrap();
    for index in 0..entries {
        log.write(&[entry(index)]).unwrap();
    }
    log
}

fn indices(log: &RaftLog) -> Vec<u64> {
    log.lock()
        .read(.., u64::MAX)
        .unwrap()
        .iter()
        .map(|entry| entry.log_id.index)
        .collect()
}

#[test]
fn survives_reopening() {
    let dir = TempDir::new().unwrap();
    let log = filled(dir.path(), 10);
    log.replacing(|log| log.truncate(7)).unwrap();
    log.shorten(log_id(1, 0, 3)).unwrap();
    log.write(&[entry(7)]).unwrap();
    let vote = Vote::new(4, 9);
    log.lock().save_vote(&vote).unwrap();
    for log in [log, RaftLog::open(dir.path()).unwrap()] {
        assert_eq!(indices(&log), [4, 5, 6, 7]);
        assert_eq!(log.lock().purged, Some(log_id(1, 0, 3)));
        assert_eq!(log.lock().vote, Some(vote));
        assert_eq!(log.lock().read(5..=5, u64::MAX).unwrap(), [entry(5)]);
    }
}

#[test]
fn a_batch_is_limited_by_bytes_but_never_empty() {
    let dir = TempDir::new().unwrap();
    let log = filled(dir.path(), 10);
    assert_eq!(log.lock().read(2..10, 1).unwrap(), [entry(2)]);
    assert_eq!(log.lock().read(2..10, 700).unwrap().len(), 2);
}

#[test]
fn the_extent_of_a_range_is_that_of_its_frames() {
    let dir = TempDir::new().unwrap();
    let log = filled(dir.path(), 10);
    log.shorten(log_id(1, 0, 3)).unwrap();
    let log = log.lock();
    let whole = log.extent(&(..));
    assert_eq!(log.extent(&(4..7)) + log.extent(&(7..=9)), whole);
    assert!(log.extent(&(4..7)) > 0);
    for nothing in [5..5, 0..4, 10..99] {
        assert_eq!(log.extent(&nothing), 0, "{nothing:?}");
    }
    assert_eq!(log.extent(&(0..99)), whole);
}

#[test]
fn a_torn_tail_is_cut_off_at_every_length() {
    let dir = TempDir::new().unwrap();
    drop(filled(dir.path(), 3));
    let path = dir.path().join(LOG);
    let whole = fs::read(&path).unwrap();
    let slots = scan(&path).unwrap().slots;
    for len in slots[2].offset..whole.len() as u64 {
        fs::write(&path, &whole[..len as usize]).unwrap();
        let log = RaftLog::open(dir.path()).unwrap();
        assert_eq!(indices(&log), [0, 1], "cut at {len}");
        log.write(&[entry(2)]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    // Space that was allotted and never written.
    let mut zeros = whole.clone();
    zeros.resize(whole.len() + 5000, 0);
    fs::write(&path, zeros).unwrap();
    assert_eq!(indices(&RaftLog::open(dir.path()).unwrap()), [0, 1, 2]);
    // The length made it to the disk, the last sector did not.
    let mut unwritten = whole.clone();
    unwritten.truncate(slots[2].offset as usize);
    let end = whole.len().next_multiple_of(512) - 512;
    unwritten.extend_from_slice(&whole[slots[2].offset as usize..end]);
    unwritten.resize(whole.len(), 0);
    fs::write(&path, unwritten).unwrap();
    assert_eq!(indices(&RaftLog::open(dir.path()).unwrap()), [0, 1]);
}

#[test]
fn a_flipped_bit_anywhere_is_refused_with_file_and_place() {
    let dir = TempDir::new().unwrap();
    let log = filled(dir.path(), 3);
    log.lock().save_vote(&Vote::new(4, 9)).unwrap();
    drop(log);
    for name in [LOG, VOTE] {
        let path = dir.path().join(name);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, bytes).unwrap();
            let refused = RaftLog::open(dir.path())
                .err()
                .expect("a flipped bit is refused");
            let text = refused.to_string();
            assert!(
                text.contains(name) && text.contains("is damaged at byte"),
                "byte {at}: {text}"
            );
        }
        fs::write(&path, whole).unwrap();
    }
    RaftLog::open(dir.path()).unwrap();
}

#[test]
fn a_frame_in_the_wrong_place_is_refused() {
    let dir = TempDir::new().unwrap();
    drop(filled(dir.path(), 3));
    let path = dir.path().join(LOG);
    let Scanned { slots, end, .. } = scan(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let at = |slot: usize| slots[slot].offset as usize;
    // Entries 1 and 2 exchanged, each intact in itself.
    let swapped = [
        &whole[..at(1)],
        &whole[at(2)..end as usize],
        &whole[at(1)..at(2)],
    ]
    .concat();
    fs::write(&path, swapped).unwrap();
    assert!(RaftLog::open(dir.path()).is_err());
}

/// Entries 0 to 3, durable, and 4 to 6, each written while the ones before were not; the bytes of
/// the file, and how many of them are durable.
fn with_a_tail(dir: &Path) -> (RaftLog, Vec<u8>, usize) {
    let log = filled(dir, 4);
    let durable = log.lock().end as usize;
    for index in 4..7 {
        log.lock().write(&[entry(index)]).unwrap();
    }
    let whole = fs::read(dir.join(LOG)).unwrap();
    (log, whole, durable)
}

/// The sectors of `bytes` that reach behind `from`, as ranges behind it.
fn sectors(from: usize, bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let first = from / 512;
    let last = bytes.len().div_ceil(512);
    let range = |sector: usize| (sector * 512).max(from)..((sector + 1) * 512).min(bytes.len());
    (first..last).map(range).collect()
}

#[test]
fn whatever_a_crash_loses_of_writes_under_way_the_rest_is_used() {
    let dir = TempDir::new().unwrap();
    let (log, whole, durable) = with_a_tail(dir.path());
    drop(log);
    let path = dir.path().join(LOG);
    let sectors = sectors(durable, &whole);
    assert!((4..8).contains(&sectors.len()), "{sectors:?}");
    let mut kept_in_all = std::collections::BTreeSet::new();
    for lost in 0..1_u32 << sectors.len() {
        let mut bytes = whole.clone();
        for (at, sector) in sectors.iter().enumerate() {
            if lost & (1 << at) != 0 {
                bytes[sector.clone()].fill(0);
            }
        }
        fs::write(&path, &bytes).unwrap();
        let log = RaftLog::open(dir.path()).unwrap_or_else(|error| panic!("{lost:b}: {error}"));
        let kept = indices(&log);
        assert!(kept.len() >= 4, "{lost:b}: {kept:?}");
        assert!(
            kept.iter().copied().eq(0..kept.len() as u64),
            "{lost:b}: {kept:?}"
        );
        assert_eq!(log.lock().end, fs::metadata(&path).unwrap().len());
        kept_in_all.insert(kept.len());
    }
    assert_eq!(kept_in_all, [4, 5, 6, 7].into());
}

#[test]
fn a_sector_lost_of_what_was_durable_is_damage() {
    let dir = TempDir::new().unwrap();
    let (log, _, _) = with_a_tail(dir.path());
    log.sync_now().unwrap();
    let durable = log.lock().end as usize;
    log.lock().write(&[entry(7)]).unwrap();
    log.lock().write(&[entry(8)]).unwrap();
    let path = dir.path().join(LOG);
    let whole = fs::read(&path).unwrap();
    for sector in sectors(0, &whole[..durable]) {
        let mut bytes = whole.clone();
        bytes[sector.clone()].fill(0);
        if bytes == whole {
            // All of it is zeros that were written.
            continue;
        }
        fs::write(&path, &bytes).unwrap();
        let refused = RaftLog::open(dir.path())
            .err()
            .map(|error| error.to_string());
        let refused = refused.unwrap_or_else(|| panic!("{sector:?} is missed"));
        assert!(
            refused.contains("is damaged at byte"),
            "{sector:?}: {refused}"
        );
    }
}

#[test]
fn marks_go_with_the_places_they_speak_of() {
    let dir = TempDir::new().unwrap();
    let (log, _, _) = with_a_tail(dir.path());
    log.shorten(log_id(1, 0, 1)).unwrap();
    assert!(log.lock().to_sync().is_none(), "the new file is durable");
    let path = dir.path().join(LOG);
    let whole = fs::read(&path).unwrap();
    let slots = scan(&path).unwrap().slots;
    // Any entry but the last: the next one attests it.
    for pair in slots.windows(2) {
        let mut bytes = whole.clone();
        bytes[pair[0].offset as usize..pair[1].offset as usize].fill(0);
        fs::write(&path, &bytes).unwrap();
        assert!(RaftLog::open(dir.path()).is_err(), "at {}", pair[0].offset);
    }
}

#[test]
fn a_leader_resumes_after_an_orderly_stop_only() {
    for orderly in [true, false] {
        let dir = TempDir::new().unwrap();
        let log = filled(dir.path(), 3);
        log.lock().save_vote(&Vote::new_committed(1, 7)).unwrap();
        if orderly {
            log.close().unwrap();
        }
        drop(log);
        let log = RaftLog::open(dir.path()).unwrap();
        log.take_part(7);
        let vote = log.lock().vote;
        let resumed = Vote {
            committed: orderly,
            ..Vote::new(1, 7)
        };
        assert_eq!(vote, Some(resumed));
        // A vote for somebody else stands in any case.
        log.lock().save_vote(&Vote::new_committed(2, 8)).unwrap();
        let log = RaftLog::open(dir.path()).unwrap();
        log.take_part(7);
        assert_eq!(log.lock().vote, Some(Vote::new_committed(2, 8)));
    }
}
