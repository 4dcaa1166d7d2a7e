//! What a ledger directory holds at start, and setting a damaged one aside.

use super::log::{self, RaftLog};
use super::notes::{self, AWAITED, CHECKPOINT, SIGNED};
use super::snapshot::INCOMING;
use super::store::{self, Store, Vows};
use super::{StoreError, disk, leaves};
use ledger::State;
use runtime::{clock, durable};
use std::fs;
use std::path::{Path, PathBuf};
use tlog::{KeyName, NoteVerifier};
use wire::{Level, StoreId};

/// Damaged directories kept for examination. One says what happened, two whether it happens again;
/// more would fill the disk that may be the cause.
const KEPT_ASIDE: usize = 3;

/// The files of consensus: any of them says that this was a replica.
const OF_A_REPLICA: [&str; 6] = [
    log::LOG,
    log::VOTE,
    leaves::LEAVES,
    store::APPLIED,
    SIGNED,
    CHECKPOINT,
];

/// Who reads: what the files must agree with.
pub(super) struct Reader<'a> {
    pub(super) dir: &'a Path,
    pub(super) cluster: &'a str,
    pub(super) origin: &'a KeyName,
    pub(super) own: &'a NoteVerifier,
    pub(super) level: Level,
}

/// What a directory holds.
pub(super) enum Held {
    /// No replica, or one that had not begun.
    Nothing,
    /// Nothing but the vow of a replica that was set aside.
    Vow,
    /// A replica; the store is loaded.
    Replica(RaftLog),
    /// A replica that must not be used.
    Damaged(StoreError),
}

