use super::*;
use core::net::IpAddr;
use core::time::Duration;
use machine::{Instant, Machine};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

mod addresses;
mod dialogue;
mod end_of_data;
mod limits;
mod lmtp;
mod login;
mod pieces;
mod profiles;
mod sealing;
mod time;

const PEER: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 7));

fn arrival() -> Arrival {
    Arrival {
        peer: PEER,
        protocol: Protocol::Esmtp,
        tls: None,
        entropy: [5; 32],
    }
}

/// Takes mail in clear and without a Date, so that most tests need no handshake and short messages.
fn policy() -> Policy {
    let recipients = Recipients::new(["house.example"], ["ops@other.example"]);
    Policy {
        require_tls: false,
        require_date: false,
        max_size: 4_000,
        ..Policy::new("house.example", recipients)
    }
}

/// A session with a shell that finds room for everything and stores it at once.
struct Shell {
    session: Session,
    now: Instant,
    /// All outputs in order, except those that ask the shell for something.
    seen: Vec<Output>,
    room: Result<(), Defer>,
    store: Result<&'static str, Defer>,
    /// Failed logins; shared, where a test has several sessions.
    guesses: Rc<RefCell<Guesses>>,
    /// Whether TLS handshakes succeed as soon as they are asked for.
    handshakes: bool,
}

impl Shell {
    fn new(policy: Policy) -> Self {
        Self::of(policy, arrival())
    }

    fn of(policy: Policy, arrival: Arrival) -> Self {
        let mut seen = Vec::new();
        let session = Session::new(Arc::new(policy), arrival, Instant::ZERO, &mut seen);
        Self {
            session,
            now: Instant::ZERO,
            seen,
            room: Ok(()),
            store: Ok("1"),
            guesses: Rc::new(RefCell::new(Guesses::new(Guesses::PER_ADDRESS))),
            handshakes: true,
        }
    }

    /// In a transaction, ready for DATA or BDAT.
    fn ready(policy: Policy) -> Self {
        let mut shell = Self::new(policy);
        shell.say("EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<t@house.example>\r\n");
        shell.seen.clear();
        shell
    }

    fn feed(&mut self, bytes: &[u8]) {
        let mut out = Vec::new();
        self.session.feed(self.now, bytes, &mut out);
        self.settle(out);
    }

    fn settle(&mut self, mut out: Vec<Output>) {
        loop {
            let asked = out.last().cloned();
            for output in &out {
                if let Output::LoggedIn(name) = output {
                    let mut guesses = self.guesses.borrow_mut();
                    guesses.succeeded(PEER, name, self.now);
                }
            }
            out.retain(|output| !matches!(output, Output::LoggedIn(_)));
            self.seen.append(&mut out);
            match asked {
                Some(Output::Login(name)) => {
                    self.seen.pop();
                    let verdict = self.guesses.borrow_mut().attempt(PEER, &name, self.now);
                    self.session.login_admitted(self.now, verdict, &mut out);
                }
                Some(Output::Admit) => {
                    self.seen.pop();
                    self.session.admitted(self.now, self.room, &mut out);
                }
                Some(Output::Message(_)) => self.session.stored(self.now, self.store, &mut out),
                Some(Output::StartTls) if self.handshakes => {
                    return self.session.tls_established(self.now, Tls::default());
                }
                Some(Output::StartTls)
                | Some(Output::LoggedIn(_))
                | Some(Output::Reply(_) | Output::Refused(_) | Output::Close | Output::Pause(_))
                | None => return,
            }
        }
    }

    /// Feeds text; the replies it got, one string per line.
    fn say(&mut self, text: &str) -> Vec<String> {
        let before = self.seen.len();
        self.feed(text.as_bytes());
        replies(&self.seen[before..])
    }

    /// Says each line and checks the start of the last line of the reply.
    fn play(&mut self, script: &[(&str, &str)]) {
        for (line, expected) in script {
            let replies = self.say(&format!("{line}\r\n"));
            let reply = replies.last().map_or("", String::as_str);
            assert!(
                reply.starts_with(expected),
                "`{line}`: expected `{expected}`, got {replies:?}"
            );
        }
    }

    /// The last message.
    fn mail(&self) -> &Mail {
        let mail = self.seen.iter().rev().find_map(|output| match output {
            Output::Message(mail) => Some(mail),
            _ => None,
        });
        mail.expect("a message")
    }

    fn messages(&self) -> Vec<&[u8]> {
        self.seen
            .iter()
            .filter_map(|output| match output {
                Output::Message(mail) => Some(mail.data.as_slice()),
                _ => None,
            })
            .collect()
    }

    fn refusals(&self) -> Vec<&Refusal> {
        self.seen
            .iter()
            .filter_map(|output| match output {
                Output::Refused(refusal) => Some(refusal),
                _ => None,
            })
            .collect()
    }
}

fn replies(outputs: &[Output]) -> Vec<String> {
    let mut text = String::new();
    for output in outputs {
        if let Output::Reply(bytes) = output {
            text.push_str(str::from_utf8(bytes).expect("replies are ASCII"));
        }
    }
    assert!(text.is_empty() || text.ends_with("\r\n"));
    text.split_terminator("\r\n").map(str::to_owned).collect()
}
