//! Delay on a node's cable.
//!
//! While a cable lags, its port is taken off the bridge, and a thread carries the frames between
//! port and bridge, each direction in order and each frame when its time has come. The thread
//! reads and writes whole frames on packet sockets (packet(7)) with the kernel's own header before
//! each, so that segments which the kernel has not cut yet, and checksums it has not filled in yet,
//! go through as they are. This needs nothing of the kernel but packet sockets and veth; netem and
//! fq, which would do it in the kernel, are missing from many.

use crate::namespaces::{BRIDGE, HUB, Namespaces, NetworkError};
use crate::tool;
use std::collections::VecDeque;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The largest frame: an uncut segment of 64 KiB with its headers.
const FRAME_BYTES: usize = 66 << 10;
/// Frames under way in one direction. More are dropped, as by a router: a second's worth of what
/// nodes of one machine say to one another.
const QUEUE: usize = 4_096;
/// How often the thread looks whether it should end.
const LOOK: Duration = Duration::from_millis(50);

/// How much later frames arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lag {
    /// At least.
    pub base: Duration,
    /// At most so much later still, drawn for each frame; none overtakes another.
    pub jitter: Duration,
}

/// A cable that lags until this is dropped.
pub struct Lagging {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    hub: String,
    number: u8,
}

impl Namespaces {
    /// From now on what `node` (with this number) sends and what reaches it is late by `lag`, each
    /// way.
    pub(crate) fn lag(&self, number: u8, lag: Lag) -> Result<Lagging, NetworkError> {
        let hub = self.name(HUB);
        // May be left by a process that was killed.
        let _ = tool::run("ip", &format!("-n {hub} link del d{number}"));
        for arguments in [
            format!("-n {hub} link add d{number} arp off type veth peer name q{number}"),
            format!("-n {hub} link set q{number} arp off master {BRIDGE} up"),
            format!("-n {hub} link set d{number} up"),
        ] {
            tool::run("ip", &arguments)?;
        }
        let sockets = self.inside(HUB, || {
            Ok([open(&format!("p{number}"))?, open(&format!("d{number}"))?])
        })?;
        let sockets = sockets.map_err(NetworkError::Lag)?;
        tool::run("ip", &format!("-n {hub} link set p{number} nomaster"))?;
        let stop = Arc::new(AtomicBool::new(false));
        // From here on dropping it puts the cable back.
        let mut lagging = Lagging {
            stop: stop.clone(),
            thread: None,
            hub,
            number,
        };
        let thread = std::thread::Builder::new()
            .name(format!("lag-{number}"))
            .spawn(move || carry(&sockets, lag, u64::from(number), &stop));
        lagging.thread = Some(thread.map_err(NetworkError::Lag)?);
        Ok(lagging)
    }
}

impl Drop for Lagging {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It only carries frames; one that panicked carries none.
            let _ = thread.join();
        }
        let (hub, number) = (&self.hub, self.number);
        // The network may be gone already, and then there is nothing to put back.
        let _ = tool::run(
            "ip",
            &format!("-n {hub} link set p{number} master {BRIDGE}"),
        );
        let _ = tool::run("ip", &format!("-n {hub} link del d{number}"));
    }
}

/// Frames on their way in one direction.
#[derive(Default)]
struct Queue {
    frames: VecDeque<(Instant, Vec<u8>)>,
}

impl Queue {
    fn push(&mut self, due: Instant, frame: &[u8]) {
        if self.frames.len() < QUEUE {
            let due = self.frames.back().map_or(due, |(last, _)| due.max(*last));
            self.frames.push_back((due, frame.to_vec()));
        }
    }

    fn pop(&mut self, now: Instant) -> Option<Vec<u8>> {
        let (due, _) = self.frames.front()?;
        (*due <= now)
            .then(|| self.frames.pop_front())?
            .map(|(_, frame)| frame)
    }

    fn due(&self) -> Option<Instant> {
        self.frames.front().map(|(due, _)| *due)
    }
}

