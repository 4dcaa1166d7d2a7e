//! The vocabulary of pure state machines.
//!
//! A [`Machine`] decides; a shell in `runtime` acts. Nothing here or in any other pure crate
//! reads a clock, draws entropy, opens a file or a socket: time comes in as an argument,
//! effects go out as values. That is what makes replay and simulation free of charge.

pub mod supervision;
mod time;

pub use time::Instant;

/// A synchronous state machine: inputs in, effects out, in an order that is a contract
/// ("persist" stands before "send").
pub trait Machine: Send + 'static {
    /// What can happen to the machine.
    type Input: Send + 'static;
    /// What the machine asks its shell to do.
    type Output: Send + 'static;

    /// One input at time `now`; effects are appended to `out` in the order they must happen.
    fn handle(&mut self, now: Instant, input: Self::Input, out: &mut Vec<Self::Output>);

    /// Called by the shell at or soon after [`deadline`](Self::deadline).
    fn tick(&mut self, _now: Instant, _out: &mut Vec<Self::Output>) {}

    /// The next moment at which the machine wants [`tick`](Self::tick); `None`: not on its own.
    fn deadline(&self) -> Option<Instant> {
        None
    }
}
