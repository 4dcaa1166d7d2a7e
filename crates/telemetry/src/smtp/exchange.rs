//! What passes between a session and its shell.

use super::address::Address;
use super::device::{Fingerprint, Identity};
use super::refusal::{Defer, Refusal};
use core::net::IpAddr;
use core::time::Duration;

/// Which protocol is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// ESMTP (RFC 5321).
    Esmtp,
    /// LMTP (RFC 2033), with a mail server on this host. It needs no TLS.
    Lmtp,
}

/// How a client came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// From where; behind a proxy, what the proxy says.
    pub peer: IpAddr,
    /// What it speaks.
    pub protocol: Protocol,
    /// Whether TLS was there from the beginning (RFC 8314 §3).
    pub tls: Option<Tls>,
    /// Fresh randomness, for what the client must not foresee.
    pub entropy: [u8; 32],
}

/// What is known from the TLS handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tls {
    /// The exporter's value for channel binding (RFC 9266), where the version has one that is safe.
    pub exporter: Option<[u8; 32]>,
    /// The client's certificate, whose key it has proven to hold.
    pub certificate: Option<Fingerprint>,
}

/// What the session asks of its shell, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Send these bytes.
    Reply(Vec<u8>),
    /// Send what is due, shake hands as a TLS server, then call [`Session::tls_established`](super::Session::tls_established).
    StartTls,
    /// Wait before going on: a refusal follows.
    Pause(Duration),
    /// A message is announced, and by [`Session::sender`](super::Session::sender): is there room for it? Answer by [`Session::admitted`](super::Session::admitted).
    Admit,
    /// Somebody tries to log in under this name: may it, by what failed before? Answer by
    /// [`Session::login_admitted`](super::Session::login_admitted).
    Login(String),
    /// And has succeeded.
    LoggedIn(String),
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
    /// Who it is from, if that was shown.
    pub identity: Option<Identity>,
    /// Of a sealed message, the counter under which it counts once.
    pub counter: Option<u64>,
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
    TlsEstablished(Tls),
    /// Answer to [`Output::Admit`].
    Admitted(Result<(), Defer>),
    /// Answer to [`Output::Login`]: how long it has to wait, if it has.
    LoginAdmitted(Result<(), Duration>),
    /// Answer to [`Output::Message`]: the receipt's id.
    Stored(Result<String, Defer>),
    /// The server is going down.
    Shutdown,
}
