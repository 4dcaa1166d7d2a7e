//! The custodian alone (a table of situations) and several of them around one ledger.

mod alone;
mod together;
mod world;
