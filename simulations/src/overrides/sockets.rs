//! Sockets are real in a simulated process and nobody connects to them. But the kernel chooses their
//! ports, a session names its own, and two runs would differ in that.

use super::simulated;
use libc::{AF_INET, sockaddr, sockaddr_in, socklen_t};
use simulations::lockstep::guest::core;
use std::ffi::c_int;

/// The port that every socket says it has.
const PORT: u16 = 7;

#[unsafe(no_mangle)]
unsafe extern "C" fn getsockname(
    socket: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    let result = unsafe { libc::syscall(libc::SYS_getsockname, socket, address, len) as c_int };
    if result == 0 && simulated() && core::stepped() {
        // SAFETY: the kernel has just written an address of this length; an IPv4 one has a port.
        unsafe {
            let whole = *len as usize >= size_of::<sockaddr_in>();
            if whole && c_int::from((*address).sa_family) == AF_INET {
                (*address.cast::<sockaddr_in>()).sin_port = PORT.to_be();
            }
        }
    }
    result
}
