//! Bytes ↔ exact numbers (IBM Enterprise COBOL for z/OS Programming Guide, "Formats for numeric data").

use super::{Decimal, Number, SignPlace, Usage};

const ZONED_DIGIT: &str = "a zoned digit is F0 to F9";
const ZONED_SIGN: &str = "the zone of the digit with the sign is a sign code, A to F";
const SEPARATE_SIGN: &str = "a separate sign is + (4E) or - (60)";
const PACKED_DIGIT: &str = "a packed digit is 0 to 9";
const PACKED_SIGN: &str = "the last half-byte of a packed number is a sign code, A to F";
const MINUS: &str = "the sign is minus and the picture has no S";
const SPARE: &str = "the spare first half-byte of packed digits is 0";
const BLANK: u8 = 0x40;
const PLUS_CHARACTER: u8 = 0x4E;
const MINUS_CHARACTER: u8 = 0x60;
/// Digits that fit 64 bits, which are several times as fast as 128.
const FAST_DIGITS: usize = 18;

/// Bytes of a numeric field → its value; the error is the rule that they break.
pub(super) fn decode(number: Number, bytes: &[u8]) -> Result<Decimal, &'static str> {
    let mantissa = match number.usage {
        Usage::Display => zoned(number, bytes)?,
        Usage::Packed => packed(number, bytes)?,
        Usage::UnsignedPacked => unsigned_packed(number, bytes)?,
        Usage::Binary | Usage::Native => binary(number, bytes),
    };
    Ok(match u8::try_from(number.scale) {
        Ok(scale) => Decimal::new(mantissa, scale),
        // P behind the digits. With them there are at most 31, but a binary value may exceed its picture.
        Err(_) => {
            let whole = mantissa.checked_mul(power(number.scale));
            Decimal::new(whole.ok_or("a number has at most 38 digits")?, 0)
        }
    })
}

/// What P's behind the digits multiply with.
fn power(scale: i8) -> i128 {
    10i128.pow(u32::from(scale.unsigned_abs()))
}

/// The inverse; `out` has the field's length. The error is the rule that the number breaks.
pub(super) fn encode(number: Number, decimal: Decimal, out: &mut [u8]) -> Result<(), &'static str> {
    let mantissa = match u8::try_from(number.scale) {
        Ok(scale) => {
            let scaled = decimal.rescale(scale);
            scaled
                .ok_or("the picture has fewer digits behind the point")?
                .mantissa
        }
        Err(_) => {
            let whole = decimal.to_integer();
            let divided = whole.filter(|whole| whole % power(number.scale) == 0);
            divided.ok_or("the picture has no such small digits")? / power(number.scale)
        }
    };
    if mantissa < 0 && !number.signed {
        return Err("the picture has no S, so the number is not negative");
    }
    let fits = match number.usage {
        // Native binary uses all its bits, whatever the picture says.
        Usage::Native => fits_binary(number, mantissa, out.len()),
        Usage::Display | Usage::Packed | Usage::UnsignedPacked | Usage::Binary => {
            mantissa.unsigned_abs() < 10u128.pow(u32::from(number.digits))
        }
    };
    if !fits {
        return Err("the picture has fewer digits");
    }
    match number.usage {
        Usage::Display if number.blank_when_zero && mantissa == 0 => out.fill(BLANK),
        Usage::Display => encode_zoned(number, mantissa, out),
        Usage::Packed => encode_packed(number, mantissa, out),
        Usage::UnsignedPacked => encode_digits(mantissa.unsigned_abs(), out),
        Usage::Binary | Usage::Native => {
            out.copy_from_slice(&mantissa.to_be_bytes()[16 - out.len()..]);
        }
    }
    Ok(())
}

fn fits_binary(number: Number, mantissa: i128, len: usize) -> bool {
    let bits = 8 * len as u32;
    match number.signed {
        true => (-(1i128 << (bits - 1))..1i128 << (bits - 1)).contains(&mantissa),
        false => mantissa < 1i128 << bits,
    }
}

