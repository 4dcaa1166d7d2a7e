//! Leaves, tree and state of one replica, kept in step.

use super::checkpoint::{self, CheckpointFile};
use super::leaves::{LeafFile, StoredLeaf};
use super::types::{LogId, Membership};
use super::{Committed, StoreError, disk, frames};
use ledger::{Applied, State};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tlog::{Frontier, Hash};
use tokio::sync::watch;

pub(super) const APPLIED: &str = "applied";

/// Committed acts kept in memory for subscribers; slower ones read the disk. At a hundred acts a
/// second this is ten seconds of patience, and a few MiB at most with ordinary acts.
const RECENT: usize = 1024;

/// A moment of this replica.
#[derive(Clone, Debug)]
pub struct View {
    /// The fold of all leaves up to `state.size`.
    pub state: Arc<State>,
    /// Merkle root over those leaves.
    pub root: Hash,
}

/// What cannot be told from the leaves: Raft's own entries leave none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Floor {
    /// Applied up to here, with `leaves` leaves, all durable.
    applied: Option<LogId>,
    leaves: u64,
    membership: Membership,
}

struct Inner {
    leaves: LeafFile,
    frontier: Frontier,
    state: State,
    applied: Option<LogId>,
    membership: Membership,
    recent: VecDeque<Arc<Committed>>,
}

/// The store; shared by Raft's state machine, the subscribers and the checkpoint writer.
pub(super) struct Store {
    dir: PathBuf,
    inner: Mutex<Inner>,
    published: watch::Sender<View>,
}

/// An entry to apply: its id and the leaf's bytes, where it makes one.
pub(super) struct Apply {
    pub(super) log_id: LogId,
    pub(super) what: ApplyWhat,
}

pub(super) enum ApplyWhat {
    Nothing,
    Membership(Membership),
    Leaf(Vec<u8>),
}

