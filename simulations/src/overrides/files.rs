//! Files. What is not below the data directory of a simulated process passes through.
//!
//! `open`, `fcntl` and the like are variadic in C; on the platforms that Linux runs on a fixed third
//! argument arrives the same way.

use super::{Group, stands_in, tell, tell_int};
use libc::{iovec, mode_t, off64_t};
use simulations::lockstep::guest::core::{self, Strike};
use simulations::lockstep::guest::disk::Disk;
use simulations::lockstep::guest::raw;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::PathBuf;

const HERE: c_int = libc::AT_FDCWD;

/// The simulated disk, on the thread that is stepped.
fn disk<T>(work: impl FnOnce(&mut Disk) -> T) -> Option<T> {
    if !(stands_in(Group::Disk) && core::stepped()) {
        return None;
    }
    core::disk(work)
}

fn covered(dir: c_int, path: &CStr) -> Option<PathBuf> {
    disk(|disk| disk.covers(dir, path)).flatten()
}

fn held(fd: c_int) -> bool {
    disk(|disk| disk.holds(fd)) == Some(true)
}

/// An operation that changes the disk: the power may go before or after it.
fn change<T>(work: impl FnOnce(&mut Disk) -> Result<T, i32>) -> Result<T, i32> {
    let strike = core::disk_operation();
    let result = disk(work).unwrap_or(Err(libc::EIO));
    match strike {
        Strike::Not => result,
        Strike::After => core::lose_power(),
    }
}

/// # Safety
/// As C's: a NUL-terminated string that outlives the call.
unsafe fn text<'a>(path: *const c_char) -> &'a CStr {
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(path) }
}

/// # Safety
/// As C's: `len` readable bytes.
unsafe fn bytes<'a>(from: *const c_void, len: usize) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(from.cast(), len) }
}

fn open_at(dir: c_int, path: &CStr, flags: c_int, mode: mode_t) -> c_int {
    let Some(full) = covered(dir, path) else {
        return tell_int(raw::open(dir, path, flags, mode));
    };
    let reads = flags & (libc::O_CREAT | libc::O_TRUNC) == 0;
    tell_int(if reads {
        disk(|disk| disk.open(&full, flags, mode)).unwrap_or(Err(libc::EIO))
    } else {
        change(|disk| disk.open(&full, flags, mode))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's string.
    open_at(HERE, unsafe { text(path) }, flags, mode)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's string.
    open_at(HERE, unsafe { text(path) }, flags, mode)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat64(
    dir: c_int,
    path: *const c_char,
    flags: c_int,
    mode: mode_t,
) -> c_int {
    // SAFETY: the caller's string.
    open_at(dir, unsafe { text(path) }, flags, mode)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller's string.
    open_at(dir, unsafe { text(path) }, flags, mode)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn close(fd: c_int) -> c_int {
    tell_int(if held(fd) {
        disk(|disk| disk.close(fd)).unwrap_or(Err(libc::EIO))
    } else {
        raw::close(fd)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, from: *const c_void, len: usize) -> isize {
    // SAFETY: the caller's buffer.
    let bytes = unsafe { bytes(from, len) };
    tell(if held(fd) {
        change(|disk| disk.write(fd, bytes))
    } else {
        raw::write(fd, bytes)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> isize {
    if !held(fd) {
        // SAFETY: the caller's arguments, passed on.
        return unsafe { libc::syscall(libc::SYS_writev, fd, parts, count) as isize };
    }
    let mut all = Vec::new();
    for at in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: the caller owes `count` parts, each with a readable buffer.
        unsafe {
            let part = &*parts.add(at);
            all.extend_from_slice(bytes(part.iov_base, part.iov_len));
        }
    }
    tell(change(|disk| disk.write(fd, &all)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(fd: c_int, from: *const c_void, len: usize, at: off64_t) -> isize {
    // SAFETY: the caller's buffer.
    let bytes = unsafe { bytes(from, len) };
    let Ok(at) = u64::try_from(at) else {
        return tell(Err::<usize, _>(libc::EINVAL));
    };
    tell(if held(fd) {
        change(|disk| disk.write_at(fd, bytes, at))
    } else {
        raw::pwrite(fd, bytes, at)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(fd: c_int, len: off64_t) -> c_int {
    let Ok(len) = u64::try_from(len) else {
        return tell_int(Err(libc::EINVAL));
    };
    tell_int(if held(fd) {
        change(|disk| disk.truncate(fd, len))
    } else {
        raw::truncate(fd, len)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fallocate64(fd: c_int, mode: c_int, from: off64_t, len: off64_t) -> c_int {
    tell_int(if held(fd) {
        change(|disk| disk.allocate(fd, mode, from, len))
    } else {
        raw::allocate(fd, mode, from, len)
    })
}

/// Gives the error itself, not by errno.
#[unsafe(no_mangle)]
unsafe extern "C" fn posix_fallocate64(fd: c_int, from: off64_t, len: off64_t) -> c_int {
    let done = if held(fd) {
        change(|disk| disk.allocate(fd, 0, from, len))
    } else {
        raw::allocate(fd, 0, from, len)
    };
    done.err().unwrap_or(0)
}

fn sync(fd: c_int, call: libc::c_long) -> c_int {
    if !held(fd) {
        // SAFETY: no memory is involved.
        return unsafe { libc::syscall(call, fd) as c_int };
    }
    let ms = core::sync_ms();
    if ms > 0 {
        core::stall(ms);
    }
    tell_int(change(|disk| disk.sync(fd)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    sync(fd, libc::SYS_fsync)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    sync(fd, libc::SYS_fdatasync)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller's strings.
    let (from, to) = unsafe { (text(from), text(to)) };
    tell_int(match (covered(HERE, from), covered(HERE, to)) {
        (Some(from), Some(to)) => change(|disk| disk.rename(&from, &to)),
        _ => raw::rename(HERE, from, HERE, to),
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: the caller's string.
    unsafe { unlinkat(HERE, path, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    // SAFETY: the caller's string.
    unsafe { unlinkat(HERE, path, libc::AT_REMOVEDIR) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlinkat(dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller's string.
    let path = unsafe { text(path) };
    tell_int(match covered(dir, path) {
        Some(full) if flags & libc::AT_REMOVEDIR != 0 => change(|disk| disk.rmdir(&full)),
        // The system's own answers for what is not there, or no file.
        Some(full) if full.symlink_metadata().is_ok_and(|meta| !meta.is_dir()) => {
            change(|disk| disk.unlink(&full))
        }
        _ => raw::unlink(dir, path, flags),
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller's string.
    let path = unsafe { text(path) };
    tell_int(match covered(HERE, path) {
        Some(full) => change(|disk| disk.mkdir(&full, mode)),
        None => raw::mkdir(HERE, path, mode),
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dup(fd: c_int) -> c_int {
    // SAFETY: no memory is involved.
    let copy = unsafe { libc::syscall(libc::SYS_dup, fd) as c_int };
    if copy >= 0 && held(fd) {
        disk(|disk| disk.copied(fd, copy));
    }
    copy
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fcntl(fd: c_int, command: c_int, argument: usize) -> c_int {
    let result = raw::fcntl(fd, command, argument);
    if let Ok(copy) = result
        && matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC)
        && held(fd)
    {
        disk(|disk| disk.copied(fd, copy));
    }
    tell_int(result)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fcntl64(fd: c_int, command: c_int, argument: usize) -> c_int {
    // SAFETY: the same contract.
    unsafe { fcntl(fd, command, argument) }
}
