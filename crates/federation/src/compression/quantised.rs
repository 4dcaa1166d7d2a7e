use super::bits::{pack, packed_len, unpack};
use super::{DecodeError, QUANTISED, Rounding, fits, put_u32, take_u32, whole};
use crate::random::SplitMix;
use std::ops::RangeInclusive;

/// With one bit there is no zero; more than 16 save too little over f32.
pub(super) const BITS: RangeInclusive<u8> = 2..=16;
/// Coordinates that share a scale: layers differ by orders of magnitude, and a scale costs 4 bytes.
const BLOCK: usize = 256;
/// Kind, bits, length.
const HEAD: usize = 6;

/// Levels on each side of zero.
fn levels(bits: u8) -> u32 {
    (1 << (bits - 1)) - 1
}

pub(super) fn encoded_len(length: usize, bits: u8) -> usize {
    let (blocks, rest) = (length / BLOCK, length % BLOCK);
    let block = |count| 4 + packed_len(count, bits.into());
    HEAD + blocks * block(BLOCK) + if rest > 0 { block(rest) } else { 0 }
}

pub(super) fn encode(update: &[f32], bits: u8, rounding: Rounding, seed: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(encoded_len(update.len(), bits));
    bytes.extend([QUANTISED, bits]);
    put_u32(update.len(), &mut bytes);
    let mut random = SplitMix::new(seed);
    let levels = levels(bits);
    for block in update.chunks(BLOCK) {
        let scale = block
            .iter()
            .fold(0.0_f32, |most, value| most.max(value.abs()));
        bytes.extend(scale.to_le_bytes());
        let symbols = block.iter().map(|value| {
            if scale == 0.0 {
                return levels;
            }
            let size = f64::from(value.abs()) / f64::from(scale) * f64::from(levels);
            let up = match rounding {
                Rounding::Stochastic => random.unit(),
                Rounding::Nearest => 0.5,
            };
            let level = (size + up).floor().min(f64::from(levels)) as u32;
            if *value < 0.0 {
                levels - level
            } else {
                levels + level
            }
        });
        pack(symbols, bits.into(), &mut bytes);
    }
    bytes
}

pub(super) fn decode(bytes: &[u8], length: usize) -> Result<Vec<f32>, DecodeError> {
    let (&bits, rest) = bytes
        .split_first()
        .filter(|(bits, _)| BITS.contains(bits))
        .ok_or(DecodeError::Malformed("bits a coordinate"))?;
    let (found, mut rest) = take_u32(rest)?;
    fits(length, found)?;
    whole(encoded_len(length, bits), HEAD + rest.len())?;
    let levels = levels(bits);
    let mut update = Vec::with_capacity(length);
    while update.len() < length {
        let count = BLOCK.min(length - update.len());
        let (scale, after) = rest
            .split_first_chunk()
            .ok_or(DecodeError::Malformed("a block without a scale"))?;
        let scale = f32::from_le_bytes(*scale);
        if !(scale >= 0.0 && scale.is_finite()) {
            return Err(DecodeError::Malformed("a scale that is no size"));
        }
        let (packed, after) = after.split_at(packed_len(count, bits.into()));
        for symbol in unpack(packed, count, bits.into())? {
            if symbol > 2 * levels {
                return Err(DecodeError::Malformed("a level beyond the scale"));
            }
            let level = f64::from(symbol) - f64::from(levels);
            update.push((level / f64::from(levels) * f64::from(scale)) as f32);
        }
        rest = after;
    }
    Ok(update)
}
