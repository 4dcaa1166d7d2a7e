//! Dates as mails and gear write them, all in UTC.

use wire::UnixMillis;

/// Year, month, day, hour, minute, second.
pub(super) fn civil(at: UnixMillis) -> (u64, usize, u64, u64, u64, u64) {
    let seconds = at.0 / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", for days since 1970.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (
        year,
        month as usize,
        day,
        rest / 3_600,
        rest / 60 % 60,
        rest % 60,
    )
}

pub(super) const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// `Mon, 10 Mar 2008 04:32:47 +0000` (RFC 5322 §3.3).
pub fn rfc5322(at: UnixMillis) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let (year, month, day, hour, minute, second) = civil(at);
    let weekday = DAYS[(at.0 / 86_400_000 % 7) as usize];
    let month = MONTHS[month - 1];
    format!("{weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} +0000")
}

/// `2008-03-10T04:32:47Z` (RFC 3339).
pub fn iso(at: UnixMillis) -> String {
    let (year, month, day, hour, minute, second) = civil(at);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_known_moments() {
        for (millis, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (951_782_400_000, "Tue, 29 Feb 2000 00:00:00 +0000"),
            (1_205_123_567_000, "Mon, 10 Mar 2008 04:32:47 +0000"),
            (4_102_444_799_999, "Thu, 31 Dec 2099 23:59:59 +0000"),
        ] {
            assert_eq!(rfc5322(UnixMillis(millis)), expected);
        }
        assert_eq!(iso(UnixMillis(1_205_123_567_000)), "2008-03-10T04:32:47Z");
    }
}
