//! Timestamps as mainframe records hold them → Unix milliseconds.

use crate::copybook::{Field, Item, Kind};
use wire::UnixMillis;

/// How a timestamp field is written; told by the field's picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimestampFormat {
    /// `PIC X(19)` to `X(26)`: `2026-01-31-23.59.59.123456` (Db2), also with `T`, blank, `:`.
    Text,
    /// 14 digits: `20260131235959`.
    Seconds14,
    /// 17 digits: `20260131235959123`.
    Millis17,
    /// 18 digits (a binary doubleword, say): milliseconds since 1970.
    UnixMillis,
}

/// A value that is no moment.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("timestamp {found:?} is not a moment in the form {expected}")]
pub struct TimestampError {
    /// The value.
    pub found: String,
    /// What it should look like.
    pub expected: &'static str,
}

impl TimestampFormat {
    /// The format that the field's picture tells; `None` if it tells none.
    pub fn of(field: &Field) -> Option<Self> {
        match field.kind {
            Kind::Text if (19..=26).contains(&field.len) => Some(Self::Text),
            Kind::Text | Kind::Float(_) => None,
            Kind::Number(number) => match (number.digits, number.scale) {
                (14, 0) => Some(Self::Seconds14),
                (17, 0) => Some(Self::Millis17),
                (18, 0) => Some(Self::UnixMillis),
                _ => None,
            },
        }
    }

    const fn expected(self) -> &'static str {
        match self {
            Self::Text => "YYYY-MM-DD-hh.mm.ss[.ffffff]",
            Self::Seconds14 => "YYYYMMDDhhmmss",
            Self::Millis17 => "YYYYMMDDhhmmssfff",
            Self::UnixMillis => "milliseconds since 1970",
        }
    }

    /// The moment, where the record's wall clock is `offset_minutes` ahead of UTC.
    pub fn read(self, value: Item<'_>, offset_minutes: i32) -> Result<UnixMillis, TimestampError> {
        let refuse = || TimestampError {
            found: value.to_string(),
            expected: self.expected(),
        };
        let millis = match (self, value) {
            (Self::Text, Item::Text(text)) => text_millis(text.trim_end()),
            (Self::Seconds14, Item::Number(number)) => {
                digits_millis(&format!("{:014}000", number.mantissa))
            }
            (Self::Millis17, Item::Number(number)) => {
                digits_millis(&format!("{:017}", number.mantissa))
            }
            (Self::UnixMillis, Item::Number(number)) => {
                return u64::try_from(number.mantissa)
                    .map(UnixMillis)
                    .map_err(|_| refuse());
            }
            (Self::Text, Item::Number(_))
            | (Self::Seconds14 | Self::Millis17 | Self::UnixMillis, Item::Text(_))
            | (_, Item::Float(_)) => None,
        };
        millis
            .and_then(|local| u64::try_from(local - i64::from(offset_minutes) * 60_000).ok())
            .map(UnixMillis)
            .ok_or_else(refuse)
    }
}

fn text_millis(text: &str) -> Option<i64> {
    if !text.is_ascii() || text.len() < 19 {
        return None;
    }
    let (seconds, fraction) = text.split_at(19);
    for (at, allowed) in [(4, "-"), (7, "-"), (10, "-T "), (13, ".:"), (16, ".:")] {
        if !allowed.contains(char::from(seconds.as_bytes()[at])) {
            return None;
        }
    }
    let fraction = match fraction.as_bytes() {
        [] => "",
        [b'.' | b',', ..] => &fraction[1..],
        _ => return None,
    };
    let mut digits: String = [0..4, 5..7, 8..10, 11..13, 14..16, 17..19]
        .map(|range| &seconds[range])
        .concat();
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.push_str(&format!("{fraction:0<3}")[..3]);
    digits_millis(&digits)
}

/// Seventeen digits.
fn digits_millis(digits: &str) -> Option<i64> {
    if digits.len() != 17 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| digits[range].parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(4..6)?, number(6..8)?);
    let (hour, minute, second, millis) = (
        number(8..10)?,
        number(10..12)?,
        number(12..14)?,
        number(14..17)?,
    );
    if !(1..=12).contains(&month)
        || day < 1
        || day > days_in(year, month)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    Some(
        (((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000
            + millis,
    )
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Proleptic Gregorian calendar; years begin in March so that the leap day is the last
/// (H. Hinnant, "chrono-compatible low-level date algorithms").
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}
