//! AUTH (RFC 4954): PLAIN (RFC 4616), LOGIN (as gear speaks it; draft-murchison-sasl-login), and
//! SCRAM-SHA-256 with and without channel binding. Under TLS only.

use super::command::Auth;
use super::device::Identity;
use super::dialogue::reply;
use super::exchange::Output;
use super::refusal::Refusal;
use super::scram::{self, ClientFirst, Exchange, NONCE};
use super::session::{Phase, Session};
use core::time::Duration;
use wire::Proof;

/// What the client's next line answers.
#[derive(Debug)]
pub(super) enum Login {
    Plain,
    UserName,
    Password(String),
    ScramFirst {
        plus: bool,
    },
    ScramFinal(Box<Exchange>),
    /// The client has our proof and says so with an empty line.
    ScramDone(String),
}

/// Credentials that are checked when the shell lets them through.
#[derive(Debug)]
pub(super) enum Attempt {
    Password { name: String, password: Vec<u8> },
    Scram { first: ClientFirst, plus: bool },
}

impl Attempt {
    fn name(&self) -> &str {
        match self {
            Self::Password { name, .. } => name,
            Self::Scram { first, .. } => &first.name,
        }
    }
}

/// What comes of an answer.
enum Step {
    /// Ask on, with these octets.
    Ask(Vec<u8>, Login),
    Try(Attempt),
    Known(String),
    Refused(Refusal),
}

