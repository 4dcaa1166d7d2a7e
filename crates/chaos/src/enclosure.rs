//! A room of its own for the whole run, so that nothing of it can be left over.
//!
//! As root the program starts itself once more in a mount namespace and a process-id namespace
//! (pid_namespaces(7)). Nodes, broker, their network namespaces' names and the nodes' disks exist
//! only in there: when the inner program ends, also by `kill -9`, the kernel ends every process in
//! the room, paused ones included, and with the last of them go the mounts and the networks.

use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode};

/// Tells the inner program that it is the inner one.
pub(crate) const INSIDE: &str = "--inside";

fn checked(outcome: libc::c_int) -> io::Result<()> {
    match outcome {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Runs this program inside and gives its exit code. Must be called before any thread is started.
pub(crate) fn run() -> io::Result<ExitCode> {
    let mut signals = Signals::block()?;
    enter()?;
    let mut command = Command::new("/proc/self/exe");
    command.args(std::env::args_os().skip(1)).arg(INSIDE);
    prepare(&mut command, &signals);
    let mut child = command.spawn()?;
    loop {
        if let Some(status) = child.try_wait()? {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
        }
        if let Some(signal) = signals.next()? {
            forward(&child, signal);
        }
    }
}

#[expect(unsafe_code, reason = "unshare(2) takes one number")]
fn enter() -> io::Result<()> {
    // SAFETY: no memory is involved, and there is no other thread yet.
    checked(unsafe { libc::unshare(libc::CLONE_NEWNS | libc::CLONE_NEWPID) })
}

#[expect(
    unsafe_code,
    reason = "prctl(2) and sigprocmask(2) between fork and exec"
)]
fn prepare(command: &mut Command, signals: &Signals) {
    let before = signals.before;
    let set = move || {
        // SAFETY: a system call on two integers.
        checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) })?;
        // SAFETY: the set is a copy that lives in the closure.
        checked(unsafe {
            libc::sigprocmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut())
        })
    };
    // SAFETY: `set` neither allocates nor locks.
    unsafe { command.pre_exec(set) };
}

#[expect(unsafe_code, reason = "kill(2) takes two integers")]
fn forward(child: &Child, signal: libc::c_int) {
    if signal != libc::SIGCHLD
        && let Ok(pid) = libc::pid_t::try_from(child.id())
    {
        // SAFETY: no memory is involved; the child is not waited for yet, so the id is its own.
        unsafe { libc::kill(pid, signal) };
    }
}

/// The signals that are passed on, and the child's end, blocked and taken one by one.
struct Signals {
    taken: libc::sigset_t,
    before: libc::sigset_t,
}

impl Signals {
    #[expect(unsafe_code, reason = "sigset_t is filled in by the C library")]
    fn block() -> io::Result<Self> {
        // SAFETY: sigset_t is plain data for which zero is valid.
        let mut taken: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        let mut before: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: a pointer to a local.
        checked(unsafe { libc::sigemptyset(&raw mut taken) })?;
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGCHLD] {
            // SAFETY: a pointer to a local.
            checked(unsafe { libc::sigaddset(&raw mut taken, signal) })?;
        }
        // SAFETY: pointers to locals.
        checked(unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const taken, &raw mut before) })?;
        Ok(Self { taken, before })
    }

    /// The next one; `None`: interrupted by something else.
    #[expect(unsafe_code, reason = "sigwaitinfo(2) on an own set")]
    fn next(&mut self) -> io::Result<Option<libc::c_int>> {
        // SAFETY: the set lives in `self`; no information is asked for.
        match unsafe { libc::sigwaitinfo(&raw const self.taken, std::ptr::null_mut()) } {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => Ok(None),
            -1 => Err(io::Error::last_os_error()),
            signal => Ok(Some(signal)),
        }
    }
}

/// Furnishes the room; for the inner program, before its first thread.
pub(crate) fn furnish() -> io::Result<()> {
    // From here on no mount is seen outside.
    mount(
        c"none",
        Path::new("/"),
        c"",
        libc::MS_REC | libc::MS_PRIVATE,
        "",
    )?;
    // Process ids are those of the room.
    mount(c"proc", Path::new("/proc"), c"proc", 0, "")?;
    // Where `ip` keeps the names of network namespaces.
    std::fs::create_dir_all("/run/netns")?;
    mount(c"netns", Path::new("/run/netns"), c"tmpfs", 0, "mode=755")
}

/// mount(2).
#[expect(unsafe_code, reason = "mount(2) on strings that live through the call")]
pub(crate) fn mount(
    source: &CStr,
    target: &Path,
    kind: &CStr,
    flags: libc::c_ulong,
    options: &str,
) -> io::Result<()> {
    let target = CString::new(target.as_os_str().as_encoded_bytes())?;
    let options = CString::new(options)?;
    // SAFETY: all four end in NUL and live through the call.
    checked(unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            options.as_ptr().cast(),
        )
    })
}

/// umount2(2), at once or when its last user has gone.
#[expect(
    unsafe_code,
    reason = "umount2(2) on a string that lives through the call"
)]
pub(crate) fn unmount(target: &Path) -> io::Result<()> {
    let target = CString::new(target.as_os_str().as_encoded_bytes())?;
    // SAFETY: it ends in NUL and lives through the call.
    checked(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) })
}
