use std::sync::atomic::{AtomicU64, Ordering};
use telemetry::smtp::Refusal;

/// Counters of a listener since its start, shared by all its sessions.
#[derive(Debug, Default)]
pub struct SmtpCounters {
    pub(super) sessions: AtomicU64,
    pub(super) open: AtomicU64,
    pub(super) turned_away: AtomicU64,
    pub(super) handshakes_failed: AtomicU64,
    pub(super) accepted: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) deferred: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) plaintext_payload_bytes: AtomicU64,
    pub(super) logins_failed: AtomicU64,
    pub(super) injections: AtomicU64,
}

/// What they stood at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SmtpCounts {
    /// Sessions begun.
    pub sessions: u64,
    /// Sessions open now.
    pub open: u64,
    /// Connections turned away because too many were open.
    pub turned_away: u64,
    /// TLS handshakes that failed.
    pub handshakes_failed: u64,
    /// Messages answered 250, each durable before; repeated deliveries not counted.
    pub accepted: u64,
    /// Messages answered 250 that we had already.
    pub duplicates: u64,
    /// Senders, recipients and messages refused for good.
    pub rejected: u64,
    /// Messages put off with 451 or 452.
    pub deferred: u64,
    /// Everything else that was refused: protocol errors, timeouts.
    pub errors: u64,
    /// Octets of message content that came without TLS.
    pub plaintext_payload_bytes: u64,
    /// Logins that failed.
    pub logins_failed: u64,
    /// Sessions in which bytes stood behind STARTTLS and were dropped.
    pub injections: u64,
}

impl SmtpCounters {
    /// All of them.
    pub fn read(&self) -> SmtpCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SmtpCounts {
            sessions: get(&self.sessions),
            open: get(&self.open),
            turned_away: get(&self.turned_away),
            handshakes_failed: get(&self.handshakes_failed),
            accepted: get(&self.accepted),
            duplicates: get(&self.duplicates),
            rejected: get(&self.rejected),
            deferred: get(&self.deferred),
            errors: get(&self.errors),
            plaintext_payload_bytes: get(&self.plaintext_payload_bytes),
            logins_failed: get(&self.logins_failed),
            injections: get(&self.injections),
        }
    }

    pub(super) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn refused(&self, refusal: &Refusal) {
        let counter = match refusal {
            Refusal::TlsRequired
            | Refusal::BadSender(_)
            | Refusal::BadRecipient(_)
            | Refusal::NeedsUtf8
            | Refusal::NotOurs
            | Refusal::TooManyRecipients(_)
            | Refusal::BadParameter
            | Refusal::TooBig(_)
            | Refusal::BareLineEnd
            | Refusal::Nul
            | Refusal::MustProve
            | Refusal::NotYours
            | Refusal::MustSeal
            | Refusal::Seal(_)
            | Refusal::Shape(_)
            | Refusal::NoDate
            | Refusal::LongLine(_) => &self.rejected,
            Refusal::LoginFailed => &self.logins_failed,
            Refusal::PipelinedBeforeTls => &self.injections,
            Refusal::UnknownCommand
            | Refusal::NotImplemented
            | Refusal::OtherProtocol
            | Refusal::Syntax(_)
            | Refusal::CommandTooLong(_)
            | Refusal::CommandControl
            | Refusal::BadSequence(_)
            | Refusal::TlsUnavailable
            | Refusal::EncryptionFirst
            | Refusal::UnknownMechanism
            | Refusal::BadAnswer
            | Refusal::LoginCancelled
            | Refusal::SessionFull(_)
            | Refusal::Idling
            | Refusal::TooManyLogins
            | Refusal::LoginsHeldBack(_)
            | Refusal::TooSlow
            | Refusal::NoRecipients
            | Refusal::TooManyErrors
            | Refusal::TooMuchInput
            | Refusal::Timeout
            | Refusal::ShuttingDown => &self.errors,
        };
        Self::add(counter, 1);
    }
}