impl Session {
    /// The mechanisms offered now, with their blanks; empty: none.
    pub(super) fn mechanisms(&self) -> &'static str {
        match &self.tls {
            Some(_) if !self.policy.devices.have_logins() => "",
            Some(tls) if tls.exporter.is_some() => " PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS",
            Some(_) => " PLAIN LOGIN SCRAM-SHA-256",
            None => "",
        }
    }

    pub(super) fn auth(&mut self, auth: &Auth, out: &mut Vec<Output>) {
        let refusal = if self.tls.is_none() && self.policy.tls_available {
            Some(Refusal::EncryptionFirst)
        } else if self.mechanisms().is_empty() {
            Some(Refusal::UnknownCommand)
        } else if !self.extended {
            Some(Refusal::BadSequence("EHLO first"))
        } else if self.transaction.is_some() {
            Some(Refusal::BadSequence("a transaction is open"))
        } else if self.sasl.is_some() {
            Some(Refusal::BadSequence("you are logged in"))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return self.refuse(refusal, out);
        }
        let plus_offered = self.tls.is_some_and(|tls| tls.exporter.is_some());
        let (login, prompt) = match auth.mechanism.as_str() {
            "PLAIN" => (Login::Plain, ""),
            "LOGIN" => (Login::UserName, "Username:"),
            "SCRAM-SHA-256" => (Login::ScramFirst { plus: false }, ""),
            "SCRAM-SHA-256-PLUS" if plus_offered => (Login::ScramFirst { plus: true }, ""),
            _ => return self.refuse(Refusal::UnknownMechanism, out),
        };
        match auth.initial.as_deref() {
            // §4: an initial response without content.
            Some("=") => self.answer(login, "", out),
            Some(text) => self.answer(login, text, out),
            None => self.ask(prompt.as_bytes(), login, out),
        }
    }

    fn ask(&mut self, challenge: &[u8], login: Login, out: &mut Vec<Output>) {
        let line = format!("334 {}\r\n", scram::encode(challenge));
        out.push(Output::Reply(line.into_bytes()));
        self.phase = Phase::Login(login);
    }

    /// The client's line in an exchange.
    pub(super) fn respond(&mut self, login: Login, line: &[u8], out: &mut Vec<Output>) {
        match line {
            b"*" => self.refuse(Refusal::LoginCancelled, out),
            line => match str::from_utf8(line) {
                Ok(text) => self.answer(login, text, out),
                Err(_) => self.refuse(Refusal::BadAnswer, out),
            },
        }
    }

    fn answer(&mut self, login: Login, text: &str, out: &mut Vec<Output>) {
        let step = match scram::decode(text) {
            Some(answer) => self.step(login, &answer),
            None => Step::Refused(Refusal::BadAnswer),
        };
        self.go_on(step, out);
    }

    fn go_on(&mut self, step: Step, out: &mut Vec<Output>) {
        match step {
            Step::Ask(challenge, login) => self.ask(&challenge, login, out),
            Step::Try(attempt) => {
                out.push(Output::Login(attempt.name().to_owned()));
                self.phase = Phase::Trying(attempt);
            }
            Step::Known(name) => {
                out.push(Output::LoggedIn(name.clone()));
                self.sasl = Some(name);
                reply(out, 235, "2.7.0", "logged in");
            }
            Step::Refused(refusal) => self.login_failed(refusal, out),
        }
    }

    /// The shell has decided whether an attempt is let through.
    pub(super) fn tried(
        &mut self,
        attempt: Attempt,
        verdict: Result<(), Duration>,
        out: &mut Vec<Output>,
    ) {
        match verdict {
            Ok(()) => {
                let step = self.check(attempt);
                self.go_on(step, out);
            }
            // Rounded up: who comes back then is let through.
            Err(wait) => {
                let seconds = wait.as_millis().div_ceil(1_000);
                let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
                self.login_failed(Refusal::LoginsHeldBack(seconds), out);
            }
        }
    }

    fn login_failed(&mut self, refusal: Refusal, out: &mut Vec<Output>) {
        self.login_failures += 1;
        let tarpit = &self.policy.tarpit;
        out.push(Output::Pause(
            tarpit.delay(tarpit.free + self.login_failures),
        ));
        self.refuse(refusal, out);
        if self.login_failures >= self.policy.max_login_failures {
            self.end(Refusal::TooManyLogins, out);
        }
    }

    fn step(&self, login: Login, answer: &[u8]) -> Step {
        let text = || str::from_utf8(answer).ok();
        match login {
            Login::Plain => {
                let Some(text) = text() else {
                    return Step::Refused(Refusal::LoginFailed);
                };
                match text.split('\0').collect::<Vec<_>>()[..] {
                    // On whose behalf: one's own, if that is said at all.
                    [behalf, name, password] if behalf.is_empty() || behalf == name => {
                        Step::Try(Attempt::Password {
                            name: name.to_owned(),
                            password: password.as_bytes().to_vec(),
                        })
                    }
                    [_, _, _] => Step::Refused(Refusal::LoginFailed),
                    _ => Step::Refused(Refusal::BadAnswer),
                }
            }
            Login::UserName => match text() {
                Some(name) => Step::Ask(b"Password:".to_vec(), Login::Password(name.to_owned())),
                None => Step::Refused(Refusal::LoginFailed),
            },
            Login::Password(name) => Step::Try(Attempt::Password {
                name,
                password: answer.to_vec(),
            }),
            Login::ScramFirst { plus } => {
                let exporter = self.tls.and_then(|tls| tls.exporter);
                let Some(first) = ClientFirst::read(answer, plus, exporter.is_some()) else {
                    return Step::Refused(Refusal::LoginFailed);
                };
                Step::Try(Attempt::Scram { first, plus })
            }
            Login::ScramFinal(exchange) => match exchange.finish(answer) {
                Some(proof) => {
                    let name = exchange.name().to_owned();
                    Step::Ask(proof.into_bytes(), Login::ScramDone(name))
                }
                None => Step::Refused(Refusal::LoginFailed),
            },
            Login::ScramDone(name) if answer.is_empty() => self.known(name),
            Login::ScramDone(_) => Step::Refused(Refusal::BadAnswer),
        }
    }

    /// A name that does not exist costs as much as a wrong password.
    fn check(&self, attempt: Attempt) -> Step {
        match attempt {
            Attempt::Password { name, password } => {
                let (verifier, exists) = self.policy.devices.verifier(&name);
                if verifier.matches(&password) && exists {
                    self.known(name)
                } else {
                    Step::Refused(Refusal::LoginFailed)
                }
            }
            Attempt::Scram { first, plus } => {
                let (verifier, _) = self.policy.devices.verifier(&first.name);
                let exporter = self.tls.and_then(|tls| tls.exporter);
                let binding = exporter.filter(|_| plus);
                let (exchange, challenge) = Exchange::new(first, verifier, self.nonce(), binding);
                Step::Ask(
                    challenge.into_bytes(),
                    Login::ScramFinal(Box::new(exchange)),
                )
            }
        }
    }

    /// A client that shows the certificate of one device does not log in as another.
    fn known(&self, name: String) -> Step {
        match self.certified() {
            Some(other) if other != name => Step::Refused(Refusal::LoginFailed),
            Some(_) | None => Step::Known(name),
        }
    }

    /// Another one for each attempt.
    fn nonce(&self) -> [u8; NONCE] {
        let mixed = scram::hmac(&self.entropy, &self.login_failures.to_be_bytes());
        *mixed.first_chunk().expect("18 of 32")
    }

    /// Whose certificate the client showed.
    fn certified(&self) -> Option<&str> {
        let certificate = self.tls?.certificate?;
        self.policy.devices.by_certificate(&certificate)
    }

    /// Who the client has shown to be.
    pub(super) fn proven(&self) -> Option<Identity> {
        let identity = |device: &str, proof| Identity {
            device: device.to_owned(),
            proof,
        };
        match (&self.sasl, self.certified()) {
            (Some(name), _) => Some(identity(name, Proof::Sasl)),
            (None, Some(name)) => Some(identity(name, Proof::Certificate)),
            (None, None) => None,
        }
    }
}
