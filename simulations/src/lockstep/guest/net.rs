//! The network as a simulated process sees it: doors that others connect to, and byte streams.
//!
//! A stream's window is as in TCP: so many bytes may be sent that the other end has not read.

use super::core::send;
use crate::lockstep::protocol::{Conn, Event, Out};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wire::NodeId;

/// Bytes under way or unread on one connection, each way; a usual TCP buffer.
const WINDOW: u64 = 256 << 10;
/// Bytes read before the other end is told: a window must not wait for the last byte of it.
const CREDIT_EVERY: u64 = WINDOW / 4;
/// Connections that wait at a door until somebody accepts; a usual `listen` backlog.
const BACKLOG: usize = 128;

#[derive(Default)]
struct Net {
    /// Tells this life's connections from those of every other process and life.
    first: Conn,
    made: u64,
    ends: BTreeMap<Conn, End>,
    doors: BTreeMap<String, Doorway>,
    dials: BTreeMap<Conn, Dial>,
}

#[derive(Default)]
struct Doorway {
    waiting: VecDeque<(Conn, String)>,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Dial {
    answer: Option<bool>,
    waker: Option<Waker>,
}

/// This end of a connection.
#[derive(Default)]
struct End {
    unread: VecDeque<u8>,
    /// Read, and not told yet.
    uncredited: u64,
    in_flight: u64,
    fin: bool,
    fin_sent: bool,
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

static NET: Mutex<Option<Net>> = Mutex::new(None);

struct Locked(MutexGuard<'static, Option<Net>>);

impl std::ops::Deref for Locked {
    type Target = Net;
    fn deref(&self) -> &Net {
        self.0.as_ref().expect("made at boot, before anything runs")
    }
}

impl std::ops::DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut Net {
        self.0.as_mut().expect("made at boot, before anything runs")
    }
}

fn net() -> Locked {
    Locked(NET.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A network without connections, for process `index` in its life `life`.
pub(super) fn boot(index: usize, life: u32) {
    let net = Net {
        first: (index as Conn) << 48 | Conn::from(life) << 32,
        ..Net::default()
    };
    *NET.lock().unwrap_or_else(PoisonError::into_inner) = Some(net);
}

/// What the controller brings.
pub(super) fn deliver(event: Event) {
    let mut wakers = Vec::new();
    let answer = net().take(event, &mut wakers);
    if let Some(out) = answer {
        send(out);
    }
    wakers.into_iter().for_each(Waker::wake);
}

impl Net {
    /// Takes in an event; gives what the operating system answers to it by itself.
    fn take(&mut self, event: Event, wakers: &mut Vec<Waker>) -> Option<Out> {
        match event {
            Event::Incoming { conn, door, from } => {
                let open = self.doors.get_mut(&door);
                let Some(door) = open.filter(|door| door.waiting.len() < BACKLOG) else {
                    return Some(Out::Reset(conn));
                };
                door.waiting.push_back((conn, from));
                wakers.extend(door.waker.take());
                self.ends.insert(conn, End::default());
                return Some(Out::Accepted(conn));
            }
            Event::Connected(conn) => {
                let Some(dial) = self.dials.get_mut(&conn) else {
                    return Some(Out::Reset(conn)); // whoever dialed has gone
                };
                dial.answer = Some(true);
                wakers.extend(dial.waker.take());
                self.ends.insert(conn, End::default());
            }
            Event::Refused(conn) => self.refuse(conn, wakers),
            Event::Data(conn, bytes) => {
                let Some(end) = self.ends.get_mut(&conn) else {
                    return Some(Out::Reset(conn));
                };
                end.unread.extend(bytes);
                wakers.extend(end.reader.take());
            }
            Event::Credit(conn, bytes) => {
                if let Some(end) = self.ends.get_mut(&conn) {
                    end.in_flight = end.in_flight.saturating_sub(bytes);
                    wakers.extend(end.writer.take());
                }
            }
            Event::Fin(conn) => {
                if let Some(end) = self.ends.get_mut(&conn) {
                    end.fin = true;
                    wakers.extend(end.reader.take());
                }
            }
            Event::Reset(conn) => {
                self.refuse(conn, wakers);
                if let Some(end) = self.ends.get_mut(&conn) {
                    end.reset = true;
                    wakers.extend(end.reader.take());
                    wakers.extend(end.writer.take());
                }
            }
        }
        None
    }

    fn refuse(&mut self, conn: Conn, wakers: &mut Vec<Waker>) {
        if let Some(dial) = self.dials.get_mut(&conn) {
            dial.answer.get_or_insert(false);
            wakers.extend(dial.waker.take());
        }
    }
}

/// A door that others connect to. Dropped, it refuses them.
pub struct Door(String);

impl Door {
    /// Opens it.
    pub fn open(name: &str) -> io::Result<Self> {
        let mut net = net();
        if net.doors.contains_key(name) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        net.doors.insert(name.to_owned(), Doorway::default());
        Ok(Self(name.to_owned()))
    }

    /// The next connection, and from whom.
    pub async fn accept(&self) -> (Stream, String) {
        let next = poll_fn(|cx| {
            let mut net = net();
            let door = net.doors.entry(self.0.clone()).or_default();
            if let Some(next) = door.waiting.pop_front() {
                return Poll::Ready(next);
            }
            door.waker = Some(cx.waker().clone());
            Poll::Pending
        });
        let (conn, from) = next.await;
        (Stream(conn), from)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let closed = net().doors.remove(&self.0);
        for (conn, _) in closed.into_iter().flat_map(|door| door.waiting) {
            drop(Stream(conn));
        }
    }
}

/// Connects to `process:door`.
pub async fn dial(to: &str) -> io::Result<Stream> {
    let conn = {
        let mut net = net();
        net.made += 1;
        let conn = net.first | net.made;
        net.dials.insert(conn, Dial::default());
        conn
    };
    let pending = Pending(conn);
    send(Out::Dial {
        conn,
        to: to.to_owned(),
    });
    let connected = poll_fn(|cx| {
        let mut net = net();
        let dial = net.dials.entry(conn).or_default();
        if let Some(answer) = dial.answer {
            return Poll::Ready(answer);
        }
        dial.waker = Some(cx.waker().clone());
        Poll::Pending
    });
    let connected = connected.await;
    net().dials.remove(&conn);
    std::mem::forget(pending);
    if connected {
        Ok(Stream(conn))
    } else {
        Err(io::Error::new(
            io::ErrorKind::ConnectionRefused,
            format!("nobody listens at {to}"),
        ))
    }
}

/// Whoever stops waiting for an answer wants it no more.
struct Pending(Conn);

impl Drop for Pending {
    fn drop(&mut self) {
        let mut net = net();
        net.dials.remove(&self.0);
        net.ends.remove(&self.0);
        drop(net);
        send(Out::Reset(self.0));
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct Stream(Conn);

fn gone() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut net = net();
        let Some(end) = net.ends.get_mut(&self.0).filter(|end| !end.reset) else {
            return Poll::Ready(Err(gone()));
        };
        if end.unread.is_empty() {
            if end.fin {
                return Poll::Ready(Ok(()));
            }
            end.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut read = 0;
        while buf.remaining() > 0 && !end.unread.is_empty() {
            let (front, _) = end.unread.as_slices();
            let n = front.len().min(buf.remaining());
            buf.put_slice(&front[..n]);
            end.unread.drain(..n);
            read += n as u64;
        }
        end.uncredited += read;
        let credit = if end.uncredited >= CREDIT_EVERY {
            std::mem::take(&mut end.uncredited)
        } else {
            0
        };
        drop(net);
        if credit > 0 {
            send(Out::Credit(self.0, credit));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut net = net();
        let Some(end) = net.ends.get_mut(&self.0).filter(|end| !end.reset) else {
            return Poll::Ready(Err(gone()));
        };
        if end.fin_sent {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let fits = WINDOW.saturating_sub(end.in_flight).min(bytes.len() as u64);
        if fits == 0 && !bytes.is_empty() {
            end.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        end.in_flight += fits;
        drop(net);
        let sent = &bytes[..fits as usize];
        send(Out::Data(self.0, sent.to_vec()));
        Poll::Ready(Ok(sent.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut net = net();
        let end = net.ends.get_mut(&self.0);
        let first =
            end.is_some_and(|end| !std::mem::replace(&mut end.fin_sent, true) && !end.reset);
        drop(net);
        if first {
            send(Out::Fin(self.0));
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let Some(end) = net().ends.remove(&self.0) else {
            return;
        };
        // As TCP: unread bytes make it a reset. A half that the other end still sends into is
        // answered with one as soon as something comes.
        if end.reset {
        } else if !end.unread.is_empty() {
            send(Out::Reset(self.0));
        } else if !end.fin_sent {
            send(Out::Fin(self.0));
        }
    }
}

/// Links between nodes over these streams. Addresses are `process:door`.
pub struct SimTransport(Door);

impl SimTransport {
    /// Listens at `door`.
    pub fn open(door: &str) -> io::Result<Self> {
        Door::open(door).map(Self)
    }
}

impl cluster::Transport for SimTransport {
    type Stream = Stream;

    async fn dial(&self, _peer: &NodeId, address: &str) -> io::Result<Stream> {
        dial(address).await
    }

    async fn accept(&self) -> io::Result<Stream> {
        Ok(self.0.accept().await.0)
    }
}

/// Connections that this process holds; for limits.
pub fn connections() -> BTreeSet<Conn> {
    net().ends.keys().copied().collect()
}
