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

/// As [`parse`], and dates with names of months: RFC 5322 (`Sun, 22 Nov 2026 08:00:05 +0100`) and
/// C's `ctime` with a zone that may stand before the year (`Sun Nov 22 08:00:05 UTC 2026`).
pub(crate) fn parse_any(text: &str, zone: i64) -> Option<UnixMillis> {
    if let Some(at) = parse(text, zone).or_else(|| ctime(text, zone)) {
        return Some(at);
    }
    let date = DateTime::parse_rfc822(text.trim()).filter(DateTime::is_valid)?;
    let seconds = u64::try_from(date.to_timestamp()).ok()?;
    (date.to_timestamp() <= LAST_SECOND).then_some(UnixMillis(seconds * 1000))
}

fn ctime(text: &str, zone: i64) -> Option<UnixMillis> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (month, day, clock, name, year) = match words[..] {
        [_, month, day, clock, year] => (month, day, clock, "", year),
        [_, month, day, clock, name, year] => (month, day, clock, name, year),
        _ => return None,
    };
    let zone = if matches!(name, "UTC" | "GMT") {
        0
    } else {
        zone
    };
    Civil {
        year: number(year)?,
        month: month_of(month)?,
        day: number(day)?,
        ..clock_of(clock)?
    }
    .at(zone)
}

/// A date and a clock in fields of their own; the clock may be one of twelve hours.
pub(crate) fn date_and_clock(date: &str, clock: &str, zone: i64) -> Option<UnixMillis> {
    let day = date_of(date)?;
    let clock = clock.trim();
    let (clock, afternoon) = match clock.to_ascii_lowercase().as_str() {
        lower if lower.ends_with("am") => (&clock[..clock.len() - 2], Some(false)),
        lower if lower.ends_with("pm") => (&clock[..clock.len() - 2], Some(true)),
        _ => (clock, None),
    };
    let clock = clock_of(clock)?;
    let hour = match afternoon {
        None => clock.hour,
        Some(_) if !(1..=12).contains(&clock.hour) => return None,
        Some(afternoon) => clock.hour % 12 + if afternoon { 12 } else { 0 },
    };
    Civil {
        year: day.year,
        month: day.month,
        day: day.day,
        hour,
        ..clock
    }
    .at(zone)
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

/// `2008-03-10`, `2008/03/10`, `10.03.2008`, `03/10/2008` (month first, as American gear has it,
/// unless it cannot be a month), `Mar-10-2008`, `10-Mar-2008`.
pub(crate) fn date_of(text: &str) -> Option<Civil> {
    let text = text.trim();
    let separator = text.chars().find(|c| !c.is_alphanumeric())?;
    let mut fields = text.split(separator);
    let (a, b, c) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() {
        return None;
    }
    let (year, month, day) = match separator {
        '-' if month_of(a).is_some() => (c, a, b),
        '-' if month_of(b).is_some() => (c, b, a),
        '-' => (a, b, c),
        '/' if a.len() == 4 => (a, b, c),
        '/' if number::<u32>(a)? > 12 => (c, b, a),
        '/' => (c, a, b),
        '.' => (c, b, a),
        _ => return None,
    };
    Some(Civil {
        year: number(year)?,
        month: month_of(month).map_or_else(|| number(month), Some)?,
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
    fn reads_dates_and_clocks_in_fields_of_their_own() {
        let expected = Some(UnixMillis(1_205_123_567_000));
        for date in [
            "2008-03-10",
            "2008/03/10",
            "03/10/2008",
            "10.03.2008",
            "Mar-10-2008",
            "10-Mar-2008",
        ] {
            assert_eq!(date_and_clock(date, "04:32:47", 0), expected, "{date}");
        }
        // A day that cannot be a month stands first.
        assert_eq!(
            date_and_clock("22/11/2026", "08:00", 0),
            date_and_clock("11/22/2026", "08:00", 0)
        );
        for (clock, same) in [
            ("4:32:47 AM", "04:32:47"),
            ("4:32:47PM", "16:32:47"),
            ("12:00 am", "00:00"),
            ("12:00 pm", "12:00"),
        ] {
            let read = |clock| date_and_clock("2008-03-10", clock, 0);
            assert_eq!(read(clock), read(same), "{clock}");
            assert!(read(clock).is_some(), "{clock}");
        }
        for clock in ["13:00 PM", "0:30 AM", "PM", "é am", ""] {
            assert_eq!(date_and_clock("2008-03-10", clock, 0), None, "{clock}");
        }
        for text in [
            "Mon Mar 10 04:32:47 2008",
            "Mon Mar 10 04:32:47 UTC 2008",
            "Mon, 10 Mar 2008 05:32:47 +0100",
            "2008-03-10 04:32:47",
        ] {
            assert_eq!(parse_any(text, 0), expected, "{text}");
        }
        for text in ["", "Mon Mar 10", "Mon Foo 10 04:32:47 2008", "a b c d e f"] {
            assert_eq!(parse_any(text, 0), None, "{text}");
        }
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
