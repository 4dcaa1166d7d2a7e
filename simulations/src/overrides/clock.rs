use super::{Group, stands_in};
use libc::{clockid_t, timespec};
use simulations::lockstep::guest::{clock, core};
use std::ffi::c_int;

const SECOND: i64 = 1_000_000_000;

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    let now = match clock {
        _ if !stands_in(Group::Clock) => None,
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => Some(clock::wall()),
        libc::CLOCK_MONOTONIC
        | libc::CLOCK_MONOTONIC_COARSE
        | libc::CLOCK_MONOTONIC_RAW
        | libc::CLOCK_BOOTTIME => i64::try_from(clock::monotonic()).ok(),
        // Processor time is real time spent, and nobody's decision.
        _ => None,
    };
    let Some(now) = now else {
        // SAFETY: the caller's arguments, passed on.
        return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) as c_int };
    };
    // SAFETY: `clock_gettime`'s caller owes a writable `timespec`.
    unsafe {
        (*time).tv_sec = now.div_euclid(SECOND);
        (*time).tv_nsec = now.rem_euclid(SECOND);
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nanosleep(time: *const timespec, left: *mut timespec) -> c_int {
    // SAFETY: the same contract.
    unsafe { clock_nanosleep(libc::CLOCK_MONOTONIC, 0, time, left) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_nanosleep(
    clock: clockid_t,
    flags: c_int,
    time: *const timespec,
    left: *mut timespec,
) -> c_int {
    if !(stands_in(Group::Clock) && core::stepped()) || flags != 0 {
        // SAFETY: the caller's arguments, passed on.
        return unsafe {
            libc::syscall(libc::SYS_clock_nanosleep, clock, flags, time, left) as c_int
        };
    }
    // SAFETY: the caller owes a readable `timespec`.
    let (seconds, nanos) = unsafe { ((*time).tv_sec, (*time).tv_nsec) };
    let ms = seconds
        .saturating_mul(1_000)
        .saturating_add(nanos / 1_000_000);
    core::stall(u64::try_from(ms).unwrap_or(0).max(1));
    0
}
