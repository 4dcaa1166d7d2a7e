//! Paths and mailboxes (RFC 5321 §4.1.2), with the limits of §4.5.3.1.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

/// §4.5.3.1.1
const MAX_LOCAL: usize = 64;
/// §4.5.3.1.2
const MAX_DOMAIN: usize = 255;
/// §4.5.3.1.3, with the brackets.
const MAX_PATH: usize = 256;

/// A mailbox `local@domain`. The domain is in lower case; the local part as it was given, since
/// only its owner may say that case does not matter (RFC 5321 §2.4).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    text: String,
    at: usize,
}

/// Why something is not a mailbox.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressError {
    /// No `<` at the start or no `>` at the end.
    #[error("a path stands in angle brackets")]
    Brackets,
    /// No `@`.
    #[error("a mailbox is local-part@domain")]
    NoDomain,
    /// Something in the local part.
    #[error("the local part has a character that needs quotes, or is empty")]
    Local,
    /// Something in the domain.
    #[error("the domain is neither a domain name nor an address literal")]
    Domain,
    /// Over a limit.
    #[error("over the limit of 64 octets for the local part, 255 for the domain or 256 in all")]
    TooLong,
}

/// What of the grammar a profile relaxes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Lenient {
    /// HELO without a name.
    pub(super) empty_helo: bool,
    /// Address literals that are none.
    pub(super) literals: bool,
    /// Paths without brackets.
    pub(super) brackets: bool,
}

/// What may stand between the brackets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Path {
    /// `<>`, the reverse path of a notification (§4.5.5).
    Null,
    /// `<postmaster>`, the one mailbox that needs no domain (§4.5.1).
    Postmaster,
    Mailbox(Address),
}

impl Address {
    /// Reads `local@domain`.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        Self::read(text, Lenient::default())
    }

    /// The same, but `local@10.0.0.1` and `local@[2001:db8::1]`, as gear writes address literals, are
    /// put right (§4.1.3).
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn parse_leniently(text: &str) -> Result<Self, AddressError> {
        let literals = true;
        Self::read(
            text,
            Lenient {
                literals,
                ..Lenient::default()
            },
        )
    }

    fn read(text: &str, lenient: Lenient) -> Result<Self, AddressError> {
        if text.len() + 2 > MAX_PATH {
            return Err(AddressError::TooLong);
        }
        let at = local_part(text)?;
        let domain = text.get(at + 1..).ok_or(AddressError::NoDomain)?;
        if at > MAX_LOCAL || domain.len() > MAX_DOMAIN {
            return Err(AddressError::TooLong);
        }
        let repaired = if lenient.literals {
            repaired_literal(domain)
        } else {
            None
        };
        let domain = repaired.unwrap_or_else(|| domain.to_lowercase());
        if !is_domain(&domain) && !is_literal(&domain) {
            return Err(AddressError::Domain);
        }
        Ok(Self {
            text: format!("{}@{domain}", &text[..at]),
            at,
        })
    }

    /// Before the `@`, quotes included.
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// Behind the `@`.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The whole.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads a path from the start of `input`; what follows the bracket is returned with it. A source
/// route before the mailbox is dropped, as §4.1.2 and appendix C demand: we relay for nobody.
pub(super) fn path(input: &str, lenient: Lenient) -> Result<(Path, &str), AddressError> {
    let input = if lenient.brackets {
        input.trim_start_matches(' ')
    } else {
        input
    };
    let (inside, rest) = match closing_bracket(input) {
        Some(end) => (&input[1..end], &input[end + 1..]),
        None if lenient.brackets && !input.is_empty() && !input.starts_with('<') => {
            input.split_at(input.find(' ').unwrap_or(input.len()))
        }
        None => return Err(AddressError::Brackets),
    };
    if inside.len() + 2 > MAX_PATH {
        return Err(AddressError::TooLong);
    }
    let path = match inside.split_once(':') {
        Some((route, mailbox)) if is_source_route(route) => {
            Path::Mailbox(Address::read(mailbox, lenient)?)
        }
        _ if inside.is_empty() => Path::Null,
        _ if inside.eq_ignore_ascii_case("postmaster") => Path::Postmaster,
        _ => Path::Mailbox(Address::read(inside, lenient)?),
    };
    Ok((path, rest))
}

/// Index of the `>` that closes the `<` at the start; one within quotes does not.
fn closing_bracket(input: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    let inside = input.strip_prefix('<')?;
    for (index, byte) in inside.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(index + 1),
            _ => {}
        }
    }
    None
}

/// `@one,@two`
fn is_source_route(route: &str) -> bool {
    route
        .split(',')
        .all(|hop| hop.strip_prefix('@').is_some_and(is_domain))
}

/// Index of the `@` behind a dot-string or a quoted string (§4.1.2, RFC 6531 §3.3).
fn local_part(text: &str) -> Result<usize, AddressError> {
    if text.starts_with('"') {
        return quoted_string(text);
    }
    let at = text.find('@').ok_or(AddressError::NoDomain)?;
    let is_atom = |atom: &str| !atom.is_empty() && atom.chars().all(is_atext);
    if text[..at].split('.').all(is_atom) {
        Ok(at)
    } else {
        Err(AddressError::Local)
    }
}

fn quoted_string(text: &str) -> Result<usize, AddressError> {
    let mut escaped = false;
    for (index, char) in text.char_indices().skip(1) {
        match char {
            _ if char.is_control() => return Err(AddressError::Local),
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' if text[index + 1..].starts_with('@') => return Ok(index + 1),
            '"' => return Err(AddressError::NoDomain),
            _ => {}
        }
    }
    Err(AddressError::Local)
}

/// RFC 5322 §3.2.3 with RFC 6531 §3.3.
fn is_atext(char: char) -> bool {
    char.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(char) || is_wide(char)
}

/// Letters beyond ASCII, but nothing that is invisible or turns the reading direction: two addresses
/// that look alike must not differ in that (RFC 6531 §3.3, RFC 8264 §9.3).
fn is_wide(char: char) -> bool {
    !char.is_ascii() && !char.is_control() && !char.is_whitespace() && !is_invisible(char)
}

const fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffd}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Letters, digits, hyphens within, dots between; and underscores, which DNS does not mind and
/// gear has in its host names. The last label is no number, or the whole would be an address (RFC
/// 1123 §2.1).
fn is_domain(domain: &str) -> bool {
    let last = domain.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    domain.split('.').all(|label| {
        let inner =
            |char: char| char.is_ascii_alphanumeric() || "-_".contains(char) || is_wide(char);
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(inner)
    })
}

/// `[192.0.2.1]` or `[IPv6:2001:db8::1]` (§4.1.3).
fn is_literal(domain: &str) -> bool {
    let Some(inside) = domain
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    else {
        return false;
    };
    match inside.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inside[5..].parse::<Ipv6Addr>().is_ok(),
        _ => inside.parse::<Ipv4Addr>().is_ok(),
    }
}

/// `10.0.0.1` and `[2001:db8::1]` as the literals that they are meant to be.
fn repaired_literal(domain: &str) -> Option<String> {
    if let Ok(address) = domain.parse::<Ipv4Addr>() {
        return Some(format!("[{address}]"));
    }
    let inside = domain.strip_prefix('[')?.strip_suffix(']')?;
    let address = inside.parse::<Ipv6Addr>().ok()?;
    Some(format!("[ipv6:{address}]"))
}
