use super::JournalOptions;
use super::cipher::RecordCipher;
use super::desk::Work;
use super::disk::{Disk, RealDisk};
use super::error::{JournalError, OpenError};
use super::reader::Records;
use super::record::MAX_PAYLOAD;
use super::recover::{self, Recovery, Tail};
use super::segment;
use super::watermark::{self, Mark};
use super::writer::{Active, Append, Shared, Writer};
use crate::blocking;
use crate::durable::{self, sync_dir};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::future::Future;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// A predecessor that was just killed, or a child that this process is just starting (between fork
/// and exec it shares our files), may hold the lock for some milliseconds more: half a second of
/// patience.
pub const LOCK_TRIES: u32 = 50;
/// Pause between two tries.
pub const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// A handle on an open journal; clones share it. The last one to go ends the writer, after it has
/// answered what was waiting.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    cipher: Option<Arc<dyn RecordCipher>>,
    queue: Option<mpsc::Sender<Append>>,
    shared: Arc<Shared>,
    /// The processed watermark as it stands in its file.
    processed: Mutex<u64>,
    writer: Option<Work>,
    /// Holds the directory's lock.
    _lock: File,
}

impl Journal {
    /// Opens the journal in `dir`, which is created if need be, and recovers it. Blocks while it
    /// reads what is there. Called on a `current_thread` runtime, it writes in a task of that runtime,
    /// otherwise on a thread of its own.
    ///
    /// # Errors
    /// Files that the system refuses; a second process; damage to anything that was durable. A lock
    /// that somebody holds is waited for, [`LOCK_TRIES`] times [`LOCK_PAUSE`], unless waiting would
    /// hold up the only thread, on which its holder may have to end: then the caller tries again.
    pub fn open(
        dir: impl AsRef<Path>,
        options: JournalOptions,
    ) -> Result<(Self, Recovery), OpenError> {
        Self::open_on(RealDisk, dir.as_ref(), options)
    }

    pub(super) fn open_on(
        disk: impl Disk,
        dir: &Path,
        options: JournalOptions,
    ) -> Result<(Self, Recovery), OpenError> {
        durable::create_dir(dir).map_err(OpenError::io("create", dir))?;
        let lock = lock(dir)?;
        let mark = watermark::load(dir)?;
        let floor = match &mark {
            Mark::Sound(processed) => processed + 1,
            Mark::Damaged(_) => 1,
        };
        durable::finish_destroying(dir, segment::SEALED_HEADER)
            .map_err(OpenError::io("clear", dir))?;
        let cipher = options.cipher.clone();
        let found = recover::scan(dir, floor, cipher.as_deref())?;
        let processed = match mark {
            Mark::Sound(processed) => processed,
            // Without it the records that are there count as not worked off: too much is read again, which
            // their numbers tell, and nothing is passed over. Without records nothing says what their
            // numbers were.
            Mark::Damaged(_) if found.last.is_some() => {
                tracing::warn!(
                    dir = %dir.display(),
                    "the processed mark is damaged: the records that are there are worked off once more"
                );
                found.recovery.first - 1
            }
            Mark::Damaged(error) => return Err(error),
        };
        if processed >= found.recovery.next {
            let what = format!(
                "it says that record {processed} was processed, but the journal ends before {}",
                found.recovery.next
            );
            return Err(watermark::damaged(dir, &what));
        }
        let active = found.last.map(|tail| settle(&tail)).transpose()?.flatten();
        // What is new goes into a sealed segment; a plain one from before stays as it is.
        let active = active.filter(|active| cipher.is_none() || active.head.shred.is_some());
        sync_dir(dir).map_err(OpenError::io("sync", dir))?;

        let shared = Arc::new(Shared::default());
        shared
            .durable
            .store(found.recovery.next - 1, Ordering::Release);
        let (queue, appends) = mpsc::channel(options.queue);
        let writer = Writer {
            disk,
            dir: dir.to_owned(),
            options,
            shared: Arc::clone(&shared),
            next: found.recovery.next,
            active,
            failed: None,
        };
        let writer =
            Work::start(writer, appends).map_err(OpenError::io("start the writer of", dir))?;
        let inner = Inner {
            dir: dir.to_owned(),
            cipher,
            queue: Some(queue),
            shared,
            processed: Mutex::new(processed),
            writer: Some(writer),
            _lock: lock,
        };
        Ok((
            Self {
                inner: Arc::new(inner),
            },
            found.recovery,
        ))
    }

    /// Appends a record and waits until it is durable; its sequence number.
    ///
    /// # Errors
    /// See [`JournalError`]; nothing of the record is in the journal then.
    pub async fn append(&self, payload: Vec<u8>) -> Result<u64, JournalError> {
        self.submit(payload).await?.await
    }

    /// The first half of [`append`](Self::append): hands the record to the writer, waiting for
    /// room in its queue. Records get their sequence numbers in the order in which these calls
    /// return; the returned future resolves when the record is durable.
    ///
    /// # Errors
    /// The payload is too large, or the journal is closed.
    pub async fn submit(&self, payload: Vec<u8>) -> Result<Pending, JournalError> {
        let (answer, outcome) = oneshot::channel();
        self.submit_then(payload, move |durable| {
            // A caller that went away no longer wants to know; its record stands all the same.
            let _ = answer.send(durable);
        })
        .await?;
        Ok(Pending { outcome })
    }

