//! One encoding for all: a version byte, then postcard (a documented, stable, compact format).

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The version this build writes. A reader refuses what it does not know instead of guessing.
pub const VERSION: u8 = 1;

/// Largest encoded value accepted, in bytes. A model of one million f32 parameters is 4 MB;
/// sixteen leaves room for it and still bounds what a peer can make us allocate.
pub const MAX_ENCODED: usize = 16 << 20;

/// Room that saves most values from growing piece by piece.
const SMALL: usize = 128;

/// Why bytes from a peer or a disk were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Nothing to read.
    #[error("empty input where an encoded value was expected")]
    Empty,
    /// A future or foreign format.
    #[error(
        "format version {found} is not readable by this build (it reads {VERSION}); upgrade the older node first"
    )]
    Version {
        /// The version byte found.
        found: u8,
    },
    /// Over [`MAX_ENCODED`].
    #[error("encoded value of {len} bytes is over the limit of {MAX_ENCODED}")]
    TooLarge {
        /// Length of the input.
        len: usize,
    },
    /// Not what the type requires.
    #[error("malformed value: {0}")]
    Malformed(String),
}

/// Version byte and postcard body.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    extend(value, begin(Vec::with_capacity(SMALL)))
}

/// The version byte, behind which parts of a body go.
pub(crate) fn begin(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.push(VERSION);
    bytes
}

/// Appends a part of a body.
pub(crate) fn extend<T: Serialize>(value: &T, bytes: Vec<u8>) -> Vec<u8> {
    postcard::to_extend(value, bytes)
        .expect("postcard fails only on types without a known length; no wire type is one")
}

/// The inverse of [`encode`]; trailing bytes are an error.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let (value, rest) = take(body(bytes)?)?;
    end(rest)?;
    Ok(value)
}

/// What comes after the version byte.
pub(crate) fn body(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    if bytes.len() > MAX_ENCODED {
        return Err(DecodeError::TooLarge { len: bytes.len() });
    }
    match bytes.split_first() {
        None => Err(DecodeError::Empty),
        Some((&VERSION, body)) => Ok(body),
        Some((&found, _)) => Err(DecodeError::Version { found }),
    }
}

/// Takes a part off a body; gives what is left.
pub(crate) fn take<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<(T, &'a [u8]), DecodeError> {
    postcard::take_from_bytes(body).map_err(malformed)
}

/// Nothing may be left.
pub(crate) fn end(rest: &[u8]) -> Result<(), DecodeError> {
    match rest.len() {
        0 => Ok(()),
        many => Err(DecodeError::Malformed(format!("{many} bytes too many"))),
    }
}

pub(crate) fn malformed(error: postcard::Error) -> DecodeError {
    DecodeError::Malformed(error.to_string())
}
