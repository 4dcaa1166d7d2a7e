//! The mailbox over the wire: real clients, real TLS, a real journal.

mod clients;
mod crash;
mod house;
mod limits;
mod sink;
mod wire;
