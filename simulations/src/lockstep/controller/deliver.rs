//! Between two processes: what is sent, what arrives, and what a machine answers whose process is
//! not there.

use super::network::{Delivery, Endpoint, Place as At, conn_of, event_of};
use super::place::State;
use super::world::World;
use crate::lockstep::protocol::{Conn, Event, Out};
use crate::outcome::Kind;

impl World<'_> {
    /// A process sends.
    pub(super) fn send(&mut self, at: At, out: Out) {
        if let Out::Dial { conn, to } = out {
            self.dial(at, conn, &to);
            return;
        }
        if let Out::Accepted(conn) = &out {
            let life = self.places[at].life;
            self.network.taken(*conn, Endpoint { place: at, life });
        }
        let Some(event) = event_of(out) else { return };
        let conn = conn_of(&event);
        let Some(to) = self.network.other(conn, at) else {
            return; // the connection is over already
        };
        self.pass(at, to, event);
    }

    fn pass(&mut self, from: At, to: At, event: Event) {
        let bytes = match &event {
            Event::Data(conn, bytes) => {
                self.record.wire(*conn, bytes);
                Some(bytes.len() as u64)
            }
            Event::Incoming { .. }
            | Event::Connected(_)
            | Event::Refused(_)
            | Event::Credit(..)
            | Event::Fin(_)
            | Event::Reset(_) => None,
        };
        let arrives = self.network.send(
            self.now,
            Delivery {
                from,
                to,
                event,
                tries: 0,
            },
        );
        if let Some(bytes) = bytes {
            let (from, to) = (self.places[from].name.clone(), self.places[to].name.clone());
            self.record.tell(&from, || Kind::Sent {
                to,
                bytes,
                arrives_ms: arrives,
            });
        }
    }

    fn dial(&mut self, at: At, conn: Conn, to: &str) {
        let (name, door) = to.split_once(':').unwrap_or((to, ""));
        let Some(target) = self.places.iter().position(|place| place.name == name) else {
            // No such machine: as a name that resolves to nobody.
            self.places[at].inbox.push(Event::Refused(conn));
            return;
        };
        let end = |place| Endpoint {
            place,
            life: self.places[place].life,
        };
        self.network.opened(conn, end(at), end(target));
        let from = self.places[at].name.clone();
        let door = door.to_owned();
        self.pass(at, target, Event::Incoming { conn, door, from });
    }

    /// Something arrives.
    pub(super) fn deliver(&mut self, delivery: Delivery) {
        let conn = conn_of(&delivery.event);
        let (from, to) = (delivery.from, delivery.to);
        self.note(&delivery);
        let over = matches!(delivery.event, Event::Reset(_) | Event::Refused(_));
        if matches!(delivery.event, Event::Incoming { .. }) && self.is_sought_elsewhere(to) {
            // Nobody answers there, as if the machine had no power.
            if !self.network.try_again(self.now, delivery) {
                self.pass(to, from, Event::Refused(conn));
            }
            return;
        }
        let ours = self.network.end(conn, to);
        let place = &mut self.places[to];
        match &place.state {
            State::Running(_) => {
                // A connection of an earlier life: the machine knows nothing of it.
                let known = ours.is_some_and(|end| end.life == place.life);
                if known || matches!(delivery.event, Event::Incoming { .. }) {
                    place.inbox.push(delivery.event);
                } else if !over && ours.is_some() {
                    self.pass(to, from, Event::Reset(conn));
                }
            }
            State::Down if matches!(delivery.event, Event::Incoming { .. }) => {
                self.pass(to, from, Event::Refused(conn));
            }
            State::Down if !over => self.pass(to, from, Event::Reset(conn)),
            State::Down => {}
            State::Off => {
                if matches!(delivery.event, Event::Incoming { .. })
                    && !self.network.try_again(self.now, delivery)
                {
                    self.pass(to, from, Event::Refused(conn));
                }
            }
        }
        if over {
            self.network.forget(conn);
        }
    }

    fn note(&mut self, delivery: &Delivery) {
        let (kind, bytes) = match &delivery.event {
            Event::Incoming { .. } => (0_u8, 0),
            Event::Connected(_) => (1, 0),
            Event::Refused(_) => (2, 0),
            Event::Data(_, bytes) => (3, bytes.len()),
            Event::Credit(..) => (4, 0),
            Event::Fin(_) => (5, 0),
            Event::Reset(_) => (6, 0),
        };
        let conn = conn_of(&delivery.event);
        self.record
            .event(&(delivery.from, delivery.to, conn, kind, bytes));
    }

    /// A process is gone, and its machine closes what it had open.
    pub(super) fn close_connections(&mut self, at: At) {
        let life = self.places[at].life;
        for conn in self.network.of(Endpoint { place: at, life }) {
            if let Some(other) = self.network.other(conn, at) {
                self.pass(at, other, Event::Reset(conn));
            }
        }
    }
}
