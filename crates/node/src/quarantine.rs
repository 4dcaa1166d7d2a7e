//! Quarantine: one small file per message that gave no report, sealed, oldest removed first.

use crate::at_rest::Vault;
use custody::at_rest::is_sealed;
use runtime::durable;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wire::Quarantined;

/// Most items kept. An operator looks at dozens; ten thousand are a week of a misconfigured device.
pub const MAX_ITEMS: usize = 10_000;
/// Bytes of a message kept: whole, so that it can be decoded again, but for what is too large to be
/// decoded at all; one byte more than that, so that it stays too large.
pub const MAX_RAW: usize = telemetry::mail::MAX_MAIL_BYTES + 1;
/// Bytes of all items together, as files. Ten thousand of the largest would be 40 GB of somebody
/// else's mistakes; a disk that holds journals and ledger has a gigabyte to spare.
pub const MAX_BYTES: u64 = 1 << 30;

/// Bytes overwritten of what is removed: what its key needs stands at the start.
const HEAD: usize = 256;

/// Items removed at once by one who wants them all gone.
const BATCH: usize = 256;

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
    /// An item whose seal does not open.
    #[error("quarantine item {path} is sealed and cannot be opened: {reason}")]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why, and what helps.
        reason: String,
    },
    /// There is no key.
    #[error("nothing can be set aside in quarantine {path}: {reason}")]
    NoKey {
        /// The folder.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// A node's quarantine.
pub struct Quarantine {
    dir: PathBuf,
    /// Or why there are none.
    keys: Result<Arc<Vault>, String>,
    shelf: Mutex<Shelf>,
}

/// What is there.
#[derive(Default)]
struct Shelf {
    next: u64,
    /// Items by id with the sizes of their files.
    sizes: BTreeMap<u64, u64>,
    bytes: u64,
}

impl Shelf {
    fn add(&mut self, id: u64, size: u64) {
        self.next = self.next.max(id + 1);
        let former = self.sizes.insert(id, size).unwrap_or(0);
        self.bytes = self.bytes - former + size;
    }

    fn remove(&mut self, id: u64) {
        self.bytes -= self.sizes.remove(&id).unwrap_or(0);
    }

    /// Takes the oldest off while there are too many or too large ones, but never the newest.
    fn surplus(&mut self, max_items: usize, max_bytes: u64) -> Vec<u64> {
        let mut gone = Vec::new();
        while self.sizes.len() > 1
            && (self.sizes.len() > max_items || self.bytes > max_bytes)
            && let Some((&oldest, _)) = self.sizes.first_key_value()
        {
            self.remove(oldest);
            gone.push(oldest);
        }
        gone
    }
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
    let mut ids: Vec<u64> = match fs::read_dir(dir) {
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

/// An item's first bytes: they tell how it is sealed.
fn head(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::open(path)?
        .take(HEAD as u64)
        .read_to_end(&mut start)?;
    Ok(start)
}

/// Whether the folder has an item that is sealed.
///
/// # Errors
/// The folder or an item cannot be read.
pub fn holds_sealed(dir: &Path) -> Result<bool, QuarantineError> {
    for id in ids(dir)? {
        let path = file(dir, id);
        if is_sealed(&head(&path).map_err(disk(&path))?) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Quarantine {
    /// In `dir`, made if missing. Without `keys`, for the reason said, only items of the time before there
    /// was sealing can be read, and nothing can be set aside.
    pub fn open(dir: PathBuf, keys: Result<Arc<Vault>, String>) -> Result<Self, QuarantineError> {
        durable::create_dir(&dir).map_err(disk(&dir))?;
        durable::finish_destroying(&dir, HEAD).map_err(disk(&dir))?;
        let mut shelf = Shelf {
            next: 1,
            ..Shelf::default()
        };
        for id in ids(&dir)? {
            // One that goes while we look is as good as not there.
            let size = fs::metadata(file(&dir, id)).map_or(0, |found| found.len());
            shelf.add(id, size);
        }
        Ok(Self {
            dir,
            keys,
            shelf: Mutex::new(shelf),
        })
    }

    /// Sets a message aside, cut at [`MAX_RAW`]. Blocking, but one file.
    pub fn put(&self, mut item: Quarantined) -> Result<(), QuarantineError> {
        item.raw.truncate(MAX_RAW);
        let id = {
            let mut shelf = self.shelf();
            shelf.next += 1;
            shelf.next - 1
        };
        let bytes = self.sealed(id, &item)?;
        let gone = {
            let mut shelf = self.shelf();
            shelf.add(id, bytes.len() as u64);
            shelf.surplus(MAX_ITEMS, MAX_BYTES)
        };
        for oldest in gone {
            // Gone already is as good as removed now.
            let _ = self.destroy(&[oldest]);
        }
        let path = file(&self.dir, id);
        durable::replace(&path, &bytes).map_err(disk(&path))
    }

    /// The ids behind `after`, oldest first.
    pub fn ids(&self, after: u64) -> Vec<u64> {
        let shelf = self.shelf();
        let behind = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        shelf.sizes.range(behind).map(|(&id, _)| id).collect()
    }

    /// One item.
    pub fn read(&self, id: u64) -> Result<Quarantined, QuarantineError> {
        let path = file(&self.dir, id);
        let mut bytes = fs::read(&path).map_err(|error| self.missing(id, error))?;
        if is_sealed(&bytes) {
            let opened = match &self.keys {
                Ok(vault) => vault.open_item(id, &bytes),
                Err(reason) => Err(reason.clone()),
            };
            bytes = opened.map_err(|reason| QuarantineError::Sealed {
                path: path.clone(),
                reason,
            })?;
        }
        Quarantined::read(&bytes).map_err(|error| QuarantineError::Damaged { path, error })
    }

    /// Gives an item another reason: it was looked at again.
    pub fn restate(&self, id: u64, item: &Quarantined) -> Result<(), QuarantineError> {
        let bytes = self.sealed(id, item)?;
        let path = file(&self.dir, id);
        let former = File::options().write(true).open(&path);
        durable::replace(&path, &bytes).map_err(disk(&path))?;
        // The former writing has no name any more, and still its key.
        let wiped = former.and_then(|former| durable::wipe(&former, HEAD));
        wiped.map_err(disk(&path))?;
        self.shelf().add(id, bytes.len() as u64);
        Ok(())
    }

    /// Seals anew what a former wrapping key sealed, or what is plain yet, so that a key that was replaced is
    /// needed no longer. What does not open stays as it is. Returns how many.
    pub fn renew(&self) -> Result<usize, QuarantineError> {
        let Ok(vault) = &self.keys else {
            return Ok(0);
        };
        let mut renewed = 0;
        for id in self.ids(0) {
            let outdated = head(&file(&self.dir, id)).is_ok_and(|start| vault.is_outdated(&start));
            if outdated && let Ok(item) = self.read(id) {
                self.restate(id, &item)?;
                renewed += 1;
            }
        }
        Ok(renewed)
    }

    /// Removes one item for good, damaged or not.
    pub fn discard(&self, id: u64) -> Result<(), QuarantineError> {
        self.destroy(&[id])
            .map_err(|error| self.missing(id, error))?;
        self.shelf().remove(id);
        Ok(())
    }

    /// Removes all items for good; how many.
    pub fn discard_all(&self) -> Result<usize, QuarantineError> {
        let mut removed = 0;
        loop {
            let ids: Vec<u64> = self.ids(0).into_iter().take(BATCH).collect();
            if ids.is_empty() {
                return Ok(removed);
            }
            // Another one may make room at the same time.
            let there = |id: &u64| file(&self.dir, *id).exists();
            let found: Vec<u64> = ids.iter().copied().filter(there).collect();
            self.destroy(&found).map_err(disk(&self.dir))?;
            removed += found.len();
            let mut shelf = self.shelf();
            ids.into_iter().for_each(|id| shelf.remove(id));
        }
    }

    fn destroy(&self, ids: &[u64]) -> std::io::Result<()> {
        let paths: Vec<PathBuf> = ids.iter().map(|id| file(&self.dir, *id)).collect();
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        durable::destroy(&self.dir, &paths, HEAD)
    }

    fn sealed(&self, id: u64, item: &Quarantined) -> Result<Vec<u8>, QuarantineError> {
        match &self.keys {
            Ok(vault) => Ok(vault.seal_item(id, &wire::encode(item))),
            Err(reason) => Err(QuarantineError::NoKey {
                path: self.dir.clone(),
                reason: reason.clone(),
            }),
        }
    }

    fn missing(&self, id: u64, error: std::io::Error) -> QuarantineError {
        match error.kind() {
            std::io::ErrorKind::NotFound => QuarantineError::Unknown {
                id,
                path: self.dir.clone(),
            },
            _ => disk(&file(&self.dir, id))(error),
        }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Quarantine {
    /// In `dir`, with a key that is always the same.
    pub(crate) fn for_tests(dir: PathBuf) -> Self {
        use custody::at_rest::{Keychain, WrappingKey};
        let keys = Keychain::new(WrappingKey::new([7; 32]), Vec::new());
        let vault = Vault::new(dir.with_file_name("wrapping.key"), keys);
        Self::open(dir, Ok(Arc::new(vault))).unwrap()
    }
}

#[cfg(test)]
mod tests;
