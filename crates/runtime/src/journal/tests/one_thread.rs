//! Where there is but one thread: the writer is a task, and promises the same.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_waits_is_committed_together_and_takes_no_virtual_time() {
    let dir = TempDir::new().expect("a directory");
    let (journal, _) = open(dir.path(), JournalOptions::default());
    let start = tokio::time::Instant::now();
    let mut pending = Vec::new();
    for seq in 1..=20 {
        pending.push((seq, journal.submit(payload(seq)).await.expect("taken")));
    }
    assert_eq!(journal.last(), 0, "nothing is written before its turn");
    for (seq, pending) in pending {
        assert_eq!(pending.await, Ok(seq));
    }
    assert_eq!(journal.commits(), 1);
    assert_eq!(start.elapsed(), std::time::Duration::ZERO);
    assert_eq!(records(&journal, 1), expected(1, 20));
}

/// Also what did not fit into a batch.
#[tokio::test]
async fn the_last_handle_answers_what_was_waiting() {
    let dir = TempDir::new().expect("a directory");
    let options = JournalOptions {
        max_batch: 7,
        max_batch_bytes: 100,
        ..small()
    };
    let (journal, _) = open(dir.path(), options);
    let mut pending = Vec::new();
    for seq in 1..=20 {
        pending.push((seq, journal.submit(payload(seq)).await.expect("taken")));
    }
    drop(journal);
    // Open for the next one at once, for nobody else writes any more.
    let (journal, _) = open(dir.path(), small());
    assert_eq!(records(&journal, 1), expected(1, 20));
    for (seq, pending) in pending {
        assert_eq!(pending.await, Ok(seq));
    }
    fill(&journal, 21, 25).await;
}

#[tokio::test]
async fn a_full_disk_is_survived_here_too() {
    space::on_a_full_disk().await;
}

/// A disk that makes its writer panic: a mistake of ours.
struct Trap;

impl Disk for Trap {
    fn create(&mut self, path: &Path) -> io::Result<File> {
        RealDisk.create(path)
    }

    fn write_at(&mut self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        assert!(offset == 0, "the trap");
        RealDisk.write_at(file, bytes, offset)
    }

    fn reserve(&mut self, file: &File, from: u64, to: u64) -> io::Result<()> {
        RealDisk.reserve(file, from, to)
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        RealDisk.sync(file)
    }

    fn truncate(&mut self, file: &File, len: u64) -> io::Result<()> {
        RealDisk.truncate(file, len)
    }

    fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
}

#[tokio::test]
async fn a_writer_that_panics_leaves_nobody_waiting() {
    let dir = TempDir::new().expect("a directory");
    let (journal, _) = Journal::open_on(Trap, dir.path(), small()).expect("opens");
    assert_eq!(journal.append(payload(1)).await, Err(JournalError::Closed));
    assert_eq!(journal.append(payload(2)).await, Err(JournalError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_held_is_not_waited_for_with_the_only_thread() {
    let dir = TempDir::new().expect("a directory");
    let (journal, _) = open(dir.path(), small());
    let start = std::time::Instant::now();
    let error = Journal::open(dir.path(), small()).err().expect("refused");
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(start.elapsed() < LOCK_PAUSE * LOCK_TRIES);
    drop(journal);
    open(dir.path(), small());
}
