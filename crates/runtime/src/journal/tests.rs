//! On a multi-threaded runtime, as in production, where the writer has a thread of its own;
//! `one_thread` has the other way.

use super::disk::{Disk, RealDisk};
use super::*;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

mod crash;
mod one_thread;
mod sealed;
mod space;

fn small() -> JournalOptions {
    JournalOptions {
        segment_bytes: 256,
        ..JournalOptions::default()
    }
}

fn open(dir: &Path, options: JournalOptions) -> (Journal, Recovery) {
    Journal::open(dir, options).expect("the journal opens")
}

/// The segment of a journal that has one.
fn only_segment(dir: &Path) -> PathBuf {
    match &segments(dir)[..] {
        [file] => file.clone(),
        several => panic!("one segment, not {several:?}"),
    }
}

/// Cuts a file, or lets zeros follow.
fn set_len(file: &Path, len: u64) {
    let opened = File::options().write(true).open(file).expect("opens");
    opened.set_len(len).expect("sets the length");
}

/// How long `file` is without the space that the writer has in advance, and the journal opened again.
fn closed_len(journal: Journal, dir: &Path, file: &Path) -> (u64, Journal) {
    drop(journal);
    let len = fs::metadata(file).expect("exists").len();
    (len, open(dir, JournalOptions::default()).0)
}

fn records(journal: &Journal, from: u64) -> Vec<(u64, Vec<u8>)> {
    journal
        .read_from(from)
        .expect("the directory lists")
        .map(|record| {
            record
                .map(|record| (record.seq, record.payload))
                .expect("a sound record")
        })
        .collect()
}

fn payload(seq: u64) -> Vec<u8> {
    format!("record {seq} {}", "x".repeat(seq as usize % 40)).into_bytes()
}

async fn fill(journal: &Journal, from: u64, to: u64) {
    for seq in from..=to {
        assert_eq!(journal.append(payload(seq)).await, Ok(seq));
    }
}

