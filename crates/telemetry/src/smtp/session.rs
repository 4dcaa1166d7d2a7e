use super::command::{MAX_AUTH_LINE, MAX_LINE};
use super::content::Content;
use super::dialogue::{put_off, reply};
use super::exchange::{Arrival, Input, Output, Protocol, Tls};
use super::login::{Attempt, Login};
use super::pace::Pace;
use super::policy::Policy;
use super::refusal::{Defer, Refusal};
use super::transaction::Transaction;
use core::net::IpAddr;
use core::time::Duration;
use machine::{Instant, Machine};
use std::sync::Arc;

/// Octets that may be fed while a verdict is due. A shell that does not read meanwhile stays far
/// below; one that does is stopped before memory grows.
const MAX_BACKLOG: usize = 256 << 10;

/// One client's session, from greeting to close.
#[derive(Debug)]
pub struct Session {
    pub(super) policy: Arc<Policy>,
    pub(super) peer: IpAddr,
    pub(super) protocol: Protocol,
    pub(super) entropy: [u8; 32],
    pub(super) tls: Option<Tls>,
    pub(super) helo: Option<String>,
    /// By EHLO or LHLO.
    pub(super) extended: bool,
    /// Whether its greeting needed a profile.
    pub(super) greeted_loosely: bool,
    /// Whether the command at hand needed one.
    pub(super) understood_loosely: bool,
    /// Who has logged in.
    pub(super) sasl: Option<String>,
    pub(super) login_failures: u32,
    /// The command line as far as it has come.
    line: Vec<u8>,
    pub(super) transaction: Option<Transaction>,
    pub(super) phase: Phase,
    /// Input that waits for a verdict.
    pub(super) backlog: Vec<u8>,
    pub(super) errors: u32,
    /// Commands since the last message that brought none nearer.
    pub(super) idle: u32,
    /// Replies due for the message that is being stored: in LMTP one for each recipient.
    pub(super) replies_due: usize,
    pub(super) deadline: Option<Instant>,
    pub(super) payload_octets: u64,
    going_down: bool,
    dropped_before_tls: bool,
}

#[derive(Debug)]
pub(super) enum Phase {
    Command,
    Login(Login),
    /// An attempt that waits to be let through.
    Trying(Attempt),
    Data {
        content: Content,
        pace: Pace,
    },
    Chunk {
        left: u64,
        size: u64,
        last: bool,
        doomed: Option<Refusal>,
        pace: Pace,
    },
    Handshake,
    Admitting(Transaction),
    Storing,
    Closed,
}

impl Session {
    /// A client connected at `now`: the greeting goes to `out`.
    pub fn new(policy: Arc<Policy>, arrival: Arrival, now: Instant, out: &mut Vec<Output>) -> Self {
        let protocol = match arrival.protocol {
            Protocol::Esmtp => "ESMTP",
            Protocol::Lmtp => "LMTP",
        };
        let greeting = format!("220 {} {protocol} Glasshouse\r\n", policy.hostname);
        out.push(Output::Reply(greeting.into_bytes()));
        let mut session = Self {
            policy,
            peer: arrival.peer,
            protocol: arrival.protocol,
            entropy: arrival.entropy,
            tls: arrival.tls,
            helo: None,
            extended: false,
            greeted_loosely: false,
            understood_loosely: false,
            sasl: None,
            login_failures: 0,
            line: Vec::new(),
            transaction: None,
            phase: Phase::Command,
            backlog: Vec::new(),
            errors: 0,
            idle: 0,
            replies_due: 1,
            deadline: None,
            payload_octets: 0,
            going_down: false,
            dropped_before_tls: false,
        };
        session.await_command(now);
        session
    }

    /// Bytes from the client, in pieces of any size.
    pub fn feed(&mut self, now: Instant, bytes: &[u8], out: &mut Vec<Output>) {
        if self.awaits_verdict() {
            if self.backlog.len() + bytes.len() > MAX_BACKLOG {
                return self.end(Refusal::TooMuchInput, out);
            }
            self.backlog.extend_from_slice(bytes);
        } else {
            self.run(now, bytes, out);
        }
    }

    /// Whether the session waits for [`admitted`](Self::admitted), [`stored`](Self::stored) or
    /// [`login_admitted`](Self::login_admitted);
    /// the shell should not read from the client meanwhile.
    pub const fn awaits_verdict(&self) -> bool {
        matches!(
            self.phase,
            Phase::Admitting(_) | Phase::Storing | Phase::Trying(_)
        )
    }

    /// Whether [`Output::Close`] was given.
    pub const fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Whose message is announced: the device, if it is known by now, or else address and sender. What
    /// messages are counted by.
    pub fn sender(&self) -> String {
        let Phase::Admitting(transaction) = &self.phase else {
            return self.peer.to_string();
        };
        match (&transaction.identity, &transaction.reverse_path) {
            (Some(identity), _) => identity.device.clone(),
            (None, Some(path)) => format!("{} <{path}>", self.peer),
            (None, None) => format!("{} <>", self.peer),
        }
    }

    /// Whether input behind STARTTLS was dropped (RFC 3207 §5): somebody may sit in between, and the
    /// client's address says nothing about who it is.
    pub(super) const fn is_marked(&self) -> bool {
        self.dropped_before_tls
    }

    /// Octets of message content that came so far.
    pub const fn payload_octets(&self) -> u64 {
        self.payload_octets
    }

    /// The handshake that [`Output::StartTls`] asked for is done. All that was said before it is
    /// forgotten (RFC 3207 §4.2).
    pub fn tls_established(&mut self, now: Instant, tls: Tls) {
        if matches!(self.phase, Phase::Handshake) {
            self.tls = Some(tls);
            self.helo = None;
            self.extended = false;
            self.greeted_loosely = false;
            self.transaction = None;
            self.phase = Phase::Command;
            self.await_command(now);
        }
    }