impl Store {
    pub(super) fn open(
        dir: &Path,
        cluster: &str,
        signed: Option<&CheckpointFile>,
    ) -> Result<Self, StoreError> {
        let floor = read_floor(dir)?.unwrap_or_default();
        let (mut frontier, mut state, mut applied) = (Frontier::new(), State::new(), floor.applied);
        let signed_size = signed.map_or(0, |file| file.checkpoint.size);
        let mut signed_root = (signed_size == 0).then(tlog::empty_root);
        let leaves = LeafFile::open(dir, floor.leaves.max(signed_size), |index, leaf| {
            let record = decode(dir, index, &leaf.bytes)?;
            frontier.append(&leaf.bytes);
            state.apply(index, &record);
            applied = applied.max(Some(leaf.log_id));
            if index + 1 == signed_size {
                signed_root = Some(frontier.root());
            }
            Ok(())
        })?;
        if let Some(file) = signed {
            checkpoint::expect_root(dir, &file.checkpoint, signed_root)?;
        }
        if let Some(found) = state.cluster.as_deref().filter(|found| *found != cluster) {
            let what = format!(
                "its log is that of cluster {found:?}, not of {cluster:?}; give each cluster its own directory"
            );
            return Err(StoreError::mismatch(leaves.path(), what));
        }
        let published = View {
            state: Arc::new(state.clone()),
            root: frontier.root(),
        };
        let inner = Inner {
            leaves,
            frontier,
            state,
            applied,
            membership: floor.membership,
            recent: VecDeque::new(),
        };
        Ok(Self {
            dir: dir.to_owned(),
            inner: Mutex::new(inner),
            published: watch::Sender::new(published),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn watch(&self) -> watch::Receiver<View> {
        self.published.subscribe()
    }

    pub(super) fn now(&self) -> View {
        self.published.borrow().clone()
    }

    pub(super) fn applied(&self) -> (Option<LogId>, Membership) {
        let inner = self.lock();
        (inner.applied, inner.membership.clone())
    }

    /// Applies committed entries in order; answers the leaf of each, where it has one.
    pub(super) fn apply(&self, entries: Vec<Apply>) -> Result<Vec<Option<u64>>, StoreError> {
        let mut inner = self.lock();
        let mut answers = Vec::with_capacity(entries.len());
        let mut batch = Vec::new();
        let mut membership = None;
        for Apply { log_id, what } in entries {
            let answer = match what {
                ApplyWhat::Nothing => None,
                ApplyWhat::Membership(new) => {
                    membership = Some(new);
                    None
                }
                ApplyWhat::Leaf(bytes) => Some(inner.fold(&self.dir, log_id, bytes, &mut batch)?),
            };
            answers.push(answer);
            inner.applied = Some(log_id);
        }
        inner.leaves.append(&batch)?;
        if let Some(membership) = membership {
            inner.membership = membership;
            self.write_floor(&inner)?;
        }
        self.publish(&inner);
        Ok(answers)
    }

    /// Makes all leaves durable and says so; gives what a snapshot is made of.
    pub(super) fn settle(&self) -> Result<(Option<LogId>, Membership, PathBuf, u64), StoreError> {
        let inner = self.lock();
        self.write_floor(&inner)?;
        Ok((
            inner.applied,
            inner.membership.clone(),
            inner.leaves.path().to_owned(),
            inner.leaves.len(),
        ))
    }

    /// Takes over leaves from a snapshot: ours must be the beginning of theirs, for a log only
    /// ever grows.
    pub(super) fn install(
        &self,
        from: &Path,
        applied: Option<LogId>,
        membership: Membership,
        received: impl Iterator<Item = Result<StoredLeaf, StoreError>>,
    ) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let have = inner.leaves.count();
        let mut batch = Vec::new();
        let mut count = 0;
        for leaf in received {
            let leaf = leaf?;
            if count < have {
                if inner.leaves.read(count)?.bytes != leaf.bytes {
                    let what = format!(
                        "leaf {count} of the leader's snapshot differs from ours: the log has forked; \
                         run `glasshouse ledger verify` on both nodes and keep both directories"
                    );
                    return Err(StoreError::mismatch(from, what));
                }
            } else {
                inner.fold(&self.dir, leaf.log_id, leaf.bytes, &mut batch)?;
            }
            count += 1;
        }
        if count < have {
            let what = format!(
                "the leader's snapshot has {count} leaves, fewer than the {have} committed here"
            );
            return Err(StoreError::mismatch(from, what));
        }
        inner.leaves.append(&batch)?;
        inner.applied = inner.applied.max(applied);
        inner.membership = membership;
        self.write_floor(&inner)?;
        self.publish(&inner);
        Ok(())
    }

    /// Size and root with every leaf below the size durable.
    pub(super) fn durable(&self) -> Result<(u64, Hash), StoreError> {
        let (size, root, (file, path)) = {
            let inner = self.lock();
            (
                inner.frontier.size(),
                inner.frontier.root(),
                inner.leaves.syncer(),
            )
        };
        file.sync_data().map_err(StoreError::io("sync", &path))?;
        Ok((size, root))
    }

    /// A committed act that is still in memory.
    pub(super) fn recent(&self, index: u64) -> Option<Arc<Committed>> {
        let inner = self.lock();
        let first = inner.recent.front()?.index;
        inner
            .recent
            .get(usize::try_from(index.checked_sub(first)?).ok()?)
            .cloned()
    }

    /// A committed act from the disk, with its outcome as told by folding it into `state`.
    pub(super) fn replay(&self, index: u64, state: &mut State) -> Result<Committed, StoreError> {
        let leaf = self.lock().leaves.read(index)?;
        let record = decode(&self.dir, index, &leaf.bytes)?;
        let applied = state.apply(index, &record);
        Ok(Committed {
            index,
            record: Arc::new(record),
            applied,
        })
    }

    fn publish(&self, inner: &Inner) {
        let grown = self.published.borrow().state.size != inner.state.size;
        if grown {
            let state = Arc::new(inner.state.clone());
            self.published.send_replace(View {
                state,
                root: inner.frontier.root(),
            });
        }
    }

    fn write_floor(&self, inner: &Inner) -> Result<(), StoreError> {
        inner.leaves.sync()?;
        let floor = Floor {
            applied: inner.applied,
            leaves: inner.leaves.count(),
            membership: inner.membership.clone(),
        };
        let mut bytes = Vec::new();
        frames::encode(0, &wire::encode(&floor), &mut bytes);
        disk::replace(&self.dir, APPLIED, &bytes)
    }
}

impl Inner {
    /// Folds one leaf into tree and state and puts it on the batch to be written.
    fn fold(
        &mut self,
        dir: &Path,
        log_id: LogId,
        bytes: Vec<u8>,
        batch: &mut Vec<StoredLeaf>,
    ) -> Result<u64, StoreError> {
        let index = self.frontier.size();
        let record = decode(dir, index, &bytes)?;
        self.frontier.append(&bytes);
        let applied = self.state.apply(index, &record);
        let answer = match applied {
            Applied::Duplicate { first } => first,
            Applied::Effective | Applied::Lost { .. } | Applied::Ignored { .. } => index,
        };
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(Arc::new(Committed {
            index,
            record: Arc::new(record),
            applied,
        }));
        batch.push(StoredLeaf { log_id, bytes });
        Ok(answer)
    }
}

fn decode(dir: &Path, index: u64, bytes: &[u8]) -> Result<wire::Record, StoreError> {
    wire::decode(bytes).map_err(|error| {
        let what = format!("leaf {index} cannot be read: {error}");
        StoreError::mismatch(&dir.join(super::leaves::LEAVES), what)
    })
}

fn read_floor(dir: &Path) -> Result<Option<Floor>, StoreError> {
    let path = dir.join(APPLIED);
    let Some(bytes) = frames::read_single(&path)? else {
        return Ok(None);
    };
    let floor = wire::decode(&bytes);
    floor
        .map(Some)
        .map_err(|error| StoreError::damaged(&path, frames::HEADER, error.to_string()))
}

/// Is the small file `applied` intact, and are its leaves there?
pub(super) fn check_floor(dir: &Path, leaves: u64) -> Result<(), StoreError> {
    match read_floor(dir)? {
        Some(floor) if floor.leaves > leaves => {
            let what = format!(
                "it counts {} durable leaves, {leaves} are there",
                floor.leaves
            );
            Err(StoreError::mismatch(&dir.join(APPLIED), what))
        }
        Some(_) | None => Ok(()),
    }
}