fn carry(sockets: &[OwnedFd; 2], lag: Lag, seed: u64, stop: &AtomicBool) {
    let mut queues = [Queue::default(), Queue::default()];
    let mut frame = vec![0u8; FRAME_BYTES];
    let mut state = seed | 1;
    // Xorshift (Marsaglia 2003): jitter needs variety, not secrecy.
    let mut jitter = move |bound: Duration| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bound.mul_f64((state >> 11) as f64 / (1u64 << 53) as f64)
    };
    while !stop.load(Ordering::Relaxed) {
        let next = queues.iter().filter_map(Queue::due).min();
        let wait = next.map_or(LOOK, |due| due.saturating_duration_since(Instant::now()));
        wait_for(sockets, wait.min(LOOK));
        let now = Instant::now();
        for side in 0..2 {
            while let Some(len) = receive(&sockets[side], &mut frame) {
                queues[side].push(now + lag.base + jitter(lag.jitter), &frame[..len]);
            }
            while let Some(frame) = queues[side].pop(now) {
                send(&sockets[1 - side], &frame);
            }
        }
    }
}

/// A packet socket that sees what arrives at `interface`, in the calling thread's namespace.
#[expect(
    unsafe_code,
    reason = "libc sockets: plain system calls on values that live through the call"
)]
fn open(interface: &str) -> io::Result<OwnedFd> {
    let checked = |outcome: libc::c_int| match outcome {
        -1 => Err(io::Error::last_os_error()),
        outcome => Ok(outcome),
    };
    let size = |bytes: usize| libc::socklen_t::try_from(bytes).unwrap_or(0);
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // Protocol 0: nothing arrives before the socket is bound to its interface.
    // SAFETY: no pointers; the descriptor is owned at once.
    let socket = unsafe { OwnedFd::from_raw_fd(checked(libc::socket(libc::AF_PACKET, kind, 0))?) };
    for option in [libc::PACKET_VNET_HDR, libc::PACKET_IGNORE_OUTGOING] {
        let on: libc::c_int = 1;
        // SAFETY: a pointer to a local with its own size.
        checked(unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_PACKET,
                option,
                (&raw const on).cast(),
                size(size_of_val(&on)),
            )
        })?;
    }
    let interface = CString::new(interface)?;
    // SAFETY: it ends in NUL, and lives through the call.
    let index = unsafe { libc::if_nametoindex(interface.as_ptr()) };
    // SAFETY: sockaddr_ll is plain data for which zero is valid.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = i32::try_from(index).unwrap_or(0);
    // SAFETY: the address outlives the call and its size is its own.
    checked(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast(),
            size(size_of::<libc::sockaddr_ll>()),
        )
    })?;
    Ok(socket)
}

#[expect(
    unsafe_code,
    reason = "ppoll(2) on an array that lives through the call"
)]
fn wait_for(sockets: &[OwnedFd; 2], limit: Duration) {
    let mut polled = [0, 1].map(|side: usize| libc::pollfd {
        fd: sockets[side].as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    let limit = libc::timespec {
        tv_sec: limit.as_secs().try_into().unwrap_or(0),
        tv_nsec: limit.subsec_nanos().into(),
    };
    // SAFETY: two entries are given and two are said; an error means "look again".
    unsafe { libc::ppoll(polled.as_mut_ptr(), 2, &raw const limit, std::ptr::null()) };
}

#[expect(
    unsafe_code,
    reason = "recv(2) into an owned buffer of the stated length"
)]
fn receive(socket: &OwnedFd, frame: &mut [u8]) -> Option<usize> {
    // SAFETY: the buffer is valid for its whole length.
    let got = unsafe {
        libc::recv(
            socket.as_raw_fd(),
            frame.as_mut_ptr().cast(),
            frame.len(),
            0,
        )
    };
    usize::try_from(got).ok()
}

#[expect(unsafe_code, reason = "send(2) of a buffer of the stated length")]
fn send(socket: &OwnedFd, frame: &[u8]) {
    // A frame that the kernel does not take is a lost one.
    // SAFETY: the buffer is valid for its whole length.
    unsafe { libc::send(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_leave_in_order_when_due_and_a_full_queue_drops() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut queue = Queue::default();
        queue.push(at(20), b"first");
        queue.push(at(10), b"second");
        assert_eq!(queue.pop(at(19)), None);
        assert_eq!(queue.due(), Some(at(20)));
        assert_eq!(queue.pop(at(20)).as_deref(), Some(&b"first"[..]));
        assert_eq!(queue.pop(at(20)).as_deref(), Some(&b"second"[..]));
        for _ in 0..=QUEUE {
            queue.push(at(30), b"x");
        }
        assert_eq!(queue.frames.len(), QUEUE);
    }
}
