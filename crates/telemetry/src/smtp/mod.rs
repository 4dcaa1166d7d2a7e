//! The server's side of an ESMTP session (RFC 5321) as a pure state machine.
//!
//! [`Session`] takes bytes and tells the shell what to do: send a [`Output::Reply`], shake hands
//! for TLS, ask whether there is room for a message, make a [`Mail`] durable, close. It waits for
//! the shell's verdict before it reads on, so a 250 after the data can only follow the sync.
//!
//! Spoken: PIPELINING (RFC 2920), SIZE (RFC 1870), 8BITMIME (RFC 6152), SMTPUTF8 (RFC 6531),
//! CHUNKING (RFC 3030), ENHANCEDSTATUSCODES (RFC 2034, codes of RFC 3463), STARTTLS (RFC 3207),
//! AUTH (RFC 4954: PLAIN, LOGIN, SCRAM-SHA-256 with and without channel binding), LMTP (RFC 2033).
//! DSN's parameters (RFC 3461) are understood and not announced: we deliver, and report nothing.
//! Deliberately absent: relaying. A recipient is ours by configuration or it is refused.
//!
//! The end of the data is CRLF.CRLF and nothing else, and a CR or LF that stands alone ends the
//! session: whoever relays such a message may see other messages in it than we do.

mod address;
mod command;
mod content;
mod device;
mod dialogue;
mod exchange;
mod guesses;
pub mod harness;
mod login;
mod pace;
mod policy;
mod profile;
mod proxy;
mod rate;
mod refusal;
mod scram;
mod sealed;
mod session;
mod shape;
mod transaction;
mod transfer;

pub use address::{Address, AddressError};
pub use device::{Device, Devices, Fingerprint, Identity};
pub use exchange::{Arrival, Input, Mail, Output, Protocol, Tls};
pub use guesses::Guesses;
pub use policy::{Policy, Recipients, Tarpit, Timeouts};
pub use profile::{Network, Profile, Relaxation};
pub use proxy::{PROXY_HEADER, ProxyError, ProxyHeader};
pub use rate::Rates;
pub use refusal::{Defer, Refusal};
pub use scram::{
    DEFAULT_ITERATIONS, MAX_ITERATIONS, MIN_ITERATIONS, SALT, ScramClient, ScramError, ScramProof,
    Verifier, VerifierError,
};
pub use sealed::{HouseKey, SealError, seal};
pub use session::Session;

#[cfg(test)]
mod tests;
