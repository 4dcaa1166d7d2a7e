//! Looks at what really crosses the loopback interface.
//!
//! Gear writes a marker into every mail, record and reading name. A raw packet socket sees every
//! frame of the interface; a packet that holds the marker in clear counts with its length. Raw
//! sockets need CAP_NET_RAW: without it the nodes' own counters of unencrypted payload are all
//! there is, and the report says so.

use memchr::memmem::Finder;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

/// The frame buffer: the loopback MTU is 65536, and offloading hands over no more than that.
const FRAME_BYTES: usize = 1 << 17;
/// Kernel buffer of the socket; large, so that a busy scheduler does not make us miss packets.
const SOCKET_BUFFER_BYTES: libc::c_int = 64 << 20;
/// How often the capture looks whether it should stop, in microseconds.
const POLL_MICROS: libc::suseconds_t = 100_000;

/// A running capture.
pub(crate) struct WireCheck {
    seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    packets: AtomicU64,
    bytes: AtomicU64,
    plaintext_bytes: AtomicU64,
}

/// What the capture saw.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WireReport {
    /// Packets looked at.
    pub(crate) packets: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// Bytes of packets with a marker in clear.
    pub(crate) plaintext_bytes: u64,
}

impl WireCheck {
    /// Starts to look for any of `markers` on the loopback interface.
    pub(crate) fn start(markers: &[&[u8]]) -> std::io::Result<Self> {
        let socket = open()?;
        let finders: Vec<Finder<'static>> = markers
            .iter()
            .map(|marker| Finder::new(marker).into_owned())
            .collect();
        let (seen, stop) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)));
        let thread = {
            let (seen, stop) = (seen.clone(), stop.clone());
            std::thread::Builder::new()
                .name("wirecheck".into())
                .spawn(move || watch(&socket, &finders, &seen, &stop))?
        };
        Ok(Self {
            seen,
            stop,
            thread: Some(thread),
        })
    }

    /// What was seen until now.
    pub(crate) fn report(&self) -> WireReport {
        WireReport {
            packets: self.seen.packets.load(Relaxed),
            bytes: self.seen.bytes.load(Relaxed),
            plaintext_bytes: self.seen.plaintext_bytes.load(Relaxed),
        }
    }
}

impl Drop for WireCheck {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // The thread only counts; one that panicked has nothing left to say.
            let _ = thread.join();
        }
    }
}

#[expect(
    unsafe_code,
    reason = "libc sockets: plain system calls on values that live through the call"
)]
fn open() -> std::io::Result<OwnedFd> {
    let last = std::io::Error::last_os_error;
    // SAFETY: no pointers; the descriptor is owned at once.
    let fd = unsafe {
        libc::socket(
            libc::AF_PACKET,
            libc::SOCK_DGRAM,
            i32::from((libc::ETH_P_ALL as u16).to_be()),
        )
    };
    if fd < 0 {
        return Err(last());
    }
    // SAFETY: `fd` was just created and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: a NUL-terminated literal.
    let index = unsafe { libc::if_nametoindex(c"lo".as_ptr()) };
    // SAFETY: sockaddr_ll is plain data for which zero is valid.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = i32::try_from(index).unwrap_or(0);
    let size = |bytes: usize| libc::socklen_t::try_from(bytes).unwrap_or(0);
    // SAFETY: the address outlives the call and its size is its own.
    let bound = unsafe {
        libc::bind(
            fd,
            (&raw const address).cast(),
            size(size_of::<libc::sockaddr_ll>()),
        )
    };
    if bound < 0 {
        return Err(last());
    }
    let buffer = SOCKET_BUFFER_BYTES;
    let wait = libc::timeval {
        tv_sec: 0,
        tv_usec: POLL_MICROS,
    };
    // SAFETY: pointers to locals with their own sizes.
    unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_RCVTIMEO,
            (&raw const wait).cast(),
            size(size_of_val(&wait)),
        );
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const buffer).cast(),
            size(size_of::<libc::c_int>()),
        );
    }
    Ok(socket)
}

#[expect(unsafe_code, reason = "recv into an owned buffer of the stated length")]
fn watch(socket: &OwnedFd, finders: &[Finder<'static>], seen: &Seen, stop: &AtomicBool) {
    let mut frame = vec![0u8; FRAME_BYTES];
    while !stop.load(Relaxed) {
        // SAFETY: the buffer is valid for its whole length.
        let got = unsafe {
            libc::recv(
                socket.as_raw_fd(),
                frame.as_mut_ptr().cast(),
                frame.len(),
                0,
            )
        };
        let Ok(len) = usize::try_from(got) else {
            continue;
        };
        seen.packets.fetch_add(1, Relaxed);
        seen.bytes.fetch_add(len as u64, Relaxed);
        if finders
            .iter()
            .any(|finder| finder.find(&frame[..len]).is_some())
        {
            seen.plaintext_bytes.fetch_add(len as u64, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_in_clear_is_seen_and_other_traffic_is_not() {
        let marker = b"glasshouse-wirecheck-test-marker";
        let check = match WireCheck::start(&[marker]) {
            Ok(check) => check,
            Err(error) => {
                // Without the privilege the check must say so, not pretend.
                assert_eq!(
                    error.kind(),
                    std::io::ErrorKind::PermissionDenied,
                    "{error}"
                );
                return;
            }
        };
        let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let to = receiver.local_addr().unwrap();
        sender.send_to(b"nothing to see", to).unwrap();
        wait_for(|| check.report().packets > 0);
        assert_eq!(check.report().plaintext_bytes, 0);
        sender.send_to(marker, to).unwrap();
        wait_for(|| check.report().plaintext_bytes > 0);
    }

    fn wait_for(condition: impl Fn() -> bool) {
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !condition() {
            assert!(
                std::time::Instant::now() < limit,
                "nothing was captured within 10 s"
            );
            std::thread::yield_now();
        }
    }
}
