//! What passes between a session and its shell.

use super::address::Address;
use super::refusal::{Defer, Refusal};
use core::net::IpAddr;

/// What the session asks of its shell, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Send these bytes.
    Reply(Vec<u8>),
    /// Send what is due, shake hands as a TLS server, then call [`Session::tls_established`](super::Session::tls_established).
    StartTls,
    /// A message is announced: is there room for it? Answer by [`Session::admitted`](super::Session::admitted).
    Admit,
    /// Make this durable and answer by [`Session::stored`](super::Session::stored).
    Message(Mail),
    /// For the log: something was refused. Its reply, if it has one, follows.
    Refused(Refusal),
    /// Send what is due and close.
    Close,
}

/// A message with its SMTP envelope.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mail {
    /// MAIL FROM; `None` is the null path `<>`.
    pub reverse_path: Option<Address>,
    /// RCPT TO, each one ours.
    pub forward_paths: Vec<Address>,
    /// Header and body as sent, dots removed, lines ending in CRLF.
    pub data: Vec<u8>,
    /// Whether it came through TLS.
    pub tls: bool,
    /// The profile without which it would have been refused: it is trusted accordingly less.
    pub profile: Option<String>,
    /// What the client called itself.
    pub helo: String,
    /// Where it came from.
    pub peer: IpAddr,
}

/// Inputs, for shells that drive the session as a [`Machine`](machine::Machine).
#[derive(Clone, Debug)]
pub enum Input {
    /// Bytes from the client.
    Bytes(Vec<u8>),
    /// The TLS handshake is done.
    TlsEstablished,
    /// Answer to [`Output::Admit`].
    Admitted(Result<(), Defer>),
    /// Answer to [`Output::Message`]: the receipt's id.
    Stored(Result<String, Defer>),
    /// The server is going down.
    Shutdown,
}
