//! Bytes ↔ exact numbers (IBM Enterprise COBOL Programming Guide, "Formats for numeric data").

use super::{Number, Usage};

/// Bytes of a numeric field → mantissa; the error is the rule that they break.
pub(super) fn decode(number: Number, bytes: &[u8]) -> Result<i128, &'static str> {
    match number.usage {
        Usage::Display => zoned(number, bytes),
        Usage::Packed => packed(number, bytes),
        Usage::Binary => Ok(binary(number, bytes)),
    }
}

/// The inverse; `out` has the field's length. The error is the rule that the number breaks.
pub(super) fn encode(number: Number, mantissa: i128, out: &mut [u8]) -> Result<(), &'static str> {
    if mantissa < 0 && !number.signed {
        return Err("the picture has no S, so the number is not negative");
    }
    // 31 digits at most: no overflow.
    if mantissa.unsigned_abs() >= 10u128.pow(u32::from(number.digits)) {
        return Err("the picture has fewer digits");
    }
    match number.usage {
        Usage::Display => encode_zoned(number, mantissa, out),
        Usage::Packed => encode_packed(number, mantissa, out),
        Usage::Binary => out.copy_from_slice(&mantissa.to_be_bytes()[16 - out.len()..]),
    }
    Ok(())
}

/// Sign codes: C and F (and A, E) are plus, D (and B) minus; for others the caller's rule is broken.
fn sign(code: u8, signed: bool, rule: &'static str) -> Result<i128, &'static str> {
    match (code, signed) {
        (0xA | 0xC | 0xE | 0xF, _) => Ok(1),
        (0xB | 0xD, true) => Ok(-1),
        (0xB | 0xD, false) => Err("the sign is minus and the picture has no S"),
        _ => Err(rule),
    }
}

fn zoned(number: Number, bytes: &[u8]) -> Result<i128, &'static str> {
    let mut mantissa = 0i128;
    let mut factor = 1;
    for (index, byte) in bytes.iter().enumerate() {
        let (zone, digit) = (byte >> 4, byte & 0xF);
        if digit > 9 {
            return Err("a zoned digit is F0 to F9");
        }
        if index + 1 == bytes.len() {
            factor = sign(
                zone,
                number.signed,
                "the zone of the last digit is a sign code, A to F",
            )?;
        } else if zone != 0xF {
            return Err("a zoned digit is F0 to F9");
        }
        mantissa = mantissa * 10 + i128::from(digit);
    }
    Ok(mantissa * factor)
}

fn encode_zoned(number: Number, mantissa: i128, out: &mut [u8]) {
    let mut rest = mantissa.unsigned_abs();
    for byte in out.iter_mut().rev() {
        *byte = 0xF0 | (rest % 10) as u8;
        rest /= 10;
    }
    if number.signed
        && let Some(last) = out.last_mut()
    {
        *last = (*last & 0xF) | if mantissa < 0 { 0xD0 } else { 0xC0 };
    }
}

fn packed(number: Number, bytes: &[u8]) -> Result<i128, &'static str> {
    let Some((last, before)) = bytes.split_last() else {
        return Err("a packed number has at least one byte");
    };
    let mut mantissa = 0i128;
    for digit in before
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xF])
        .chain([last >> 4])
    {
        if digit > 9 {
            return Err("a packed digit is 0 to 9");
        }
        mantissa = mantissa * 10 + i128::from(digit);
    }
    if number.digits.is_multiple_of(2) && bytes[0] >> 4 != 0 {
        return Err("the first half-byte of an even number of packed digits is 0");
    }
    let factor = sign(
        last & 0xF,
        number.signed,
        "the last half-byte of a packed number is a sign code, A to F",
    )?;
    Ok(mantissa * factor)
}

fn encode_packed(number: Number, mantissa: i128, out: &mut [u8]) {
    let sign = match (number.signed, mantissa < 0) {
        (false, _) => 0xF,
        (true, false) => 0xC,
        (true, true) => 0xD,
    };
    let mut rest = mantissa.unsigned_abs();
    let mut next = || {
        let digit = (rest % 10) as u8;
        rest /= 10;
        digit
    };
    for (index, byte) in out.iter_mut().rev().enumerate() {
        let low = if index == 0 { sign } else { next() };
        *byte = next() << 4 | low;
    }
}

/// Any value of the storage is accepted, as under TRUNC(BIN).
fn binary(number: Number, bytes: &[u8]) -> i128 {
    let negative = number.signed && bytes.first().is_some_and(|first| first & 0x80 != 0);
    bytes
        .iter()
        .fold(if negative { -1 } else { 0 }, |value, byte| {
            value << 8 | i128::from(*byte)
        })
}
