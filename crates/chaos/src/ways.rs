//! The ways into a mailbox that gear takes: a session with STARTTLS, TLS from the first byte with a login,
//! a mail server's LMTP on this host, and messages that are sealed for one node.

use ed25519_dalek::SigningKey;
use edge::mailer::{Mailer, MailerConfig, MailerError, Security};
use edge::smtp::{SALT, Verifier, seal};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;
use wire::Digest;

/// A mailbox that takes longer is asked no more; the next one is.
const CALL_LIMIT: Duration = Duration::from_secs(4);
/// What gear calls itself.
const HELO: &str = "gear.glasshouse.example";
/// Few rounds of PBKDF2: five nodes check a login on two cores, and nobody guesses here.
const ITERATIONS: u32 = 4_096;

/// How a device reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// To any mailbox, with STARTTLS.
    StartTls,
    /// To any mailbox, through TLS from the first byte, with a password.
    Login,
    /// To any mailbox, as a mail server on its host does.
    Lmtp,
    /// Sealed for its own node, and to that one only.
    Sealed,
}

impl Way {
    /// Whether other nodes can take its mails.
    pub(crate) const fn is_for_all(self) -> bool {
        match self {
            Self::StartTls | Self::Login | Self::Lmtp => true,
            Self::Sealed => false,
        }
    }

    /// What the nodes know the device by, as a key of its configuration and its value.
    pub(crate) fn known_by(self, device: &str) -> Option<(&'static str, String)> {
        match self {
            Self::StartTls | Self::Lmtp => None,
            Self::Login => {
                let salt: [u8; SALT] = *secret(device, "salt").first_chunk()?;
                let verifier = Verifier::new(&password(device), salt, ITERATIONS).ok()?;
                Some(("login", verifier.to_string()))
            }
            Self::Sealed => {
                let key = signing(device).verifying_key();
                Some(("key", hex::encode(key.to_bytes())))
            }
        }
    }
}

/// A house that anybody may know needs no secrets; two runs have the same.
fn secret(device: &str, what: &str) -> [u8; 32] {
    Digest::of(format!("chaos {what} {device}").as_bytes()).0
}

fn password(device: &str) -> String {
    hex::encode(secret(device, "password"))
}

fn signing(device: &str) -> SigningKey {
    SigningKey::from_bytes(&secret(device, "signing key"))
}

/// A node's doors.
#[derive(Clone, Debug)]
pub(crate) struct Doors {
    pub(crate) mailbox: SocketAddr,
    pub(crate) implicit_tls: SocketAddr,
    pub(crate) lmtp: PathBuf,
    /// What is sealed for it is sealed with this.
    pub(crate) house_key: [u8; 32],
}

/// An ordinary message with the sealed one in it.
pub(crate) fn sealed(
    device: &str,
    doors: &Doors,
    counter: u64,
    header: &str,
    message: &[u8],
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy)?;
    let key = signing(device);
    let text = seal(&doors.house_key, device, &key, counter, message, entropy)?;
    Ok([header, "\r\n", &text].concat().into_bytes())
}

/// One device's connection to one node.
pub(crate) enum Sender {
    Smtp(Box<Mailer>),
    Lmtp(PathBuf),
}

impl Sender {
    /// Of the device with this id and address; connects at the first mail.
    pub(crate) fn new(
        way: Way,
        device: &str,
        (from, to): (&str, &str),
        doors: &Doors,
        roots: &str,
    ) -> Result<Self, MailerError> {
        let roots = roots.to_owned();
        let (address, security) = match way {
            Way::Lmtp => return Ok(Self::Lmtp(doors.lmtp.clone())),
            Way::StartTls | Way::Sealed => (doors.mailbox, Security::StartTls { roots }),
            Way::Login => (doors.implicit_tls, Security::Tls { roots }),
        };
        let host = if address.ip().is_loopback() {
            "localhost".to_owned()
        } else {
            address.ip().to_string()
        };
        let mailer = Mailer::new(MailerConfig {
            host,
            port: address.port(),
            security,
            helo: HELO.into(),
            from: from.to_owned(),
            to: vec![to.to_owned()],
            limit: CALL_LIMIT,
        })?;
        let mailer = match way {
            Way::Login => mailer.with_login(device, &password(device)),
            Way::StartTls | Way::Sealed | Way::Lmtp => mailer,
        };
        Ok(Self::Smtp(Box::new(mailer)))
    }

