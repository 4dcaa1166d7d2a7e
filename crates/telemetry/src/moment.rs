//! Dates and times as devices write them.

use mail_parser::DateTime;
use wire::UnixMillis;

/// Numbers from here on are milliseconds, below seconds: 10¹¹ s is the year 5138, 10¹¹ ms 1973.
const MILLIS_FROM: f64 = 1e11;
/// Last moment accepted: the end of the year 9999.
const LAST_SECOND: i64 = 253_402_300_799;

/// A civil time; every field is checked by [`Civil::at`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
    pub(crate) milli: u32,
}

impl Civil {
    /// The moment, in a zone `minutes` east of UTC; `None` when a field is out of range or the
    /// moment lies before 1970.
    pub(crate) fn at(self, minutes: i64) -> Option<UnixMillis> {
        let in_range = (1970..=9999).contains(&self.year)
            && (1..=12).contains(&self.month)
            && (1..=days_in(self.year, self.month)).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second <= 60
            && self.milli < 1000;
        if !in_range {
            return None;
        }
        let days = days_from_civil(self.year, i64::from(self.month), i64::from(self.day));
        let seconds = days * 86_400
            + i64::from(self.hour) * 3_600
            + i64::from(self.minute) * 60
            + i64::from(self.second)
            - minutes * 60;
        (0..=LAST_SECOND)
            .contains(&seconds)
            .then(|| UnixMillis(seconds.unsigned_abs() * 1000 + u64::from(self.milli)))
    }
}

/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": days since 1970-01-01.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn days_in(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Minutes east of UTC in a mail's `Date`. Gear that writes local times without a zone into the
/// body usually has the right one in its header; without a header it is taken for UTC.
pub(crate) fn zone_minutes(date: Option<&DateTime>) -> i64 {
    date.map_or(0, |date| {
        let minutes = i64::from(date.tz_hour) * 60 + i64::from(date.tz_minute);
        if date.tz_before_gmt {
            -minutes
        } else {
            minutes
        }
    })
}

/// A cell of a time column: seconds or milliseconds since 1970, or ISO 8601 (RFC 3339, also with
/// a blank for the `T`, without seconds, without a zone, which is then `zone`).
pub(crate) fn parse(text: &str, zone: i64) -> Option<UnixMillis> {
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(number) => from_number(number),
        Err(_) => iso(text, zone),
    }
}

/// Seconds or milliseconds since 1970.
pub(crate) fn from_number(number: f64) -> Option<UnixMillis> {
    let millis = if number.abs() < MILLIS_FROM {
        number * 1000.0
    } else {
        number
    };
    (0.0..=LAST_SECOND as f64 * 1000.0)
        .contains(&millis)
        .then(|| UnixMillis(millis.round() as u64))
}

fn iso(text: &str, zone: i64) -> Option<UnixMillis> {
    let (date, rest) = text.split_at_checked(10)?;
    let mut civil = date_of(date)?;
    let rest = rest.trim_start_matches(['T', 't', ' ']);
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, suffix) = rest.split_at(zone_at);
    if !clock.trim().is_empty() {
        let at = clock_of(clock.trim())?;
        civil = Civil {
            year: civil.year,
            month: civil.month,
            day: civil.day,
            ..at
        };
    }
    let zone = match suffix.trim() {
        "" => zone,
        "Z" | "z" => 0,
        offset => {
            let (sign, digits) = offset.split_at_checked(1)?;
            let digits: String = digits.chars().filter(|&c| c != ':').collect();
            if digits.len() != 4 {
                return None;
            }
            let (hours, minutes) = digits.split_at_checked(2)?;
            let east = number::<i64>(hours)? * 60 + number::<i64>(minutes)?;
            if sign == "-" { -east } else { east }
        }
    };
    civil.at(zone)
}

/// `2008-03-10`, `03/10/2008` (month first, as American gear has it), `10.03.2008`.
pub(crate) fn date_of(text: &str) -> Option<Civil> {
    let text = text.trim();
    let separator = text.chars().find(|c| !c.is_ascii_digit())?;
    let mut fields = text.split(separator);
    let (a, b, c) = (fields.next()?, fields.next()?, fields.next()?);
    let (year, month, day) = match separator {
        '-' if fields.next().is_none() => (a, b, c),
        '/' if fields.next().is_none() && a.len() == 4 => (a, b, c),
        '/' if fields.next().is_none() => (c, a, b),
        '.' if fields.next().is_none() => (c, b, a),
        _ => return None,
    };
    Some(Civil {
        year: number(year)?,
        month: number(month)?,
        day: number(day)?,
        ..Civil::default()
    })
}

/// `04:32`, `04:32:47`, `04:32:47.250`.
pub(crate) fn clock_of(text: &str) -> Option<Civil> {
    let mut fields = text.trim().split(':');
    let (hour, minute, second) = (fields.next()?, fields.next()?, fields.next().unwrap_or("0"));
    if fields.next().is_some() {
        return None;
    }
    let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
    let milli: String = fraction.chars().chain("000".chars()).take(3).collect();
    Some(Civil {
        hour: number(hour)?,
        minute: number(minute)?,
        second: number(second)?,
        milli: number(&milli)?,
        ..Civil::default()
    })
}

/// Month by its English name or first three letters.
pub(crate) fn month_of(name: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let short = name.get(..3)?.to_ascii_lowercase();
    (1..)
        .zip(MONTHS)
        .find(|(_, month)| *month == short)
        .map(|(number, _)| number)
}

/// Digits only: `parse` alone would take a sign.
pub(crate) fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_spellings_that_devices_use() {
        let expected = Some(UnixMillis(1_205_123_567_000)); // 2008-03-10T04:32:47Z
        for text in [
            "2008-03-10T04:32:47Z",
            "2008-03-10 04:32:47",
            "2008-03-10T05:32:47+01:00",
            "2008-03-09T23:32:47-0500",
            "03/10/2008 04:32:47",
            "10.03.2008 04:32:47",
            "1205123567",
            "1205123567000",
            "1205123567.0",
        ] {
            assert_eq!(parse(text, 0), expected, "{text}");
        }
        assert_eq!(
            parse("2008-03-10T04:32:47.250Z", 0),
            Some(UnixMillis(1_205_123_567_250))
        );
        assert_eq!(
            parse("2008-03-10 05:32:47", 60),
            expected,
            "zone of the mail"
        );
        assert_eq!(parse("2000-02-29", 0), Some(UnixMillis(951_782_400_000)));
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "now",
            "NaN",
            "inf",
            "-5",
            "1e300",
            "2008-13-10",
            "2008-02-30",
            "2001-02-29",
            "2008-03-10T25:00",
            "2008-03-10T04:60:00",
            "1969-12-31",
            "2008-03-10T00:00+1",
            "99999-01-01",
            "2008-03-10T04:32:47Zx",
            "é008-03-10",
            "2008-03-1é",
        ] {
            assert_eq!(parse(text, 0), None, "{text}");
        }
    }

    #[test]
    fn agrees_with_the_mail_parser_on_every_day_of_four_centuries() {
        let mut day = 0;
        while let Some(date) =
            Some(DateTime::from_timestamp(day * 86_400)).filter(|d| d.year < 2370)
        {
            let civil = Civil {
                year: date.year.into(),
                month: date.month.into(),
                day: date.day.into(),
                ..Civil::default()
            };
            assert_eq!(
                civil.at(0),
                Some(UnixMillis(day.unsigned_abs() * 86_400_000)),
                "{date:?}"
            );
            day += 1;
        }
        assert!(day > 146_000);
    }
}
