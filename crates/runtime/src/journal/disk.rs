//! The few operations the writer needs from a disk: a seam, so that tests can make each of them
//! fail as a full or a dying disk does.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

pub(super) trait Disk: Send + 'static {
    /// A new, empty file; an old one of that name is replaced.
    fn create(&mut self, path: &Path) -> io::Result<File>;
    fn write_at(&mut self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Gives the file space, zeros for now, from `from` up to `to`; its length becomes `to`.
    fn reserve(&mut self, file: &File, from: u64, to: u64) -> io::Result<()>;
    /// Content and length are on the medium afterwards (`fdatasync`).
    fn sync(&mut self, file: &File) -> io::Result<()>;
    fn truncate(&mut self, file: &File, len: u64) -> io::Result<()>;
    /// Created, renamed and removed names in `dir` are on the medium afterwards.
    fn sync_dir(&mut self, dir: &Path) -> io::Result<()>;
}

/// The operating system's.
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn create(&mut self, path: &Path) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
    }

    fn write_at(&mut self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    #[expect(unsafe_code, reason = "the standard library does not offer fallocate")]
    fn reserve(&mut self, file: &File, from: u64, to: u64) -> io::Result<()> {
        let offset = |at: u64| i64::try_from(at).map_err(io::Error::other);
        let (from, len) = (offset(from)?, offset(to.saturating_sub(from))?);
        // `fallocate`, for `posix_fallocate` writes zeros where the file system cannot.
        // SAFETY: an open file's descriptor and numbers; the kernel checks them.
        match unsafe { libc::fallocate64(file.as_raw_fd(), 0, from, len) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn sync(&mut self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn truncate(&mut self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        crate::durable::sync_dir(dir)
    }
}
