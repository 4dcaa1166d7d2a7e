//! One command line (RFC 5321 §4.1.1).

use super::address::{self, AddressError, Lenient, Path};
use super::refusal::Refusal;

/// Octets of a command line with its CRLF. §4.5.3.1.4 says 512; our extensions add some (SIZE 26,
/// 8BITMIME 17, SMTPUTF8 10, ORCPT 500), and a path in UTF-8 may be the longest of them all.
pub(super) const MAX_LINE: usize = 1_024;

/// The same for an answer within AUTH (RFC 4954 §4.4). An initial response that does not fit into a
/// command has to be given as an answer.
pub(super) const MAX_AUTH_LINE: usize = 12_288;

/// RFC 3461 §4.4 and §4.2.
const MAX_ENVID: usize = 100;
const MAX_ORCPT: usize = 500;

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
    Auth(Auth),
    Lhlo(String),
}

/// AUTH (RFC 4954 §4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Auth {
    pub(super) mechanism: String,
    pub(super) initial: Option<String>,
}

/// MAIL (§4.1.1.2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct MailFrom {
    pub(super) path: Path,
    /// SIZE= (RFC 1870 §5).
    pub(super) size: Option<u64>,
    /// SMTPUTF8 (RFC 6531 §3.4).
    pub(super) utf8: bool,
    /// AUTH= (RFC 4954 §5): known only where AUTH is offered.
    pub(super) auth: bool,
}

/// BDAT (RFC 3030 §2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Chunk {
    pub(super) size: u64,
    pub(super) last: bool,
}

/// Reads a command line without its CRLF.
pub(super) fn parse(line: &[u8], lenient: Lenient) -> Result<Command, Refusal> {
    let line = str::from_utf8(line).map_err(|_| Refusal::Syntax("not UTF-8"))?;
    if line.chars().any(|char| char.is_control() && char != '\t') {
        return Err(Refusal::Syntax("control character"));
    }
    // Trailing blanks are common and mean nothing (§4.1.1: tolerate trailing white space).
    let line = line.trim_end_matches([' ', '\t']);
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    match verb.to_ascii_uppercase().as_str() {
        "HELO" => greeting_name(rest, lenient).map(Command::Helo),
        "EHLO" => greeting_name(rest, lenient).map(Command::Ehlo),
        "LHLO" => greeting_name(rest, lenient).map(Command::Lhlo),
        "MAIL" => mail(rest, lenient).map(Command::Mail),
        "RCPT" => rcpt(rest, lenient).map(Command::Rcpt),
        "DATA" => alone(rest, Command::Data),
        "BDAT" => bdat(rest).map(Command::Bdat),
        "RSET" => alone(rest, Command::Rset),
        "NOOP" => Ok(Command::Noop),
        "VRFY" => Ok(Command::Vrfy),
        "HELP" => Ok(Command::Help),
        "QUIT" => alone(rest, Command::Quit),
        "STARTTLS" => alone(rest, Command::StartTls),
        "AUTH" => auth(rest).map(Command::Auth),
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
fn greeting_name(rest: &str, lenient: Lenient) -> Result<String, Refusal> {
    let name = rest.trim_start_matches(' ');
    if name.is_empty() && lenient.empty_helo {
        return Ok(String::new());
    }
    let printable = |char: char| !char.is_whitespace() && !char.is_control();
    if name.is_empty() || name.len() > 255 || !name.chars().all(printable) {
        return Err(Refusal::Syntax(
            "name yourself: a domain or an address literal",
        ));
    }
    Ok(name.to_owned())
}

/// §4.1.1.2
fn mail(rest: &str, lenient: Lenient) -> Result<MailFrom, Refusal> {
    let input = strip_prefix(rest, "FROM:").ok_or(Refusal::Syntax("MAIL FROM:<path>"))?;
    let (path, parameters) = address::path(input, lenient).map_err(Refusal::BadSender)?;
    if path == Path::Postmaster {
        return Err(Refusal::BadSender(AddressError::NoDomain));
    }
    let mut mail = MailFrom {
        path,
        size: None,
        utf8: false,
        auth: false,
    };
    let (mut ret, mut envid) = (false, false);
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
            ("AUTH", Some(value)) if !mail.auth && is_xtext(value) => mail.auth = true,
            // RFC 3461 §4.3, §4.4. We deliver, and have nothing to report that 250 does not say.
            ("RET", Some(value)) if !ret && is_any(value, &["FULL", "HDRS"]) => ret = true,
            ("ENVID", Some(value)) if !envid && value.len() <= MAX_ENVID && is_xtext(value) => {
                envid = true;
            }
            _ => return Err(Refusal::BadParameter),
        }
    }
    Ok(mail)
}

