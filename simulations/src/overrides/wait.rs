//! Where a simulated process waits. tokio comes here with the time of its next timer once it has
//! nothing left to do: that is the moment to ask the controller.

use super::simulated;
use libc::epoll_event;
use simulations::lockstep::guest::core;
use std::ffi::c_int;

#[unsafe(no_mangle)]
unsafe extern "C" fn epoll_wait(
    epoll: c_int,
    events: *mut epoll_event,
    most: c_int,
    timeout: c_int,
) -> c_int {
    let stepped = simulated() && core::stepped();
    let real = if stepped { 0 } else { timeout };
    let none = std::ptr::null::<libc::sigset_t>();
    // SAFETY: the caller's arguments, passed on; no signal mask.
    let ready = unsafe {
        libc::syscall(libc::SYS_epoll_pwait, epoll, events, most, real, none, 8) as c_int
    };
    if stepped && ready == 0 && timeout != 0 {
        core::park(u64::try_from(timeout).ok());
    }
    ready
}
