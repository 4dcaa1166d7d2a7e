//! Leaves, tree and state of one replica, kept in step.

mod floor;
mod fold;

use super::leaves::{LEAVES, LeafFile, Place, StoredLeaf};
use super::types::{LogId, Membership};
use super::{Committed, StoreError, disk};
use floor::read_floor;
use fold::{Files, Inner, decode};
use ledger::State;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tlog::{Checkpoint, Hash};
use tokio::sync::watch;
use wire::{Level, NodeId};

pub(super) use floor::{APPLIED, check_applied, check_floor};

/// A moment of this replica.
#[derive(Clone, Debug)]
pub struct View {
    /// The fold of all leaves up to `state.size`.
    pub state: Arc<State>,
    /// Merkle root over those leaves.
    pub root: Hash,
}

/// Members and their identity keys.
pub(super) type Roster = BTreeMap<NodeId, [u8; 32]>;

/// What there is to sign for: the log up to an entry of Raft's, and who were the members then.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) size: u64,
    pub(super) root: Hash,
    pub(super) roster: Arc<Roster>,
}

/// What was signed before, and binds this replica.
#[derive(Clone, Debug, Default)]
pub(super) struct Vows {
    /// Signed for by this very replica: these leaves must be here.
    pub(super) kept: Vec<Checkpoint>,
    /// Signed by this node before it lost its replica: the log that its peers bring must agree.
    pub(super) awaited: Option<Checkpoint>,
}

/// The store; shared by Raft's state machine, the subscribers and the notary. Empty until
/// [`load`](Self::load): a node that has to ask its peers first can be looked at meanwhile.
pub(super) struct Store {
    inner: Mutex<Inner>,
    published: watch::Sender<View>,
}

/// An entry to apply: its id and what it carries.
pub(super) struct Apply {
    pub(super) log_id: LogId,
    pub(super) what: ApplyWhat,
}

pub(super) enum ApplyWhat {
    Nothing,
    Membership(Membership),
    /// One act or several, see [`batch`].
    Leaves(Vec<u8>),
}

impl Store {
    /// Without files, without leaves.
    pub(super) fn empty() -> Self {
        let inner = Inner::default();
        let published = watch::Sender::new(inner.view());
        Self {
            inner: Mutex::new(inner),
            published,
        }
    }

    /// Opens or creates the files in `dir` and folds the leaves that are there, for a node that speaks
    /// `level`.
    pub(super) fn load(
        &self,
        dir: &Path,
        cluster: &str,
        level: Level,
        vows: Vows,
    ) -> Result<(), StoreError> {
        let floor = read_floor(dir)?;
        let known = floor.is_some();
        let floor = floor.unwrap_or_default();
        let mut new = Inner {
            applied: floor.applied,
            membership: floor.membership,
            awaited: vows.awaited,
            level,
            ..Inner::default()
        };
        let signed = vows.kept.iter().map(|kept| kept.size).max().unwrap_or(0);
        let leaves = LeafFile::open(dir, floor.leaves.max(signed), |index, leaf| {
            new.fold_one(dir, &leaf.bytes, index)?;
            new.applied = new.applied.max(Some(leaf.log_id));
            let signed = vows.kept.iter().filter(|kept| kept.size == index + 1);
            new.expect_roots(&dir.join(LEAVES), signed)
        })?;
        if let Some(found) = new
            .state
            .cluster
            .as_deref()
            .filter(|found| *found != cluster)
        {
            let what = format!(
                "its log is that of cluster {found:?}, not of {cluster:?}; give each cluster its own directory"
            );
            return Err(StoreError::foreign(leaves.path(), what));
        }
        if !known && new.applied.is_some() {
            let what = "the file is gone, and with it who takes part in consensus";
            return Err(StoreError::mismatch(&dir.join(APPLIED), what));
        }
        new.recent.clear();
        new.mark();
        new.files = Some(Files {
            dir: dir.to_owned(),
            leaves,
        });
        let mut inner = self.lock();
        *inner = new;
        self.publish(&inner);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn dir(&self) -> Result<PathBuf, StoreError> {
        Ok(self.lock().files()?.dir.clone())
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

    /// Applies committed entries in order; answers the leaves of each.
    pub(super) fn apply(&self, entries: Vec<Apply>) -> Result<Vec<Vec<u64>>, StoreError> {
        let mut inner = self.lock();
        let applied = inner.apply(entries);
        inner.failed |= applied.is_err();
        let answers = applied?;
        self.publish(&inner);
        Ok(answers)
    }
    /// Makes all leaves durable and says so; gives what a snapshot is made of.
    pub(super) fn settle(&self) -> Result<(Option<LogId>, Membership, PathBuf, u64), StoreError> {
        let mut inner = self.lock();
        inner.write_floor()?;
        let (applied, membership) = (inner.applied, inner.membership.clone());
        let leaves = &inner.files()?.leaves;
        Ok((applied, membership, leaves.path().to_owned(), leaves.len()))
    }

    /// Takes over leaves from a snapshot: ours must be the beginning of theirs, for a log only
    /// ever grows.
    pub(super) fn install(
        &self,
        from: &Path,
        applied: Option<LogId>,
        membership: Membership,
        received: impl Iterator<Item = Result<(StoredLeaf, Place), StoreError>>,
    ) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let installed = inner.install(from, applied, membership, received);
        inner.failed |= installed.is_err();
        installed?;
        self.publish(&inner);
        Ok(())
    }

    /// Everything applied, made durable.
    pub(super) fn durable(&self) -> Result<Mark, StoreError> {
        let (mark, (file, path)) = {
            let inner = self.lock();
            (inner.present(), inner.files()?.leaves.syncer())
        };
        disk::sync_data(&file, &path)?;
        Ok(mark)
    }

    /// Root and members at a size, if that is remembered: the end of one of the last entries.
    pub(super) fn mark_at(&self, size: u64) -> Option<Mark> {
        let inner = self.lock();
        let at = inner
            .marks
            .binary_search_by_key(&size, |mark| mark.size)
            .ok()?;
        inner.marks.get(at).cloned()
    }

    /// What this node signed before it lost its replica, until the log has been shown to agree.
    pub(super) fn awaited(&self) -> Option<Checkpoint> {
        self.lock().awaited.clone()
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
        let (leaf, dir) = {
            let inner = self.lock();
            let files = inner.files()?;
            (files.leaves.read(index)?, files.dir.clone())
        };
        let record = decode(&dir, index, &leaf.bytes)?;
        let applied = state.apply(index, &record);
        Ok(Committed {
            index,
            record: Arc::new(record),
            applied,
        })
    }

    fn publish(&self, inner: &Inner) {
        if self.published.borrow().state.size != inner.state.size {
            self.published.send_replace(inner.view());
        }
    }
}
