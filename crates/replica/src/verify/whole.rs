//! The leaves of a directory: tree, state and members as they follow from nothing else.

use super::super::StoreError;
use super::super::frames::Stop;
use super::super::leaves::{LEAVES, LeafReader};
use super::super::store::Roster;
use super::VerifyError;
use ledger::invariants::{self, Step};
use ledger::{Applied, State};
use std::path::Path;
use tlog::{Tree, TreeError};
use wire::Record;

pub(super) struct WholeLog {
    pub(super) tree: Tree,
    pub(super) state: State,
    /// The members from a size of the log on, ascending.
    rosters: Vec<(u64, Roster)>,
    /// Bytes at the end that are no whole leaf.
    pub(super) unfinished: u64,
}

impl WholeLog {
    pub(super) fn roster_at(&self, size: u64) -> &Roster {
        static NOBODY: Roster = Roster::new();
        let known = self.rosters.partition_point(|(from, _)| *from <= size);
        let last = known.checked_sub(1).and_then(|at| self.rosters.get(at));
        last.map_or(&NOBODY, |(_, roster)| roster)
    }
}

pub(super) fn read_log(dir: &Path) -> Result<WholeLog, VerifyError> {
    let path = dir.join(LEAVES);
    let mut reader = LeafReader::open(&path)?;
    let mut log = WholeLog {
        tree: Tree::new(),
        state: State::new(),
        rosters: Vec::new(),
        unfinished: 0,
    };
    loop {
        let stored = match reader.next()? {
            Ok((stored, _, _)) => stored,
            Err(Stop::End) => return Ok(log),
            Err(Stop::Torn { offset }) => {
                let len = std::fs::metadata(&path)
                    .map_err(StoreError::io("read", &path))?
                    .len();
                log.unfinished = len.saturating_sub(offset);
                return Ok(log);
            }
            Err(Stop::Hole { offset, what } | Stop::Damaged { offset, what }) => {
                let leaf = log.tree.size();
                let what = format!("leaf {leaf}: {what}");
                return Err(StoreError::damaged(&path, offset, what).into());
            }
        };
        let leaf = log.tree.append(&stored.bytes);
        let record =
            wire::decode(&stored.bytes).map_err(|error| VerifyError::Leaf { leaf, error })?;
        let before = log.state.clone();
        let applied = log.state.apply(leaf, &record);
        if log.state.witnesses().count() != before.witnesses().count() {
            let witnesses = log.state.witnesses();
            let roster = witnesses.map(|(node, identity)| (node.clone(), *identity));
            log.rosters.push((leaf + 1, roster.collect()));
        }
        invariants::check(Step {
            before: &before,
            after: &log.state,
            applied: &applied,
        })?;
    }
}

/// All acts on a ledger directory, in order, each with what came of it. Nothing is proved;
/// [`verify`](super::verify()) does that.
pub fn acts(dir: &Path) -> Result<Vec<(Record, Applied)>, VerifyError> {
    let path = dir.join(LEAVES);
    let mut reader = LeafReader::open(&path)?;
    let (mut state, mut acts) = (State::new(), Vec::new());
    loop {
        let stored = match reader.next()? {
            Ok((stored, _, _)) => stored,
            Err(Stop::End | Stop::Torn { .. }) => return Ok(acts),
            Err(Stop::Hole { offset, what } | Stop::Damaged { offset, what }) => {
                let what = format!("leaf {}: {what}", state.size);
                return Err(StoreError::damaged(&path, offset, what).into());
            }
        };
        let leaf = state.size;
        let record: Record =
            wire::decode(&stored.bytes).map_err(|error| VerifyError::Leaf { leaf, error })?;
        let applied = state.apply(leaf, &record);
        acts.push((record, applied));
    }
}

/// The bytes of one leaf.
pub(super) fn read_leaf(dir: &Path, index: u64) -> Result<Vec<u8>, VerifyError> {
    let mut reader = LeafReader::open(&dir.join(LEAVES))?;
    let mut at = 0;
    while let Ok((stored, _, _)) = reader.next()? {
        if at == index {
            return Ok(stored.bytes);
        }
        at += 1;
    }
    Err(TreeError::NoSuchLeaf { index, size: at }.into())
}
