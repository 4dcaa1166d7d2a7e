use super::address::Lenient;
use super::command::{self, Command, MAX_AUTH_LINE, MAX_LINE};
use super::content::Content;
use super::exchange::{Arrival, Input, Output, Protocol, Tls};
use super::login::Login;
use super::pace::Pace;
use super::policy::Policy;
use super::profile::Relaxation;
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
    greeted_loosely: bool,
    /// Whether the command at hand needed one.
    understood_loosely: bool,
    /// Who has logged in.
    pub(super) sasl: Option<String>,
    pub(super) login_failures: u32,
    /// The command line as far as it has come.
    line: Vec<u8>,
    pub(super) transaction: Option<Transaction>,
    pub(super) phase: Phase,
    /// Input that waits for a verdict.
    backlog: Vec<u8>,
    errors: u32,
    /// Commands since the last message that brought none nearer.
    idle: u32,
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

    /// Whether the session waits for [`admitted`](Self::admitted) or [`stored`](Self::stored);
    /// the shell should not read from the client meanwhile.
    pub const fn awaits_verdict(&self) -> bool {
        matches!(self.phase, Phase::Admitting(_) | Phase::Storing)
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
                Phase::Admitting(_) | Phase::Storing => {
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

    fn obey(&mut self, now: Instant, line: &[u8], out: &mut Vec<Output>) {
        match self.understand(line) {
            Ok(Command::Ehlo(_) | Command::Helo(_)) if self.protocol == Protocol::Lmtp => {
                self.refuse(Refusal::UnknownCommand, out);
            }
            Ok(Command::Lhlo(_)) if self.protocol == Protocol::Esmtp => {
                self.refuse(Refusal::UnknownCommand, out);
            }
            Ok(Command::Helo(name)) => {
                self.greet(name, false);
                self.count_idle(out);
                out.push(Output::Reply(
                    format!("250 {}\r\n", self.policy.hostname).into_bytes(),
                ));
            }
            Ok(Command::Ehlo(name) | Command::Lhlo(name)) => {
                self.greet(name, true);
                out.push(Output::Reply(self.extensions().into_bytes()));
                self.count_idle(out);
            }
            Ok(Command::Mail(mail)) => self.mail(mail, out),
            Ok(Command::Rcpt(path)) => self.rcpt(path, out),
            Ok(Command::Data) => self.data(now, out),
            Ok(Command::Bdat(chunk)) => self.bdat(now, chunk, out),
            Ok(Command::Rset) => {
                self.transaction = None;
                reply(out, 250, "2.0.0", "ok");
                self.count_idle(out);
            }
            Ok(Command::Noop) => {
                reply(out, 250, "2.0.0", "ok");
                self.count_idle(out);
            }
            // §7.3: neither confirm nor deny.
            Ok(Command::Vrfy) => {
                reply(out, 252, "2.5.2", "send mail and see");
                self.count_idle(out);
            }
            Ok(Command::Help) => {
                reply(out, 214, "2.0.0", "RFC 5321");
                self.count_idle(out);
            }
            Ok(Command::Auth(auth)) => self.auth(&auth, out),
            Ok(Command::Quit) => {
                reply(out, 221, "2.0.0", "bye");
                self.close(out);
            }
            Ok(Command::StartTls) => self.start_tls(out),
            Err(refusal @ Refusal::OtherProtocol) => self.end(refusal, out),
            // What follows a chunk of unknown size could be message or command.
            Err(refusal)
                if line
                    .get(..4)
                    .is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT")) =>
            {
                self.end(refusal, out);
            }
            Err(refusal) => self.refuse(refusal, out),
        }
    }

    /// A command as it should be, or as a profile lets it be.
    fn understand(&mut self, line: &[u8]) -> Result<Command, Refusal> {
        self.understood_loosely = false;
        command::parse(line, Lenient::default()).or_else(|refusal| {
            let Some(profile) = self.policy.profile(self.peer) else {
                return Err(refusal);
            };
            let command = command::parse(line, profile.lenient()).map_err(|_| refusal)?;
            self.understood_loosely = true;
            Ok(command)
        })
    }

    /// The name of the profile that relaxes this rule for this client.
    pub(super) fn relaxing(&self, relaxation: Relaxation) -> Option<&str> {
        let profile = self.policy.profile(self.peer)?;
        let relaxes = profile.relaxes.contains(&relaxation);
        relaxes.then_some(profile.name.as_str())
    }

    /// Whether what was said so far of a message needed a profile.
    pub(super) const fn is_loose(&self) -> bool {
        self.greeted_loosely || self.understood_loosely
    }

    /// HELO and EHLO end a transaction (§4.1.4).
    fn greet(&mut self, name: String, extended: bool) {
        self.greeted_loosely = self.understood_loosely;
        self.helo = Some(name);
        self.extended = extended;
        self.transaction = None;
    }

    /// A client that only talks is shown the door in the end.
    fn count_idle(&mut self, out: &mut Vec<Output>) {
        self.idle += 1;
        if self.idle >= self.policy.max_idle_commands {
            self.end(Refusal::Idling, out);
        }
    }

    /// §4.1.1.1
    fn extensions(&self) -> String {
        let Policy {
            hostname, max_size, ..
        } = &*self.policy;
        let starttls = if self.may_start_tls() {
            "250-STARTTLS\r\n"
        } else {
            ""
        };
        let auth = match self.mechanisms() {
            "" => String::new(),
            mechanisms => format!("250-AUTH{mechanisms}\r\n"),
        };
        format!(
            "250-{hostname}\r\n250-PIPELINING\r\n250-SIZE {max_size}\r\n250-8BITMIME\r\n\
             250-SMTPUTF8\r\n250-CHUNKING\r\n{starttls}{auth}250 ENHANCEDSTATUSCODES\r\n"
        )
    }

    fn may_start_tls(&self) -> bool {
        self.policy.tls_available && self.tls.is_none() && self.protocol == Protocol::Esmtp
    }

    /// RFC 3207
    fn start_tls(&mut self, out: &mut Vec<Output>) {
        if self.tls.is_some() {
            self.refuse(Refusal::BadSequence("TLS is active"), out);
        } else if !self.may_start_tls() {
            self.refuse(Refusal::TlsUnavailable, out);
        } else {
            reply(out, 220, "2.0.0", "ready to start TLS");
            out.push(Output::StartTls);
            self.phase = Phase::Handshake;
            self.deadline = None;
        }
    }

    /// Says no and goes on, unless that was once too often.
    pub(super) fn refuse(&mut self, refusal: Refusal, out: &mut Vec<Output>) {
        self.refuse_all(refusal, 1, out);
    }

    /// The same, said so many times: in LMTP once for each recipient (RFC 2033 §4.2).
    pub(super) fn refuse_all(&mut self, refusal: Refusal, times: usize, out: &mut Vec<Output>) {
        let (code, status) = refusal.code();
        let delay = if code >= 500 {
            self.policy.tarpit.delay(self.errors + 1)
        } else {
            Duration::ZERO
        };
        if !delay.is_zero() {
            out.push(Output::Pause(delay));
        }
        let text = refusal.to_string();
        out.push(Output::Refused(refusal));
        for _ in 0..times {
            reply(out, code, status, &text);
        }
        if code >= 500 {
            self.errors += 1;
            if self.errors >= self.policy.max_errors {
                self.end(Refusal::TooManyErrors, out);
            }
        }
    }

    /// Says no and closes.
    pub(super) fn end(&mut self, refusal: Refusal, out: &mut Vec<Output>) {
        if !self.is_closed() {
            let (code, status) = refusal.code();
            reply_refused(out, refusal, code, status);
            self.close(out);
        }
    }

    fn close(&mut self, out: &mut Vec<Output>) {
        out.push(Output::Close);
        self.phase = Phase::Closed;
        self.deadline = None;
        self.transaction = None;
        self.backlog = Vec::new();
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

pub(super) fn reply(out: &mut Vec<Output>, code: u16, status: &str, text: &str) {
    out.push(Output::Reply(
        format!("{code} {status} {text}\r\n").into_bytes(),
    ));
}

fn reply_refused(out: &mut Vec<Output>, refusal: Refusal, code: u16, status: &str) {
    let text = refusal.to_string();
    out.push(Output::Refused(refusal));
    reply(out, code, status, &text);
}

fn put_off(defer: Defer, out: &mut Vec<Output>) {
    let (code, status) = defer.code();
    reply(out, code, status, &defer.to_string());
}
