//! What is answered to which command, and how it is said no (RFC 5321 §4.1, §4.2).

use super::address::Lenient;
use super::command::{self, Command};
use super::exchange::{Output, Protocol};
use super::policy::Policy;
use super::profile::Relaxation;
use super::refusal::{Defer, Refusal};
use super::session::{Phase, Session};
use core::time::Duration;
use machine::Instant;

impl Session {
    pub(super) fn obey(&mut self, now: Instant, line: &[u8], out: &mut Vec<Output>) {
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

    pub(super) fn close(&mut self, out: &mut Vec<Output>) {
        out.push(Output::Close);
        self.phase = Phase::Closed;
        self.deadline = None;
        self.transaction = None;
        self.backlog = Vec::new();
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

pub(super) fn put_off(defer: Defer, out: &mut Vec<Output>) {
    let (code, status) = defer.code();
    reply(out, code, status, &defer.to_string());
}
