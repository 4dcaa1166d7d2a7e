//! Functions of the C library that this binary replaces. In a process that is not simulated they
//! are the system call and nothing else.
//!
//! | file | functions | `SIM_WITHOUT` |
//! |---|---|---|
//! | `entropy` | `getrandom`, `getentropy` | `entropy` |
//! | `system` | `syscall`, for those who ask for entropy that way | `entropy` |
//! | `clock` | `clock_gettime`, `nanosleep`, `clock_nanosleep` | `clock` |
//! | `wait` | `epoll_wait` | |
//! | `sockets` | `getsockname` | |
//! | `files` | `open64`, `openat64`, `write`, `writev`, `pwrite64`, `ftruncate64`, `fallocate64`, `posix_fallocate64`, `fsync`, `fdatasync`, `rename`, `unlink`, `unlinkat`, `mkdir`, `rmdir`, `close`, `dup`, `fcntl` | `disk` |
//!
//! `SIM_WITHOUT` leaves a group as the system has it: the proof that a simulation without it does
//! not repeat (or, for the disk, that its faults are the simulation's own).

#![expect(
    unsafe_code,
    reason = "these are C functions by nature; each relies on what its callers owe the original"
)]

mod clock;
mod entropy;
mod files;
mod sockets;
mod system;
mod wait;

use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicU8, Ordering};

/// The variable that makes a process simulated; its value is the seed of its entropy.
const SWITCH: &[u8] = b"SIM_ENTROPY=";

const UNKNOWN: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);
static WITHOUT: AtomicU8 = AtomicU8::new(0);

/// What can be left out.
#[derive(Clone, Copy)]
enum Group {
    Entropy = 1,
    Clock = 2,
    Disk = 4,
}

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// Calls `look` with each variable. Not by `std::env`, which may allocate and lock: this runs before
/// `main`.
fn variables(mut look: impl FnMut(&[u8])) {
    // SAFETY: the C library keeps an array of NUL-terminated strings that ends with a null pointer;
    // nothing in a simulated process changes its environment.
    unsafe {
        let mut at = environ;
        while !at.is_null() && !(*at).is_null() {
            look(CStr::from_ptr(*at).to_bytes());
            at = at.add(1);
        }
    }
}

fn simulated() -> bool {
    match STATE.load(Ordering::Relaxed) {
        ON => true,
        OFF => false,
        _ => find_out(),
    }
}

/// Finds out now whether this process is simulated, with its entropy: forks of it get their own, which
/// must not be replaced again by what is found out later.
pub(crate) fn begin() {
    simulated();
}

fn find_out() -> bool {
    let (mut seed, mut without) = (None, 0);
    variables(|variable| {
        if let Some(digits) = variable.strip_prefix(SWITCH) {
            let digit = |n: u64, c: &u8| n.wrapping_mul(10).wrapping_add(u64::from(c & 15));
            seed = Some(digits.iter().fold(0, digit));
        }
        without |= match variable {
            b"SIM_WITHOUT=entropy" => Group::Entropy as u8,
            b"SIM_WITHOUT=clock" => Group::Clock as u8,
            b"SIM_WITHOUT=disk" => Group::Disk as u8,
            _ => 0,
        };
    });
    if let Some(seed) = seed {
        simulations::lockstep::guest::entropy::seed(seed);
    }
    WITHOUT.store(without, Ordering::Relaxed);
    STATE.store(if seed.is_some() { ON } else { OFF }, Ordering::Relaxed);
    seed.is_some()
}

/// Is this group of functions simulated here?
fn stands_in(group: Group) -> bool {
    simulated() && WITHOUT.load(Ordering::Relaxed) & group as u8 == 0
}

/// A result as C tells it.
fn tell<T: TryInto<R>, R: From<i8>>(result: Result<T, i32>) -> R {
    match result {
        Ok(value) => value.try_into().unwrap_or_else(|_| R::from(-1)),
        Err(errno) => {
            // SAFETY: the C library gives the address of this thread's errno.
            unsafe { *libc::__errno_location() = errno };
            R::from(-1)
        }
    }
}

fn tell_int(result: Result<c_int, i32>) -> c_int {
    tell(result)
}
