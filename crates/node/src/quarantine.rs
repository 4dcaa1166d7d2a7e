//! Quarantine: one small file per message that gave no report, oldest removed first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use wire::Quarantined;

/// Most items kept. An operator looks at dozens; ten thousand are a week of a misconfigured device.
pub const MAX_ITEMS: usize = 10_000;
/// Bytes of a message kept: whole, so that it can be decoded again, but for what is too large to be
/// decoded at all; one byte more than that, so that it stays too large.
pub const MAX_RAW: usize = telemetry::mail::MAX_MAIL_BYTES + 1;
/// Bytes of all items together, as files. Ten thousand of the largest would be 40 GB of somebody
/// else's mistakes; a disk that holds journals and ledger has a gigabyte to spare.
pub const MAX_BYTES: u64 = 1 << 30;

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

/// One item.
fn read(dir: &Path, id: u64) -> Result<Quarantined, QuarantineError> {
    let path = file(dir, id);
    let bytes = std::fs::read(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => QuarantineError::Unknown {
            id,
            path: dir.to_owned(),
        },
        _ => disk(&path)(error),
    })?;
    Quarantined::read(&bytes).map_err(|error| QuarantineError::Damaged { path, error })
}

impl Quarantine {
    /// In `dir`, made if missing.
    pub fn open(dir: PathBuf) -> Result<Self, QuarantineError> {
        runtime::durable::create_dir(&dir).map_err(disk(&dir))?;
        let mut shelf = Shelf {
            next: 1,
            ..Shelf::default()
        };
        for id in ids(&dir)? {
            // One that goes while we look is as good as not there.
            let size = std::fs::metadata(file(&dir, id)).map_or(0, |found| found.len());
            shelf.add(id, size);
        }
        Ok(Self {
            dir,
            shelf: Mutex::new(shelf),
        })
    }

    /// Sets a message aside, cut at [`MAX_RAW`]. Blocking, but one file.
    pub fn put(&self, mut item: Quarantined) -> Result<(), QuarantineError> {
        item.raw.truncate(MAX_RAW);
        let bytes = wire::encode(&item);
        let (id, gone) = {
            let mut shelf = self.shelf();
            let id = shelf.next;
            shelf.add(id, bytes.len() as u64);
            (id, shelf.surplus(MAX_ITEMS, MAX_BYTES))
        };
        for oldest in gone {
            // Gone already is as good as removed now.
            let _ = std::fs::remove_file(file(&self.dir, oldest));
        }
        let path = file(&self.dir, id);
        runtime::durable::replace(&path, &bytes).map_err(disk(&path))
    }

    /// The ids behind `after`, oldest first.
    pub fn ids(&self, after: u64) -> Vec<u64> {
        let shelf = self.shelf();
        let behind = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        shelf.sizes.range(behind).map(|(&id, _)| id).collect()
    }

    /// One item.
    pub fn read(&self, id: u64) -> Result<Quarantined, QuarantineError> {
        read(&self.dir, id)
    }

    /// Gives an item another reason: it was looked at again.
    pub fn restate(&self, id: u64, item: &Quarantined) -> Result<(), QuarantineError> {
        let bytes = wire::encode(item);
        let path = file(&self.dir, id);
        runtime::durable::replace(&path, &bytes).map_err(disk(&path))?;
        self.shelf().add(id, bytes.len() as u64);
        Ok(())
    }

    /// Removes one item for good, damaged or not.
    pub fn discard(&self, id: u64) -> Result<(), QuarantineError> {
        let path = file(&self.dir, id);
        std::fs::remove_file(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => QuarantineError::Unknown {
                id,
                path: self.dir.clone(),
            },
            _ => disk(&path)(error),
        })?;
        self.shelf().remove(id);
        Ok(())
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Source, UnixMillis};

    fn put(quarantine: &Quarantine, reason: &str, bytes: usize) {
        let item = Quarantined {
            at: UnixMillis(1),
            source: Source::Mail,
            position: "7".to_owned(),
            sender: "x@y".to_owned(),
            reason: reason.to_owned(),
            raw: vec![0u8; bytes],
            shown: None,
        };
        quarantine.put(item).unwrap();
    }

    fn reasons(quarantine: &Quarantine) -> Vec<String> {
        let ids = quarantine.ids(0).into_iter();
        ids.map(|id| quarantine.read(id).unwrap().reason).collect()
    }

    #[test]
    fn items_are_listed_shown_discarded_and_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("quarantine");
        let quarantine = Quarantine::open(path.clone()).unwrap();
        assert!(quarantine.ids(0).is_empty());
        put(&quarantine, "first", MAX_RAW + 1);
        put(&quarantine, "second", 10);
        let quarantine = Quarantine::open(path.clone()).unwrap();
        put(&quarantine, "third", 10);
        assert_eq!(reasons(&quarantine), ["first", "second", "third"]);
        assert_eq!(quarantine.ids(1), [2, 3]);
        assert_eq!(quarantine.read(1).unwrap().raw.len(), MAX_RAW);
        quarantine.discard(2).unwrap();
        let again = quarantine.discard(2).unwrap_err();
        assert!(again.to_string().contains("no item 2"), "{again}");
        let mut item = quarantine.read(3).unwrap();
        item.reason = "still not".to_owned();
        quarantine.restate(3, &item).unwrap();
        assert_eq!(reasons(&quarantine), ["first", "still not"]);
        std::fs::write(path.join("0000000001.item"), b"junk").unwrap();
        let damaged = quarantine.read(1).unwrap_err();
        assert!(damaged.to_string().contains("damaged"), "{damaged}");
        quarantine.discard(1).unwrap();
        assert_eq!(quarantine.ids(0), [3]);
    }

    #[test]
    fn the_oldest_make_room_by_number_and_by_size() {
        let shelf = |sizes: &[u64]| {
            let mut shelf = Shelf::default();
            for (id, size) in (1..).zip(sizes) {
                shelf.add(id, *size);
            }
            shelf
        };
        for (sizes, items, bytes, gone) in [
            (&[10, 10, 10][..], 3, 30, &[][..]),
            (&[10, 10, 10], 2, 30, &[1]),
            (&[10, 10, 10], 3, 29, &[1]),
            (&[10, 10, 10], 3, 15, &[1, 2]),
            (&[10, 10, 100], 3, 50, &[1, 2]),
        ] {
            let mut shelf = shelf(sizes);
            assert_eq!(
                shelf.surplus(items, bytes),
                gone,
                "{sizes:?} {items} {bytes}"
            );
            assert_eq!(shelf.bytes, shelf.sizes.values().sum::<u64>());
        }
        let mut shelf = shelf(&[10, 10]);
        shelf.add(2, 25);
        assert_eq!(
            (shelf.bytes, shelf.next),
            (35, 3),
            "another size replaces the former"
        );
    }
}