impl Reader<'_> {
    /// Looks at every file, and loads `store` if all is well. `Err` is what peers cannot heal.
    pub(super) fn look(&self, store: &Store) -> Result<Held, StoreError> {
        match self.load(store) {
            Ok(Some(log)) => Ok(Held::Replica(log)),
            Ok(None) if self.dir.join(AWAITED).exists() => Ok(Held::Vow),
            Ok(None) => Ok(Held::Nothing),
            Err(error) if error.is_damage() => Ok(Held::Damaged(error)),
            Err(error) => Err(error),
        }
    }

    fn load(&self, store: &Store) -> Result<Option<RaftLog>, StoreError> {
        let there = |name: &str| self.dir.join(name).exists();
        if !OF_A_REPLICA.into_iter().any(there) {
            return Ok(None);
        }
        if !there(log::LOG) {
            let what = "the file is gone, and with it what this node had acknowledged";
            return Err(StoreError::mismatch(&self.dir.join(log::LOG), what));
        }
        // The notes first: they know another cluster's directory.
        let vows = self.vows()?;
        notes::read_history(self.dir)?;
        let log = RaftLog::open(self.dir)?;
        let leaves = fs::metadata(self.dir.join(leaves::LEAVES)).map_or(0, |leaves| leaves.len());
        let begun = log.begun() || leaves > 0 || !vows.kept.is_empty();
        if !begun && log.store() == StoreId::FOUNDING {
            return Ok(None);
        }
        let (purged, last) = log.ends();
        store.load(self.dir, self.cluster, self.level, vows)?;
        self.check_signatures(store)?;
        let incoming = self.dir.join(INCOMING);
        // A crash between installing a snapshot and shortening the log leaves the log behind.
        if !incoming.exists() {
            store::check_applied(self.dir, purged, last, store.applied().0)?;
        }
        Ok(Some(log))
    }

    pub(super) fn vows(&self) -> Result<Vows, StoreError> {
        let own = std::slice::from_ref(self.own);
        for name in [CHECKPOINT, SIGNED] {
            notes::refuse_foreign(self.dir, name, self.own)?;
        }
        let cluster = notes::read_unverified(self.dir, CHECKPOINT)?;
        let signed = notes::read(self.dir, SIGNED, own)?;
        // Until the cluster cosigns, the first release's files: each node's own signature.
        let awaited = notes::read(self.dir, AWAITED, own)?;
        let kept = [cluster, signed].into_iter().flatten();
        Ok(Vows {
            kept: kept.map(|file| file.checkpoint).collect(),
            awaited: awaited.map(|file| file.checkpoint),
        })
    }

    /// The cluster's checkpoint was opened before it was known who the members are.
    fn check_signatures(&self, store: &Store) -> Result<(), StoreError> {
        let state = store.now().state;
        let roster = state
            .witnesses()
            .map(|(node, identity)| (node.clone(), *identity));
        let members = notes::verifiers(self.origin, &roster.collect());
        notes::read(self.dir, CHECKPOINT, &members).map(drop)
    }

    /// The note that the next replica's log must agree with: one that is still awaited, or else
    /// the newest intact one with this node's own signature.
    fn newest_own(&self) -> Option<Vec<u8>> {
        let own = std::slice::from_ref(self.own);
        let read = |name| notes::read(self.dir, name, own).ok().flatten();
        let newest = || {
            let signed = [SIGNED, CHECKPOINT].into_iter().filter_map(read);
            signed.max_by_key(|file| file.checkpoint.size)
        };
        read(AWAITED).or_else(newest).map(|file| file.note)
    }

    /// The state that the intact beginning of the leaves leads to: whom to ask.
    pub(super) fn fold_what_is_intact(&self) -> State {
        let mut state = State::new();
        let Ok(mut reader) = leaves::LeafReader::open(&self.dir.join(leaves::LEAVES)) else {
            return state;
        };
        while let Ok(Ok((leaf, _, _))) = reader.next() {
            let Ok(record) = wire::decode(&leaf.bytes) else {
                break;
            };
            state.apply(state.size, &record);
        }
        state
    }

    /// Moves all files into a directory beside this one, but keeps this node's newest vow. The
    /// lock stays.
    pub(super) fn set_aside(&self) -> Result<PathBuf, StoreError> {
        let vow = self.newest_own();
        let aside = self.aside(clock::unix_now().0);
        durable::create_dir(&aside).map_err(StoreError::io("create", &aside))?;
        let entries = fs::read_dir(self.dir).map_err(StoreError::io("read", self.dir))?;
        for entry in entries {
            let entry = entry.map_err(StoreError::io("read", self.dir))?;
            if entry.file_name() == super::handle::LOCK {
                continue;
            }
            let (from, to) = (entry.path(), aside.join(entry.file_name()));
            fs::rename(&from, &to).map_err(StoreError::io("move aside", &from))?;
        }
        disk::sync_dir(&aside)?;
        if let Some(vow) = vow {
            disk::replace(self.dir, AWAITED, &vow)?;
        }
        disk::sync_dir(self.dir)?;
        self.forget_oldest()?;
        Ok(aside)
    }

    fn aside(&self, time: u64) -> PathBuf {
        let mut name = self.dir.file_name().unwrap_or_default().to_owned();
        name.push(format!(".damaged-{time}"));
        self.dir.with_file_name(name)
    }

    fn forget_oldest(&self) -> Result<(), StoreError> {
        let parent = self.dir.parent().unwrap_or(Path::new("."));
        let mut prefix = self.dir.file_name().unwrap_or_default().to_owned();
        prefix.push(".damaged-");
        let prefix = prefix.to_string_lossy().into_owned();
        let entries = fs::read_dir(parent).map_err(StoreError::io("read", parent))?;
        let mut aside: Vec<(u64, PathBuf)> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| {
                let name = entry.file_name().to_string_lossy().into_owned();
                let time = name.strip_prefix(&prefix)?.parse().ok()?;
                Some((time, entry.path()))
            })
            .collect();
        aside.sort();
        let surplus = aside.len().saturating_sub(KEPT_ASIDE);
        for (_, path) in aside.drain(..surplus) {
            tracing::warn!(path = %path.display(), "deleting the oldest damaged ledger directory");
            fs::remove_dir_all(&path).map_err(StoreError::io("remove", &path))?;
        }
        Ok(())
    }
}
