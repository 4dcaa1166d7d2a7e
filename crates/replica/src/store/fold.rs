//! Leaves, tree and state in step: every leaf goes through here, from the disk, from Raft or out of
//! a snapshot.

use super::super::leaves::{LEAVES, LeafFile, Place, StoredLeaf};
use super::super::types::{LogId, Membership};
use super::super::{Committed, StoreError, batch, log, notes};
use super::floor::Floor;
use super::{Apply, ApplyWhat, Mark, Roster, View};
use ledger::{Applied, State};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tlog::{Checkpoint, Frontier};
use wire::Level;

/// Committed acts kept in memory for subscribers; slower ones read the disk. At a hundred acts a
/// second this is ten seconds of patience, and a few MiB at most with ordinary acts.
const RECENT: usize = 1024;

/// Leaves of a snapshot written at once: a whole log must not be in memory twice.
const INSTALLED_AT_ONCE: usize = 4096;

/// Roots remembered, one for each entry of Raft's log: what a checkpoint may be asked to be
/// cosigned for. The leader asks within its round; at ten thousand entries a second this reaches
/// back a quarter of a second more than `Timings::checkpoint_every`.
const MARKS: usize = 5_000;

/// The files, once it is known which replica this is.
pub(super) struct Files {
    pub(super) dir: PathBuf,
    pub(super) leaves: LeafFile,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) files: Option<Files>,
    /// Folding or writing has failed: what is in memory is not what is on the disk, and nobody may
    /// sign for it.
    pub(super) failed: bool,
    /// What this node speaks.
    pub(super) level: Level,
    pub(super) frontier: Frontier,
    pub(super) state: State,
    pub(super) roster: Arc<Roster>,
    pub(super) marks: VecDeque<Mark>,
    pub(super) awaited: Option<Checkpoint>,
    pub(super) applied: Option<LogId>,
    pub(super) membership: Membership,
    pub(super) recent: VecDeque<Arc<Committed>>,
}

impl Inner {
    pub(super) fn files(&self) -> Result<&Files, StoreError> {
        let files = self.files.as_ref().filter(|_| !self.failed);
        files.ok_or_else(no_files)
    }

    pub(super) fn leaves(&mut self) -> Result<&mut LeafFile, StoreError> {
        let files = self.files.as_mut().filter(|_| !self.failed);
        files.map(|files| &mut files.leaves).ok_or_else(no_files)
    }

    pub(super) fn apply(&mut self, entries: Vec<Apply>) -> Result<Vec<Vec<u64>>, StoreError> {
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
                    let acts = batch::split(entry, &dir.join(log::LOG))?;
                    self.fold_entry(&dir, log_id, acts, &mut written)?
                }
            };
            answers.push(answer);
            self.applied = Some(log_id);
        }
        self.leaves()?.append(&written)?;
        Ok(answers)
    }

    pub(super) fn install(
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

    pub(super) fn view(&self) -> View {
        View {
            state: Arc::new(self.state.clone()),
            root: self.frontier.root(),
        }
    }

    pub(super) fn present(&self) -> Mark {
        Mark {
            size: self.frontier.size(),
            root: self.frontier.root(),
            roster: self.roster.clone(),
        }
    }

    pub(super) fn mark(&mut self) {
        if self.marks.len() == MARKS {
            self.marks.pop_front();
        }
        let mark = self.present();
        self.marks.push_back(mark);
    }

    /// Folds the leaves of one entry and puts them on what is to be written; answers where each
    /// proposal stands.
    pub(super) fn fold_entry(
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
    pub(super) fn fold_one(
        &mut self,
        dir: &Path,
        bytes: &[u8],
        index: u64,
    ) -> Result<u64, StoreError> {
        let record = decode(dir, index, bytes)?;
        self.frontier.append(bytes);
        let applied = self.state.apply(index, &record);
        if self.state.level > self.level {
            return Err(StoreError::Newer {
                path: dir.join(LEAVES),
                ledger: self.state.level,
                own: self.level,
            });
        }
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
            notes::remove_awaited(dir)?;
            tracing::info!(
                size = awaited.size,
                "the log brought by the peers agrees with what this node had signed before"
            );
            self.awaited = None;
        }
        Ok(answer)
    }

    pub(super) fn expect_roots<'a>(
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

    pub(super) fn write_floor(&mut self) -> Result<(), StoreError> {
        let files = self.files()?;
        files.leaves.sync()?;
        let floor = Floor {
            applied: self.applied,
            leaves: files.leaves.count(),
            membership: self.membership.clone(),
        };
        floor.write(&files.dir)
    }
}

fn no_files() -> StoreError {
    StoreError::mismatch(
        Path::new(LEAVES),
        "this replica is not in use: it is still asking its peers, or has failed",
    )
}

pub(super) fn decode(dir: &Path, index: u64, bytes: &[u8]) -> Result<wire::Record, StoreError> {
    wire::decode(bytes).map_err(|error| {
        let what = format!("leaf {index} cannot be read: {error}");
        StoreError::mismatch(&dir.join(LEAVES), what)
    })
}