/// Sign codes: C and F (and A, E) are plus, D (and B) minus; for others the caller's rule is broken.
fn sign(code: u8, signed: bool, rule: &'static str) -> Result<bool, &'static str> {
    match (code, signed) {
        (0xA | 0xC | 0xE | 0xF, _) => Ok(false),
        (0xB | 0xD, true) => Ok(true),
        (0xB | 0xD, false) => Err(MINUS),
        _ => Err(rule),
    }
}

fn signed(magnitude: i128, minus: bool) -> i128 {
    if minus { -magnitude } else { magnitude }
}

/// The number that the low half-bytes hold.
fn low_halves(bytes: &[u8]) -> Result<i128, &'static str> {
    let mut bad = 0;
    let mut next = |byte: &u8| {
        let digit = byte & 0xF;
        // 10 to 15 plus 6 carry into the next bit.
        bad |= digit + 6;
        digit
    };
    let magnitude = if bytes.len() <= FAST_DIGITS {
        let add = |sum: u64, byte| sum.wrapping_mul(10).wrapping_add(u64::from(next(byte)));
        i128::from(bytes.iter().fold(0, add))
    } else {
        let add = |sum: i128, byte| sum.wrapping_mul(10).wrapping_add(i128::from(next(byte)));
        bytes.iter().fold(0, add)
    };
    match bad & 0x10 {
        0 => Ok(magnitude),
        _ => Err(ZONED_DIGIT),
    }
}

fn zoned(number: Number, bytes: &[u8]) -> Result<i128, &'static str> {
    if number.blank_when_zero && bytes.iter().all(|byte| *byte == BLANK) {
        return Ok(0);
    }
    let (digits, code) = match (number.sign, bytes) {
        (SignPlace::TrailingSeparate, [digits @ .., code]) => (digits, *code),
        (SignPlace::LeadingSeparate, [code, digits @ ..]) => (digits, *code),
        (SignPlace::Trailing, [.., code]) | (SignPlace::Leading, [code, ..]) => (bytes, code >> 4),
        (_, []) => return Err(ZONED_DIGIT),
    };
    // Zones of all digits but the one that carries the sign.
    let plain = match number.sign {
        SignPlace::Trailing => &digits[..digits.len() - 1],
        SignPlace::Leading => &digits[1..],
        SignPlace::TrailingSeparate | SignPlace::LeadingSeparate => digits,
    };
    let zones = plain.iter().fold(0xF0u8, |zones, byte| zones & byte);
    let magnitude = low_halves(digits)?;
    // All ones in the high half, whatever the low ones are.
    if zones & 0xF0 != 0xF0 {
        return Err(ZONED_DIGIT);
    }
    let minus = match number.sign {
        SignPlace::TrailingSeparate | SignPlace::LeadingSeparate => separate(code)?,
        SignPlace::Trailing | SignPlace::Leading => sign(code, number.signed, ZONED_SIGN)?,
    };
    Ok(signed(magnitude, minus))
}

fn separate(sign: u8) -> Result<bool, &'static str> {
    match sign {
        PLUS_CHARACTER => Ok(false),
        MINUS_CHARACTER => Ok(true),
        _ => Err(SEPARATE_SIGN),
    }
}

fn encode_zoned(number: Number, mantissa: i128, out: &mut [u8]) {
    let minus = mantissa < 0;
    let character = if minus {
        MINUS_CHARACTER
    } else {
        PLUS_CHARACTER
    };
    let digits = match (number.sign, &mut *out) {
        (SignPlace::TrailingSeparate, [digits @ .., sign])
        | (SignPlace::LeadingSeparate, [sign, digits @ ..]) => {
            *sign = character;
            digits
        }
        (_, whole) => whole,
    };
    let mut rest = mantissa.unsigned_abs();
    for byte in digits.iter_mut().rev() {
        *byte = 0xF0 | (rest % 10) as u8;
        rest /= 10;
    }
    let carrier = match number.sign {
        SignPlace::Trailing => digits.last_mut(),
        SignPlace::Leading => digits.first_mut(),
        SignPlace::TrailingSeparate | SignPlace::LeadingSeparate => None,
    };
    if number.signed
        && let Some(carrier) = carrier
    {
        *carrier = (*carrier & 0xF) | if minus { 0xD0 } else { 0xC0 };
    }
}