/// §4.1.1.3
fn rcpt(rest: &str, lenient: Lenient) -> Result<Path, Refusal> {
    let input = strip_prefix(rest, "TO:").ok_or(Refusal::Syntax("RCPT TO:<path>"))?;
    let (path, parameters) = address::path(input, lenient).map_err(Refusal::BadRecipient)?;
    if path == Path::Null {
        return Err(Refusal::BadRecipient(AddressError::NoDomain));
    }
    let (mut notify, mut original) = (false, false);
    for parameter in split_parameters(parameters)? {
        match parameter.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("NOTIFY") && !notify => {
                notify = is_notify(value);
                notify.then_some(()).ok_or(Refusal::BadParameter)?;
            }
            Some((name, value)) if name.eq_ignore_ascii_case("ORCPT") && !original => {
                original = is_original_recipient(value);
                original.then_some(()).ok_or(Refusal::BadParameter)?;
            }
            Some(_) | None => return Err(Refusal::BadParameter),
        }
    }
    Ok(path)
}

/// RFC 4954 §4. What a mechanism is called (RFC 4422 §3.1) and whether we know it, is asked later.
fn auth(rest: &str) -> Result<Auth, Refusal> {
    let (mechanism, initial) = match rest.split_once(' ') {
        None => (rest, None),
        Some((mechanism, initial)) => (mechanism, Some(initial.to_owned())),
    };
    let is_blank = initial
        .as_deref()
        .is_some_and(|text| text.is_empty() || text.contains(' '));
    if mechanism.is_empty() || is_blank {
        return Err(Refusal::Syntax("AUTH mechanism [initial-response]"));
    }
    Ok(Auth {
        mechanism: mechanism.to_ascii_uppercase(),
        initial,
    })
}

/// RFC 3461 §4.1: NEVER, or some of the others.
fn is_notify(value: &str) -> bool {
    let kinds = ["SUCCESS", "FAILURE", "DELAY"];
    value.eq_ignore_ascii_case("NEVER") || value.split(',').all(|kind| is_any(kind, &kinds))
}

/// RFC 3461 §4.2: `address-type;xtext`; RFC 6533 §3 lets UTF-8 stand as it is.
fn is_original_recipient(value: &str) -> bool {
    let is_atom = |text: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !text.is_empty() && text.bytes().all(inner)
    };
    value.len() <= MAX_ORCPT
        && value
            .split_once(';')
            .is_some_and(|(kind, address)| is_atom(kind) && is_xtext(address))
}

/// RFC 3461 §4: printable, with `+HH` for what is not, for `+` and for `=`.
fn is_xtext(text: &str) -> bool {
    let mut pieces = text.split('+');
    let plain = |piece: &str| {
        piece
            .chars()
            .all(|char| char > ' ' && char != '=' && char != '\u{7f}')
    };
    let first = pieces.next().is_some_and(plain);
    let hex = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
    let coded = |piece: &str| {
        let code = piece.as_bytes().get(..2);
        code.is_some_and(|code| code.iter().all(hex)) && plain(piece)
    };
    !text.is_empty() && first && pieces.all(coded)
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
