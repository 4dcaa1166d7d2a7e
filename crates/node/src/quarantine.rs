//! Quarantine: one small file per message that gave no report, oldest removed first.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use wire::{Quarantined, Source, UnixMillis};

/// Most items kept. An operator looks at dozens; ten thousand are a week of a misconfigured device.
pub const MAX_ITEMS: usize = 10_000;
/// Bytes of a message kept; enough to recognise any device's format.
pub const MAX_RAW: usize = 64 << 10;

/// Why the quarantine could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    /// The disk said no.
    #[error("quarantine {path}: {error}")]
    Disk {
        /// Folder or file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// No such item.
    #[error("no item {id} in quarantine {path}; `glasshouse quarantine list` shows what there is")]
    Unknown {
        /// The id asked for.
        id: u64,
        /// The folder.
        path: PathBuf,
    },
    /// A file that is not an item.
    #[error("quarantine item {path} is damaged: {error}; remove the file")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why it is not readable.
        error: wire::DecodeError,
    },
}

/// A node's quarantine.
pub struct Quarantine {
    dir: PathBuf,
    next: Mutex<u64>,
}

fn disk(path: &Path) -> impl FnOnce(std::io::Error) -> QuarantineError + '_ {
    move |error| QuarantineError::Disk {
        path: path.to_owned(),
        error,
    }
}

fn file(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:010}.item"))
}

fn ids(dir: &Path) -> Result<Vec<u64>, QuarantineError> {
    let mut ids: Vec<u64> = match std::fs::read_dir(dir) {
        Ok(entries) => entries
            .filter_map(|entry| {
                entry
                    .ok()?
                    .file_name()
                    .to_str()?
                    .strip_suffix(".item")?
                    .parse()
                    .ok()
            })
            .collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(disk(dir)(error)),
    };
    ids.sort_unstable();
    Ok(ids)
}

/// All items of the quarantine in `dir`, oldest first; also while the node runs.
pub fn list(dir: &Path) -> Result<Vec<(u64, Quarantined)>, QuarantineError> {
    ids(dir)?
        .into_iter()
        .map(|id| Ok((id, read(dir, id)?)))
        .collect()
}

/// One item.
pub fn read(dir: &Path, id: u64) -> Result<Quarantined, QuarantineError> {
    let path = file(dir, id);
    let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => QuarantineError::Unknown {
            id,
            path: dir.to_owned(),
        },
        _ => disk(&path)(error),
    })?;
    wire::decode(&bytes).map_err(|error| QuarantineError::Damaged { path, error })
}

/// Removes one item for good.
pub fn discard(dir: &Path, id: u64) -> Result<(), QuarantineError> {
    read(dir, id)?;
    let path = file(dir, id);
    std::fs::remove_file(&path).map_err(disk(&path))
}

impl Quarantine {
    /// In `dir`, made if missing.
    pub fn open(dir: PathBuf) -> Result<Self, QuarantineError> {
        runtime::durable::create_dir(&dir).map_err(disk(&dir))?;
        let next = ids(&dir)?.last().map_or(1, |last| last + 1);
        Ok(Self {
            dir,
            next: Mutex::new(next),
        })
    }

    /// Sets a message aside. Blocking, but one small file.
    pub fn put(
        &self,
        at: UnixMillis,
        source: Source,
        position: String,
        sender: &str,
        reason: String,
        raw: &[u8],
    ) -> Result<(), QuarantineError> {
        let item = Quarantined {
            at,
            source,
            position,
            sender: sender.to_owned(),
            reason,
            raw: raw[..raw.len().min(MAX_RAW)].to_vec(),
        };
        let id = {
            let mut next = self
                .next
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            *next += 1;
            *next - 1
        };
        if let Some(oldest) = id.checked_sub(MAX_ITEMS as u64) {
            // Gone already is as good as removed now.
            let _ = std::fs::remove_file(file(&self.dir, oldest));
        }
        let path = file(&self.dir, id);
        runtime::durable::replace(&path, &wire::encode(&item)).map_err(disk(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_listed_shown_discarded_and_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("quarantine");
        assert!(list(&path).unwrap().is_empty());
        let put = |quarantine: &Quarantine, reason: &str| {
            quarantine
                .put(
                    UnixMillis(1),
                    Source::Mail,
                    "7".into(),
                    "x@y",
                    reason.into(),
                    &[0u8; MAX_RAW + 1],
                )
                .unwrap();
        };
        let quarantine = Quarantine::open(path.clone()).unwrap();
        put(&quarantine, "first");
        put(&quarantine, "second");
        put(&Quarantine::open(path.clone()).unwrap(), "third");
        let reasons: Vec<_> = list(&path)
            .unwrap()
            .into_iter()
            .map(|(_, item)| item.reason)
            .collect();
        assert_eq!(reasons, ["first", "second", "third"]);
        assert_eq!(read(&path, 1).unwrap().raw.len(), MAX_RAW);
        discard(&path, 2).unwrap();
        assert!(
            discard(&path, 2)
                .unwrap_err()
                .to_string()
                .contains("no item 2")
        );
        std::fs::write(path.join("0000000001.item"), b"junk").unwrap();
        assert!(list(&path).unwrap_err().to_string().contains("damaged"));
    }
}
