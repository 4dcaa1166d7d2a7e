//! A disk that is full, and one that lies: by faults at the seam, and by the kernel itself.

use super::*;

/// The real disk with a budget of bytes and, on demand, a failing sync.
#[derive(Clone)]
pub(super) struct Scarce {
    pub(super) left: Arc<AtomicU64>,
    /// How often space was asked for in advance; there is none.
    asked: Arc<AtomicU64>,
    sync_error: Arc<Mutex<Option<io::ErrorKind>>>,
}

impl Scarce {
    pub(super) fn new(left: u64) -> Self {
        Self {
            left: Arc::new(AtomicU64::new(left)),
            asked: Arc::default(),
            sync_error: Arc::default(),
        }
    }

    fn fail_next_sync(&self, kind: io::ErrorKind) {
        *self.sync_error.lock().expect("no panic") = Some(kind);
    }
}

impl Disk for Scarce {
    fn create(&mut self, path: &Path) -> io::Result<File> {
        RealDisk.create(path)
    }

    /// Like the kernel: writes what fits, then says that there is no space.
    fn write_at(&mut self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let fits = (self.left.load(Ordering::SeqCst) as usize).min(bytes.len());
        RealDisk.write_at(file, &bytes[..fits], offset)?;
        if fits < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.left.fetch_sub(fits as u64, Ordering::SeqCst);
        Ok(())
    }

    fn reserve(&mut self, _: &File, _: u64, _: u64) -> io::Result<()> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        match self.sync_error.lock().expect("no panic").take() {
            Some(kind) => Err(kind.into()),
            None => RealDisk.sync(file),
        }
    }

    fn truncate(&mut self, file: &File, len: u64) -> io::Result<()> {
        RealDisk.truncate(file, len)
    }

    fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }
}

