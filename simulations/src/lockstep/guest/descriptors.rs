//! A number and open files over a Unix socket (`SCM_RIGHTS`), without touching the heap: whoever is
//! forked between two messages must find it as it was.

#![expect(
    unsafe_code,
    reason = "`sendmsg` and `recvmsg` take pointers; all of them are to what lives in the same function"
)]

use super::raw::Errno;
use std::mem::{size_of, zeroed};
use std::ptr;

/// Files of one message, at most.
pub const MOST: usize = 4;
/// Room for a control message with so many descriptors; in words, since it must be aligned.
const CONTROL_WORDS: usize = 8;
const _: () =
    assert!(MOST * size_of::<i32>() + 2 * size_of::<libc::cmsghdr>() <= CONTROL_WORDS * 8);

fn errno() -> Errno {
    std::io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or(libc::EIO)
}

/// Sends `word` and at most [`MOST`] descriptors, which stay open here.
pub fn send(socket: i32, word: u64, fds: &[i32]) -> Result<(), Errno> {
    assert!(
        fds.len() <= MOST,
        "a message has room for {MOST} descriptors"
    );
    let mut bytes = word.to_ne_bytes();
    let mut part = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let mut control = [0_u64; CONTROL_WORDS];
    let len = size_of_val(fds);
    // SAFETY: all-zero is an empty `msghdr`; its pointers are to locals of this function, and the control
    // buffer has room for one header and `MOST` descriptors, as the assertion above says.
    unsafe {
        let mut message: libc::msghdr = zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        if !fds.is_empty() {
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(len as u32) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(len as u32) as _;
            ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), libc::CMSG_DATA(header), len);
        }
        if libc::sendmsg(socket, &raw const message, libc::MSG_NOSIGNAL) < 0 {
            return Err(errno());
        }
    }
    Ok(())
}

/// Waits for a message: its word, and how many descriptors now lie in `fds`, closed when a program is
/// executed. `None`: the other end is gone.
pub fn receive(socket: i32, fds: &mut [i32; MOST]) -> Result<Option<(u64, usize)>, Errno> {
    let mut bytes = [0; 8];
    let mut part = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let mut control = [0_u64; CONTROL_WORDS];
    let mut count = 0;
    // SAFETY: as in `send`; descriptors are copied only out of a message that the kernel has written, and
    // no more than fit.
    unsafe {
        let mut message: libc::msghdr = zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        let got = loop {
            let got = libc::recvmsg(socket, &raw mut message, libc::MSG_CMSG_CLOEXEC);
            if got >= 0 || errno() != libc::EINTR {
                break got;
            }
        };
        match got {
            0 => return Ok(None),
            8 => {}
            n if n < 0 => return Err(errno()),
            _ => return Err(libc::EBADMSG),
        }
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if !header.is_null() && (*header).cmsg_type == libc::SCM_RIGHTS {
            let len = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
            count = (len / size_of::<i32>()).min(MOST);
            let data = libc::CMSG_DATA(header);
            ptr::copy_nonoverlapping(data, fds.as_mut_ptr().cast(), count * size_of::<i32>());
        }
    }
    Ok(Some((u64::from_ne_bytes(bytes), count)))
}
