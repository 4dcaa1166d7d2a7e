//! The four compressions, as the Java client, librdkafka and samsa write them.

use super::lz4;
use bytes::{Buf, Bytes};
use std::io::{BufRead, BufReader, Write};
use zstd::zstd_safe::{self, DCtx, InBuffer, OutBuffer, ResetDirective};

/// How a batch's records are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Codec {
    /// Not.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Snappy: raw, or in the framing of the Java library ("xerial").
    Snappy,
    /// LZ4 frame.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// Why decompression stopped.
pub(super) enum DecompressError {
    TooLarge,
    Corrupt(String),
}

/// Room that a batch gets in advance: producers gather 16 KiB to 1 MiB.
const USUAL: usize = 256 * 1024;
/// How many times smaller a compressed batch may be and still get all its room in advance.
const LIKELY_RATIO: usize = 64;
/// What is decompressed at a time where the size is not known.
const PIECE: usize = 64 * 1024;

/// Magic of snappy-java's stream framing; two version numbers follow.
const XERIAL: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER: usize = 16;

impl Codec {
    /// All, for tests and help texts.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The number in a batch's attributes.
    pub const fn number(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// The inverse of [`number`](Self::number).
    pub const fn from_number(number: i16) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    pub(super) fn compress(self, plain: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::None => Ok(plain.to_vec()),
            Self::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder
                    .write_all(plain)
                    .and_then(|()| encoder.finish())
                    .map_err(|error| error.to_string())
            }
            Self::Snappy => snap::raw::Encoder::new()
                .compress_vec(plain)
                .map_err(|error| error.to_string()),
            Self::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder
                    .write_all(plain)
                    .map_err(|error| error.to_string())?;
                encoder.finish().map_err(|error| error.to_string())
            }
            Self::Zstd => zstd::bulk::compress(plain, zstd::DEFAULT_COMPRESSION_LEVEL)
                .map_err(|error| error.to_string()),
        }
    }

    /// At most `limit` bytes come out.
    pub(super) fn decompress(
        self,
        packed: Bytes,
        limit: usize,
        workspace: &mut Workspace,
    ) -> Result<Bytes, DecompressError> {
        match self {
            Self::None => Ok(packed),
            Self::Gzip => {
                let stream = flate2::bufread::MultiGzDecoder::new(&packed[..]);
                read_all(BufReader::with_capacity(PIECE, stream), limit)
            }
            Self::Snappy => snappy(packed, limit),
            Self::Lz4 => lz4::frames(&packed, limit),
            Self::Zstd => zstd_frames(&packed, limit, workspace.zstd()?),
        }
    }
}

/// What a decompressor needs besides its input: made once for many batches.
#[derive(Default)]
pub(super) struct Workspace {
    zstd: Option<DCtx<'static>>,
}

impl Workspace {
    fn zstd(&mut self) -> Result<&mut DCtx<'static>, DecompressError> {
        let context = match self.zstd.take() {
            Some(context) => context,
            None => DCtx::try_create().ok_or_else(|| {
                DecompressError::Corrupt("there is no memory to decompress zstd".to_owned())
            })?,
        };
        Ok(self.zstd.insert(context))
    }
}

fn read_all(mut stream: impl BufRead, limit: usize) -> Result<Bytes, DecompressError> {
    // What records usually come to, so that growing seldom copies; never more than a claim can cost.
    let mut plain = Vec::with_capacity(limit.min(USUAL));
    loop {
        let piece = stream
            .fill_buf()
            .map_err(|error| DecompressError::Corrupt(error.to_string()))?;
        if piece.is_empty() {
            return Ok(Bytes::from(plain));
        }
        if piece.len() > limit - plain.len() {
            return Err(DecompressError::TooLarge);
        }
        plain.extend_from_slice(piece);
        let taken = piece.len();
        stream.consume(taken);
    }
}

/// Frames one after the other. zstd's own limit on windows (128 MiB, the largest that any level writes) stands.
fn zstd_frames(
    packed: &[u8],
    limit: usize,
    context: &mut DCtx<'static>,
) -> Result<Bytes, DecompressError> {
    let corrupt = |code| DecompressError::Corrupt(zstd_safe::get_error_name(code).to_owned());
    context
        .reset(ResetDirective::SessionOnly)
        .map_err(corrupt)?;
    // Room for the whole frame spares zstd a window of its own and us a copy; a frame that claims much gets it piece by
    // piece.
    let told = zstd_safe::get_frame_content_size(packed).ok().flatten();
    let told = told.and_then(|size| usize::try_from(size).ok());
    let likely = USUAL.max(packed.len().saturating_mul(LIKELY_RATIO));
    let mut plain = Vec::with_capacity(told.unwrap_or(USUAL).min(likely).min(limit));
    let mut input = InBuffer::around(packed);
    loop {
        if plain.len() == plain.capacity() {
            // One byte over the limit, to tell what ends there from what does not.
            let most = limit.saturating_add(1) - plain.len();
            plain.reserve_exact(plain.len().max(PIECE).min(most));
        }
        let before = plain.len();
        let mut output = OutBuffer::around_pos(&mut plain, before);
        let left = context
            .decompress_stream(&mut output, &mut input)
            .map_err(corrupt)?;
        let all = input.pos() == packed.len();
        if plain.len() > limit {
            return Err(DecompressError::TooLarge);
        }
        match (left, all) {
            (0, true) => return Ok(Bytes::from(plain)),
            (1.., true) if plain.len() < plain.capacity() => {
                return Err(DecompressError::Corrupt(
                    "a zstd frame is cut off".to_owned(),
                ));
            }
            _ => {}
        }
    }
}

fn snappy(mut packed: Bytes, limit: usize) -> Result<Bytes, DecompressError> {
    let mut plain = Vec::new();
    if !packed.starts_with(XERIAL) {
        snappy_block(&packed, limit, &mut plain)?;
        return Ok(Bytes::from(plain));
    }
    let cut = || DecompressError::Corrupt("a snappy block is cut off".to_owned());
    if packed.len() < XERIAL_HEADER {
        return Err(cut());
    }
    packed.advance(XERIAL_HEADER);
    while packed.has_remaining() {
        let len = if packed.len() < 4 {
            return Err(cut());
        } else {
            packed.get_u32() as usize
        };
        if packed.len() < len {
            return Err(cut());
        }
        snappy_block(&packed.split_to(len), limit, &mut plain)?;
    }
    Ok(Bytes::from(plain))
}

fn snappy_block(block: &[u8], limit: usize, plain: &mut Vec<u8>) -> Result<(), DecompressError> {
    let corrupt = |error: snap::Error| DecompressError::Corrupt(error.to_string());
    let len = snap::raw::decompress_len(block).map_err(corrupt)?;
    let start = plain.len();
    if len > limit - start {
        return Err(DecompressError::TooLarge);
    }
    plain.resize(start + len, 0);
    snap::raw::Decoder::new()
        .decompress(block, &mut plain[start..])
        .map_err(corrupt)?;
    Ok(())
}
