//! From an accepted mail to reports: MIME (RFC 2045) by `mail-parser`, the sender by the
//! [`Directory`], the content by the first of the operator's [`Patterns`] (pattern files and functions)
//! that takes it, else by the first of the [`formats`](crate::formats) that recognises it.
//!
//! Nothing here fails hard: what cannot be read becomes a [`Quarantine`] with its reason.

use wire::{DeviceId, NodeId, Origin, Report, UnixMillis};

use crate::directory::{Device, Directory};
use crate::formats::{Draft, Format, Letter};
use crate::functions::Asked;
use crate::patterns::{Own, Patterns};
use crate::quarantine::{Quarantine, Reason};
use crate::sequence::Sequence;

mod open;

pub(crate) use open::nests_a_message;
pub(crate) use open::open;
pub use open::{MAX_HEADER_BYTES, MAX_HEADER_LINES, MAX_PARTS, MAX_TOP_HEADER_LINES};

/// Largest mail decoded. Device reports are kilobytes; a daily log of a big PDU stays below one
/// megabyte, and four bound what parsing can allocate.
pub const MAX_MAIL_BYTES: usize = 4 << 20;
/// Most reports out of one mail: a day of minutes is 1,440.
pub const MAX_ROWS_PER_MAIL: usize = 2_000;
/// Most numbers in one report: the widest gear we know (blade enclosures) has about 150 sensors.
pub const MAX_METRICS_PER_ROW: usize = 256;
/// Longest metric name in bytes.
pub const MAX_NAME_BYTES: usize = 128;
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
    /// The operator's own formats.
    pub patterns: &'a Patterns,
}

/// What became of a mail.
#[derive(Clone, PartialEq, Debug)]
pub struct Decoded {
    /// Name of the format that took it, whether or not it could read it; `None`: none did.
    pub format: Option<String>,
    /// The reports in the mail's order, or why there are none.
    pub reports: Result<Vec<Report>, Quarantine>,
}

/// The reports in a mail, in the mail's order. `envelope_from` is the reverse-path of the SMTP
/// transaction with or without angle brackets; `raw` the message as received.
pub fn decode(
    context: &DecodeContext<'_>,
    envelope_from: &str,
    raw: &[u8],
) -> Result<Vec<Report>, Quarantine> {
    decode_named(context, envelope_from, raw).reports
}

/// As [`decode`], with the name of the format, for whoever counts.
pub fn decode_named(context: &DecodeContext<'_>, envelope_from: &str, raw: &[u8]) -> Decoded {
    let mut format = None;
    let reports = decode_noting(context, envelope_from, raw, &mut format);
    Decoded { format, reports }
}

fn decode_noting(
    context: &DecodeContext<'_>,
    envelope_from: &str,
    raw: &[u8],
    format: &mut Option<String>,
) -> Result<Vec<Report>, Quarantine> {
    let unknown = |reason| Quarantine {
        device: None,
        reason,
    };
    let letter = open(raw).map_err(unknown)?;
    let device = sender(context.directory, envelope_from, &letter.from).map_err(unknown)?;
    let known = |reason| Quarantine {
        device: Some(device.id.clone()),
        reason,
    };
    let drafts = read(context, &letter, &device.id, format).map_err(known)?;
    reports(context, device, drafts).map_err(known)
}

/// Drafts become reports of their sender, or of whom they name.
pub(crate) fn reports(
    context: &DecodeContext<'_>,
    sender: &Device,
    drafts: Vec<Draft>,
) -> Result<Vec<Report>, Reason> {
    drafts
        .into_iter()
        .zip(0u32..)
        .map(|(draft, part)| report(context, sender, draft, part))
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

/// The content, by the operator's formats first: who wrote one for this gear means it. `taken_by` is
/// the format that took it.
fn read(
    context: &DecodeContext<'_>,
    letter: &Letter,
    sender: &DeviceId,
    taken_by: &mut Option<String>,
) -> Result<Vec<Draft>, Reason> {
    let mut not_asked = None;
    for own in context.patterns.all() {
        match own {
            Own::Pattern(pattern) if pattern.fits(letter, sender) => {
                *taken_by = Some(pattern.name().to_owned());
                return pattern.decode(letter);
            }
            Own::Pattern(_) => {}
            Own::Function(function) => match function.ask(letter, sender, context.arrival) {
                Ok(Asked::NotMine) => {}
                Ok(Asked::TooLarge(bytes)) => not_asked = not_asked.or(Some((function, bytes))),
                Ok(Asked::Read(drafts)) => {
                    *taken_by = Some(function.name().to_owned());
                    return Ok(drafts);
                }
                Err(reason) => {
                    *taken_by = Some(function.name().to_owned());
                    return Err(reason);
                }
            },
        }
    }
    let format = Format::ALL
        .into_iter()
        .find(|format| format.recognises(letter));
    match (format, not_asked) {
        (Some(format), _) => {
            *taken_by = Some(format.name().to_owned());
            decode_as(format, letter, context.arrival)
        }
        (None, Some((function, bytes))) => Err(function.too_large(bytes)),
        (None, None) => Err(nobodys(letter)),
    }
}

/// Why nothing fits.
fn nobodys(letter: &Letter) -> Reason {
    let kinds = || -> Vec<&str> { letter.parts.iter().map(|p| p.kind.as_str()).collect() };
    letter
        .fault()
        .cloned()
        .unwrap_or_else(|| Reason::UnknownFormat {
            subject: quoted(&letter.subject),
            content: quoted(&kinds().join(", ")),
        })
}

/// By a given format; [`harness`](crate::harness) does so for every one.
pub(crate) fn decode_as(
    format: Format,
    letter: &Letter,
    arrival: UnixMillis,
) -> Result<Vec<Draft>, Reason> {
    // An alarm in the text is not to wait for a log that came broken beside it; numbers are not to
    // be missing silently.
    if let Some(fault) = letter.fault().filter(|_| format.reads_attachments()) {
        return Err(fault.clone());
    }
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
    sender: &Device,
    draft: Draft,
    part: u32,
) -> Result<Report, Reason> {
    let device = match &draft.device {
        None => sender,
        Some(id) => context
            .directory
            .get(id)
            .ok_or_else(|| Reason::UnknownName {
                name: quoted(id.as_str()),
            })?,
    };
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
    let mut readings = draft.readings;
    readings.extend(draft.sequence.into_iter().flat_map(Sequence::readings));
    Ok(Report {
        device: device.id.clone(),
        room: device.room.clone(),
        class: device.class.clone(),
        device_time: draft.device_time,
        arrival: context.arrival,
        readings,
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
