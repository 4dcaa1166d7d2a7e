//! Signed notes on the disk: what this node stood for, and what the cluster did.

use super::frames::{self, Frames, Stop};
use super::store::Roster;
use super::{StoreError, disk};
use ed25519_dalek::VerifyingKey;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tlog::{Checkpoint, KeyName, KeyNameError, NoteVerifier, SignedNote};

/// The newest checkpoint that the cluster stands for.
pub(super) const CHECKPOINT: &str = "checkpoint";
/// The ones before.
pub(super) const HISTORY: &str = "checkpoint.history";
/// The newest checkpoint that this replica signed or cosigned.
pub(super) const SIGNED: &str = "signed";
/// The newest one that this node signed with a replica it has lost; until the log agrees.
pub(super) const AWAITED: &str = "awaited";
pub(super) const VKEY: &str = "vkey";

/// Earlier checkpoints kept for consistency proofs: at four a second the last minute of a busy
/// log, weeks of a quiet one. The file holds at most twice as many.
pub(super) const HISTORY_KEPT: usize = 256;

/// The log's name: origin of its checkpoints and name of the keys that sign them. Every member
/// signs under this name; their key ids tell them apart.
pub fn origin(cluster: &str) -> Result<KeyName, KeyNameError> {
    KeyName::new(&format!("glasshouse/{cluster}"))
}

/// A checkpoint as it lies on the disk.
#[derive(Debug, Clone)]
pub(super) struct NoteFile {
    pub(super) checkpoint: Checkpoint,
    pub(super) note: Vec<u8>,
}

/// The verifiers of these members; a key that is no point of the curve verifies nothing.
pub(super) fn verifiers(origin: &KeyName, roster: &Roster) -> Vec<NoteVerifier> {
    let keys = roster.values();
    keys.filter_map(|key| VerifyingKey::from_bytes(key).ok())
        .map(|key| NoteVerifier::new(origin.clone(), key))
        .collect()
}

/// The note in `dir/name`, verified with `trusted`; `None` if there is none yet.
pub(super) fn read(
    dir: &Path,
    name: &str,
    trusted: &[NoteVerifier],
) -> Result<Option<NoteFile>, StoreError> {
    let Some(note) = bytes(dir, name)? else {
        return Ok(None);
    };
    match Checkpoint::open(&note, trusted) {
        Ok((checkpoint, _)) => Ok(Some(NoteFile { checkpoint, note })),
        Err(error) => Err(StoreError::mismatch(&dir.join(name), error.to_string())),
    }
}

/// As [`read`], but whoever signed.
pub(super) fn read_unverified(dir: &Path, name: &str) -> Result<Option<NoteFile>, StoreError> {
    let Some(note) = bytes(dir, name)? else {
        return Ok(None);
    };
    let parsed = SignedNote::parse(&note)
        .map_err(tlog::CheckpointError::from)
        .and_then(|note| Checkpoint::parse_text(note.text()));
    match parsed {
        Ok(checkpoint) => Ok(Some(NoteFile { checkpoint, note })),
        Err(error) => Err(StoreError::mismatch(&dir.join(name), error.to_string())),
    }
}

