//! Small disks: a tmpfs for each node's data, whose free room can be taken away and given back.

use crate::enclosure::{mount, unmount};
use std::io;
use std::path::{Path, PathBuf};

/// Room on a node's disk: what a run of minutes writes, several times over. Only what is written
/// takes memory.
const SIZE: u64 = 256 << 20;

/// A node's disk.
pub(crate) struct Disk {
    dir: PathBuf,
    mounted: bool,
}

impl Disk {
    /// A new one at `dir`.
    pub(crate) fn mount(dir: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        mount(c"disk", dir, c"tmpfs", 0, &format!("mode=755,size={SIZE}"))?;
        Ok(Self {
            dir: dir.to_owned(),
            mounted: true,
        })
    }

    /// No free room is left. To be called again and again while that is to last, for whoever
    /// deletes something makes room.
    pub(crate) fn fill(&self) -> io::Result<()> {
        let used = self.used()?;
        match self.resize(used) {
            // Something was written in between: there is some room left until the next time.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(()),
            outcome => outcome,
        }
    }

    /// The room is back.
    pub(crate) fn free(&self) -> io::Result<()> {
        self.resize(SIZE)
    }

    fn resize(&self, size: u64) -> io::Result<()> {
        // A size of nothing would mean no limit.
        let options = format!("size={}", size.max(1));
        mount(c"disk", &self.dir, c"tmpfs", libc::MS_REMOUNT, &options)
    }

    #[expect(unsafe_code, reason = "statvfs(3) fills in plain data")]
    fn used(&self) -> io::Result<u64> {
        let dir = std::ffi::CString::new(self.dir.as_os_str().as_encoded_bytes())?;
        // SAFETY: statvfs is plain data for which zero is valid.
        let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: the path ends in NUL; the pointer is to a local.
        match unsafe { libc::statvfs(dir.as_ptr(), &raw mut found) } {
            0 => Ok((found.f_blocks - found.f_bfree) * found.f_frsize),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Moves what is on it to a folder of the same name on the real disk.
    pub(crate) fn keep(mut self) -> io::Result<()> {
        let aside = self.dir.with_extension("kept");
        copy(&self.dir, &aside)?;
        self.mounted = false;
        unmount(&self.dir)?;
        std::fs::remove_dir(&self.dir)?;
        std::fs::rename(&aside, &self.dir)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            // The room's end takes it away at the latest.
            let _ = unmount(&self.dir);
        }
    }
}

/// Files and folders; sockets are not worth keeping.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
