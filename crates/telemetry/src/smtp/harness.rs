//! Entries for fuzzing the door: see [`crate::harness`].
//!
//! The first byte of a session's input chooses the world, the second how its rest is cut into pieces.
//! However it is cut, the session must be the same: replies, refusals, messages.

use super::sealed::{self, Opened};
use super::*;
use core::net::{IpAddr, Ipv4Addr};
use ed25519_dalek::SigningKey;
use machine::Instant;
use std::sync::{Arc, OnceLock};

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const DEVICE: &str = "ups-1";
/// Small, so that a fuzzer reaches it.
const MAX_SIZE: u64 = 600;
/// RFC 5321 §4.5.3.1.5.
const MAX_REPLY_LINE: usize = 512;
/// More than any input has commands; a session that asks for a verdict for ever would be found.
const MAX_VERDICTS: usize = 1 << 20;

/// Where in a session the bytes come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// From the greeting on.
    Commands,
    /// After DATA was answered 354.
    Data,
    /// In a transaction, for BDAT.
    Chunks,
    /// Under TLS, after EHLO, for AUTH.
    Login,
}

impl Stage {
    fn opening(self) -> &'static str {
        match self {
            Self::Commands => "",
            Self::Data => {
                "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<t@house.example>\r\nDATA\r\n"
            }
            Self::Chunks => "EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<t@house.example>\r\n",
            Self::Login => "EHLO c\r\n",
        }
    }
}

/// One session.
pub fn session(stage: Stage, input: &[u8]) {
    let [world, cuts, bytes @ ..] = input else {
        return;
    };
    let whole = outputs(stage, *world, [bytes].into_iter());
    assert_eq!(outputs(stage, *world, bytes.chunks(1)), whole);
    assert_eq!(outputs(stage, *world, pieces(bytes, *cuts)), whole);
    in_order(&whole, *world & LOOSE == 0);
}

/// Bits of a world.
const LMTP: u8 = 1;
const LOOSE: u8 = 2;
const SECURE: u8 = 4;
const FULL: u8 = 8;

/// Pieces of one to some bytes, by a seed.
fn pieces(mut bytes: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut state = u32::from(seed) * 2 + 1;
    core::iter::from_fn(move || {
        state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
        let length = 1 + (state >> 27) as usize;
        let (piece, rest) = bytes.split_at(length.min(bytes.len()));
        bytes = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fn outputs<'b>(stage: Stage, world: u8, input: impl Iterator<Item = &'b [u8]>) -> Vec<Output> {
    let mut seen = Vec::new();
    let mut out = Vec::new();
    let tls = (stage == Stage::Login || world & SECURE != 0).then_some(Tls {
        exporter: Some([9; 32]),
        certificate: None,
    });
    let protocol = if world & LMTP != 0 {
        Protocol::Lmtp
    } else {
        Protocol::Esmtp
    };
    let arrival = Arrival {
        peer: PEER,
        protocol,
        tls,
        entropy: [5; 32],
    };
    let mut session = Session::new(policy(world), arrival, Instant::ZERO, &mut out);
    let room = if world & FULL != 0 {
        Err(Defer::Busy)
    } else {
        Ok(())
    };
    let opening = match protocol {
        Protocol::Esmtp => stage.opening().to_owned(),
        Protocol::Lmtp => stage.opening().replace("EHLO", "LHLO"),
    };
    session.feed(Instant::ZERO, opening.as_bytes(), &mut out);
    settle(&mut session, room, &mut out, &mut seen);
    for piece in input {
        session.feed(Instant::ZERO, piece, &mut out);
        settle(&mut session, room, &mut out, &mut seen);
    }
    seen
}

/// Gives verdicts until none is due. No handshake is ever done: when one is depends on the client.
fn settle(
    session: &mut Session,
    room: Result<(), Defer>,
    out: &mut Vec<Output>,
    seen: &mut Vec<Output>,
) {
    for _ in 0..MAX_VERDICTS {
        let asked = out.last().cloned();
        seen.append(out);
        match asked {
            Some(Output::Admit) => session.admitted(Instant::ZERO, room, out),
            Some(Output::Login(_)) => session.login_admitted(Instant::ZERO, Ok(()), out),
            Some(Output::Message(_)) => session.stored(Instant::ZERO, Ok("1"), out),
            Some(
                Output::StartTls
                | Output::LoggedIn(_)
                | Output::Reply(_)
                | Output::Refused(_)
                | Output::Close
                | Output::Pause(_),
            )
            | None => return,
        }
    }
    unreachable!("a session asks for verdicts without end");
}

/// What holds for every session.
fn in_order(seen: &[Output], strict: bool) {
    let close = seen.iter().position(|output| *output == Output::Close);
    assert!(close.is_none_or(|at| at + 1 == seen.len()));
    for output in seen {
        match output {
            Output::Reply(reply) => reply_in_order(reply),
            Output::Message(mail) => message_in_order(mail, strict),
            Output::Refused(refusal) => assert!(!refusal.to_string().is_empty()),
            Output::StartTls
            | Output::Pause(_)
            | Output::Admit
            | Output::Login(_)
            | Output::LoggedIn(_)
            | Output::Close => {}
        }
    }
}

fn reply_in_order(reply: &[u8]) {
    let text = core::str::from_utf8(reply).expect("replies are text");
    let text = text.strip_suffix("\r\n").expect("a reply is whole lines");
    for line in text.split("\r\n") {
        assert!(line.len() + 2 <= MAX_REPLY_LINE, "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
        let code = line.get(..3).and_then(|code| code.parse::<u16>().ok());
        assert!(
            code.is_some_and(|code| (200..600).contains(&code)),
            "{line}"
        );
    }
}

fn message_in_order(mail: &Mail, strict: bool) {
    assert!(mail.data.len() as u64 <= MAX_SIZE);
    assert!(!mail.forward_paths.is_empty());
    let ours = |path: &Address| path.domain() == "house.example";
    assert!(mail.forward_paths.iter().all(ours));
    assert!(!mail.data.contains(&0));
    let pairs = mail.data.windows(2).filter(|pair| *pair == b"\r\n").count();
    for lone in [b'\r', b'\n'] {
        let found = mail.data.iter().filter(|&&byte| byte == lone).count();
        assert_eq!(found, pairs);
    }
    if strict {
        assert_eq!(mail.profile, None);
    }
}

/// Compiled once for each world: a password's verifier takes thousands of hashes.
fn policy(world: u8) -> Arc<Policy> {
    static STRICT: OnceLock<Arc<Policy>> = OnceLock::new();
    static RELAXED: OnceLock<Arc<Policy>> = OnceLock::new();
    let loose = world & LOOSE != 0;
    let kept = if loose { &RELAXED } else { &STRICT };
    kept.get_or_init(|| Arc::new(made(loose))).clone()
}

fn made(loose: bool) -> Policy {
    let everywhere = Network::parse("0.0.0.0/0").into_iter().collect();
    let profiles = loose.then(|| Profile {
        relaxes: Relaxation::ALL.into(),
        ..Profile::allow_plaintext_from(everywhere)
    });
    Policy {
        require_tls: false,
        max_size: MAX_SIZE,
        max_errors: 8,
        devices: devices().clone(),
        house_key: Some(Arc::new(house())),
        profiles: profiles.into_iter().collect(),
        ..Policy::new("house.example", Recipients::new(["house.example"], []))
    }
}

fn devices() -> &'static Arc<Devices> {
    static DEVICES: OnceLock<Arc<Devices>> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let device = Device {
            id: DEVICE.to_owned(),
            addresses: vec!["ups-1@hall.example".to_owned()],
            login: Verifier::new("pencil", [1; SALT], MIN_ITERATIONS).ok(),
            key: Some(signing().verifying_key().to_bytes()),
            ..Device::default()
        };
        Arc::new(Devices::new([device]))
    })
}

