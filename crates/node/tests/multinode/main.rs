//! Several nodes as processes, in one binary, for they share what makes and watches them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod data_space;
mod leaders;
mod membership;
mod several;