    /// As [`submit`](Self::submit); the writer itself calls `ended` with what became of the record,
    /// in the order of the sequence numbers, and goes on behind that. So it must be short, and must not
    /// hold a handle on this journal. It is dropped uncalled when the writer has ended.
    ///
    /// # Errors
    /// The payload is too large, or the journal is closed; `ended` is dropped.
    pub async fn submit_then(
        &self,
        payload: Vec<u8>,
        ended: impl FnOnce(Result<u64, JournalError>) + Send + 'static,
    ) -> Result<(), JournalError> {
        if payload.len() > MAX_PAYLOAD {
            return Err(JournalError::TooLarge {
                len: payload.len(),
                limit: MAX_PAYLOAD,
            });
        }
        let queue = self.inner.queue.as_ref().ok_or(JournalError::Closed)?;
        queue
            .send(Append {
                payload,
                answer: Box::new(ended),
            })
            .await
            .map_err(|_| JournalError::Closed)
    }

    /// True for [`FULL_HOLD`](super::FULL_HOLD) after an append failed for lack of space: the
    /// next one most likely would, too.
    pub fn is_full(&self) -> bool {
        self.inner.shared.is_full()
    }

    /// True once the disk has failed in a way that only opening the journal again can clear; every
    /// append is refused.
    pub fn is_failed(&self) -> bool {
        self.inner.shared.failed.load(Ordering::Acquire)
    }

    /// Sequence number of the last durable record; 0 for none.
    pub fn last(&self) -> u64 {
        self.inner.shared.durable.load(Ordering::Acquire)
    }

    /// Commits since the journal was opened, one `fdatasync` each.
    pub fn commits(&self) -> u64 {
        self.inner.shared.commits.load(Ordering::Relaxed)
    }

    /// The durable records from `seq` on (or from the first that is still there), as of now.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn read_from(&self, seq: u64) -> Result<Records, OpenError> {
        let cipher = self.inner.cipher.clone();
        Records::new(&self.inner.dir, seq, self.last(), cipher)
    }

    /// The last record that was worked off; 0 for none.
    pub fn processed(&self) -> u64 {
        *self
            .inner
            .processed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes durably that all records up to and with `seq` are worked off. Never goes back. Blocks
    /// for two syncs: call it for many records at once, off the async threads.
    ///
    /// # Errors
    /// `seq` is beyond the last durable record; the file cannot be written.
    pub fn mark_processed(&self, seq: u64) -> Result<(), OpenError> {
        let dir = &self.inner.dir;
        if seq > self.last() {
            let what = format!(
                "record {seq} was called processed, the last one is {}",
                self.last()
            );
            return Err(watermark::damaged(dir, &what));
        }
        let mut processed = self
            .inner
            .processed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if seq > *processed {
            watermark::store(dir, seq)
                .map_err(OpenError::io("write the processed mark in", dir))?;
            *processed = seq;
        }
        Ok(())
    }

    /// Deletes the segments whose records are all at or below `seq` and worked off, and overwrites what
    /// their keys need before that; how many. The last segment always stays: it carries the numbering on.
    ///
    /// # Errors
    /// A file cannot be removed.
    pub fn release(&self, seq: u64) -> Result<usize, OpenError> {
        let limit = seq.min(self.processed());
        let segments = segment::list(&self.inner.dir)?;
        let released = segments
            .windows(2)
            .take_while(|pair| pair[1].first <= limit + 1)
            .map(|pair| pair[0].path.as_path());
        let released: Vec<&Path> = released.collect();
        durable::destroy(&self.inner.dir, &released, segment::SEALED_HEADER)
            .map_err(OpenError::io("give back segments of", &self.inner.dir))?;
        Ok(released.len())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            writer.finish();
        }
    }
}

/// An append that was handed over; resolves to its sequence number when it is durable.
#[derive(Debug)]
pub struct Pending {
    outcome: oneshot::Receiver<Result<u64, JournalError>>,
}

impl Future for Pending {
    type Output = Result<u64, JournalError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.outcome)
            .poll(cx)
            .map(|answer| answer.unwrap_or(Err(JournalError::Closed)))
    }
}

/// Whether the journal in `dir` has a sealed segment: then its key must not be replaced by a new one.
///
/// # Errors
/// The folder or a segment cannot be read. A folder that is not there has none.
pub fn holds_sealed(dir: &Path) -> Result<bool, OpenError> {
    if !dir.is_dir() {
        return Ok(false);
    }
    for segment in segment::list(dir)? {
        let mut start = Vec::new();
        File::open(&segment.path)
            .and_then(|file| {
                file.take(segment::SEALED_HEADER as u64)
                    .read_to_end(&mut start)
            })
            .map_err(OpenError::io("read", &segment.path))?;
        if segment::is_sealed(&start) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(OpenError::io("open", &path))?;
    let tries = if blocking::on_one_thread() {
        1
    } else {
        LOCK_TRIES
    };
    for attempt in 1..=tries {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if attempt == tries => break,
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(OpenError::io("lock", &path)(error)),
        }
    }
    Err(OpenError::Locked {
        dir: dir.to_owned(),
    })
}

/// Cuts off the torn tail and syncs what stays: a process may have died between its write and its
/// sync, and what we are about to call recovered must not be lost by a power cut afterwards.
fn settle(tail: &Tail) -> Result<Option<Active>, OpenError> {
    let path = &tail.segment.path;
    let Some(head) = tail.head else {
        fs::remove_file(path).map_err(OpenError::io("remove", path))?;
        return Ok(None);
    };
    let file = OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(OpenError::io("open", path))?;
    file.set_len(tail.len)
        .map_err(OpenError::io("truncate", path))?;
    file.sync_all().map_err(OpenError::io("sync", path))?;
    Ok(Some(Active {
        file,
        first: tail.segment.first,
        head,
        keyed: None,
        len: tail.len,
        asked: tail.len,
    }))
}
