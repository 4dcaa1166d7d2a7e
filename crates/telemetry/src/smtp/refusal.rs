//! Everything a session can say no to, with its reply code (RFC 5321 §4.2.3) and enhanced status
//! code (RFC 3463). The sentence is the reply's text and the log's.

use super::address::AddressError;
use super::sealed::SealError;

/// Why something a client sent was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// No such command, or one we do not offer.
    #[error("command not recognised")]
    UnknownCommand,
    /// EXPN: we have no lists, and would not show them (§7.3).
    #[error("command not implemented")]
    NotImplemented,
    /// The first word of another protocol: a browser was made to talk to us.
    #[error("this is a mail server")]
    OtherProtocol,
    /// Arguments are not as the command needs them.
    #[error("syntax: {0}")]
    Syntax(&'static str),
    /// Over the limit of a command line (§4.5.3.1.4).
    #[error("command line over {0} octets")]
    CommandTooLong(usize),
    /// A command line with NUL, or with a CR or LF that stands alone (§2.3.8).
    #[error("commands end with CRLF; a CR, LF or NUL elsewhere is refused")]
    CommandControl,
    /// Not now (§4.1.4).
    #[error("bad sequence: {0}")]
    BadSequence(&'static str),
    /// Policy wants TLS first (RFC 3207 §4).
    #[error("must issue a STARTTLS command first")]
    TlsRequired,
    /// No certificate here.
    #[error("TLS not available")]
    TlsUnavailable,
    /// Bytes behind STARTTLS that did not wait for the handshake were dropped (RFC 3207 §5).
    #[error("input pipelined behind STARTTLS was dropped")]
    PipelinedBeforeTls,
    /// AUTH in clear (RFC 4954 §4, §6).
    #[error("encryption is required before you log in")]
    EncryptionFirst,
    /// None of those offered (RFC 4954 §4).
    #[error("mechanism not offered")]
    UnknownMechanism,
    /// An answer that is not base64, or not what the mechanism wants (RFC 4954 §4).
    #[error("cannot read this answer")]
    BadAnswer,
    /// The client sent `*` (RFC 4954 §4).
    #[error("login given up")]
    LoginCancelled,
    /// Name or password are wrong, or the proof is not for this connection.
    #[error("name and password do not fit")]
    LoginFailed,
    /// The sender's address belongs to a device that has a password or a certificate.
    #[error("this sender has to log in or show its certificate")]
    MustProve,
    /// The sender's address belongs to another device, or to one that is elsewhere.
    #[error("this sender's address is not yours to use from here")]
    NotYours,
    /// The sender's device signs and seals its messages; this one is neither.
    #[error("this sender's messages are signed and sealed, or they are not its own")]
    MustSeal,
    /// A sealed message that is none.
    #[error("sealed message refused: {0}")]
    Seal(SealError),
    /// A flood of header fields, MIME parts or nesting.
    #[error("message with too much {0}")]
    Shape(&'static str),
    /// No Date (RFC 5322 §3.6).
    #[error("message without Date")]
    NoDate,
    /// More messages' octets than one session may bring.
    #[error("over {0} octets in one session; connect again")]
    SessionFull(u64),
    /// Commands without end and no message.
    #[error("too many commands without a message")]
    Idling,
    /// Too many failed logins from an address or network; the seconds until the next is free.
    #[error("too many failed logins from your address; try again in {0} seconds")]
    LoginsHeldBack(u64),
    /// Too many failed logins.
    #[error("too many failed logins")]
    TooManyLogins,
    /// Bytes of a message that drip.
    #[error("message too slow")]
    TooSlow,
    /// The reverse path is no path.
    #[error("sender refused: {0}")]
    BadSender(AddressError),
    /// The forward path is no path.
    #[error("recipient refused: {0}")]
    BadRecipient(AddressError),
    /// An address outside ASCII in a transaction without SMTPUTF8 (RFC 6531 §3.5).
    #[error("this address needs SMTPUTF8")]
    NeedsUtf8,
    /// No mailbox of ours; relaying does not exist here.
    #[error("not a recipient here, and no mail is relayed")]
    NotOurs,
    /// Over the limit (§4.5.3.1.10).
    #[error("over {0} recipients; send the rest in another transaction")]
    TooManyRecipients(usize),
    /// A parameter we did not offer (§4.1.1.11).
    #[error("parameter not offered or malformed")]
    BadParameter,
    /// Declared or sent more than the limit (RFC 1870 §6).
    #[error("message over {0} octets")]
    TooBig(u64),
    /// DATA or BDAT without an accepted recipient (RFC 2920 §3.1).
    #[error("no valid recipients")]
    NoRecipients,
    /// A CR or LF that stands alone in the message (RFC 5321 §2.3.8).
    #[error("message with a CR or LF that stands alone")]
    BareLineEnd,
    /// NUL in the message (RFC 5321 §2.3.8, RFC 6152).
    #[error("message with a NUL")]
    Nul,
    /// A text line over the limit (§4.5.3.1.6).
    #[error("message with a line over {0} octets")]
    LongLine(usize),
    /// Too many of the others.
    #[error("too many errors")]
    TooManyErrors,
    /// More input while a verdict was due than a client may pipeline.
    #[error("too much pipelined input")]
    TooMuchInput,
    /// Silence (§4.5.3.2.7) or a message that took too long.
    #[error("timeout")]
    Timeout,
    /// The shell is going down.
    #[error("service shutting down")]
    ShuttingDown,
}

impl Refusal {
    /// Reply code and enhanced status code.
    pub const fn code(&self) -> (u16, &'static str) {
        match self {
            Self::UnknownCommand => (500, "5.5.1"),
            Self::NotImplemented | Self::TlsUnavailable => (502, "5.5.1"),
            Self::OtherProtocol => (554, "5.7.0"),
            Self::Syntax(_) => (501, "5.5.4"),
            Self::EncryptionFirst => (538, "5.7.11"),
            Self::UnknownMechanism => (504, "5.5.4"),
            Self::BadAnswer => (501, "5.5.2"),
            Self::LoginCancelled => (501, "5.7.0"),
            Self::LoginsHeldBack(_) => (454, "4.7.0"),
            Self::LoginFailed => (535, "5.7.8"),
            Self::MustProve => (530, "5.7.0"),
            Self::NotYours | Self::MustSeal => (550, "5.7.1"),
            Self::Seal(_) => (550, "5.7.7"),
            Self::Shape(_) | Self::NoDate => (554, "5.6.0"),
            Self::SessionFull(_) | Self::Idling | Self::TooManyLogins => (421, "4.7.0"),
            Self::TooSlow => (421, "4.4.2"),
            Self::CommandTooLong(_) | Self::CommandControl => (500, "5.5.2"),
            Self::BadSequence(_) => (503, "5.5.1"),
            Self::TlsRequired => (530, "5.7.0"),
            Self::PipelinedBeforeTls => (503, "5.5.1"),
            Self::BadSender(_) => (553, "5.1.7"),
            Self::BadRecipient(_) => (553, "5.1.3"),
            Self::NeedsUtf8 => (553, "5.6.7"),
            Self::NotOurs => (550, "5.7.1"),
            Self::TooManyRecipients(_) => (452, "4.5.3"),
            Self::BadParameter => (555, "5.5.4"),
            Self::TooBig(_) => (552, "5.3.4"),
            Self::NoRecipients => (554, "5.5.1"),
            Self::BareLineEnd | Self::Nul | Self::LongLine(_) => (554, "5.6.0"),
            Self::TooManyErrors | Self::TooMuchInput => (421, "4.7.0"),
            Self::Timeout => (421, "4.4.2"),
            Self::ShuttingDown => (421, "4.3.2"),
        }
    }
}

/// Why a message that nothing is wrong with cannot be taken now. The client keeps it; but for a
/// replay, which is none of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Defer {
    /// The disk is full.
    #[error("insufficient system storage, try again later")]
    Full,
    /// What works the messages off is behind.
    #[error("busy, try again in a minute")]
    Busy,
    /// The message could not be made durable.
    #[error("local error, try again later")]
    Failed,
    /// Over the device's share of messages.
    #[error("too many messages in a minute, slow down")]
    TooFast,
    /// A sealed message whose counter has been used.
    #[error("this sealed message was taken before")]
    Replayed,
}

impl Defer {
    /// Reply code and enhanced status code.
    pub const fn code(self) -> (u16, &'static str) {
        match self {
            Self::Full => (452, "4.3.1"),
            Self::Busy => (451, "4.3.2"),
            Self::Failed => (451, "4.3.0"),
            Self::TooFast => (451, "4.7.1"),
            Self::Replayed => (554, "5.7.1"),
        }
    }
}
