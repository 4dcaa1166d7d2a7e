//! The server's side of an ESMTP session (RFC 5321) as a pure state machine.
//!
//! [`Session`] takes bytes and tells the shell what to do: send a [`Output::Reply`], shake hands
//! for TLS, ask whether there is room for a message, make a [`Mail`] durable, close. It waits for
//! the shell's verdict before it reads on, so a 250 after the data can only follow the sync.
//!
//! Spoken: PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531),
//! CHUNKING (RFC 3030), ENHANCEDSTATUSCODES (RFC 2034, codes of RFC 3463), STARTTLS (RFC 3207).
//! Deliberately absent: relaying. A recipient is ours by configuration or it is refused.
//!
//! The end of the data is CRLF.CRLF and nothing else, and a CR or LF that stands alone ends the
//! session: whoever relays such a message may see other messages in it than we do.

mod address;
mod command;
mod content;
mod exchange;
mod policy;
mod refusal;
mod session;
mod transaction;
mod transfer;

pub use address::{Address, AddressError};
pub use exchange::{Input, Mail, Output};
pub use policy::{Network, Policy, Profile, Recipients, Relaxation, Timeouts};
pub use refusal::{Defer, Refusal};
pub use session::Session;

#[cfg(test)]
mod tests;
