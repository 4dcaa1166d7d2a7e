use super::{Group, stands_in};
use simulations::lockstep::guest::entropy;
use std::ffi::{c_int, c_uint, c_void};

#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, len: usize, flags: c_uint) -> isize {
    if !stands_in(Group::Entropy) {
        // SAFETY: the caller's arguments, passed on.
        return unsafe { libc::syscall(libc::SYS_getrandom, buffer, len, flags) as isize };
    }
    // SAFETY: `getrandom`'s caller owes a buffer of `len` writable bytes.
    entropy::fill(unsafe { std::slice::from_raw_parts_mut(buffer.cast(), len) });
    len as isize
}

#[unsafe(no_mangle)]
unsafe extern "C" fn getentropy(buffer: *mut c_void, len: usize) -> c_int {
    // SAFETY: the same contract.
    let filled = unsafe { getrandom(buffer, len, 0) };
    if filled == len as isize { 0 } else { -1 }
}
