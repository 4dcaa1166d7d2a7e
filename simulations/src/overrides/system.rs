//! `syscall`: how some libraries ask the kernel past the C library's own functions. Version 0.2 of
//! `getrandom` draws entropy that way, and with it openraft its election timeouts.

use super::{Group, stands_in};
use simulations::lockstep::guest::entropy;
use std::arch::asm;
use std::ffi::c_long;

/// The kernel's answers from here on are errnos, negated.
const LOWEST_ERROR: c_long = -4_095;

/// Variadic in C. Where fewer arguments are given the rest is what lies in their places, which the
/// kernel does not look at; the C library does the same.
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    if number == libc::SYS_getrandom && stands_in(Group::Entropy) {
        if b > 0 {
            // SAFETY: `getrandom`'s caller owes a buffer of `b` writable bytes at `a`.
            entropy::fill(unsafe { std::slice::from_raw_parts_mut(a as *mut u8, b) });
        }
        return b as c_long;
    }
    // SAFETY: the caller's arguments, passed on.
    let answer = unsafe { ask(number, [a, b, c, d, e, f]) };
    if !(LOWEST_ERROR..0).contains(&answer) {
        return answer;
    }
    // SAFETY: the C library gives the address of this thread's errno.
    unsafe { *libc::__errno_location() = -answer as i32 };
    -1
}

/// # Safety
/// As the system call's.
#[cfg(target_arch = "x86_64")]
unsafe fn ask(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> c_long {
    let answer;
    // SAFETY: the kernel's convention; it keeps every register but these.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => answer,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    answer
}

/// # Safety
/// As the system call's.
#[cfg(target_arch = "aarch64")]
unsafe fn ask(number: c_long, [a, b, c, d, e, f]: [usize; 6]) -> c_long {
    let answer;
    // SAFETY: the kernel's convention; it keeps every register but the answer's.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => answer,
            in("x1") b,
            in("x2") c,
            in("x3") d,
            in("x4") e,
            in("x5") f,
            options(nostack),
        );
    }
    answer
}
