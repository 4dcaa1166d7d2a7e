//! From an accepted mail to reports: MIME (RFC 2045) by `mail-parser`, the sender by the
//! [`Directory`], the content by the first of the [`formats`](crate::formats) that recognises it.
//!
//! Nothing here fails hard: what cannot be read becomes a [`Quarantine`] with its reason.

use mail_parser::{MessageParser, MimeHeaders, PartType};
use wire::{NodeId, Origin, Report, UnixMillis};

use crate::directory::{Device, Directory};
use crate::formats::{Draft, Format, Letter, Part};
use crate::quarantine::{Quarantine, Reason};

/// Largest mail decoded. Device reports are kilobytes; a daily log of a big PDU stays below one
/// megabyte, and four bound what parsing can allocate.
pub const MAX_MAIL_BYTES: usize = 4 << 20;
/// Most MIME parts: a status text with a handful of attachments.
pub const MAX_PARTS: usize = 32;
/// Most reports out of one mail: a day of minutes is 1,440.
pub const MAX_ROWS_PER_MAIL: usize = 2_000;
/// Most numbers in one report: the widest gear we know (blade enclosures) has about 150 sensors.
pub const MAX_METRICS_PER_ROW: usize = 256;
/// Longest metric name in bytes.
pub const MAX_NAME_BYTES: usize = 128;
/// Lines that could be MIME boundaries, counted before parsing so that a mail of a hundred
/// thousand empty parts costs a scan and not a tree. Log excerpts contain dashed rules, hence
/// more than [`MAX_PARTS`].
const MAX_DASHED_LINES: usize = 1_024;
/// How much of a foreign text is repeated in a reason.
const QUOTED_CHARS: usize = 60;

/// What the decoder must know beyond the mail itself.
#[derive(Clone, Copy, Debug)]
pub struct DecodeContext<'a> {
    /// The node whose journal holds the mail.
    pub node: &'a NodeId,
    /// Its sequence number there.
    pub seq: u64,
    /// When it was accepted.
    pub arrival: UnixMillis,
    /// The known devices.
    pub directory: &'a Directory,
}

/// The reports in a mail, in the mail's order. `envelope_from` is the reverse-path of the SMTP
/// transaction with or without angle brackets; `raw` the message as received.
pub fn decode(
    context: &DecodeContext<'_>,
    envelope_from: &str,
    raw: &[u8],
) -> Result<Vec<Report>, Quarantine> {
    let unknown = |reason| Quarantine {
        device: None,
        reason,
    };
    let (letter, from) = open(raw).map_err(unknown)?;
    let device = sender(context.directory, envelope_from, &from).map_err(unknown)?;
    let known = |reason| Quarantine {
        device: Some(device.id.clone()),
        reason,
    };
    let drafts = read(&letter, context.arrival).map_err(known)?;
    drafts
        .into_iter()
        .zip(0u32..)
        .map(|(draft, part)| report(context, device, draft, part).map_err(known))
        .collect()
}

/// Who sent it. Either address will do; two that name different devices are a forgery or a
/// mistake, and nobody's reading must land under another device's name.
fn sender<'d>(
    directory: &'d Directory,
    envelope: &str,
    header: &str,
) -> Result<&'d Device, Reason> {
    match (directory.by_address(envelope), directory.by_address(header)) {
        (Some(a), Some(b)) if a.id != b.id => Err(Reason::ConflictingSenders {
            envelope: a.id.clone(),
            header: b.id.clone(),
        }),
        (Some(device), _) | (None, Some(device)) => Ok(device),
        (None, None) => Err(Reason::UnknownDevice {
            envelope: quoted(envelope.trim_matches(['<', '>'])),
            header: quoted(header),
        }),
    }
}

/// MIME structure, flattened and bounded; and the From address.
fn open(raw: &[u8]) -> Result<(Letter, String), Reason> {
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
    let parts = message.parts.into_iter().filter_map(text_part).collect();
    Ok((
        Letter {
            subject,
            date,
            parts,
        },
        from,
    ))
}

/// A part with its text; `None` for a multipart's own node.
fn text_part(part: mail_parser::MessagePart<'_>) -> Option<Part> {
    let kind = part.content_type().map_or_else(
        || "text/plain".to_owned(),
        |t| format!("{}/{}", t.ctype(), t.subtype().unwrap_or_default()).to_ascii_lowercase(),
    );
    let name = part.attachment_name().map(str::to_owned);
    let text = match part.body {
        PartType::Text(text) => Some(text.into_owned()),
        PartType::Html(html) => Some(mail_parser::decoders::html::html_to_text(&html)),
        PartType::Binary(bytes) | PartType::InlineBinary(bytes) => {
            String::from_utf8(bytes.into_owned()).ok()
        }
        PartType::Message(_) | PartType::Multipart(_) => return None,
    };
    Some(Part { kind, name, text })
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

/// The content, by the first format that recognises it.
fn read(letter: &Letter, arrival: UnixMillis) -> Result<Vec<Draft>, Reason> {
    let format = Format::ALL
        .into_iter()
        .find(|format| format.recognises(letter))
        .ok_or_else(|| Reason::UnknownFormat {
            subject: quoted(&letter.subject),
            content: quoted(
                &letter
                    .parts
                    .iter()
                    .map(|p| p.kind.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
        })?;
    let drafts = format.decode(letter, arrival)?;
    if drafts.is_empty()
        || drafts
            .iter()
            .all(|d| d.readings.is_empty() && d.event.is_none())
    {
        return Err(Reason::NoReadings { format });
    }
    if drafts.len() > MAX_ROWS_PER_MAIL {
        return Err(Reason::TooManyRows);
    }
    Ok(drafts)
}

/// The limits that hold for every format stand here, once.
fn report(
    context: &DecodeContext<'_>,
    device: &Device,
    draft: Draft,
    part: u32,
) -> Result<Report, Reason> {
    if draft.readings.len() > MAX_METRICS_PER_ROW {
        return Err(Reason::TooManyMetrics {
            found: draft.readings.len(),
        });
    }
    for reading in &draft.readings {
        let name = &reading.name;
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
            return Err(Reason::BadName { name: quoted(name) });
        }
        if !reading.value.is_finite() {
            return Err(Reason::NotFinite {
                metric: name.clone(),
            });
        }
    }
    Ok(Report {
        device: device.id.clone(),
        room: device.room.clone(),
        class: device.class.clone(),
        device_time: draft.device_time,
        arrival: context.arrival,
        readings: draft.readings,
        event: draft.event,
        origin: Origin::Mail {
            node: context.node.clone(),
            seq: context.seq,
            part,
        },
    })
}

/// Foreign text for a reason: shortened, without control characters.
pub(crate) fn quoted(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(QUOTED_CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(QUOTED_CHARS).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests;
