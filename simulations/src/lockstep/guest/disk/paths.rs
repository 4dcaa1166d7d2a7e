//! Paths as the calls give them, made absolute.

use crate::lockstep::guest::raw::Errno;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

pub(super) fn c_string(path: &Path) -> Result<CString, Errno> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| libc::EINVAL)
}

/// `path`, seen from the directory `dir`; not looked up, so links in it stay.
pub(super) fn resolve(dir: i32, path: &CStr) -> Option<PathBuf> {
    let path = Path::new(OsStr::from_bytes(path.to_bytes()));
    if path.is_absolute() {
        return Some(path.to_owned());
    }
    if dir == libc::AT_FDCWD {
        return std::env::current_dir().ok().map(|dir| dir.join(path));
    }
    of_descriptor(dir).ok().map(|dir| dir.join(path))
}

/// Where a simulated process finds the files of its run. Runs lie in different places, and paths stand in
/// messages; by this one all runs have the same.
pub const HOME: &str = "/proc/self/cwd";

/// Where an open file or directory is now; below [`HOME`] as it is called from there.
pub(super) fn of_descriptor(fd: i32) -> Result<PathBuf, Errno> {
    let errno = |error: std::io::Error| error.raw_os_error().unwrap_or(libc::EBADF);
    let path = std::fs::read_link(format!("/proc/self/fd/{fd}")).map_err(errno)?;
    let home = std::fs::read_link(HOME).map_err(errno)?;
    Ok(match path.strip_prefix(home) {
        Ok(below) => Path::new(HOME).join(below),
        Err(_) => path,
    })
}
