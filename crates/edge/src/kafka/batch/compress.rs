//! The four compressions, as the Java client, librdkafka and samsa write them.

use bytes::{Buf, Bytes};
use std::io::{Read, Write};

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
    pub(super) fn decompress(self, packed: Bytes, limit: usize) -> Result<Bytes, DecompressError> {
        match self {
            Self::None => Ok(packed),
            Self::Gzip => read_all(flate2::read::MultiGzDecoder::new(&packed[..]), limit),
            Self::Snappy => snappy(packed, limit),
            Self::Lz4 => read_all(lz4_flex::frame::FrameDecoder::new(&packed[..]), limit),
            // Its own limit on windows (128 MiB, the largest that any level writes) stands.
            Self::Zstd => match zstd::stream::read::Decoder::with_buffer(&packed[..]) {
                Ok(decoder) => read_all(decoder, limit),
                Err(error) => Err(DecompressError::Corrupt(error.to_string())),
            },
        }
    }
}

fn read_all(stream: impl Read, limit: usize) -> Result<Bytes, DecompressError> {
    // What records usually come to, so that growing seldom copies; never more than a claim can cost.
    let mut plain = Vec::with_capacity(limit.min(USUAL));
    let most = u64::try_from(limit).unwrap_or(u64::MAX);
    stream
        .take(most.saturating_add(1))
        .read_to_end(&mut plain)
        .map_err(|error| DecompressError::Corrupt(error.to_string()))?;
    if plain.len() > limit {
        Err(DecompressError::TooLarge)
    } else {
        Ok(Bytes::from(plain))
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
