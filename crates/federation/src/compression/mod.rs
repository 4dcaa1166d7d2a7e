//! Smaller updates: fewer bits a coordinate, or fewer coordinates, and what was left out is sent with the
//! next one.
//!
//! * [`Codec::Quantised`]: each coordinate to b bits, in blocks with a scale of their own (Alistarh, Grubic, Li,
//!   Tomioka, Vojnović, NeurIPS 2017, *QSGD*, with the largest coordinate in place of the norm). Rounded
//!   at random it is unbiased and needs no feedback; rounded to the nearest it never errs by more than
//!   the coordinate itself, which feedback needs.
//! * [`Codec::TopK`]: the k largest coordinates (Aji, Heafield, EMNLP 2017). Biased: of little use without
//!   feedback.
//! * [`Feedback`]: Karimireddy, Rebjock, Stich, Jaggi, ICML 2019, *Error Feedback Fixes SignSGD*:
//!   `p = Δ + e`, send C(p), `e' = p − C(p)`.
//!
//! # Bytes
//! Integers are little-endian; numbers of less than 8 bits stand from the lowest bit of each byte upwards, and the
//! last byte of a run is filled up with zeros.
//!
//! ```text
//! quantised   1  b  n:u32   for each block of 256: scale:f32, 256 × b bits: level + 2^(b−1) − 1
//! top-k       2  n:u32  k:u32   k × ⌈log₂ n⌉ bits: indices, rising   k × f32: values
//! ```

mod bits;
mod feedback;
mod quantised;
#[cfg(test)]
mod tests;
mod top_k;

pub use feedback::Feedback;

use crate::MAX_PARAMETERS;

const QUANTISED: u8 = 1;
const TOP_K: u8 = 2;

/// How quantising rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Up or down with the probability that makes the mean exact.
    Stochastic,
    /// To the nearest level; for [`Feedback`].
    Nearest,
}

/// How updates are made smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// To so many bits a coordinate, 2 to 16.
    Quantised {
        /// b.
        bits: u8,
        /// How.
        rounding: Rounding,
    },
    /// To so many coordinates.
    TopK {
        /// k, at least 1; more than there are means all.
        keep: usize,
    },
}

/// Why an update was not made smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Out of bounds.
    #[error("a coordinate cannot be quantised to {bits} bits; give 2 to 16")]
    Bits {
        /// As given.
        bits: u8,
    },
    /// Nothing would be left.
    #[error("an update of no coordinates says nothing; keep at least 1")]
    Nothing,
    /// More than any model has.
    #[error("an update of {length} parameters is longer than a model may be ({MAX_PARAMETERS})")]
    TooLong {
        /// Of the update.
        length: usize,
    },
    /// NaN or infinite.
    #[error("parameter {index} of the update is not finite")]
    NotFinite {
        /// The first such parameter.
        index: usize,
    },
}

/// Why bytes are no update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Neither of the two.
    #[error("bytes that begin with {found:?} are no compressed update")]
    Kind {
        /// First byte.
        found: Option<u8>,
    },
    /// Another model's.
    #[error("an update of {found} parameters does not fit the model's {expected}")]
    Length {
        /// The model's.
        expected: usize,
        /// The update's.
        found: usize,
    },
    /// Its head says how long it is.
    #[error("{found} bytes where the head speaks of {expected}")]
    Size {
        /// By the head.
        expected: usize,
        /// There are.
        found: usize,
    },
    /// A value that no encoder writes.
    #[error("malformed: {0}")]
    Malformed(&'static str),
}

impl Codec {
    /// Refuses settings out of bounds.
    pub fn check(&self) -> Result<(), EncodeError> {
        match *self {
            Self::Quantised { bits, rounding: _ } if !quantised::BITS.contains(&bits) => {
                Err(EncodeError::Bits { bits })
            }
            Self::TopK { keep: 0 } => Err(EncodeError::Nothing),
            Self::Quantised { .. } | Self::TopK { .. } => Ok(()),
        }
    }

    /// Exactly so many bytes become of an update of `length` parameters.
    pub fn encoded_len(&self, length: usize) -> usize {
        match *self {
            Self::Quantised { bits, rounding: _ } => quantised::encoded_len(length, bits),
            Self::TopK { keep } => top_k::encoded_len(length, keep.min(length)),
        }
    }

    /// The update as bytes. `seed` decides how stochastic rounding falls, and nothing else; it need not be
    /// secret, and should differ between participants and rounds, lest their errors add up.
    pub fn encode(&self, update: &[f32], seed: u64) -> Result<Vec<u8>, EncodeError> {
        self.check()?;
        let length = update.len();
        if length > MAX_PARAMETERS {
            return Err(EncodeError::TooLong { length });
        }
        if let Some(index) = update.iter().position(|value| !value.is_finite()) {
            return Err(EncodeError::NotFinite { index });
        }
        Ok(match *self {
            Self::Quantised { bits, rounding } => quantised::encode(update, bits, rounding, seed),
            Self::TopK { keep } => top_k::encode(update, keep.min(length)),
        })
    }
}

/// The update for a model of `length` parameters that `bytes` stand for. Memory is taken by `length`, not by
/// what the bytes claim.
pub fn decode(bytes: &[u8], length: usize) -> Result<Vec<f32>, DecodeError> {
    match bytes.split_first() {
        Some((&QUANTISED, rest)) => quantised::decode(rest, length),
        Some((&TOP_K, rest)) => top_k::decode(rest, length),
        Some((&found, _)) => Err(DecodeError::Kind { found: Some(found) }),
        None => Err(DecodeError::Kind { found: None }),
    }
}

/// A little-endian u32 off the front.
fn take_u32(bytes: &[u8]) -> Result<(usize, &[u8]), DecodeError> {
    let (head, rest) = bytes
        .split_first_chunk()
        .ok_or(DecodeError::Malformed("it ends within its head"))?;
    Ok((u32::from_le_bytes(*head) as usize, rest))
}

/// Lengths are below [`MAX_PARAMETERS`].
fn put_u32(value: usize, bytes: &mut Vec<u8>) {
    bytes.extend((value as u32).to_le_bytes());
}

fn fits(expected: usize, found: usize) -> Result<(), DecodeError> {
    match expected == found {
        true => Ok(()),
        false => Err(DecodeError::Length { expected, found }),
    }
}

fn whole(expected: usize, found: usize) -> Result<(), DecodeError> {
    match expected == found {
        true => Ok(()),
        false => Err(DecodeError::Size { expected, found }),
    }
}
