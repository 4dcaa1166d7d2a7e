//! A disk that can lose power: real files below one directory, and beside them what of their
//! content and of their names is not synced yet.
//!
//! A power loss ([`Disk::lose_power`]) makes a state out of them that a disk could legally be in:
//!
//! - What was synced is there. A sector written since is the old one, the new one, or torn.
//! - A length set since is the old one, the new one, or something between; what was never
//!   written in it reads as zeros.
//! - Of the names changed in a directory since it was synced, a first part has happened and the
//!   rest has not: a rename undone brings back what it replaced, a removal undone the file.
//!
//! A file's name is not made durable by syncing the file: POSIX does not promise it.

mod content;
mod names;
mod paths;
#[cfg(test)]
mod tests;

use super::raw::{self, Errno};
use crate::machines::rng::Dice;
use content::Content;
use names::Names;
pub use paths::HOME;
use paths::{c_string, resolve};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::{Path, PathBuf};

/// Where and how a disk lies.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    names: Names,
    /// Descriptors of files and directories below the root.
    open: BTreeMap<i32, Open>,
    /// By inode: what is not synced.
    contents: BTreeMap<u64, Content>,
    touched: u64,
    /// Bytes by which files may grow until the disk is full.
    room: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    inode: u64,
    dir: bool,
    append: bool,
}

impl Disk {
    /// The disk is everything below `root`; `attic` is a directory beside it, on the same file
    /// system. Both are paths without links, and absolute.
    pub fn new(root: PathBuf, attic: PathBuf) -> Self {
        Self {
            root,
            names: Names::new(attic),
            open: BTreeMap::new(),
            contents: BTreeMap::new(),
            touched: 0,
            room: None,
        }
    }

    /// So many bytes fit from now on.
    pub fn set_room(&mut self, room: Option<u64>) {
        self.room = room;
    }

    /// Is this descriptor one of ours?
    pub fn holds(&self, fd: i32) -> bool {
        self.open.contains_key(&fd)
    }

    /// The absolute path, if it is below the root.
    pub fn covers(&self, dir: i32, path: &CStr) -> Option<PathBuf> {
        resolve(dir, path).filter(|path| path.starts_with(&self.root))
    }

    /// `openat`.
    pub fn open(&mut self, path: &Path, flags: i32, mode: u32) -> Result<i32, Errno> {
        let creates = flags & libc::O_CREAT != 0 && !path.exists();
        let cuts = flags & libc::O_TRUNC != 0 && !creates;
        // Cut here, not by the kernel: the old content has to be remembered first.
        let fd = raw::open(
            libc::AT_FDCWD,
            &c_string(path)?,
            flags & !libc::O_TRUNC,
            mode,
        )?;
        let stat = raw::stat(fd)?;
        self.open.insert(
            fd,
            Open {
                inode: stat.inode,
                dir: stat.dir,
                append: flags & libc::O_APPEND != 0,
            },
        );
        if creates {
            // A number used again by another file.
            self.contents.remove(&stat.inode);
            self.names.created(path);
        }
        if cuts && stat.len > 0 {
            self.truncate(fd, 0)?;
        }
        Ok(fd)
    }

    /// `close`.
    pub fn close(&mut self, fd: i32) -> Result<i32, Errno> {
        self.open.remove(&fd);
        raw::close(fd)
    }

    /// `fcntl` and `dup`: the copy is the same file.
    pub fn copied(&mut self, fd: i32, copy: i32) {
        if let Some(open) = self.open.get(&fd).copied() {
            self.open.insert(copy, open);
        }
    }

    /// `write` and `writev`.
    pub fn write(&mut self, fd: i32, bytes: &[u8]) -> Result<usize, Errno> {
        let append = self.open.get(&fd).is_some_and(|open| open.append);
        let at = if append {
            raw::stat(fd)?.len
        } else {
            raw::position(fd)?
        };
        let fits = self.fits(fd, at, bytes.len())?;
        self.content(fd)?.touch(at, fits as u64);
        raw::write(fd, &bytes[..fits])
    }

    /// `pwrite64`.
    pub fn write_at(&mut self, fd: i32, bytes: &[u8], at: u64) -> Result<usize, Errno> {
        let fits = self.fits(fd, at, bytes.len())?;
        self.content(fd)?.touch(at, fits as u64);
        raw::pwrite(fd, &bytes[..fits], at)
    }

