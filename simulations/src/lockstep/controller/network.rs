//! The network between the processes: delays, losses, splits, half-open connections.
//!
//! What is modelled is what TCP shows its users: bytes of a connection come in order; a lost segment
//! is one that comes a retransmission later; a split holds bytes back until it ends.

use crate::lockstep::protocol::{Conn, Event, Out};
use crate::machines::rng::Dice;
use std::collections::{BTreeMap, BTreeSet};

/// Shortest delay; also how far apart two processes can be stepped without hearing each other.
pub(super) const LATENCY_MS: u64 = 1;
/// What delays vary by in one house.
const JITTER_MS: u64 = 3;
/// Segments lost without any fault, per thousand.
const LOST_PER_MILLE: u64 = 2;
/// TCP's shortest retransmission timeout on Linux.
const RETRANSMISSION_MS: u64 = 200;
/// Longest time until a sender tries again once a split has ended: its timeout has doubled while
/// it lasted.
const LATE_RETRANSMISSION_MS: u64 = 1_500;
/// A connection attempt to a machine without power is repeated after 1, 2, 4, 8 s, then given up.
const CONNECT_TRIES: u32 = 4;

/// Index of a process.
pub(super) type Place = usize;

/// Something on its way.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) from: Place,
    pub(super) to: Place,
    pub(super) event: Event,
    /// How often a connection attempt was repeated.
    pub(super) tries: u32,
}

/// One end of a connection: a process in one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) place: Place,
    pub(super) life: u32,
}

#[derive(Debug)]
struct Connection {
    ends: [Endpoint; 2],
    /// Nothing passes any more, and nobody is told.
    hole: bool,
    /// When the last byte sent to each end gets there.
    last: [u64; 2],
}

/// Delays of a place that is slow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slow {
    pub(super) delay_ms: u64,
    pub(super) jitter_ms: u64,
    pub(super) loss_percent: u8,
}

pub(super) struct Network {
    dice: Dice,
    seq: u64,
    queue: BTreeMap<(u64, u64), Delivery>,
    connections: BTreeMap<Conn, Connection>,
    /// How many splits keep one from being heard by the other.
    blocked: BTreeMap<(Place, Place), u32>,
    held: Vec<Delivery>,
    slow: BTreeMap<Place, Slow>,
}

pub(super) fn conn_of(event: &Event) -> Conn {
    match event {
        Event::Incoming { conn, .. }
        | Event::Connected(conn)
        | Event::Refused(conn)
        | Event::Data(conn, _)
        | Event::Credit(conn, _)
        | Event::Fin(conn)
        | Event::Reset(conn) => *conn,
    }
}

