//! Names in directories since those were synced.

use super::Mood;
use super::paths::c_string;
use crate::lockstep::guest::raw::{self, Errno};
use crate::machines::rng::Dice;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Names {
    /// Where removed and replaced files stay as long as they may come back.
    attic: PathBuf,
    next: u64,
    /// In order of time.
    done: Vec<Done>,
}

/// One operation, in a directory.
#[derive(Debug)]
struct Done {
    dir: PathBuf,
    what: What,
}

#[derive(Debug)]
enum What {
    Created(PathBuf),
    Made(PathBuf),
    RemovedDir(PathBuf),
    Unlinked {
        path: PathBuf,
        kept: PathBuf,
    },
    Renamed {
        from: PathBuf,
        to: PathBuf,
        replaced: Option<PathBuf>,
    },
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_owned()
}

const HERE: i32 = libc::AT_FDCWD;

impl Names {
    pub(super) fn new(attic: PathBuf) -> Self {
        Self {
            attic,
            next: 0,
            done: Vec::new(),
        }
    }

    fn push(&mut self, path: &Path, what: What) {
        self.done.push(Done {
            dir: parent(path),
            what,
        });
    }

    pub(super) fn created(&mut self, path: &Path) {
        self.push(path, What::Created(path.to_owned()));
    }

    pub(super) fn made(&mut self, path: &Path) {
        self.push(path, What::Made(path.to_owned()));
    }

    pub(super) fn removed_dir(&mut self, path: &Path) {
        // Whatever was undone in it would have nowhere to be.
        self.done.retain(|done| !done.dir.starts_with(path));
        self.push(path, What::RemovedDir(path.to_owned()));
    }

    /// A second name in the attic.
    fn keep(&mut self, path: &Path) -> Result<PathBuf, Errno> {
        let kept = self.attic.join(self.next.to_string());
        self.next += 1;
        raw::link(&c_string(path)?, &c_string(&kept)?)?;
        Ok(kept)
    }

    pub(super) fn unlink(&mut self, path: &Path) -> Result<i32, Errno> {
        let kept = self.keep(path)?;
        raw::unlink(HERE, &c_string(path)?, 0)?;
        let path_ = path.to_owned();
        self.push(path, What::Unlinked { path: path_, kept });
        Ok(0)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<i32, Errno> {
        let replaced = if to.is_file() {
            Some(self.keep(to)?)
        } else {
            None
        };
        raw::rename(HERE, &c_string(from)?, HERE, &c_string(to)?)?;
        // A directory's own names are taken to have been durable before it moved, which is one
        // of the legal outcomes.
        self.done.retain(|done| !done.dir.starts_with(from));
        let what = What::Renamed {
            from: from.to_owned(),
            to: to.to_owned(),
            replaced,
        };
        self.push(to, what);
        Ok(0)
    }

    /// All names in `dir` are durable.
    pub(super) fn synced(&mut self, dir: &Path) {
        let (synced, rest) = std::mem::take(&mut self.done)
            .into_iter()
            .partition(|done| done.dir == dir);
        self.done = rest;
        for done in synced {
            match done.what {
                What::Unlinked { kept, .. }
                | What::Renamed {
                    replaced: Some(kept),
                    ..
                } => {
                    self.forget(&kept);
                }
                What::Created(_)
                | What::Made(_)
                | What::RemovedDir(_)
                | What::Renamed { replaced: None, .. } => {}
            }
        }
    }

    /// What stays in the attic is swept before the next start.
    fn forget(&self, kept: &Path) {
        if let Ok(path) = c_string(kept) {
            let _ = raw::unlink(HERE, &path, 0);
        }
    }

    /// Undoes, in each directory, all from some operation on; gives how many.
    pub(super) fn lose_power(&mut self, dice: &mut Dice, mood: Mood) -> Result<usize, Errno> {
        let done = std::mem::take(&mut self.done);
        let mut left: BTreeMap<&Path, usize> = BTreeMap::new();
        for done in &done {
            *left.entry(&done.dir).or_default() += 1;
        }
        for count in left.values_mut() {
            *count = match mood {
                Mood::All => *count,
                Mood::Nothing => 0,
                Mood::Dice => dice.index(*count + 1),
            };
        }
        let mut undone = 0;
        for done in done.iter().rev() {
            let Some(count) = left.get_mut(done.dir.as_path()).filter(|count| **count > 0) else {
                continue;
            };
            *count -= 1;
            // The directory itself may be gone by what was undone before.
            if done.dir.exists() {
                undo(&done.what)?;
                undone += 1;
            }
        }
        Ok(undone)
    }
}

fn undo(what: &What) -> Result<(), Errno> {
    match what {
        What::Created(path) => ignore_missing(raw::unlink(HERE, &c_string(path)?, 0)),
        What::Made(path) => remove_tree(path),
        What::RemovedDir(path) => raw::mkdir(HERE, &c_string(path)?, 0o700).map(drop),
        What::Unlinked { path, kept } => move_back(kept, path),
        What::Renamed { from, to, replaced } => {
            move_back(to, from)?;
            replaced.as_ref().map_or(Ok(()), |kept| move_back(kept, to))
        }
    }
}

fn move_back(from: &Path, to: &Path) -> Result<(), Errno> {
    ignore_missing(raw::rename(HERE, &c_string(from)?, HERE, &c_string(to)?))
}

/// A file whose own directory lost it, or whose creation is undone after its removal, is not there.
fn ignore_missing(result: Result<i32, Errno>) -> Result<(), Errno> {
    match result {
        Ok(_) | Err(libc::ENOENT) => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove_tree(path: &Path) -> Result<(), Errno> {
    let errno = |error: std::io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    if !path.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(errno)? {
        let entry = entry.map_err(errno)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(errno)?);
        if kind.is_dir() {
            remove_tree(&path)?;
        } else {
            raw::unlink(HERE, &c_string(&path)?, 0)?;
        }
    }
    raw::unlink(HERE, &c_string(path)?, libc::AT_REMOVEDIR).map(drop)
}
