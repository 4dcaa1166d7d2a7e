//! System calls as such, past every override. Errors are errno's.

#![expect(
    unsafe_code,
    reason = "system calls take pointers; each wrapper hands over a slice's or a C string's, with its length"
)]

use std::ffi::CStr;
use std::os::fd::{FromRawFd as _, OwnedFd};

/// An errno.
pub type Errno = i32;

fn check(result: i64) -> Result<i64, Errno> {
    if result >= 0 {
        return Ok(result);
    }
    Err(std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO))
}

fn fd(result: i64) -> i32 {
    i32::try_from(result).expect("the kernel's descriptors are ints")
}

/// `openat`.
pub fn open(dir: i32, path: &CStr, flags: i32, mode: u32) -> Result<i32, Errno> {
    // SAFETY: the path ends with its NUL and outlives the call.
    check(unsafe { libc::syscall(libc::SYS_openat, dir, path.as_ptr(), flags, mode) }).map(fd)
}

/// `close`.
pub fn close(fd: i32) -> Result<i32, Errno> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::syscall(libc::SYS_close, fd) }).map(|_| 0)
}

/// `write`.
pub fn write(fd: i32, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: pointer and length are one slice's.
    check(unsafe { libc::syscall(libc::SYS_write, fd, bytes.as_ptr(), bytes.len()) })
        .map(|n| n as usize)
}

/// `read`.
pub fn read(fd: i32, bytes: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: pointer and length are one slice's.
    check(unsafe { libc::syscall(libc::SYS_read, fd, bytes.as_mut_ptr(), bytes.len()) })
        .map(|n| n as usize)
}

/// `pwrite64`.
pub fn pwrite(fd: i32, bytes: &[u8], at: u64) -> Result<usize, Errno> {
    // SAFETY: pointer and length are one slice's.
    check(unsafe { libc::syscall(libc::SYS_pwrite64, fd, bytes.as_ptr(), bytes.len(), at) })
        .map(|n| n as usize)
}

/// `pread64`, as much as there is.
pub fn pread(fd: i32, bytes: &mut [u8], at: u64) -> Result<usize, Errno> {
    let mut done = 0;
    while done < bytes.len() {
        let rest = &mut bytes[done..];
        let at = at + done as u64;
        // SAFETY: pointer and length are one slice's.
        let n = check(unsafe {
            libc::syscall(libc::SYS_pread64, fd, rest.as_mut_ptr(), rest.len(), at)
        })?;
        if n == 0 {
            break;
        }
        done += n as usize;
    }
    Ok(done)
}

/// `ftruncate`.
pub fn truncate(fd: i32, len: u64) -> Result<i32, Errno> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::syscall(libc::SYS_ftruncate, fd, len) }).map(|_| 0)
}

/// `fallocate`.
pub fn allocate(fd: i32, mode: i32, from: i64, len: i64) -> Result<i32, Errno> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::syscall(libc::SYS_fallocate, fd, mode, from, len) }).map(|_| 0)
}

/// `fcntl`.
pub fn fcntl(fd_: i32, command: i32, argument: usize) -> Result<i32, Errno> {
    // SAFETY: `argument` is what the caller of `fcntl` gave; the kernel checks pointers itself.
    check(unsafe { libc::syscall(libc::SYS_fcntl, fd_, command, argument) }).map(fd)
}

/// `lseek` to where the file stands.
pub fn position(fd: i32) -> Result<u64, Errno> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::syscall(libc::SYS_lseek, fd, 0, libc::SEEK_CUR) }).map(|at| at as u64)
}

/// `fstat`: inode, length, links, and whether it is a directory.
pub fn stat(fd: i32) -> Result<Stat, Errno> {
    // SAFETY: `fstat` fills the whole structure or fails; all-zero is a valid one.
    let (result, stat) = unsafe {
        let mut stat: libc::stat64 = std::mem::zeroed();
        (libc::fstat64(fd, &raw mut stat), stat)
    };
    check(result.into())?;
    Ok(Stat {
        inode: stat.st_ino,
        len: stat.st_size as u64,
        dir: stat.st_mode & libc::S_IFMT == libc::S_IFDIR,
    })
}

/// What [`stat`] tells.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// Inode.
    pub inode: u64,
    /// Bytes.
    pub len: u64,
    /// A directory.
    pub dir: bool,
}