/// Two packed digits → their value; [`NO_PAIR`] where one of them is none.
const PAIRS: [u8; 256] = {
    let mut pairs = [NO_PAIR; 256];
    let mut value = 0;
    while value < 100 {
        pairs[((value / 10) << 4) | (value % 10)] = value as u8;
        value += 1;
    }
    pairs
};
/// Has a bit that no value below 100 has.
const NO_PAIR: u8 = 0x80;

/// The number that bytes of two digits hold.
fn pairs(bytes: &[u8]) -> Result<i128, &'static str> {
    let mut bad = 0;
    let mut next = |byte: &u8| {
        let pair = PAIRS[usize::from(*byte)];
        bad |= pair;
        pair
    };
    let magnitude = if 2 * bytes.len() <= FAST_DIGITS {
        let add = |sum: u64, byte| sum.wrapping_mul(100).wrapping_add(u64::from(next(byte)));
        i128::from(bytes.iter().fold(0, add))
    } else {
        let add = |sum: i128, byte| sum.wrapping_mul(100).wrapping_add(i128::from(next(byte)));
        bytes.iter().fold(0, add)
    };
    match bad & NO_PAIR {
        0 => Ok(magnitude),
        _ => Err(PACKED_DIGIT),
    }
}

fn packed(number: Number, bytes: &[u8]) -> Result<i128, &'static str> {
    let Some((last, before)) = bytes.split_last() else {
        return Err(PACKED_SIGN);
    };
    let (digit, code) = (last >> 4, last & 0xF);
    let magnitude = pairs(before)?;
    if digit > 9 {
        return Err(PACKED_DIGIT);
    }
    if number.digits.is_multiple_of(2) && bytes[0] >> 4 != 0 {
        return Err(SPARE);
    }
    let minus = sign(code, number.signed, PACKED_SIGN)?;
    Ok(signed(magnitude * 10 + i128::from(digit), minus))
}

fn unsigned_packed(number: Number, bytes: &[u8]) -> Result<i128, &'static str> {
    let magnitude = pairs(bytes)?;
    if !number.digits.is_multiple_of(2) && bytes.first().is_some_and(|first| first >> 4 != 0) {
        return Err(SPARE);
    }
    Ok(magnitude)
}

fn encode_packed(number: Number, mantissa: i128, out: &mut [u8]) {
    let sign = match (number.signed, mantissa < 0) {
        (false, _) => 0xF,
        (true, false) => 0xC,
        (true, true) => 0xD,
    };
    // The sign is the lowest digit, as it were.
    let magnitude = mantissa.unsigned_abs();
    let Some((last, before)) = out.split_last_mut() else {
        return;
    };
    *last = ((magnitude % 10) as u8) << 4 | sign;
    encode_digits(magnitude / 10, before);
}

/// Two digits a byte.
fn encode_digits(magnitude: u128, out: &mut [u8]) {
    let mut rest = magnitude;
    for byte in out.iter_mut().rev() {
        let pair = (rest % 100) as u8;
        *byte = ((pair / 10) << 4) | (pair % 10);
        rest /= 100;
    }
}

/// Any value of the storage is accepted, as under TRUNC(BIN).
fn binary(number: Number, bytes: &[u8]) -> i128 {
    let raw = bytes
        .iter()
        .fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    if !number.signed {
        return i128::from(raw);
    }
    // Two, four or eight bytes: the sign moves to the top and back.
    let spare = 64 - 8 * bytes.len() as u32;
    i128::from((raw << spare) as i64 >> spare)
}