fn signing() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

fn house() -> HouseKey {
    HouseKey::new([1; 32])
}

/// Whether a password opens the door: [`session`] would not miss it if it did not.
#[cfg(test)]
pub(crate) fn logs_in(input: &[u8]) -> bool {
    let [world, _, bytes @ ..] = input else {
        return false;
    };
    let seen = outputs(Stage::Login, *world, [bytes].into_iter());
    let good =
        |output: &Output| matches!(output, Output::Reply(reply) if reply.starts_with(b"235"));
    seen.iter().any(good)
}

/// A message as it came: whatever is sealed in it is refused, or is the device's own.
pub fn sealed(raw: &[u8]) {
    let open = |raw: &[u8]| sealed::open(raw, &house(), devices());
    if let Some(Ok(opened)) = open(raw) {
        assert_eq!(opened.device, DEVICE);
    }
    // The first bytes choose a place and a change; the rest is sealed, and changed on the way.
    let [high, low, change, message @ ..] = raw else {
        return;
    };
    let whole = Opened {
        device: DEVICE.to_owned(),
        counter: u64::from(*high) + 1,
        message: message.to_vec(),
    };
    let text = seal(
        &house().public(),
        DEVICE,
        &signing(),
        whole.counter,
        message,
        [*low; 32],
    )
    .expect("the keys are good and the id is short");
    let mail = |text: &[u8]| [b"Subject: x\r\n\r\n".as_slice(), text].concat();
    assert_eq!(open(&mail(text.as_bytes())), Some(Ok(whole.clone())));
    let mut changed = text.into_bytes();
    let at = usize::from(u16::from_be_bytes([*high, *low])) % changed.len();
    changed[at] ^= change;
    if let Some(Ok(opened)) = open(&mail(&changed)) {
        assert_eq!(opened, whole);
    }
}

/// A PROXY header and what follows it.
pub fn proxy(bytes: &[u8]) {
    let Some((fixed, rest)) = bytes.split_first_chunk::<PROXY_HEADER>() else {
        return;
    };
    let Ok(header) = ProxyHeader::read(fixed) else {
        return;
    };
    let Some(announced) = rest.get(..header.rest) else {
        return;
    };
    let source = header.source(announced);
    // What lies behind the announced part is the client's and says nothing about where it is.
    let same = [announced, b"EHLO evil\r\n".as_slice()].concat();
    if let Ok(Some(address)) = source {
        assert_eq!(header.source(&same), Ok(Some(address)));
        assert!(announced.len() >= 12);
    }
}
