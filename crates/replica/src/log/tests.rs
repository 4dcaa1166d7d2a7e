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

struct OnDisk;

impl StoreBuilder<Types, RaftLog, LeafMachine, TempDir> for OnDisk {
    async fn build(&self) -> Result<(TempDir, RaftLog, LeafMachine), StorageError> {
        let dir = TempDir::new().expect("a temporary directory");
        let log = RaftLog::create(dir.path(), StoreId::FOUNDING).map_err(read_failed)?;
        let store = Store::empty();
        let loaded = store.load(dir.path(), "demo", Default::default());
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
    log.write(&(0..entries).map(entry).collect::<Vec<_>>())
        .unwrap();
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
