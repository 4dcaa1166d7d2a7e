//! Checkpoints on the disk: what this node signs for.

use super::frames::{self, Frames, Stop};
use super::{StoreError, disk};
use ed25519_dalek::SigningKey;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use tlog::{Checkpoint, Hash, KeyName, KeyNameError, NoteSigner, NoteVerifier};

pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const HISTORY: &str = "checkpoint.history";
pub(super) const VKEY: &str = "vkey";

/// Earlier checkpoints kept for consistency proofs: at four a second the last minute of a busy
/// log, weeks of a quiet one. The file holds at most twice as many.
pub(super) const HISTORY_KEPT: usize = 256;

/// The log's name: origin of its checkpoints and name of the keys that sign them.
pub fn origin(cluster: &str) -> Result<KeyName, KeyNameError> {
    KeyName::new(&format!("glasshouse/{cluster}"))
}

/// A checkpoint as it lies on the disk.
#[derive(Debug, Clone)]
pub(super) struct CheckpointFile {
    pub(super) checkpoint: Checkpoint,
    pub(super) note: Vec<u8>,
}

/// The signed checkpoint in `dir`, verified with `trusted`; `None` if there is none yet.
pub(super) fn read(
    dir: &Path,
    trusted: &[NoteVerifier],
) -> Result<Option<CheckpointFile>, StoreError> {
    let path = dir.join(CHECKPOINT);
    if !path.exists() {
        return Ok(None);
    }
    let note = fs::read(&path).map_err(StoreError::io("read", &path))?;
    match Checkpoint::open(&note, trusted) {
        Ok((checkpoint, _)) => Ok(Some(CheckpointFile { checkpoint, note })),
        Err(error) => Err(StoreError::mismatch(&path, error.to_string())),
    }
}

/// Does the log lead to the root that was signed? `found` is the root over as many leaves.
pub(super) fn expect_root(
    dir: &Path,
    signed: &Checkpoint,
    found: Option<Hash>,
) -> Result<(), StoreError> {
    if found == Some(signed.root) {
        return Ok(());
    }
    let what = format!(
        "the first {} leaves lead to root {}, but {} was signed: a leaf was altered, added or removed \
         after signing",
        signed.size,
        found.map_or_else(|| "(too few leaves)".to_owned(), |root| root.to_string()),
        signed.root,
    );
    Err(StoreError::mismatch(&dir.join(super::leaves::LEAVES), what))
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
            Err(Stop::End | Stop::Torn { .. }) => return Ok((notes, end)),
            Err(Stop::Damaged { offset, what }) => {
                return Err(StoreError::damaged(&path, offset, what));
            }
        }
    }
}

/// Writes checkpoints and their history.
pub(super) struct CheckpointWriter {
    dir: PathBuf,
    origin: KeyName,
    history: File,
    history_path: PathBuf,
    kept: usize,
    end: u64,
    /// Size last signed.
    pub(super) signed: Option<u64>,
}

impl CheckpointWriter {
    pub(super) fn open(
        dir: &Path,
        origin: &KeyName,
        key: &SigningKey,
        signed: Option<u64>,
    ) -> Result<Self, StoreError> {
        let vkey = format!("{}\n", NoteSigner::new(origin, key).verifier());
        disk::replace(dir, VKEY, vkey.as_bytes())?;
        let (notes, end) = read_history(dir)?;
        let path = dir.join(HISTORY);
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path);
        let history = file.map_err(StoreError::io("open", &path))?;
        history.set_len(end).map_err(StoreError::io("cut", &path))?;
        disk::sync_dir(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            origin: origin.clone(),
            history,
            history_path: path,
            kept: notes.len(),
            end,
            signed,
        })
    }

    /// Signs and replaces the checkpoint. The leaves must be durable already.
    pub(super) fn write(
        &mut self,
        key: &SigningKey,
        size: u64,
        root: Hash,
    ) -> Result<(), StoreError> {
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size,
            root,
        };
        let path = self.dir.join(CHECKPOINT);
        let note = checkpoint.sign(&[NoteSigner::new(&self.origin, key)]);
        let note = note
            .map_err(|error| StoreError::mismatch(&path, error.to_string()))?
            .encode();
        disk::replace(&self.dir, CHECKPOINT, note.as_bytes())?;
        self.signed = Some(size);
        self.remember(note.as_bytes())
    }

    fn remember(&mut self, note: &[u8]) -> Result<(), StoreError> {
        if self.kept >= 2 * HISTORY_KEPT {
            self.forget_old()?;
        }
        let mut bytes = Vec::new();
        frames::encode(self.end, note, &mut bytes);
        // Not synced: a history that lacks its last line after a crash proves no less.
        self.history
            .write_all(&bytes)
            .map_err(StoreError::io("append to", &self.history_path))?;
        self.end += bytes.len() as u64;
        self.kept += 1;
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
