//! From bytes to a [`Letter`]: everything that could cost more than the mail is worth is bounded
//! before the parser runs.

use mail_parser::{MessageParser, MimeHeaders, PartType};

use super::{MAX_MAIL_BYTES, quoted};
use crate::formats::{Letter, Part};
use crate::quarantine::Reason;
use crate::unpack::{self, MAX_UNPACKED_BYTES, Packing, UnpackError};

/// Most MIME parts: a status text with a handful of attachments.
pub const MAX_PARTS: usize = 32;
/// Most lines in the mail's own header: relays add a few dozen (RFC 5321 §6.3 calls a hundred
/// `Received` a loop), and folded ones count each.
pub const MAX_TOP_HEADER_LINES: usize = 1_000;
/// Most lines in all headers, those of the parts included.
pub const MAX_HEADER_LINES: usize = 8_192;
/// Most bytes in all headers.
pub const MAX_HEADER_BYTES: usize = 1 << 20;
/// Lines that could be MIME boundaries, counted before parsing so that a mail of a hundred
/// thousand empty parts costs a scan and not a tree. Log excerpts contain dashed rules, hence
/// more than [`MAX_PARTS`].
const MAX_DASHED_LINES: usize = 1_024;

/// MIME structure, flattened and bounded.
pub(crate) fn open(raw: &[u8]) -> Result<Letter, Reason> {
    if raw.len() > MAX_MAIL_BYTES {
        return Err(Reason::TooLarge { bytes: raw.len() });
    }
    let dashed = raw
        .split(|&b| b == b'\n')
        .filter(|line| line.starts_with(b"--"))
        .count();
    if dashed > MAX_DASHED_LINES {
        return Err(Reason::TooManyParts { found: dashed });
    }
    check_headers(raw)?;
    if nests_a_message(raw) {
        return Err(Reason::NestedMessage);
    }
    let message = MessageParser::default()
        .parse(raw)
        .ok_or(Reason::NotAMail)?;
    if message.headers().is_empty() {
        return Err(Reason::NotAMail);
    }
    if message.parts.len() > MAX_PARTS {
        return Err(Reason::TooManyParts {
            found: message.parts.len(),
        });
    }
    let from = message
        .from()
        .and_then(|from| from.first())
        .and_then(|addr| addr.address());
    let from = from.unwrap_or_default().to_owned();
    let subject = message.subject().unwrap_or_default().trim().to_owned();
    let date = message.date().filter(|date| date.is_valid()).cloned();
    let headers = message
        .headers_raw()
        .map(|(name, value)| (name.to_owned(), unfolded(value)))
        .collect();
    let mut budget = MAX_UNPACKED_BYTES;
    let parts = message
        .parts
        .into_iter()
        .filter_map(|part| leaf(part, &mut budget))
        .collect();
    Ok(Letter {
        from,
        subject,
        date,
        headers,
        parts,
    })
}

/// A header's value on one line.
fn unfolded(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A part with its content, unpacked; `None` for a multipart's own node.
fn leaf(part: mail_parser::MessagePart<'_>, budget: &mut usize) -> Option<Part> {
    let kind = part.content_type().map_or_else(
        || "text/plain".to_owned(),
        |t| format!("{}/{}", t.ctype(), t.subtype().unwrap_or_default()).to_ascii_lowercase(),
    );
    let name = part.attachment_name().map(str::to_owned);
    let bytes = match part.body {
        PartType::Text(text) => return Some(Part::text(kind, name, text.into_owned())),
        PartType::Html(html) => {
            let text = mail_parser::decoders::html::html_to_text(&html);
            return Some(Part::text(kind, name, text));
        }
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => bytes.into_owned(),
        PartType::Message(_) | PartType::Multipart(_) => return None,
    };
    let Some(packing) = Packing::of(&kind, name.as_deref(), &bytes) else {
        return Some(Part::binary(kind, name, bytes));
    };
    Some(match packing.unpack(&bytes, *budget) {
        Ok(content) => {
            *budget -= content.len();
            let name = name.map(|name| unpack::inner_name(&name).to_owned());
            // What is declared is often the packing (`application/gzip`); the name says more.
            let inner = unpack::kind_by_name(name.as_deref().unwrap_or_default());
            let kind = if kind.ends_with("json") || kind.ends_with("cbor") || kind.ends_with("csv")
            {
                kind
            } else {
                inner.to_owned()
            };
            Part::binary(kind, name, content)
        }
        Err(error) => {
            let attachment = quoted(name.as_deref().unwrap_or(&kind));
            let fault = match error {
                UnpackError::TooLarge => Reason::UnpacksTooLarge { attachment },
                UnpackError::Broken(problem) => Reason::BrokenPacking {
                    attachment,
                    problem: quoted(&problem),
                },
            };
            Part::broken(kind, name, fault)
        }
    })
}

/// Header lines cost the parser a value each, some hundred bytes for three bytes of mail, and one
/// address list may hold a million addresses: both are bounded before it runs. A block of headers
/// begins at the start and behind every line that could be a boundary, and ends at a blank line.
/// Text behind a dashed rule is counted along; it is far from the limits unless it is a table
/// beyond [`super::MAX_ROWS_PER_MAIL`].
fn check_headers(raw: &[u8]) -> Result<(), Reason> {
    let (mut in_headers, mut top) = (true, true);
    let (mut lines, mut bytes) = (0, 0);
    for line in raw.split(|&b| b == b'\n') {
        if line.starts_with(b"--") {
            in_headers = true;
        } else if in_headers && line.trim_ascii().is_empty() {
            in_headers = false;
            top = false;
        }
        if in_headers {
            lines += 1;
            bytes += line.len();
            let most = if top {
                MAX_TOP_HEADER_LINES
            } else {
                MAX_HEADER_LINES
            };
            if lines > most || bytes > MAX_HEADER_BYTES {
                return Err(Reason::HeaderFlood { lines, bytes });
            }
        }
    }
    Ok(())
}

/// Whether the bytes `message/rfc822`, `message/global` or `multipart/digest` occur, in any case
/// and with blanks around the slash. Looked for before parsing: the parser builds nested messages
/// as nested values and copies and drops them by recursion, so that ten thousand levels (300 KB)
/// would overflow the stack. Its content-type tokens are contiguous bytes of the input, so
/// nothing nests that this does not see.
pub(crate) fn nests_a_message(raw: &[u8]) -> bool {
    const NESTING: [(&[u8], &[u8]); 3] = [
        (b"message", b"rfc822"),
        (b"message", b"global"),
        (b"multipart", b"digest"),
    ];
    let blank = |b: &u8| b.is_ascii_whitespace();
    raw.iter()
        .enumerate()
        .filter(|&(_, &b)| b == b'/')
        .any(|(slash, _)| {
            let before = &raw[..slash];
            let before = &before[..before
                .iter()
                .rposition(|b| !blank(b))
                .map_or(0, |last| last + 1)];
            let after = &raw[slash + 1..];
            let after = &after[after.iter().position(|b| !blank(b)).unwrap_or(after.len())..];
            NESTING.iter().any(|(kind, subtype)| {
                before.len() >= kind.len()
                    && before[before.len() - kind.len()..].eq_ignore_ascii_case(kind)
                    && after
                        .get(..subtype.len())
                        .is_some_and(|s| s.eq_ignore_ascii_case(subtype))
            })
        })
}
