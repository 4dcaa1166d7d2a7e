//! Gear that reports by mail, badly: it hangs up anywhere, repeats what was not answered, talks ahead,
//! dribbles, sends garbage. It keeps a book of what it was promised.

use super::Failure;
use super::node::MAIL;
use crate::lockstep::guest::net::{Stream, dial};
use crate::lockstep::guest::{see, wish};
use crate::lockstep::protocol::{Boot, Seen, Wish};
use runtime::entropy;
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, ReadHalf, WriteHalf, split};
use tokio::sync::watch;

/// Longest pause between two sessions with one node.
const LONGEST_PAUSE_MS: u64 = 1_200;
/// Gear gives up on an answer after this (what devices do, docs of several vendors).
const PATIENCE: Duration = Duration::from_secs(20);
/// Mails that wait to be taken; a device with more forgets the newest.
const WAITING: usize = 64;

/// How a session goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Polite,
    /// Everything at once, without waiting for answers.
    Ahead,
    /// A few bytes at a time.
    Dribble,
    /// Hangs up after so many lines.
    HangUp(u64),
    /// Says things that are no commands first.
    Garbage,
}

fn manner() -> Manner {
    match entropy::below(10) {
        0 => Manner::Ahead,
        1 => Manner::Dribble,
        2 | 3 => Manner::HangUp(entropy::below(12)),
        4 => Manner::Garbage,
        _ => Manner::Polite,
    }
}

pub(super) async fn run(boot: Boot) -> Result<(), Failure> {
    let (rest, resting) = watch::channel(false);
    for node in boot.nodes {
        tokio::spawn(report_to(node, resting.clone()));
    }
    loop {
        match wish().await {
            Wish::Rest => drop(rest.send_replace(true)),
            Wish::Evict(_) | Wish::Choose { .. } | Wish::Poison => {}
        }
    }
}

/// A device and the node it reports to. A mail goes to one node only, until it is taken: at two it
/// would rightly count twice.
async fn report_to(node: String, rest: watch::Receiver<bool>) {
    let mut waiting = VecDeque::new();
    let mut made = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(50 + entropy::below(LONGEST_PAUSE_MS))).await;
        // What was not answered is still repeated while no new load comes.
        if !*rest.borrow() && waiting.len() < WAITING {
            made += 1;
            waiting.push_back(made);
        }
        while let Some(number) = waiting.front().copied() {
            let manner = manner();
            let session = tokio::time::timeout(PATIENCE, session(&node, number, manner)).await;
            if !matches!(session, Ok(Ok(()))) {
                break; // later again
            }
            see(Seen::Mail {
                to: node.clone(),
                number,
                acknowledged: true,
            });
            waiting.pop_front();
        }
    }
}

fn mail(node: &str, number: u64) -> String {
    let charge = 90.0 + (number as f64 * 0.7).sin();
    let load = 40.0 + (number as f64 * 0.3).cos();
    let date = gear::mail::rfc5322(runtime::clock::unix_now());
    format!(
        "From: ups-{node}@hall.example\r\nTo: telemetry@glasshouse.example\r\nDate: {date}\r\n\
         Message-ID: <{number}@{node}>\r\nSubject: report\r\nMIME-Version: 1.0\r\n\
         Content-Type: application/senml+json\r\n\r\n\
         [{{\"bn\":\"ups-{node}:\",\"n\":\"battery.charge\",\"u\":\"%\",\"v\":{charge}}},\
         {{\"n\":\"load\",\"u\":\"%\",\"v\":{load}}}]"
    )
}

/// `Ok` once the mail was answered 250.
async fn session(node: &str, number: u64, manner: Manner) -> io::Result<()> {
    let stream = dial(&format!("{node}:{MAIL}")).await?;
    let (reader, writer) = split(stream);
    let mut talk = Talk {
        reader: BufReader::new(reader),
        writer,
        manner,
        said: 0,
    };
    talk.expect('2').await?;
    if manner == Manner::Garbage {
        talk.say("\u{0}\u{1}XYZZY all your base\r\n").await?;
        talk.expect('5').await?;
    }
    let from = format!("MAIL FROM:<ups-{node}@hall.example>\r\n");
    let to = "RCPT TO:<telemetry@glasshouse.example>\r\n";
    let body = format!("{}\r\n.\r\n", mail(node, number));
    let sent = || {
        see(Seen::Mail {
            to: node.to_owned(),
            number,
            acknowledged: false,
        });
    };
    talk.say("EHLO ups\r\n").await?;
    talk.expect('2').await?;
    if manner == Manner::Ahead {
        talk.say(&format!("{from}{to}DATA\r\n")).await?;
        for code in ['2', '2', '3'] {
            talk.expect(code).await?;
        }
    } else {
        for (line, code) in [(from.as_str(), '2'), (to, '2'), ("DATA\r\n", '3')] {
            talk.say(line).await?;
            talk.expect(code).await?;
        }
    }
    sent();
    talk.say(&body).await?;
    talk.expect('2').await?;
    // It has its promise; whether the farewell is heard does not matter.
    let _ = talk.say("QUIT\r\n").await;
    Ok(())
}

struct Talk {
    reader: BufReader<ReadHalf<Stream>>,
    writer: WriteHalf<Stream>,
    manner: Manner,
    said: u64,
}

impl Talk {
    async fn say(&mut self, text: &str) -> io::Result<()> {
        match self.manner {
            Manner::Dribble => {
                for bytes in text.as_bytes().chunks(37) {
                    self.writer.write_all(bytes).await?;
                    tokio::time::sleep(Duration::from_millis(entropy::below(60))).await;
                }
                Ok(())
            }
            Manner::HangUp(_) => {
                for line in text.split_inclusive('\n') {
                    self.writer.write_all(line.as_bytes()).await?;
                    self.said += 1;
                    self.hang_up()?;
                }
                Ok(())
            }
            Manner::Polite | Manner::Ahead | Manner::Garbage => {
                self.writer.write_all(text.as_bytes()).await
            }
        }
    }

    fn hang_up(&self) -> io::Result<()> {
        match self.manner {
            Manner::HangUp(after) if self.said > after => Err(io::Error::other("had enough of it")),
            _ => Ok(()),
        }
    }

    /// Reads one reply, which must begin with this digit.
    async fn expect(&mut self, code: char) -> io::Result<()> {
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if !line.starts_with(code) {
                return Err(io::Error::other(line));
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(());
            }
        }
    }
}
