//! One command line (RFC 5321 §4.1.1).

use super::address::{self, AddressError, Path};
use super::refusal::Refusal;

/// Octets of a command line with its CRLF. §4.5.3.1.4 says 512; our extensions add some (SIZE 26,
/// 8BITMIME 17, SMTPUTF8 10), and a path in UTF-8 may be the longest of them all.
pub(super) const MAX_LINE: usize = 1_024;

/// Commands of other protocols that a web page or a forged request can make a third party send.
const OTHER_PROTOCOLS: &[&str] = &["GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT"];

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Command {
    Helo(String),
    Ehlo(String),
    Mail(MailFrom),
    Rcpt(Path),
    Data,
    Bdat(Chunk),
    Rset,
    Noop,
    Vrfy,
    Help,
    Quit,
    StartTls,
}

/// MAIL (§4.1.1.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct MailFrom {
    pub(super) path: Path,
    /// SIZE= (RFC 1870 §5).
    pub(super) size: Option<u64>,
    /// SMTPUTF8 (RFC 6531 §3.4).
    pub(super) utf8: bool,
}

/// BDAT (RFC 3030 §2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Chunk {
    pub(super) size: u64,
    pub(super) last: bool,
}

/// Reads a command line without its CRLF.
pub(super) fn parse(line: &[u8]) -> Result<Command, Refusal> {
    let line = str::from_utf8(line).map_err(|_| Refusal::Syntax("not UTF-8"))?;
    if line.chars().any(|char| char.is_control() && char != '\t') {
        return Err(Refusal::Syntax("control character"));
    }
    // Trailing blanks are common and mean nothing (§4.1.1: tolerate trailing white space).
    let line = line.trim_end_matches([' ', '\t']);
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    match verb.to_ascii_uppercase().as_str() {
        "HELO" => greeting_name(rest).map(Command::Helo),
        "EHLO" => greeting_name(rest).map(Command::Ehlo),
        "MAIL" => mail(rest).map(Command::Mail),
        "RCPT" => rcpt(rest).map(Command::Rcpt),
        "DATA" => alone(rest, Command::Data),
        "BDAT" => bdat(rest).map(Command::Bdat),
        "RSET" => alone(rest, Command::Rset),
        "NOOP" => Ok(Command::Noop),
        "VRFY" => Ok(Command::Vrfy),
        "HELP" => Ok(Command::Help),
        "QUIT" => alone(rest, Command::Quit),
        "STARTTLS" => alone(rest, Command::StartTls),
        "EXPN" => Err(Refusal::NotImplemented),
        other if OTHER_PROTOCOLS.contains(&other) => Err(Refusal::OtherProtocol),
        _ => Err(Refusal::UnknownCommand),
    }
}

fn alone(rest: &str, command: Command) -> Result<Command, Refusal> {
    if rest.is_empty() {
        Ok(command)
    } else {
        Err(Refusal::Syntax("no arguments here"))
    }
}

/// §4.1.1.1. The name is for the record only; what it says is not checked (§4.1.4).
fn greeting_name(rest: &str) -> Result<String, Refusal> {
    let name = rest.trim_start_matches(' ');
    let printable = |char: char| !char.is_whitespace() && !char.is_control();
    if name.is_empty() || name.len() > 255 || !name.chars().all(printable) {
        return Err(Refusal::Syntax(
            "name yourself: a domain or an address literal",
        ));
    }
    Ok(name.to_owned())
}

/// §4.1.1.2
fn mail(rest: &str) -> Result<MailFrom, Refusal> {
    let input = strip_prefix(rest, "FROM:").ok_or(Refusal::Syntax("MAIL FROM:<path>"))?;
    let (path, parameters) = address::path(input).map_err(Refusal::BadSender)?;
    if path == Path::Postmaster {
        return Err(Refusal::BadSender(AddressError::NoDomain));
    }
    let mut mail = MailFrom {
        path,
        size: None,
        utf8: false,
    };
    for parameter in split_parameters(parameters)? {
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (parameter, None),
        };
        match (name.to_ascii_uppercase().as_str(), value) {
            ("SIZE", Some(value)) if mail.size.is_none() => {
                mail.size = Some(number(value).ok_or(Refusal::BadParameter)?);
            }
            ("BODY", Some(value)) if is_any(value, &["7BIT", "8BITMIME"]) => {}
            ("SMTPUTF8", None) => mail.utf8 = true,
            _ => return Err(Refusal::BadParameter),
        }
    }
    Ok(mail)
}

/// §4.1.1.3
fn rcpt(rest: &str) -> Result<Path, Refusal> {
    let input = strip_prefix(rest, "TO:").ok_or(Refusal::Syntax("RCPT TO:<path>"))?;
    let (path, parameters) = address::path(input).map_err(Refusal::BadRecipient)?;
    if path == Path::Null {
        return Err(Refusal::BadRecipient(AddressError::NoDomain));
    }
    match split_parameters(parameters)?.next() {
        None => Ok(path),
        Some(_) => Err(Refusal::BadParameter),
    }
}

/// RFC 3030 §2
fn bdat(rest: &str) -> Result<Chunk, Refusal> {
    const SYNTAX: Refusal = Refusal::Syntax("BDAT size [LAST]");
    let (size, last) = match rest.split_once(' ') {
        None => (rest, false),
        Some((size, last)) if last.eq_ignore_ascii_case("LAST") => (size, true),
        Some(_) => return Err(SYNTAX),
    };
    Ok(Chunk {
        size: number(size).ok_or(SYNTAX)?,
        last,
    })
}

/// Digits only, and within 64 bits: neither a sign nor a wrap-around.
fn number(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

fn split_parameters(text: &str) -> Result<impl Iterator<Item = &str>, Refusal> {
    if !text.is_empty() && !text.starts_with(' ') {
        return Err(Refusal::Syntax(
            "a blank stands between path and parameters",
        ));
    }
    Ok(text.split(' ').filter(|parameter| !parameter.is_empty()))
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}

fn is_any(value: &str, choices: &[&str]) -> bool {
    choices
        .iter()
        .any(|choice| value.eq_ignore_ascii_case(choice))
}
