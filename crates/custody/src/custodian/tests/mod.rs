//! The custodian alone (a table of situations) and several of them around one ledger.

mod alone;
mod away;
mod keys_in_hand;
mod log;
mod removed;
mod together;
mod world;