/// A file system without `fallocate` costs one question for each step, not one for each commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn space_in_advance_is_not_needed() {
    let dir = TempDir::new().expect("a directory");
    let disk = Scarce::new(u64::MAX / 2);
    let options = JournalOptions::default();
    let (journal, _) = Journal::open_on(disk.clone(), dir.path(), options.clone()).expect("opens");
    fill(&journal, 1, 20).await;
    assert_eq!(disk.asked.load(Ordering::SeqCst), 1);
    drop(journal);
    let (journal, recovery) = open(dir.path(), options);
    assert_eq!((recovery.records, recovery.torn_tail), (20, None));
    assert_eq!(records(&journal, 1), expected(1, 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_full_disk_refuses_keeps_and_recovers() {
    on_a_full_disk().await;
}

/// For every number of bytes that may be left: what was acknowledged stays, the rest is refused
/// as `Full`, and with space the numbering goes on without a gap.
pub(super) async fn on_a_full_disk() {
    for left in (0..600).step_by(7) {
        let dir = TempDir::new().expect("a directory");
        let disk = Scarce::new(left);
        let (journal, _) = Journal::open_on(disk.clone(), dir.path(), small()).expect("opens");
        let mut last = 0;
        let error = loop {
            match journal.append(payload(last + 1)).await {
                Ok(seq) => last = seq,
                Err(error) => break error,
            }
        };
        assert_eq!(
            error,
            JournalError::Full {
                dir: dir.path().to_owned()
            }
        );
        assert!(journal.is_full());
        assert_eq!(records(&journal, 1), expected(1, last));

        disk.left.store(u64::MAX / 2, Ordering::SeqCst);
        fill(&journal, last + 1, last + 9).await;
        assert!(!journal.is_full());
        drop(journal);
        let (journal, recovery) = open(dir.path(), small());
        assert_eq!(recovery.torn_tail, None);
        assert_eq!(records(&journal, 1), expected(1, last + 9));
    }
}

/// A crash right after the refusal: the cut-off remainder is gone or a torn tail.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_crash_on_a_full_disk_keeps_what_was_acknowledged() {
    let dir = TempDir::new().expect("a directory");
    let (journal, _) = Journal::open_on(Scarce::new(200), dir.path(), small()).expect("opens");
    fill(&journal, 1, 3).await;
    journal
        .append(vec![b'x'; 300])
        .await
        .expect_err("does not fit");
    drop(journal);
    let (journal, recovery) = open(dir.path(), small());
    assert_eq!(recovery.torn_tail, None);
    assert_eq!(records(&journal, 1), expected(1, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_space_at_the_sync_starts_a_new_segment() {
    let dir = TempDir::new().expect("a directory");
    let disk = Scarce::new(u64::MAX / 2);
    let (journal, _) = Journal::open_on(disk.clone(), dir.path(), small()).expect("opens");
    fill(&journal, 1, 2).await;
    disk.fail_next_sync(io::ErrorKind::StorageFull);
    let error = journal.append(payload(3)).await.expect_err("not durable");
    assert!(matches!(error, JournalError::Full { .. }), "{error}");
    fill(&journal, 3, 4).await;
    assert_eq!(segments(dir.path()).len(), 2);
    drop(journal);
    let (journal, recovery) = open(dir.path(), small());
    assert_eq!(recovery.torn_tail, None);
    assert_eq!(records(&journal, 1), expected(1, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_failed_sync_poisons_the_journal_until_it_is_opened_again() {
    let dir = TempDir::new().expect("a directory");
    let disk = Scarce::new(u64::MAX / 2);
    let (journal, _) = Journal::open_on(disk.clone(), dir.path(), small()).expect("opens");
    fill(&journal, 1, 2).await;
    disk.fail_next_sync(io::ErrorKind::Other);
    for _ in 0..3 {
        let error = journal.append(payload(3)).await.expect_err("refused");
        assert!(matches!(error, JournalError::Failed { .. }), "{error}");
    }
    assert!(journal.is_failed() && !journal.is_full());
    drop(journal);
    let (journal, _) = open(dir.path(), small());
    assert_eq!(records(&journal, 1)[..2], expected(1, 2));
}

/// The kernel's own refusal, without root: a limit on the size of files, set in a child process.
#[test]
fn the_kernel_refuses_for_lack_of_space() {
    if let Some(dir) = crash::child_argument("GLASSHOUSE_JOURNAL_LIMIT") {
        return under_file_size_limit(Path::new(&dir));
    }
    let dir = TempDir::new().expect("a directory");
    let name = "journal::tests::space::the_kernel_refuses_for_lack_of_space";
    let status = crash::child(name, "GLASSHOUSE_JOURNAL_LIMIT", dir.path())
        .stdout(std::process::Stdio::null())
        .status()
        .expect("the test binary starts");
    assert!(status.success(), "{status}");
    let (journal, recovery) = open(dir.path(), JournalOptions::default());
    assert_eq!(recovery.torn_tail, None);
    assert_eq!(records(&journal, 1), expected(1, journal.last()));
    assert!(journal.last() > 20);
}

fn under_file_size_limit(dir: &Path) {
    limit_file_size(500);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (journal, _) = open(dir, JournalOptions::default());
        let mut last = 0;
        let error = loop {
            match journal.append(payload(last + 1)).await {
                Ok(seq) => last = seq,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, JournalError::Full { .. }), "{error}");
        assert!(last > 1);
        limit_file_size(1 << 20);
        fill(&journal, last + 1, last + 20).await;
    });
}

/// Sets this process's soft limit; the signal that would go with it is ignored, so that the write
/// fails with `EFBIG`.
#[expect(
    unsafe_code,
    reason = "setrlimit and signal have no safe wrapper among the dependencies"
)]
fn limit_file_size(bytes: u64) {
    let limit = libc::rlimit {
        rlim_cur: bytes,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: both calls take plain values and a pointer to a local that outlives the call.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let mut current = limit;
        assert_eq!(libc::getrlimit(libc::RLIMIT_FSIZE, &mut current), 0);
        let limit = libc::rlimit {
            rlim_max: current.rlim_max,
            ..limit
        };
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
}