/// Refuses a note that this node's key signed for another log: no disk flips bits into that.
pub(super) fn refuse_foreign(dir: &Path, name: &str, own: &NoteVerifier) -> Result<(), StoreError> {
    let Ok(Some(NoteFile { checkpoint, note })) = read_unverified(dir, name) else {
        return Ok(());
    };
    let there = [NoteVerifier::new(checkpoint.origin.clone(), *own.key())];
    match checkpoint.expect_origin(own.name()) {
        Err(error) if Checkpoint::open(&note, &there).is_ok() => {
            Err(StoreError::foreign(&dir.join(name), error.to_string()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn bytes(dir: &Path, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let path = dir.join(name);
    if !path.exists() {
        return Ok(None);
    }
    let note = fs::read(&path).map_err(StoreError::io("read", &path))?;
    Ok(Some(note))
}

/// The vow of the former replica is kept.
pub(super) fn remove_awaited(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join(AWAITED);
    fs::remove_file(&path).map_err(StoreError::io("remove", &path))?;
    disk::sync_dir(dir)
}

/// The notes in the history file, oldest first, and where the intact part ends.
pub(super) fn read_history(dir: &Path) -> Result<(Vec<Vec<u8>>, u64), StoreError> {
    let path = dir.join(HISTORY);
    let (mut notes, mut end) = (Vec::new(), 0);
    if !path.exists() {
        return Ok((notes, end));
    }
    let mut frames = Frames::open(&path)?;
    loop {
        match frames.next()? {
            Ok(frame) => {
                end = frame.end();
                notes.push(frame.payload);
            }
            // Lines are not synced one by one: a crash may leave a gap in front of the last ones.
            Err(Stop::End | Stop::Torn { .. } | Stop::Hole { .. }) => return Ok((notes, end)),
            Err(Stop::Damaged { offset, what }) => {
                return Err(StoreError::damaged(&path, offset, what));
            }
        }
    }
}

/// Writes notes and their history.
pub(super) struct NoteWriter {
    dir: PathBuf,
    history: File,
    history_path: PathBuf,
    kept: usize,
    /// Where the last whole frame ends.
    end: u64,
    /// An append failed and may have left a piece of its frame behind `end`.
    torn: bool,
}

impl NoteWriter {
    pub(super) fn open(dir: &Path, own: &NoteVerifier) -> Result<Self, StoreError> {
        disk::replace(dir, VKEY, format!("{own}\n").as_bytes())?;
        let (notes, end) = read_history(dir)?;
        let path = dir.join(HISTORY);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path);
        let history = file.map_err(StoreError::io("open", &path))?;
        let len = history
            .metadata()
            .map_err(StoreError::io("read", &path))?
            .len();
        disk::sync_dir(dir)?;
        let mut writer = Self {
            dir: dir.to_owned(),
            history,
            history_path: path,
            kept: notes.len(),
            end,
            torn: len > end,
        };
        writer.cut_back()?;
        Ok(writer)
    }

    /// What this replica stands for from now on. Before the signature leaves the node.
    pub(super) fn save_signed(&self, note: &str) -> Result<(), StoreError> {
        disk::replace(&self.dir, SIGNED, note.as_bytes())
    }

    /// What the cluster stands for from now on. The leaves must be durable already.
    pub(super) fn save_checkpoint(&mut self, note: &str) -> Result<(), StoreError> {
        disk::replace(&self.dir, CHECKPOINT, note.as_bytes())?;
        self.remember(note.as_bytes())
    }

    pub(super) fn remember(&mut self, note: &[u8]) -> Result<(), StoreError> {
        // Behind a piece of a frame no whole one would be found again.
        self.cut_back()?;
        if self.kept >= 2 * HISTORY_KEPT {
            self.forget_old()?;
        }
        let mut bytes = Vec::new();
        frames::encode(self.end, note, &mut bytes);
        // Not synced: a history that lacks its last line after a crash proves no less.
        let appended = self.history.write_all(&bytes);
        if let Err(error) = appended {
            self.torn = true;
            if let Err(uncut) = self.cut_back() {
                tracing::warn!("a piece of a checkpoint stays for now: {uncut}");
            }
            return Err(StoreError::io("append to", &self.history_path)(error));
        }
        self.end += bytes.len() as u64;
        self.kept += 1;
        Ok(())
    }

    /// Cuts off what a failed append left. Durably: of a piece that was on the medium already a
    /// power loss could bring back a sector in the middle of what is appended next.
    fn cut_back(&mut self) -> Result<(), StoreError> {
        if self.torn {
            disk::cut(&self.history, &self.history_path, self.end)?;
            self.torn = false;
        }
        Ok(())
    }

    fn forget_old(&mut self) -> Result<(), StoreError> {
        let (notes, _) = read_history(&self.dir)?;
        let mut bytes = Vec::new();
        for note in &notes[notes.len().saturating_sub(HISTORY_KEPT)..] {
            let offset = bytes.len() as u64;
            frames::encode(offset, note, &mut bytes);
        }
        disk::replace(&self.dir, HISTORY, &bytes)?;
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .open(&self.history_path);
        self.history = file.map_err(StoreError::io("open", &self.history_path))?;
        self.kept = notes.len().min(HISTORY_KEPT);
        self.end = bytes.len() as u64;
        Ok(())
    }
}

/// The key in the file `vkey`.
pub(super) fn read_vkey(dir: &Path) -> Result<NoteVerifier, StoreError> {
    let path = dir.join(VKEY);
    let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
    let text =
        String::from_utf8(bytes).map_err(|error| StoreError::mismatch(&path, error.to_string()))?;
    // Exactly what was written, line end included: no byte of the directory may be altered unseen.
    let Some(line) = text.strip_suffix('\n') else {
        return Err(StoreError::mismatch(
            &path,
            "it does not end with a line feed",
        ));
    };
    NoteVerifier::parse(line).map_err(|error| StoreError::mismatch(&path, error.to_string()))
}