impl Network {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed),
            seq: 0,
            queue: BTreeMap::new(),
            connections: BTreeMap::new(),
            blocked: BTreeMap::new(),
            held: Vec::new(),
            slow: BTreeMap::new(),
        }
    }

    /// When the next delivery is due.
    pub(super) fn next(&self) -> Option<u64> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// What arrives at `now`.
    pub(super) fn due(&mut self, now: u64) -> Option<Delivery> {
        let first = self.queue.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Sends on; answers when it arrives, if it does.
    pub(super) fn send(&mut self, now: u64, delivery: Delivery) -> Option<u64> {
        let conn = conn_of(&delivery.event);
        if self.connections.get(&conn).is_some_and(|conn| conn.hole) {
            return None;
        }
        if self.blocked.contains_key(&(delivery.from, delivery.to)) {
            self.held.push(delivery);
            return None;
        }
        Some(self.send_after(now, 0, delivery))
    }

    fn send_after(&mut self, now: u64, pause: u64, delivery: Delivery) -> u64 {
        let mut at = now + pause + LATENCY_MS + self.dice.below(JITTER_MS);
        let mut lost = LOST_PER_MILLE;
        for place in [delivery.from, delivery.to] {
            if let Some(slow) = self.slow.get(&place) {
                at += slow.delay_ms + self.dice.below(slow.jitter_ms + 1);
                lost += u64::from(slow.loss_percent) * 10;
            }
        }
        if self.dice.below(1_000) < lost {
            at += RETRANSMISSION_MS;
        }
        if let Some(conn) = self.connections.get_mut(&conn_of(&delivery.event)) {
            let end = usize::from(conn.ends[1].place == delivery.to);
            at = at.max(conn.last[end]);
            conn.last[end] = at;
        }
        self.enqueue(at, delivery);
        at
    }

    fn enqueue(&mut self, at: u64, delivery: Delivery) {
        self.seq += 1;
        self.queue.insert((at, self.seq), delivery);
    }

    /// A process dials.
    pub(super) fn opened(&mut self, conn: Conn, from: Endpoint, to: Endpoint) {
        self.connections.insert(
            conn,
            Connection {
                ends: [from, to],
                hole: false,
                last: [0; 2],
            },
        );
    }

    /// The life that took the connection.
    pub(super) fn taken(&mut self, conn: Conn, by: Endpoint) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.ends[1] = by;
        }
    }

    /// The other end of a connection, seen from `place`.
    pub(super) fn other(&self, conn: Conn, place: Place) -> Option<Place> {
        let ends = self.connections.get(&conn)?.ends;
        let [a, b] = ends.map(|end| end.place);
        Some(if a == place { b } else { a })
    }

    /// The end of a connection at `place`.
    pub(super) fn end(&self, conn: Conn, place: Place) -> Option<Endpoint> {
        let ends = &self.connections.get(&conn)?.ends;
        ends.iter().find(|end| end.place == place).copied()
    }

    /// A machine without power does not answer: the caller tries again. `false` when it gives up.
    pub(super) fn try_again(&mut self, now: u64, delivery: Delivery) -> bool {
        if delivery.tries >= CONNECT_TRIES {
            return false;
        }
        let at = now + (1_000 << delivery.tries);
        let tries = delivery.tries + 1;
        self.enqueue(at, Delivery { tries, ..delivery });
        true
    }

    /// Forgets a connection that is over; late bytes of it are nobody's.
    pub(super) fn forget(&mut self, conn: Conn) {
        self.connections.remove(&conn);
    }

    /// All connections of a process in this life.
    pub(super) fn of(&self, end: Endpoint) -> Vec<Conn> {
        let has = |conn: &Connection| conn.ends.contains(&end);
        let all = self.connections.iter().filter(|(_, conn)| has(conn));
        all.map(|(conn, _)| *conn).collect()
    }

    /// Nothing passes on this connection any more.
    pub(super) fn make_hole(&mut self, conn: Conn) {
        if let Some(conn) = self.connections.get_mut(&conn) {
            conn.hole = true;
        }
    }

    pub(super) fn set_slow(&mut self, place: Place, slow: Option<Slow>) {
        match slow {
            Some(slow) => self.slow.insert(place, slow),
            None => self.slow.remove(&place),
        };
    }

    /// Nothing passes from `from` to `to` from now on.
    pub(super) fn block(&mut self, from: Place, to: Place) {
        *self.blocked.entry((from, to)).or_default() += 1;
    }

    /// One reason less not to pass.
    pub(super) fn unblock(&mut self, from: Place, to: Place) {
        if let Some(count) = self.blocked.get_mut(&(from, to)) {
            *count -= 1;
            if *count == 0 {
                self.blocked.remove(&(from, to));
            }
        }
    }

    /// Is anybody cut off from anybody?
    pub(super) fn is_split(&self) -> bool {
        !self.blocked.is_empty()
    }

    /// What was held goes on, where nothing holds it any more, after its sender's next try.
    pub(super) fn release(&mut self, now: u64) {
        let mut pauses: BTreeMap<Conn, u64> = BTreeMap::new();
        for delivery in std::mem::take(&mut self.held) {
            if self.blocked.contains_key(&(delivery.from, delivery.to)) {
                self.held.push(delivery);
                continue;
            }
            let conn = conn_of(&delivery.event);
            let pause = match pauses.get(&conn) {
                Some(pause) => *pause,
                None => {
                    let pause = self.dice.below(LATE_RETRANSMISSION_MS);
                    pauses.insert(conn, pause);
                    pause
                }
            };
            self.send_after(now, pause, delivery);
        }
    }
}

/// What becomes of something a process sends, on its way to the other end.
pub(super) fn event_of(out: Out) -> Option<Event> {
    match out {
        Out::Dial { .. } => None,
        Out::Accepted(conn) => Some(Event::Connected(conn)),
        Out::Data(conn, bytes) => Some(Event::Data(conn, bytes)),
        Out::Credit(conn, bytes) => Some(Event::Credit(conn, bytes)),
        Out::Fin(conn) => Some(Event::Fin(conn)),
        Out::Reset(conn) => Some(Event::Reset(conn)),
    }
}

/// Pairs of a split.
pub(super) fn pairs(from: &[u8], to: &[u8], both: bool) -> BTreeSet<(Place, Place)> {
    let mut pairs = BTreeSet::new();
    for from in from {
        for to in to.iter().filter(|to| *to != from) {
            pairs.insert((Place::from(*from), Place::from(*to)));
            if both {
                pairs.insert((Place::from(*to), Place::from(*from)));
            }
        }
    }
    pairs
}
