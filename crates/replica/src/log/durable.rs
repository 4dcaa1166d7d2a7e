//! Making the log durable, and waiting until it is.
//!
//! A leader's own entries are sent to the followers while its own disk still writes them. So
//! whatever *counts* the leader's copy waits here: applying (and with it every answer), telling
//! followers what is committed, and answering as a follower what this replica holds. See
//! `docs/decisions/0012`.

use super::super::types::LogId;
use super::super::{StoreError, disk};
use super::RaftLog;
use super::file::LogFile;
use machine::mistakes::{self, Mistake};
use std::io;
use std::path::PathBuf;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// How far the log is durable.
#[derive(Clone, Default)]
pub(super) struct Progress {
    /// Up to this write.
    write: u64,
    ended: Option<Ended>,
}

/// Nothing becomes durable any more, and nobody who waits is released.
#[derive(Clone)]
enum Ended {
    /// The disk refused. What it has of the writes before is unknown from then on, also to the
    /// system: a second try that succeeds says nothing about the first.
    Refused(Refusal),
    /// The replica is being closed.
    Sealed,
}

/// What a `StoreError::Io` said: it is told to everybody who waits.
#[derive(Clone)]
struct Refusal {
    what: &'static str,
    path: PathBuf,
    kind: io::ErrorKind,
    sentence: String,
}

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        let error = io::Error::new(refusal.kind, refusal.sentence);
        StoreError::io(refusal.what, &refusal.path)(error)
    }
}

/// The disk is behind.
pub(in super::super) struct Lag {
    /// How long it has been owing an answer.
    pub(in super::super) owing: Duration,
    /// The last entry that it has.
    pub(in super::super) durable: Option<LogId>,
}

impl RaftLog {
    /// Waits until the entry `index` and all in front of it are durable here.
    pub(in super::super) async fn durable_through(&self, index: u64) -> Result<(), StoreError> {
        let write = self.lock().write_of(index);
        self.reached(write).await
    }

    /// Waits until all that is written now is durable.
    pub(in super::super) async fn settled(&self) -> Result<(), StoreError> {
        let write = self.lock().writes();
        self.reached(Some(write)).await
    }

    /// How far the disk is behind the entry `index`; `None` if it has it.
    pub(in super::super) fn lag(&self, index: u64) -> Option<Lag> {
        let log = self.lock();
        log.write_of(index)?;
        Some(Lag {
            owing: log.waiting_since()?.elapsed(),
            durable: log.durable(),
        })
    }

    /// Waits until the disk has refused.
    pub(in super::super) async fn refused(&self) {
        let mut progress = self.0.progress.subscribe();
        let refused = |progress: &Progress| matches!(progress.ended, Some(Ended::Refused(..)));
        if progress.wait_for(refused).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Nobody is released from here on: what becomes durable later is for the next start.
    pub(in super::super) fn seal(&self) {
        self.0.progress.send_if_modified(|progress| {
            let open = progress.ended.is_none();
            progress.ended.get_or_insert(Ended::Sealed);
            open
        });
    }

    async fn reached(&self, write: Option<u64>) -> Result<(), StoreError> {
        let Some(write) = write else { return Ok(()) };
        let mut progress = self.0.progress.subscribe();
        loop {
            let now = progress.borrow_and_update().clone();
            match now.ended {
                _ if now.write >= write => return Ok(()),
                Some(Ended::Refused(refusal)) => return Err(refusal.into()),
                Some(Ended::Sealed) => std::future::pending().await,
                None => {}
            }
            if progress.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Fails once the disk has refused.
    pub(in super::super) fn expect_intact(&self) -> Result<(), StoreError> {
        let ended = self.0.progress.borrow().ended.clone();
        match ended {
            Some(Ended::Refused(refusal)) => Err(refusal.into()),
            Some(Ended::Sealed) | None => Ok(()),
        }
    }

    /// Makes all that is written durable before it returns.
    pub(super) fn sync_now(&self) -> Result<(), StoreError> {
        let turn = self.turn();
        self.sync(&turn)
    }

    /// Sees to it that all that is written becomes durable, soon: one sync covers what was written
    /// while the one before was under way.
    pub(super) fn sync_soon(&self) -> Result<(), StoreError> {
        if Handle::try_current().is_err() {
            return self.sync_now();
        }
        if std::mem::replace(&mut self.lock().syncing, true) {
            return Ok(());
        }
        let log = self.clone();
        if disk::threads() {
            tokio::task::spawn_blocking(move || while log.sync_next() {});
        } else {
            // Inline, yet not before the tasks that are ready now: as a disk that takes its time.
            tokio::spawn(async move {
                loop {
                    #[cfg(test)]
                    super::super::tests::power::released(&log.path()).await;
                    if !log.sync_next() {
                        return;
                    }
                }
            });
        }
        Ok(())
    }

    /// One sync, if there is something to sync; a failure is told through `progress`.
    fn sync_next(&self) -> bool {
        let turn = self.turn();
        {
            let mut log = self.lock();
            if log.to_sync().is_none() || self.is_sealed() {
                log.syncing = false;
                return false;
            }
        }
        self.sync(&turn).is_ok()
    }

    fn is_sealed(&self) -> bool {
        matches!(self.0.progress.borrow().ended, Some(Ended::Sealed))
    }

    /// One at a time: two syncs under way would share one report of a failed write.
    fn turn(&self) -> Turn<'_> {
        Turn(self.0.turn.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn sync(&self, _: &Turn<'_>) -> Result<(), StoreError> {
        self.expect_intact()?;
        let Some((file, path, write)) = self.lock().to_sync() else {
            return Ok(());
        };
        let synced = match mistakes::on(Mistake::LostFsync) {
            true => Ok(()),
            false => disk::sync_data(&file, &path),
        };
        match &synced {
            Ok(()) => {
                self.lock().confirmed(write);
                self.confirm(write);
            }
            Err(error) => self.refuse(error),
        }
        synced
    }

    /// Rewrites or cuts the file, after which all that is in it is durable; or nothing is known.
    pub(super) fn replacing(
        &self,
        replace: impl FnOnce(&mut LogFile) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let _turn = self.turn();
        self.expect_intact()?;
        let mut log = self.lock();
        let replaced = replace(&mut log);
        if let Err(error) = &replaced {
            self.refuse(error);
        }
        if log.to_sync().is_none() {
            self.confirm(log.writes());
        }
        replaced
    }

    /// Tells those who wait that all up to a write is durable.
    fn confirm(&self, write: u64) {
        self.0.progress.send_if_modified(|progress| {
            let further = progress.ended.is_none() && write > progress.write;
            if further {
                progress.write = write;
            }
            further
        });
    }

    /// Releases nobody any more.
    pub(super) fn refuse(&self, error: &StoreError) {
        let refusal = match error {
            StoreError::Io { what, path, error } => Refusal {
                what,
                path: path.clone(),
                kind: error.kind(),
                sentence: error.to_string(),
            },
            // What was read was not what was written; consensus ends with that sentence.
            StoreError::Damaged { .. }
            | StoreError::Mismatch { .. }
            | StoreError::Foreign { .. }
            | StoreError::Newer { .. } => return,
        };
        self.0.progress.send_modify(|progress| {
            progress.ended.get_or_insert(Ended::Refused(refusal));
        });
    }
}

/// The right to sync.
struct Turn<'a>(#[expect(dead_code, reason = "held, not read")] MutexGuard<'a, ()>);
