//! The vocabulary of pure state machines.
//!
//! A [`Machine`] decides; a shell in `runtime` acts. Nothing here or in any other pure crate
//! reads a clock, draws entropy, opens a file or a socket: time comes in as an argument,
//! effects go out as values. That is what makes replay and simulation free of charge.

pub mod accrual;
pub mod mistakes;
pub mod supervision;
mod time;

pub use time::Instant;

/// What becomes of an input for which its machine's mailbox has no room, or no actor right now.
///
/// Chosen per input ([`Machine::overload`]), since only its meaning says what may be lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overload {
    /// Dropped without a word to the sender, and counted: a newer one will say more.
    Shed,
    /// The sender waits, for a limited time: nothing else will ever say it again.
    Delay,
    /// The sender is told at once: it knows better what to do than to wait.
    Refuse,
}

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

    /// What becomes of `input` when the mailbox is full. Timers are no inputs and always fire.
    fn overload(_input: &Self::Input) -> Overload {
        Overload::Delay
    }
}
