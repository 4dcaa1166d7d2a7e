//! Learning as a whole, from rows to scores. One binary, since each links libtorch.
#![allow(clippy::unwrap_used, reason = "a test's helper fails by panicking")]

mod model;
mod smd;
mod support;
mod variates;
