//! The mailbox's door: a listener that drives [`telemetry::smtp::Session`]s.
//!
//! The session decides what is said; this module reads, writes, shakes hands and keeps time. A
//! message goes to a [`MailSink`]; only what the sink calls accepted is answered 250. The sink for
//! real use is [`JournalSink`]: durable first, then handed on in order, at most once per message.

mod acceptor;
mod connection;
mod counters;
mod duplicates;
mod handshake;
mod journal_sink;
mod places;
mod proxied;
mod register;
mod replay;
mod scratch;
mod server;
mod sink;

pub use acceptor::Acceptor;
pub use counters::{SmtpCounters, SmtpCounts};
pub use journal_sink::{
    HANDOVER_PATIENCE, JournalSink, JournalSinkOptions, Kept, SinkError, Stored,
};
pub use server::{BindError, MAX_MESSAGE, SmtpConfig, SmtpLimits, SmtpServer};
pub use sink::{AcceptedMail, MailSink, Receipt};
pub use telemetry::smtp::{
    Address, DEFAULT_ITERATIONS, Defer, Device, Devices, HouseKey, Identity, Mail, Network, Policy,
    Profile, Recipients, Relaxation, SALT, ScramClient, Tarpit, Verifier, VerifierError, seal,
};
