//! Raft's state machine over the store.

use super::leaves::{LeafReader, Place, StoredLeaf};
use super::log::RaftLog;
use super::snapshot::LeavesFile;
use super::store::{Apply, ApplyWhat, Store};
use super::types::{Answer, Entry, LogId, Membership, StorageError, Types};
use super::{StoreError, disk, types};
use openraft::storage::RaftStateMachine;
use openraft::{
    AnyError, EntryPayload, RaftSnapshotBuilder, Snapshot, SnapshotMeta, StorageIOError,
};
use runtime::blocking::in_place;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};

/// Applies committed entries; clones share the store.
#[derive(Clone)]
pub(super) struct LeafMachine {
    store: Arc<Store>,
    /// Shortened together with the installation of a snapshot; what is not durable in it is not
    /// applied.
    log: RaftLog,
    /// The last snapshot built or installed in this run, and its length; builders share it.
    snapshot: Arc<Mutex<Option<Current>>>,
}

type Current = (SnapshotMeta<u64, openraft::BasicNode>, u64);

impl LeafMachine {
    pub(super) fn new(store: Arc<Store>, log: RaftLog) -> Self {
        Self {
            store,
            log,
            snapshot: Arc::default(),
        }
    }

    fn set_current(&self, current: Current) {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(current);
    }

    fn take_snapshot(&self) -> Result<Snapshot<Types>, StoreError> {
        let (applied, membership, path, len) = self.store.settle()?;
        let id = applied.map_or_else(
            || "empty".to_owned(),
            |id| format!("{}-{}-{len}", id.leader_id, id.index),
        );
        let meta = SnapshotMeta {
            last_log_id: applied,
            last_membership: membership,
            snapshot_id: id,
        };
        self.set_current((meta.clone(), len));
        let file = LeavesFile::prefix(&path, len).map_err(StoreError::io("open", &path))?;
        Ok(Snapshot {
            meta,
            snapshot: Box::new(file),
        })
    }
}

impl RaftSnapshotBuilder<Types> for LeafMachine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<Types>, StorageError> {
        in_place(|| self.take_snapshot())
            .map_err(|error| StorageIOError::write_snapshot(None, AnyError::error(error)).into())
    }
}

impl RaftStateMachine<Types> for LeafMachine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), StorageError> {
        Ok(self.store.applied())
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Answer>, StorageError>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        if let Some(last) = entries.last() {
            // openraft counts a leader's copy once it is written. Only here it is known whether the
            // majority that it counted has the entries on its disks.
            let durable = self.log.durable_through(last.log_id.index).await;
            durable.map_err(|error| StorageIOError::apply(last.log_id, AnyError::error(error)))?;
        }
        let syncs = |entry: &Entry| matches!(entry.payload, EntryPayload::Membership(_));
        let (syncs, weight) = (entries.iter().any(syncs), types::weight(&entries));
        let entries = entries.into_iter().map(|entry| Apply {
            log_id: entry.log_id,
            what: match entry.payload {
                EntryPayload::Blank => ApplyWhat::Nothing,
                EntryPayload::Normal(leaf) => ApplyWhat::Leaves(leaf.0),
                EntryPayload::Membership(membership) => {
                    ApplyWhat::Membership(Membership::new(Some(entry.log_id), membership))
                }
            },
        });
        let apply = || self.store.apply(entries.collect());
        let answers = match syncs {
            true => in_place(apply),
            false => disk::copying(weight, apply),
        };
        let answers =
            answers.map_err(|error| StorageIOError::write_state_machine(AnyError::error(error)))?;
        Ok(answers.into_iter().map(Answer).collect())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<LeavesFile>, StorageError> {
        let file = self.store.dir().map_or_else(
            |error| Err(std::io::Error::other(error)),
            |dir| LeavesFile::incoming(&dir),
        );
        file.map(Box::new)
            .map_err(|error| StorageIOError::write_snapshot(None, AnyError::new(&error)).into())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta<u64, openraft::BasicNode>,
        snapshot: Box<LeavesFile>,
    ) -> Result<(), StorageError> {
        let path = snapshot.path().to_owned();
        let install = || {
            let received = received(LeafReader::open(&path)?, &path);
            self.store.install(
                &path,
                meta.last_log_id,
                meta.last_membership.clone(),
                received,
            )?;
            // The file stays until the log no longer ends before what is applied: a log that does
            // so without it was cut short.
            if let Some(last) = meta.last_log_id {
                self.log.shorten(last)?;
            }
            fs::remove_file(&path).map_err(StoreError::io("remove", &path))
        };
        in_place(install).map_err(|error| {
            StorageIOError::write_snapshot(Some(meta.signature()), AnyError::error(error))
        })?;
        let (_, _, _, len) = in_place(|| self.store.settle()).map_err(|error| {
            StorageIOError::write_snapshot(Some(meta.signature()), AnyError::error(error))
        })?;
        self.set_current((meta.clone(), len));
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<Types>>, StorageError> {
        let current = self
            .snapshot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some((meta, len)) = current else {
            return Ok(None);
        };
        let dir = self.store.dir().map_err(|error| {
            StorageIOError::read_snapshot(Some(meta.signature()), AnyError::new(&error))
        })?;
        let path = dir.join(super::leaves::LEAVES);
        let file = LeavesFile::prefix(&path, len).map_err(|error| {
            StorageIOError::read_snapshot(Some(meta.signature()), AnyError::new(&error))
        })?;
        Ok(Some(Snapshot {
            meta,
            snapshot: Box::new(file),
        }))
    }
}

/// The leaves of a received snapshot; anything but a clean end is an error.
fn received(
    mut reader: LeafReader,
    path: &std::path::Path,
) -> impl Iterator<Item = Result<(StoredLeaf, Place), StoreError>> + use<> {
    use super::frames::Stop;
    let path = path.to_owned();
    std::iter::from_fn(move || match reader.next_placed() {
        Ok(Ok(leaf)) => Some(Ok(leaf)),
        Ok(Err(Stop::End)) => None,
        Ok(Err(Stop::Torn { offset })) => Some(Err(StoreError::damaged(
            &path,
            offset,
            "the snapshot is cut off",
        ))),
        Ok(Err(Stop::Hole { offset, what } | Stop::Damaged { offset, what })) => {
            Some(Err(StoreError::damaged(&path, offset, what)))
        }
        Err(error) => Some(Err(error)),
    })
}
