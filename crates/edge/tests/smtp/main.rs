//! The mailbox over the wire: real clients, real TLS, a real journal.

mod clients;
mod clock;
mod crash;
mod crowd;
mod differential;
mod doors;
mod hostile;
mod house;
mod identity;
mod limits;
mod sealed;
mod sink;
mod throng;
mod wire;
