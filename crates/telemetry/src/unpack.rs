//! Packed attachments: gzip (RFC 1952) and Zstandard (RFC 8878), unpacked within a bound.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;

use crate::mail::MAX_MAIL_BYTES;

/// Most bytes that all attachments of one mail may unpack to: what a device may send plainly it
/// may send packed, and no more. A gzip bomb grows a thousandfold, so four megabytes of mail
/// could otherwise become four gigabytes.
pub(crate) const MAX_UNPACKED_BYTES: usize = MAX_MAIL_BYTES;

/// Largest Zstandard window: memory that a frame's header alone demands (up to 100 MB by the
/// library's own bound), whatever follows. RFC 8878 §3.1.1.1.2 recommends that decoders support
/// 8 MB; `zstd -19` asks for exactly that.
const MAX_WINDOW_BYTES: u64 = 8 << 20;

/// Zstandard frames in one attachment; `zstd` writes one, `pzstd` a few, a bomb thousands.
const MAX_FRAMES: usize = 64;

/// How an attachment is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Packing {
    Gzip,
    Zstd,
}

/// Why an attachment was not unpacked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum UnpackError {
    /// Over the budget.
    TooLarge,
    /// Not what its name or type promises, or cut off.
    Broken(String),
}

impl Packing {
    /// By what the bytes begin with, else by declared type or file name: a device that promises
    /// gzip and sends something else made a mistake that is worth a reason.
    pub(crate) fn of(kind: &str, name: Option<&str>, bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(&[0x1F, 0x8B]) {
            return Some(Self::Gzip);
        }
        if bytes.starts_with(&[0x28, 0xB5, 0x2F, 0xFD]) {
            return Some(Self::Zstd);
        }
        let name = name.unwrap_or_default().to_ascii_lowercase();
        match kind {
            "application/gzip" | "application/x-gzip" => Some(Self::Gzip),
            "application/zstd" => Some(Self::Zstd),
            _ if name.ends_with(".gz") => Some(Self::Gzip),
            _ if name.ends_with(".zst") => Some(Self::Zstd),
            _ => None,
        }
    }

    /// At most `budget` bytes, or an error.
    pub(crate) fn unpack(self, bytes: &[u8], budget: usize) -> Result<Vec<u8>, UnpackError> {
        match self {
            Self::Gzip => bounded(MultiGzDecoder::new(bytes), budget),
            Self::Zstd => zstd(bytes, budget),
        }
    }
}

/// The name of what is inside: `history.csv.gz` → `history.csv`.
pub(crate) fn inner_name(name: &str) -> &str {
    let suffix = [".gz", ".gzip", ".zst"]
        .into_iter()
        .find(|suffix| name.to_ascii_lowercase().ends_with(suffix));
    suffix.map_or(name, |suffix| &name[..name.len() - suffix.len()])
}

/// The type of what is inside, where only the file name tells.
pub(crate) fn kind_by_name(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, last)| last);
    match extension.unwrap_or_default().to_ascii_lowercase().as_str() {
        "csv" => "text/csv",
        "json" => "application/json",
        "senml" => "application/senml+json",
        "senmlc" | "cbor" => "application/senml+cbor",
        _ => "application/octet-stream",
    }
}

/// Reads one byte further than allowed, so that exactly full and too full differ.
fn bounded(reader: impl Read, budget: usize) -> Result<Vec<u8>, UnpackError> {
    let mut out = Vec::new();
    let limit = u64::try_from(budget).unwrap_or(u64::MAX).saturating_add(1);
    reader
        .take(limit)
        .read_to_end(&mut out)
        .map_err(|error| UnpackError::Broken(error.to_string()))?;
    if out.len() > budget {
        return Err(UnpackError::TooLarge);
    }
    Ok(out)
}

/// Frame after frame, as RFC 8878 §3 allows; skippable frames hold no data of the sender's.
fn zstd(mut bytes: &[u8], budget: usize) -> Result<Vec<u8>, UnpackError> {
    let mut out = Vec::new();
    for _ in 0..MAX_FRAMES {
        if bytes.is_empty() {
            return Ok(out);
        }
        if let Some(rest) = behind_skippable(bytes) {
            bytes = rest?;
            continue;
        }
        check_window(bytes)?;
        let decoder = StreamingDecoder::new(&mut bytes)
            .map_err(|error| UnpackError::Broken(error.to_string()))?;
        out.extend(bounded(decoder, budget - out.len())?);
    }
    if bytes.is_empty() {
        return Ok(out);
    }
    Err(UnpackError::Broken(format!(
        "it has more than {MAX_FRAMES} Zstandard frames"
    )))
}

/// The window that a frame's header asks for (§3.1.1.1), before anything of that size is made.
fn check_window(frame: &[u8]) -> Result<(), UnpackError> {
    let window = window(frame)
        .ok_or_else(|| UnpackError::Broken("its frame header is cut off".to_owned()))?;
    if window > MAX_WINDOW_BYTES {
        return Err(UnpackError::TooLarge);
    }
    Ok(())
}

fn window(frame: &[u8]) -> Option<u64> {
    let descriptor = *frame.get(4)?;
    let single_segment = descriptor & 0b0010_0000 != 0;
    if !single_segment {
        let byte = *frame.get(5)?;
        let base = 1u64 << (10 + (byte >> 3));
        return Some(base + base / 8 * u64::from(byte & 7));
    }
    // One segment: the window is the content, whose size stands behind the dictionary's id.
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let (length, offset) = [(1, 0), (2, 256), (4, 0), (8, 0)][usize::from(descriptor >> 6)];
    let mut size = [0; 8];
    size[..length].copy_from_slice(frame.get(5 + dictionary..5 + dictionary + length)?);
    u64::from_le_bytes(size).checked_add(offset)
}

/// RFC 8878 §3.1.2: magic 0x184D2A50 to 5F, a little-endian length, and that many bytes.
fn behind_skippable(bytes: &[u8]) -> Option<Result<&[u8], UnpackError>> {
    let (head, rest) = bytes.split_at_checked(8)?;
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if word(0) & 0xFFFF_FFF0 != 0x184D_2A50 {
        return None;
    }
    let length = usize::try_from(word(4)).unwrap_or(usize::MAX);
    Some(
        rest.get(length..)
            .ok_or_else(|| UnpackError::Broken("its last frame is cut off".to_owned())),
    )
}

#[cfg(test)]
mod tests;
