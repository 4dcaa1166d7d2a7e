//! Leaves, tree and state of one replica, kept in step.

use super::batch;
use super::leaves::{LEAVES, LeafFile, Place, StoredLeaf};
use super::types::{LogId, Membership};
use super::{Committed, StoreError, disk, frames};
use ledger::{Applied, State};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tlog::{Checkpoint, Frontier, Hash};
use tokio::sync::watch;
use wire::NodeId;

pub(super) const APPLIED: &str = "applied";

/// Committed acts kept in memory for subscribers; slower ones read the disk. At a hundred acts a
/// second this is ten seconds of patience, and a few MiB at most with ordinary acts.
const RECENT: usize = 1024;

/// Leaves of a snapshot written at once: a whole log must not be in memory twice.
const INSTALLED_AT_ONCE: usize = 4096;

/// Roots remembered, one for each entry of Raft's log: what a checkpoint may be asked to be
/// cosigned for. The leader asks within its round; at ten thousand entries a second this reaches
/// back a quarter of a second more than `Timings::checkpoint_every`.
const MARKS: usize = 5_000;

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

/// What cannot be told from the leaves: Raft's own entries leave none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Floor {
    /// Applied up to here, with `leaves` leaves, all durable.
    applied: Option<LogId>,
    leaves: u64,
    membership: Membership,
}

/// The files, once it is known which replica this is.
struct Files {
    dir: PathBuf,
    leaves: LeafFile,
}

#[derive(Default)]
struct Inner {
    files: Option<Files>,
    /// Folding or writing has failed: what is in memory is not what is on the disk, and nobody may
    /// sign for it.
    failed: bool,
    frontier: Frontier,
    state: State,
    roster: Arc<Roster>,
    marks: VecDeque<Mark>,
    awaited: Option<Checkpoint>,
    applied: Option<LogId>,
    membership: Membership,
    recent: VecDeque<Arc<Committed>>,
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