    /// How much of a write the disk takes; a full one takes the part that fits and says so only
    /// when nothing does, as file systems do.
    fn fits(&mut self, fd: i32, at: u64, len: usize) -> Result<usize, Errno> {
        let Some(room) = &mut self.room else {
            return Ok(len);
        };
        let held = raw::stat(fd)?.len;
        let grows = (at + len as u64).saturating_sub(held.max(at));
        let short = grows.saturating_sub(*room);
        *room -= grows - short;
        let fits = len - short as usize;
        if fits == 0 && len > 0 {
            return Err(libc::ENOSPC);
        }
        Ok(fits)
    }

    /// `ftruncate`.
    pub fn truncate(&mut self, fd: i32, len: u64) -> Result<i32, Errno> {
        let held = raw::stat(fd)?.len;
        self.content(fd)?.touch(len, held.saturating_sub(len));
        raw::truncate(fd, len)
    }

    /// `fallocate`.
    pub fn allocate(&mut self, fd: i32, mode: i32, from: i64, len: i64) -> Result<i32, Errno> {
        let end = (from + len).max(0) as u64;
        let grows = end.saturating_sub(raw::stat(fd)?.len);
        if let Some(room) = &mut self.room {
            if grows > *room {
                return Err(libc::ENOSPC);
            }
            *room -= grows;
        }
        self.content(fd)?;
        raw::allocate(fd, mode, from, len)
    }

    /// `fsync` and `fdatasync`: of a file, its content and length; of a directory, its names.
    pub fn sync(&mut self, fd: i32) -> Result<i32, Errno> {
        let Some(open) = self.open.get(&fd) else {
            return Err(libc::EBADF);
        };
        if open.dir {
            let path = paths::of_descriptor(fd)?;
            self.names.synced(&path);
        } else {
            self.contents.remove(&open.inode);
        }
        Ok(0)
    }

    /// `rename`.
    pub fn rename(&mut self, from: &Path, to: &Path) -> Result<i32, Errno> {
        self.names.rename(from, to)
    }

    /// `unlink`.
    pub fn unlink(&mut self, path: &Path) -> Result<i32, Errno> {
        self.names.unlink(path)
    }

    /// `mkdir`.
    pub fn mkdir(&mut self, path: &Path, mode: u32) -> Result<i32, Errno> {
        raw::mkdir(libc::AT_FDCWD, &c_string(path)?, mode)?;
        self.names.made(path);
        Ok(0)
    }

    /// `rmdir`.
    pub fn rmdir(&mut self, path: &Path) -> Result<i32, Errno> {
        raw::unlink(libc::AT_FDCWD, &c_string(path)?, libc::AT_REMOVEDIR)?;
        self.names.removed_dir(path);
        Ok(0)
    }

    /// The power goes: what was not synced is kept, lost or torn by dice. Says what became of it.
    pub fn lose_power(&mut self, dice: &mut Dice) -> Result<String, Errno> {
        let mood = Mood::roll(dice);
        let (mut changed, mut files) = (0, 0);
        // In the order in which they were first written: inode numbers are not the same in two runs.
        let mut contents: Vec<_> = std::mem::take(&mut self.contents).into_values().collect();
        contents.sort_by_key(|content| content.order);
        for content in contents {
            files += 1;
            changed += content.lose_power(dice, mood)?;
        }
        let undone = self.names.lose_power(dice, mood)?;
        Ok(format!(
            "{files} unsynced files, {changed} sectors not as written, {undone} names undone"
        ))
    }

    fn content(&mut self, fd: i32) -> Result<&mut Content, Errno> {
        let Some(open) = self.open.get(&fd) else {
            return Err(libc::EBADF);
        };
        match self.contents.entry(open.inode) {
            std::collections::btree_map::Entry::Occupied(known) => Ok(known.into_mut()),
            std::collections::btree_map::Entry::Vacant(new) => {
                self.touched += 1;
                Ok(new.insert(Content::of(fd, self.touched)?))
            }
        }
    }
}

/// How much of what was not synced a power loss takes. Dice for each sector alone would nearly
/// never lose everything or nothing, and both happen most.
#[derive(Clone, Copy, Debug)]
enum Mood {
    All,
    Nothing,
    Dice,
}

impl Mood {
    fn roll(dice: &mut Dice) -> Self {
        match dice.below(4) {
            0 => Self::All,
            1 => Self::Nothing,
            _ => Self::Dice,
        }
    }
}