/// `renameat2` without flags.
pub fn rename(from_dir: i32, from: &CStr, to_dir: i32, to: &CStr) -> Result<i32, Errno> {
    // SAFETY: both paths end with their NULs and outlive the call.
    check(unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            from_dir,
            from.as_ptr(),
            to_dir,
            to.as_ptr(),
            0,
        )
    })
    .map(|_| 0)
}

/// `linkat`.
pub fn link(from: &CStr, to: &CStr) -> Result<i32, Errno> {
    let here = libc::AT_FDCWD;
    // SAFETY: both paths end with their NULs and outlive the call.
    check(unsafe { libc::syscall(libc::SYS_linkat, here, from.as_ptr(), here, to.as_ptr(), 0) })
        .map(|_| 0)
}

/// `unlinkat`.
pub fn unlink(dir: i32, path: &CStr, flags: i32) -> Result<i32, Errno> {
    // SAFETY: the path ends with its NUL and outlives the call.
    check(unsafe { libc::syscall(libc::SYS_unlinkat, dir, path.as_ptr(), flags) }).map(|_| 0)
}

/// `mkdirat`.
pub fn mkdir(dir: i32, path: &CStr, mode: u32) -> Result<i32, Errno> {
    // SAFETY: the path ends with its NUL and outlives the call.
    check(unsafe { libc::syscall(libc::SYS_mkdirat, dir, path.as_ptr(), mode) }).map(|_| 0)
}

/// Ends the process at once: nothing is flushed, nobody is told.
pub fn exit(code: i32) -> ! {
    // SAFETY: it does not return.
    unsafe { libc::_exit(code) }
}

/// Waits until `fd` can be read, at most so many milliseconds of real time.
pub fn readable(fd: i32, limit_ms: i32) -> bool {
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one `pollfd`, and its number is 1.
    unsafe { libc::poll(&raw mut poll, 1, limit_ms) > 0 }
}

/// The calling thread.
pub fn thread() -> i32 {
    // SAFETY: no memory is involved.
    unsafe { libc::gettid() }
}

/// `dup3`.
pub fn duplicate(from: i32, to: i32) -> Result<i32, Errno> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::syscall(libc::SYS_dup3, from, to, 0) }).map(fd)
}

/// Starts a program without address space randomisation: some hash tables of libraries are seeded
/// with addresses, and what they hold comes in another order in each run. A system that forbids it
/// leaves those as they are.
pub fn at_fixed_addresses(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt as _;
    // SAFETY: between fork and exec only this one system call is made, which allocates nothing.
    unsafe {
        command.pre_exec(|| {
            libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
            Ok(())
        });
    }
}

/// `fork`: 0 in the new process.
pub fn fork() -> Result<i32, Errno> {
    // SAFETY: the caller has one thread, so no lock is held by one that the new process lacks.
    check(unsafe { libc::fork() }.into()).map(fd)
}

/// A handle on a process, readable once it has ended.
pub fn handle(pid: i32) -> Result<i32, Errno> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }).map(fd)
}

/// Kills the process of a handle.
pub fn kill(handle: i32) -> Result<(), Errno> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: without a `siginfo_t` no memory is involved.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, handle, libc::SIGKILL, none, 0) })
        .map(drop)
}

/// Children that end vanish by themselves, or stay until somebody waits for them.
pub fn reap_children(by_themselves: bool) {
    let action = if by_themselves {
        libc::SIG_IGN
    } else {
        libc::SIG_DFL
    };
    // SAFETY: neither of the two runs code of ours.
    unsafe { libc::signal(libc::SIGCHLD, action) };
}

/// `fchdir`.
pub fn change_dir(dir: i32) -> Result<(), Errno> {
    // SAFETY: no memory is involved.
    check(unsafe { libc::syscall(libc::SYS_fchdir, dir) }).map(drop)
}

/// A pair of sockets that keep messages apart and tell when the other end is gone.
pub fn packet_pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    let mut pair = [-1; 2];
    // SAFETY: the array has room for the two descriptors, which nobody else owns.
    unsafe {
        check(libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()).into())?;
        Ok((OwnedFd::from_raw_fd(pair[0]), OwnedFd::from_raw_fd(pair[1])))
    }
}