    /// Opens or creates the files in `dir` and folds the leaves that are there.
    pub(super) fn load(&self, dir: &Path, cluster: &str, vows: Vows) -> Result<(), StoreError> {
        let floor = read_floor(dir)?;
        let known = floor.is_some();
        let floor = floor.unwrap_or_default();
        let mut new = Inner {
            applied: floor.applied,
            membership: floor.membership,
            awaited: vows.awaited,
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

impl Inner {
    fn files(&self) -> Result<&Files, StoreError> {
        let files = self.files.as_ref().filter(|_| !self.failed);
        files.ok_or_else(no_files)
    }

    fn leaves(&mut self) -> Result<&mut LeafFile, StoreError> {
        let files = self.files.as_mut().filter(|_| !self.failed);
        files.map(|files| &mut files.leaves).ok_or_else(no_files)
    }

    fn apply(&mut self, entries: Vec<Apply>) -> Result<Vec<Vec<u64>>, StoreError> {
        let dir = self.files()?.dir.clone();
        let mut answers = Vec::with_capacity(entries.len());
        let mut written = Vec::new();
        for Apply { log_id, what } in entries {
            let answer = match what {
                ApplyWhat::Nothing => Vec::new(),
                ApplyWhat::Membership(membership) => {
                    // On the disk before any leaf behind it: leaves alone do not tell of it.
                    self.leaves()?.append(&std::mem::take(&mut written))?;
                    self.membership = membership;
                    self.applied = Some(log_id);
                    self.write_floor()?;
                    Vec::new()
                }
                ApplyWhat::Leaves(entry) => {
                    let acts = batch::split(entry, &dir.join(super::log::LOG))?;
                    self.fold_entry(&dir, log_id, acts, &mut written)?
                }
            };
            answers.push(answer);
            self.applied = Some(log_id);
        }
        self.leaves()?.append(&written)?;
        Ok(answers)
    }

    fn install(
        &mut self,
        from: &Path,
        applied: Option<LogId>,
        membership: Membership,
        received: impl Iterator<Item = Result<(StoredLeaf, Place), StoreError>>,
    ) -> Result<(), StoreError> {
        let dir = self.files()?.dir.clone();
        let have = self.files()?.leaves.count();
        let (mut written, mut count) = (Vec::new(), 0);
        for leaf in received {
            let (leaf, place) = leaf?;
            if count < have {
                if self.files()?.leaves.read(count)?.bytes != leaf.bytes {
                    let what = format!(
                        "leaf {count} of the leader's snapshot differs from ours: the log has forked; \
                         run `glasshouse ledger verify` on both nodes and keep both directories"
                    );
                    return Err(StoreError::mismatch(from, what));
                }
            } else {
                self.fold_one(&dir, &leaf.bytes, count)?;
                if place.at + 1 == place.of {
                    self.mark();
                }
                written.push((leaf, place));
                if written.len() >= INSTALLED_AT_ONCE && place.at + 1 == place.of {
                    self.leaves()?.append(&std::mem::take(&mut written))?;
                }
            }
            count += 1;
        }
        if count < have {
            let what = format!(
                "the leader's snapshot has {count} leaves, fewer than the {have} committed here"
            );
            return Err(StoreError::mismatch(from, what));
        }
        self.leaves()?.append(&written)?;
        self.applied = self.applied.max(applied);
        self.membership = membership;
        self.write_floor()?;
        Ok(())
    }

    fn view(&self) -> View {
        View {
            state: Arc::new(self.state.clone()),
            root: self.frontier.root(),
        }
    }

    fn present(&self) -> Mark {
        Mark {
            size: self.frontier.size(),
            root: self.frontier.root(),
            roster: self.roster.clone(),
        }
    }

    fn mark(&mut self) {
        if self.marks.len() == MARKS {
            self.marks.pop_front();
        }
        let mark = self.present();
        self.marks.push_back(mark);
    }

    /// Folds the leaves of one entry and puts them on what is to be written; answers where each
    /// proposal stands.
    fn fold_entry(
        &mut self,
        dir: &Path,
        log_id: LogId,
        acts: Vec<Vec<u8>>,
        written: &mut Vec<(StoredLeaf, Place)>,
    ) -> Result<Vec<u64>, StoreError> {
        let of = acts.len() as u32;
        let mut answers = Vec::with_capacity(acts.len());
        for (at, bytes) in (0..).zip(acts) {
            answers.push(self.fold_one(dir, &bytes, self.frontier.size())?);
            written.push((StoredLeaf { log_id, bytes }, Place { at, of }));
        }
        self.mark();
        Ok(answers)
    }

    /// Folds one leaf into tree and state; gives the leaf that carries its proposal.
    fn fold_one(&mut self, dir: &Path, bytes: &[u8], index: u64) -> Result<u64, StoreError> {
        let record = decode(dir, index, bytes)?;
        self.frontier.append(bytes);
        let applied = self.state.apply(index, &record);
        // A leaf adds or removes one member at most, and no identity changes (ROSTER_BY_ONE).
        if self.roster.len() != self.state.witnesses().count() {
            let witnesses = self.state.witnesses();
            let roster = witnesses.map(|(node, identity)| (node.clone(), *identity));
            self.roster = Arc::new(roster.collect());
        }
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
        if let Some(awaited) = &self.awaited
            && awaited.size == index + 1
        {
            self.expect_roots(&dir.join(LEAVES), std::iter::once(awaited))?;
            super::notes::remove_awaited(dir)?;
            tracing::info!(
                size = awaited.size,
                "the log brought by the peers agrees with what this node had signed before"
            );
            self.awaited = None;
        }
        Ok(answer)
    }

    fn expect_roots<'a>(
        &self,
        path: &Path,
        mut signed: impl Iterator<Item = &'a Checkpoint>,
    ) -> Result<(), StoreError> {
        let root = self.frontier.root();
        signed.try_for_each(|signed| {
            if signed.root == root {
                return Ok(());
            }
            let what = format!(
                "the first {} leaves lead to root {root}, but this node signed {}: a leaf was altered, \
                 added or removed after signing. Compare with the other nodes' logs \
                 (`glasshouse ledger verify`) before anything else is started",
                signed.size, signed.root,
            );
            Err(StoreError::mismatch(path, what))
        })
    }

    fn write_floor(&mut self) -> Result<(), StoreError> {
        let files = self.files()?;
        files.leaves.sync()?;
        let floor = Floor {
            applied: self.applied,
            leaves: files.leaves.count(),
            membership: self.membership.clone(),
        };
        let mut bytes = Vec::new();
        frames::encode(0, &wire::encode(&floor), &mut bytes);
        disk::replace(&files.dir, APPLIED, &bytes)
    }
}

fn no_files() -> StoreError {
    StoreError::mismatch(
        Path::new(LEAVES),
        "this replica is not in use: it is still asking its peers, or has failed",
    )
}

fn decode(dir: &Path, index: u64, bytes: &[u8]) -> Result<wire::Record, StoreError> {
    wire::decode(bytes).map_err(|error| {
        let what = format!("leaf {index} cannot be read: {error}");
        StoreError::mismatch(&dir.join(LEAVES), what)
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

/// Does `raft.log`, which begins behind `purged` and ends with `last`, go with what is applied?
pub(super) fn check_applied(
    dir: &Path,
    purged: Option<LogId>,
    last: Option<LogId>,
    applied: Option<LogId>,
) -> Result<(), StoreError> {
    let log = dir.join(super::log::LOG);
    let index = |id: Option<LogId>| id.map_or(0, |id| id.index + 1);
    if last < applied {
        let what = format!(
            "it ends after {} entries, yet {} were applied: entries that were acknowledged are gone",
            index(last),
            index(applied)
        );
        return Err(StoreError::mismatch(&log, what));
    }
    if applied < purged {
        let what = format!(
            "it begins behind entry {}, yet only {} were applied: leaves or the file {APPLIED} are gone",
            index(purged),
            index(applied)
        );
        return Err(StoreError::mismatch(&log, what));
    }
    Ok(())
}
