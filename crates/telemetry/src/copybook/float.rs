//! COMP-1 and COMP-2: IBM hexadecimal floating point (z/Architecture Principles of Operation,
//! "Hexadecimal-floating-point instructions"): a sign, seven bits of characteristic (power of 16,
//! excess 64), a fraction of 24 or 56 bits.

use super::FloatSize;

/// Excess of the characteristic.
const EXCESS: i32 = 64;

/// Every short number is exactly a double. A long one has up to 56 significant bits against 53: the
/// nearest double, ties to even.
pub(super) fn decode(size: FloatSize, bytes: &[u8]) -> f64 {
    let bits = bytes
        .iter()
        .fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    let (sign_at, fraction_bits) = shape(size);
    let negative = bits >> sign_at & 1 == 1;
    let characteristic = (bits >> (sign_at - 7) & 0x7F) as i32;
    let fraction = bits & ((1 << fraction_bits) - 1);
    // 16^±64 is 2^±256, well within a double: no overflow, no subnormal, so scaling is exact.
    let power = 4 * (characteristic - EXCESS) - fraction_bits;
    let magnitude = fraction as f64 * 2f64.powi(power);
    if negative { -magnitude } else { magnitude }
}

/// Position of the sign and length of the fraction.
const fn shape(size: FloatSize) -> (u32, i32) {
    match size {
        FloatSize::Short => (31, 24),
        FloatSize::Long => (63, 56),
    }
}

/// The normalised number nearest to `value`, ties to even. The error is the rule that it breaks.
pub(super) fn encode(size: FloatSize, value: f64, out: &mut [u8]) -> Result<(), &'static str> {
    const RANGE: &str =
        "a hexadecimal floating-point number lies between 5.4E-79 and 7.2E75, or is 0";
    if !value.is_finite() {
        return Err("hexadecimal floating point has no infinity and no NaN");
    }
    let (sign_at, fraction_bits) = shape(size);
    let mut bits = u64::from(value.is_sign_negative()) << sign_at;
    if value != 0.0 {
        let (mantissa, exponent) = parts(value.abs());
        // The value is mantissa × 2^exponent, with 53 bits: its leading one stands for 2^(52+exponent).
        // The smallest power of 16 above the value: 16^power > value.
        let mut power =
            (53 + exponent).div_euclid(4) + i32::from((53 + exponent).rem_euclid(4) > 0);
        // fraction = value / 16^power × 2^fraction_bits
        let shift = exponent - 4 * power + fraction_bits;
        let mut fraction = shifted(mantissa, shift);
        if fraction >> fraction_bits > 0 {
            fraction >>= 4;
            power += 1;
        }
        let characteristic = power + EXCESS;
        if !(0..=0x7F).contains(&characteristic) {
            return Err(RANGE);
        }
        bits |= (characteristic as u64) << (sign_at - 7) | fraction;
    }
    let bytes = bits.to_be_bytes();
    out.copy_from_slice(&bytes[bytes.len() - out.len()..]);
    Ok(())
}

/// Mantissa with its leading one at bit 52, and the power of two that it is multiplied with.
fn parts(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    match (bits >> 52 & 0x7FF) as i32 {
        0 => {
            // Subnormal: far below what hexadecimal floating point reaches, but it has to be told so.
            let lead = fraction.leading_zeros() as i32 - 11;
            (fraction << lead, -1074 - lead)
        }
        exponent => (fraction | 1 << 52, exponent - 1075),
    }
}

/// `mantissa × 2^shift`, rounded to the nearest, ties to even.
fn shifted(mantissa: u64, shift: i32) -> u64 {
    if shift >= 0 {
        // At most 3 bits: 56 against 53.
        return mantissa << shift;
    }
    let down = (-shift) as u32;
    if down > 63 {
        return 0;
    }
    let (kept, lost) = (mantissa >> down, mantissa & ((1 << down) - 1));
    let half = 1 << (down - 1);
    kept + u64::from(lost > half || (lost == half && kept & 1 == 1))
}