fn expected(from: u64, to: u64) -> Vec<(u64, Vec<u8>)> {
    (from..=to).map(|seq| (seq, payload(seq))).collect()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    segment::list(dir)
        .expect("lists")
        .into_iter()
        .map(|segment| segment.path)
        .collect()
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("lists") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copies");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn reopened_journal_has_every_record_and_goes_on_numbering() {
    let dir = TempDir::new().expect("a directory");
    let (journal, recovery) = open(dir.path(), small());
    assert_eq!(
        recovery,
        Recovery {
            records: 0,
            first: 1,
            next: 1,
            torn_tail: None
        }
    );
    fill(&journal, 1, 50).await;
    assert_eq!(records(&journal, 0), expected(1, 50));
    drop(journal);

    let (journal, recovery) = open(dir.path(), small());
    assert_eq!(
        recovery,
        Recovery {
            records: 50,
            first: 1,
            next: 51,
            torn_tail: None
        }
    );
    assert!(segments(dir.path()).len() > 3, "small segments roll");
    fill(&journal, 51, 60).await;
    assert_eq!(records(&journal, 37), expected(37, 60));
    assert_eq!(records(&journal, 61), vec![]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_second_opener_is_refused() {
    let dir = TempDir::new().expect("a directory");
    let (_journal, _) = open(dir.path(), small());
    let error = Journal::open(dir.path(), small()).err().expect("refused");
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_tail_torn_at_any_byte_is_cut_off_and_reported() {
    let origin = TempDir::new().expect("a directory");
    let (journal, _) = open(origin.path(), JournalOptions::default());
    fill(&journal, 1, 4).await;
    let file = &only_segment(origin.path());
    let (before, journal) = closed_len(journal, origin.path(), file);
    fill(&journal, 5, 5).await;
    drop(journal);
    let after = fs::metadata(file).expect("exists").len();

    for len in before..after {
        let dir = TempDir::new().expect("a directory");
        copy(origin.path(), dir.path());
        let cut = &only_segment(dir.path());
        set_len(cut, len);

        let (journal, recovery) = open(dir.path(), JournalOptions::default());
        assert_eq!((recovery.records, recovery.next), (4, 5));
        match recovery.torn_tail {
            None => assert_eq!(len, before),
            Some(torn) => {
                assert_eq!((&torn.file, torn.offset), (cut, before));
                let written = fs::read(file).expect("reads");
                let zeros = written[..len as usize]
                    .iter()
                    .rev()
                    .take_while(|byte| **byte == 0);
                assert_eq!(torn.bytes, len - before - zeros.count() as u64);
            }
        }
        fill(&journal, 5, 6).await;
        assert_eq!(records(&journal, 1), expected(1, 6));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_segment_torn_within_its_header_is_started_again() {
    let origin = TempDir::new().expect("a directory");
    let (journal, _) = open(origin.path(), JournalOptions::default());
    fill(&journal, 1, 3).await;
    drop(journal);
    for len in 0..=segment::PLAIN_HEADER {
        let dir = TempDir::new().expect("a directory");
        copy(origin.path(), dir.path());
        fs::write(segment::Segment::new(dir.path(), 4).path, vec![0; len]).expect("writes");
        let (journal, recovery) = open(dir.path(), JournalOptions::default());
        assert_eq!((recovery.records, recovery.next), (3, 4));
        assert!(recovery.torn_tail.is_some());
        fill(&journal, 4, 5).await;
        assert_eq!(records(&journal, 1), expected(1, 5));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_flipped_bit_in_a_durable_record_is_an_error_that_names_the_place() {
    let origin = TempDir::new().expect("a directory");
    let (journal, _) = open(origin.path(), JournalOptions::default());
    fill(&journal, 1, 2).await;
    let file = &only_segment(origin.path());
    let (start, journal) = closed_len(journal, origin.path(), file);
    fill(&journal, 3, 3).await;
    let (end, journal) = closed_len(journal, origin.path(), file);
    let (start, end) = (start as usize, end as usize);
    fill(&journal, 4, 5).await;
    drop(journal);
    let sound = fs::read(file).expect("reads");

    for place in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[place] ^= 1 << (place % 8);
        fs::write(file, &bytes).expect("writes");
        let outcome = Journal::open(origin.path(), JournalOptions::default());
        match outcome {
            Err(OpenError::Corrupt {
                file: named,
                offset,
                ..
            }) => {
                assert_eq!(&named, file);
                assert!(offset as usize <= place);
                if (start..end).contains(&place) {
                    assert_eq!(offset as usize, start);
                }
            }
            // Nothing behind the last record bears witness that it had been durable.
            Ok((journal, recovery)) => {
                assert!(recovery.torn_tail.is_some(), "byte {place}: went unnoticed");
                assert_eq!((recovery.records, journal.last()), (4, 4));
                assert!(place >= end);
            }
            Err(error) => panic!("byte {place}: {error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_flipped_bit_in_an_earlier_segment_is_never_a_torn_tail() {
    let dir = TempDir::new().expect("a directory");
    let (journal, _) = open(dir.path(), small());
    fill(&journal, 1, 30).await;
    drop(journal);
    let file = &segments(dir.path())[0];
    let mut bytes = fs::read(file).expect("reads");
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(file, bytes).expect("writes");
    let error = Journal::open(dir.path(), small()).err().expect("refused");
    assert!(
        matches!(&error, OpenError::Corrupt { file: named, .. } if named == file),
        "{error}"
    );
}

/// A batch of which the disk kept the second page and not the first was never acknowledged.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_hole_in_the_last_batch_is_a_torn_tail() {
    let dir = TempDir::new().expect("a directory");
    let (journal, _) = open(dir.path(), JournalOptions::default());
    fill(&journal, 1, 2).await;
    drop(journal);
    let file = &only_segment(dir.path());
    let mut bytes = fs::read(file).expect("reads");
    let segment = &segment::list(dir.path()).expect("lists")[0];
    let salt = segment.head(&bytes).expect("a sound header").salt;
    let whole = bytes.len();
    record::write(salt, 3, 2, b"first of the batch", &mut bytes);
    let hole = whole..bytes.len();
    record::write(salt, 4, 2, b"second of the batch", &mut bytes);
    bytes[hole].fill(0);
    fs::write(file, &bytes).expect("writes");

    let (journal, recovery) = open(dir.path(), JournalOptions::default());
    assert_eq!((recovery.records, recovery.next), (2, 3));
    assert_eq!(recovery.torn_tail.expect("reported").offset, whole as u64);
    fill(&journal, 3, 4).await;
    assert_eq!(records(&journal, 1), expected(1, 4));
}

/// A stranger's mail that looks like a record must not decide how recovery reads a torn tail.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_record_forged_within_a_payload_is_not_believed() {
    let dir = TempDir::new().expect("a directory");
    let (journal, _) = open(dir.path(), JournalOptions::default());
    fill(&journal, 1, 1).await;
    let file = &only_segment(dir.path());
    let (whole, journal) = closed_len(journal, dir.path(), file);
    let mut forged = vec![b' '; 64];
    record::write(
        0,
        3,
        2,
        b"i am durable, and so was the one before me",
        &mut forged,
    );
    forged.extend([b' '; 64]);
    assert_eq!(journal.append(forged).await, Ok(2));
    drop(journal);
    let len = fs::metadata(file).expect("exists").len();
    set_len(file, len - 1);
    let (_, recovery) = open(dir.path(), JournalOptions::default());
    assert_eq!(recovery.torn_tail.expect("reported").offset, whole);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_concurrent_appends_share_commits_and_none_is_lost() {
    const SENDERS: u64 = 64;
    const EACH: u64 = 25;
    let dir = TempDir::new().expect("a directory");
    let options = JournalOptions {
        segment_bytes: 8 << 10,
        queue: 16,
        ..JournalOptions::default()
    };
    let (journal, _) = open(dir.path(), options.clone());
    let tasks: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let journal = journal.clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0..EACH {
                    let payload = format!("{sender}/{number}").into_bytes();
                    let seq = journal.append(payload.clone()).await.expect("durable");
                    acknowledged.push((seq, payload));
                }
                acknowledged
            })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await.expect("the sender ends"));
    }
    acknowledged.sort();
    let commits = journal.commits();
    drop(journal);

    let (journal, recovery) = open(dir.path(), options);
    assert_eq!(recovery.records, SENDERS * EACH);
    assert_eq!(records(&journal, 1), acknowledged);
    assert!(
        commits < SENDERS * EACH,
        "{commits} commits for {} appends",
        SENDERS * EACH
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn submitted_records_are_numbered_in_order_of_submission() {
    let dir = TempDir::new().expect("a directory");
    let (journal, _) = open(dir.path(), small());
    let mut pending = Vec::new();
    for seq in 1..=20 {
        pending.push((seq, journal.submit(payload(seq)).await.expect("taken")));
    }
    for (seq, pending) in pending {
        assert_eq!(pending.await, Ok(seq));
    }
}

/// What follows a commit happens in its order, and a record that is refused is not heard of again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_writer_itself_says_what_became_of_a_record() {
    let dir = TempDir::new().expect("a directory");
    let (journal, _) = open(dir.path(), small());
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    for seq in 1..=50 {
        let tell = tell.clone();
        let ended = move |durable| drop(tell.send((seq, durable)));
        journal
            .submit_then(payload(seq), ended)
            .await
            .expect("taken");
    }
    let never = move |_| drop(tell.send((0, Err(JournalError::Closed))));
    let error = journal.submit_then(vec![0; MAX_PAYLOAD + 1], never).await;
    assert!(
        matches!(error, Err(JournalError::TooLarge { .. })),
        "{error:?}"
    );
    for seq in 1..=50 {
        assert_eq!(told.recv().await, Some((seq, Ok(seq))));
    }
    assert_eq!(told.recv().await, None, "dropped uncalled");
    assert_eq!(records(&journal, 1), expected(1, 50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn too_large_a_record_is_refused_and_the_rest_goes_on() {
    let dir = TempDir::new().expect("a directory");
    let (journal, _) = open(dir.path(), small());
    let error = journal
        .append(vec![0; MAX_PAYLOAD + 1])
        .await
        .expect_err("refused");
    assert_eq!(
        error,
        JournalError::TooLarge {
            len: MAX_PAYLOAD + 1,
            limit: MAX_PAYLOAD
        }
    );
    fill(&journal, 1, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_processed_mark_survives_and_release_drops_whole_segments_below_it() {
    let dir = TempDir::new().expect("a directory");
    let (journal, _) = open(dir.path(), small());
    fill(&journal, 1, 40).await;
    assert_eq!(journal.processed(), 0);
    assert_eq!(
        journal.release(40).expect("nothing to do"),
        0,
        "nothing is worked off yet"
    );

    journal.mark_processed(25).expect("written");
    journal.mark_processed(3).expect("never goes back");
    assert_eq!(journal.processed(), 25);
    let error = journal
        .mark_processed(41)
        .expect_err("there is no record 41");
    assert!(error.to_string().contains("41"), "{error}");
    let before = segments(dir.path()).len();
    let removed = journal.release(u64::MAX).expect("releases");
    assert!(removed > 0);
    assert_eq!(segments(dir.path()).len(), before - removed);
    drop(journal);

    let (journal, recovery) = open(dir.path(), small());
    assert_eq!(journal.processed(), 25);
    assert!((2..=26).contains(&recovery.first), "{recovery:?}");
    assert_eq!(records(&journal, 26), expected(26, 40));
    journal.mark_processed(40).expect("written");
    journal.release(40).expect("releases");
    assert_eq!(
        segments(dir.path()).len(),
        1,
        "the last segment carries the numbering"
    );
    drop(journal);
    let (journal, _) = open(dir.path(), small());
    fill(&journal, 41, 42).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_damaged_processed_mark_counts_for_none_and_one_ahead_of_the_journal_is_an_error() {
    let dir = TempDir::new().expect("a directory");
    let (journal, _) = open(dir.path(), small());
    fill(&journal, 1, 3).await;
    journal.mark_processed(2).expect("written");
    drop(journal);
    let mark = dir.path().join("processed");
    let sound = fs::read(&mark).expect("reads");
    for place in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[place] ^= 1 << (place % 8);
        fs::write(&mark, &bytes).expect("writes");
        let (journal, recovery) = open(dir.path(), small());
        assert_eq!((journal.processed(), recovery.records), (0, 3));
    }
    let (journal, _) = open(dir.path(), small());
    journal.mark_processed(1).expect("written");
    drop(journal);
    let (journal, _) = open(dir.path(), small());
    assert_eq!(journal.processed(), 1, "the next mark is a sound one");
    drop(journal);
    // With the records gone, too, a new journal would give their numbers to others.
    let gone = TempDir::new().expect("a directory");
    fs::write(gone.path().join("processed"), "junk").expect("writes");
    let error = Journal::open(gone.path(), small()).err().expect("refused");
    assert!(error.to_string().contains("processed"), "{error}");
    watermark::store(dir.path(), 9).expect("writes");
    let error = Journal::open(dir.path(), small()).err().expect("refused");
    assert!(error.to_string().contains("record 9"), "{error}");
    fs::remove_file(mark).expect("removes");
    open(dir.path(), small());
}

/// What a crash leaves is a segment with zeros behind its records, and perhaps a torn write before them.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn space_in_advance_is_no_torn_tail() {
    let origin = TempDir::new().expect("a directory");
    let (journal, _) = open(origin.path(), JournalOptions::default());
    fill(&journal, 1, 4).await;
    let file = &only_segment(origin.path());
    assert_eq!(fs::metadata(file).expect("exists").len(), RESERVE_BYTES);
    assert_eq!(records(&journal, 2), expected(2, 4));
    let crashed = TempDir::new().expect("a directory");
    copy(origin.path(), crashed.path());
    let (before, journal) = closed_len(journal, origin.path(), file);
    fill(&journal, 5, 5).await;
    let (after, _journal) = closed_len(journal, origin.path(), file);
    let sound = fs::read(file).expect("reads");

    let (journal, recovery) = open(crashed.path(), JournalOptions::default());
    assert_eq!((recovery.records, recovery.torn_tail), (4, None));
    fill(&journal, 5, 9).await;
    assert_eq!(records(&journal, 1), expected(1, 9));
    drop(journal);

    for cut in before + 1..after {
        let dir = TempDir::new().expect("a directory");
        let torn = dir.path().join(file.file_name().expect("a name"));
        let mut bytes = sound[..cut as usize].to_vec();
        bytes.resize(after as usize + 4_096, 0);
        fs::write(&torn, bytes).expect("writes");
        let (journal, recovery) = open(dir.path(), JournalOptions::default());
        let tail = recovery.torn_tail.expect("reported");
        assert_eq!((recovery.records, tail.offset), (4, before), "cut at {cut}");
        assert!(tail.bytes <= cut - before, "zeros are no part of it");
        fill(&journal, 5, 6).await;
        assert_eq!(records(&journal, 1), expected(1, 6));
    }
}

/// A segment that was given up with zeros at its end, by a crash while the next one began, is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn zeros_at_the_end_of_an_earlier_segment_are_passed_over() {
    let dir = TempDir::new().expect("a directory");
    let (journal, _) = open(dir.path(), small());
    fill(&journal, 1, 30).await;
    drop(journal);
    let file = &segments(dir.path())[0];
    let len = fs::metadata(file).expect("exists").len();
    set_len(file, len + 500);
    let (journal, recovery) = open(dir.path(), small());
    assert_eq!((recovery.records, recovery.torn_tail), (30, None));
    assert_eq!(records(&journal, 1), expected(1, 30));
    drop(journal);
    // Records that became zeros are missed all the same: the next segment says where it begins.
    set_len(file, len - 60);
    set_len(file, len);
    let error = Journal::open(dir.path(), small()).err().expect("refused");
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
}