    /// One mail; the text of the answer.
    pub(crate) async fn deliver(
        &self,
        from: &str,
        to: &str,
        raw: &[u8],
    ) -> Result<String, MailerError> {
        match self {
            Self::Smtp(mailer) => mailer.deliver(from, &[to.to_owned()], raw).await,
            Self::Lmtp(socket) => {
                let mut begun = false;
                let talk = lmtp(socket, from, to, raw, &mut begun);
                let relay = socket.display().to_string();
                match timeout(CALL_LIMIT, talk).await {
                    Ok(Ok(answer)) => said(relay, answer),
                    Ok(Err(error)) if begun => Err(MailerError::BrokeOff {
                        relay,
                        cause: error.to_string(),
                    }),
                    Ok(Err(error)) => Err(MailerError::NotNow {
                        relay,
                        cause: error.to_string(),
                    }),
                    Err(_) => Err(MailerError::TooSlow {
                        relay,
                        limit: CALL_LIMIT,
                    }),
                }
            }
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Smtp(mailer) => mailer.close().await,
            Self::Lmtp(_) => {}
        }
    }
}

/// What an answer to a message means.
fn said(relay: String, answer: String) -> Result<String, MailerError> {
    match answer.as_bytes().first() {
        Some(b'2') => Ok(answer[4.min(answer.len())..].to_owned()),
        Some(b'5') => Err(MailerError::Refused { relay, answer }),
        _ => Err(MailerError::NotNow {
            relay,
            cause: answer,
        }),
    }
}

/// One transaction of LMTP (RFC 2033), a session each: the answer for its one recipient, or to the command
/// that was not taken.
async fn lmtp(
    socket: &Path,
    from: &str,
    to: &str,
    raw: &[u8],
    begun: &mut bool,
) -> io::Result<String> {
    let mut stream = BufReader::new(UnixStream::connect(socket).await?);
    let opening = [
        (String::new(), '2'),
        (format!("LHLO {HELO}\r\n"), '2'),
        (format!("MAIL FROM:<{from}>\r\n"), '2'),
        (format!("RCPT TO:<{to}>\r\n"), '2'),
        ("DATA\r\n".to_owned(), '3'),
    ];
    for (line, expected) in opening {
        stream.write_all(line.as_bytes()).await?;
        let answer = reply(&mut stream).await?;
        if !answer.starts_with(expected) {
            return Ok(answer);
        }
    }
    *begun = true;
    stream.write_all(&stuffed(raw)).await?;
    let answer = reply(&mut stream).await?;
    // It is said; whoever does not hear good-bye notices the end.
    let _ = stream.write_all(b"QUIT\r\n").await;
    Ok(answer)
}

/// RFC 5321 §4.5.2, with the end of the data.
fn stuffed(raw: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(raw.len() + 8);
    for line in raw.split_inclusive(|&byte| byte == b'\n') {
        if line.starts_with(b".") {
            data.push(b'.');
        }
        data.extend_from_slice(line);
    }
    if !data.ends_with(b"\r\n") {
        data.extend_from_slice(b"\r\n");
    }
    data.extend_from_slice(b".\r\n");
    data
}

async fn reply(stream: &mut BufReader<UnixStream>) -> io::Result<String> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line.trim_end().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_doubled_and_the_data_ends_once() {
        for (raw, sent) in [
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".a\r\n..\r\nb.\r\n", "..a\r\n...\r\nb.\r\n.\r\n"),
        ] {
            assert_eq!(stuffed(raw.as_bytes()), sent.as_bytes(), "{raw:?}");
        }
    }

    #[test]
    fn an_answer_is_a_number_a_refusal_or_not_now() {
        let said = |answer: &str| said("x".to_owned(), answer.to_owned());
        assert_eq!(
            said("250 2.0.0 stored as 7").ok().as_deref(),
            Some("2.0.0 stored as 7")
        );
        assert!(matches!(
            said("554 5.7.1 no"),
            Err(MailerError::Refused { .. })
        ));
        assert!(matches!(
            said("451 4.3.2 busy"),
            Err(MailerError::NotNow { .. })
        ));
    }

    #[test]
    fn nodes_know_a_device_by_what_its_way_shows() {
        let (key, login) = Way::Login.known_by("pdu-1").expect("a login");
        assert!(
            key == "login"
                && login
                    .parse::<Verifier>()
                    .is_ok_and(|login| login.matches(password("pdu-1").as_bytes()))
        );
        let (key, text) = Way::Sealed.known_by("pdu-2").expect("a key");
        assert!(key == "key" && text.len() == 64);
        assert_eq!(Way::Lmtp.known_by("pdu-3"), None);
    }
}
