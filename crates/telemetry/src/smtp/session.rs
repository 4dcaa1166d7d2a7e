use super::command::{self, Command, MAX_LINE};
use super::content::Content;
use super::exchange::{Input, Output};
use super::policy::Policy;
use super::refusal::{Defer, Refusal};
use super::transaction::Transaction;
use core::net::IpAddr;
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
    pub(super) tls: bool,
    pub(super) helo: Option<String>,
    /// The command line as far as it has come.
    line: Vec<u8>,
    pub(super) transaction: Option<Transaction>,
    pub(super) phase: Phase,
    /// Input that waits for a verdict.
    backlog: Vec<u8>,
    errors: u32,
    pub(super) deadline: Option<Instant>,
    pub(super) payload_octets: u64,
    going_down: bool,
    dropped_before_tls: bool,
}

#[derive(Debug)]
pub(super) enum Phase {
    Command,
    Data {
        content: Content,
        until: Instant,
    },
    Chunk {
        left: u64,
        size: u64,
        last: bool,
        doomed: Option<Refusal>,
        until: Instant,
    },
    Handshake,
    Admitting(Transaction),
    Storing,
    Closed,
}

impl Session {
    /// A client connected from `peer` at `now`: the greeting goes to `out`.
    pub fn new(policy: Arc<Policy>, peer: IpAddr, now: Instant, out: &mut Vec<Output>) -> Self {
        let greeting = format!("220 {} ESMTP Glasshouse\r\n", policy.hostname);
        out.push(Output::Reply(greeting.into_bytes()));
        let mut session = Self {
            policy,
            peer,
            tls: false,
            helo: None,
            line: Vec::new(),
            transaction: None,
            phase: Phase::Command,
            backlog: Vec::new(),
            errors: 0,
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

    /// Octets of message content that came so far.
    pub const fn payload_octets(&self) -> u64 {
        self.payload_octets
    }

    /// The handshake that [`Output::StartTls`] asked for is done. All that was said before it is
    /// forgotten (RFC 3207 §4.2).
    pub fn tls_established(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Handshake) {
            self.tls = true;
            self.helo = None;
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
        match verdict {
            Ok(id) => {
                self.errors = 0;
                reply(out, 250, "2.0.0", &format!("stored as {id}"));
            }
            Err(defer) => put_off(defer, out),
        }
        self.resume(now, out);
    }

    /// The server is going down: a message on its way may be finished, nothing new begins.
    pub fn shutdown(&mut self, out: &mut Vec<Output>) {
        self.going_down = true;
        if matches!(self.phase, Phase::Command | Phase::Handshake) {
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
                Phase::Command => self.take_line(now, input, out),
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
        let room = MAX_LINE - self.line.len();
        let end = memchr::memchr(b'\n', &input[..input.len().min(room)]);
        let Some(end) = end else {
            if input.len() >= room {
                self.end(Refusal::CommandTooLong(MAX_LINE), out);
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
            self.obey(now, &line, out);
        }
        line.clear();
        self.line = line;
        end + 1
    }

    fn obey(&mut self, now: Instant, line: &[u8], out: &mut Vec<Output>) {
        match command::parse(line) {
            Ok(Command::Helo(name)) => {
                self.greet(name);
                out.push(Output::Reply(
                    format!("250 {}\r\n", self.policy.hostname).into_bytes(),
                ));
            }
            Ok(Command::Ehlo(name)) => {
                self.greet(name);
                out.push(Output::Reply(self.extensions().into_bytes()));
            }
            Ok(Command::Mail(mail)) => self.mail(mail, out),
            Ok(Command::Rcpt(path)) => self.rcpt(path, out),
            Ok(Command::Data) => self.data(now, out),
            Ok(Command::Bdat(chunk)) => self.bdat(now, chunk, out),
            Ok(Command::Rset) => {
                self.transaction = None;
                reply(out, 250, "2.0.0", "ok");
            }
            Ok(Command::Noop) => reply(out, 250, "2.0.0", "ok"),
            // §7.3: neither confirm nor deny.
            Ok(Command::Vrfy) => reply(out, 252, "2.5.2", "send mail and see"),
            Ok(Command::Help) => reply(out, 214, "2.0.0", "RFC 5321"),
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

    /// HELO and EHLO end a transaction (§4.1.4).
    fn greet(&mut self, name: String) {
        self.helo = Some(name);
        self.transaction = None;
    }

    /// §4.1.1.1
    fn extensions(&self) -> String {
        let Policy {
            hostname, max_size, ..
        } = &*self.policy;
        let starttls = if self.policy.tls_available && !self.tls {
            "250-STARTTLS\r\n"
        } else {
            ""
        };
        format!(
            "250-{hostname}\r\n250-PIPELINING\r\n250-SIZE {max_size}\r\n250-8BITMIME\r\n\
             250-SMTPUTF8\r\n250-CHUNKING\r\n{starttls}250 ENHANCEDSTATUSCODES\r\n"
        )
    }

    /// RFC 3207
    fn start_tls(&mut self, out: &mut Vec<Output>) {
        if self.tls {
            self.refuse(Refusal::BadSequence("TLS is active"), out);
        } else if !self.policy.tls_available {
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
        let (code, status) = refusal.code();
        reply_refused(out, refusal, code, status);
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
        self.deadline = Some(now + self.policy.timeouts.command);
    }
}

impl Machine for Session {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Bytes(bytes) => self.feed(now, &bytes, out),
            Input::TlsEstablished => self.tls_established(now),
            Input::Admitted(verdict) => self.admitted(now, verdict, out),
            Input::Stored(Ok(id)) => self.stored(now, Ok(&id), out),
            Input::Stored(Err(defer)) => self.stored(now, Err(defer), out),
            Input::Shutdown => self.shutdown(out),
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.end(Refusal::Timeout, out);
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