    /// The shell's answer to [`Output::Admit`].
    pub fn admitted(&mut self, now: Instant, verdict: Result<(), Defer>, out: &mut Vec<Output>) {
        match core::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Admitting(transaction) => {
                match verdict {
                    Ok(()) => {
                        self.transaction = Some(transaction);
                        reply(out, 250, "2.1.0", "sender ok");
                    }
                    Err(defer) => put_off(defer, out),
                }
                self.resume(now, out);
            }
            other => self.phase = other,
        }
    }

    /// The shell's answer to [`Output::Login`].
    pub fn login_admitted(
        &mut self,
        now: Instant,
        verdict: Result<(), Duration>,
        out: &mut Vec<Output>,
    ) {
        match core::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Trying(attempt) => {
                self.tried(attempt, verdict, out);
                if !self.is_closed() {
                    self.resume(now, out);
                }
            }
            other => self.phase = other,
        }
    }

    /// The shell's answer to [`Output::Message`]: the id under which it is durable, or why not.
    pub fn stored(&mut self, now: Instant, verdict: Result<&str, Defer>, out: &mut Vec<Output>) {
        if !matches!(self.phase, Phase::Storing) {
            return;
        }
        self.phase = Phase::Command;
        for _ in 0..core::mem::replace(&mut self.replies_due, 1) {
            match verdict {
                Ok(id) => reply(out, 250, "2.0.0", &format!("stored as {id}")),
                Err(defer) => put_off(defer, out),
            }
        }
        if verdict.is_ok() {
            self.errors = 0;
            self.idle = 0;
        }
        self.resume(now, out);
    }

    /// The server is going down: a message on its way may be finished, nothing new begins.
    pub fn shutdown(&mut self, out: &mut Vec<Output>) {
        self.going_down = true;
        if matches!(
            self.phase,
            Phase::Command | Phase::Login(_) | Phase::Handshake
        ) {
            self.end(Refusal::ShuttingDown, out);
        }
    }

    fn resume(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.await_command(now);
        if self.going_down {
            return self.end(Refusal::ShuttingDown, out);
        }
        let backlog = core::mem::take(&mut self.backlog);
        self.run(now, &backlog, out);
    }

    fn run(&mut self, now: Instant, mut input: &[u8], out: &mut Vec<Output>) {
        while !input.is_empty() {
            let used = match self.phase {
                Phase::Command | Phase::Login(_) => self.take_line(now, input, out),
                Phase::Data { .. } => self.take_data(now, input, out),
                Phase::Chunk { .. } => self.take_chunk(now, input, out),
                Phase::Handshake => {
                    if !self.dropped_before_tls {
                        self.dropped_before_tls = true;
                        out.push(Output::Refused(Refusal::PipelinedBeforeTls));
                    }
                    return;
                }
                Phase::Closed => return,
                Phase::Admitting(_) | Phase::Storing | Phase::Trying(_) => {
                    return self.backlog.extend_from_slice(input);
                }
            };
            input = &input[used..];
        }
    }

    /// Takes bytes up to the end of the command line; how many.
    fn take_line(&mut self, now: Instant, input: &[u8], out: &mut Vec<Output>) -> usize {
        let limit = match self.phase {
            Phase::Login(_) => MAX_AUTH_LINE,
            _ => MAX_LINE,
        };
        let room = limit.saturating_sub(self.line.len());
        let end = memchr::memchr(b'\n', &input[..input.len().min(room)]);
        let Some(end) = end else {
            if input.len() >= room {
                self.end(Refusal::CommandTooLong(limit), out);
            }
            self.line.extend_from_slice(&input[..input.len().min(room)]);
            return input.len();
        };
        let mut line = core::mem::take(&mut self.line);
        line.extend_from_slice(&input[..end]);
        let ends_well = line.pop() == Some(b'\r');
        if !ends_well || line.iter().any(|&byte| byte == b'\r' || byte == 0) {
            self.end(Refusal::CommandControl, out);
        } else {
            self.await_command(now);
            match core::mem::replace(&mut self.phase, Phase::Command) {
                Phase::Login(login) => self.respond(login, &line, out),
                phase => {
                    self.phase = phase;
                    self.obey(now, &line, out);
                }
            }
        }
        line.clear();
        self.line = line;
        end + 1
    }

    pub(super) fn await_command(&mut self, now: Instant) {
        let timeouts = &self.policy.timeouts;
        let begun = self
            .transaction
            .as_ref()
            .and_then(|transaction| transaction.pace)
            .map(|pace| pace.end(timeouts));
        let command = now + timeouts.command;
        self.deadline = Some(begun.map_or(command, |end| end.min(command)));
    }
}

impl Machine for Session {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Bytes(bytes) => self.feed(now, &bytes, out),
            Input::TlsEstablished(tls) => self.tls_established(now, tls),
            Input::Admitted(verdict) => self.admitted(now, verdict, out),
            Input::LoginAdmitted(verdict) => self.login_admitted(now, verdict, out),
            Input::Stored(Ok(id)) => self.stored(now, Ok(&id), out),
            Input::Stored(Err(defer)) => self.stored(now, Err(defer), out),
            Input::Shutdown => self.shutdown(out),
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            let refusal = match &self.phase {
                Phase::Data { pace, .. } | Phase::Chunk { pace, .. }
                    if pace.limit(&self.policy.timeouts) <= now =>
                {
                    Refusal::TooSlow
                }
                _ => Refusal::Timeout,
            };
            self.end(refusal, out);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}
