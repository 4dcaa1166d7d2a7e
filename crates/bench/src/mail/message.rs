//! The message that all contenders get: what a UPS reports by apcupsd.

/// Who reports.
pub const FROM: &str = "ups@hall.example";
/// To whom.
pub const TO: &str = "telemetry@house.example";

const BODY: &str = "\
APC      : 001,036,0879\r\n\
DATE     : 2025-11-03 12:00:00 +0000\r\n\
HOSTNAME : ups.hall.example\r\n\
VERSION  : 3.14.14 (31 May 2016) debian\r\n\
UPSNAME  : ups-1\r\n\
CABLE    : USB Cable\r\n\
DRIVER   : USB UPS Driver\r\n\
UPSMODE  : Stand Alone\r\n\
MODEL    : Smart-UPS 3000\r\n\
STATUS   : ONLINE\r\n\
LINEV    : 230.1 Volts\r\n\
LOADPCT  : 34.2 Percent\r\n\
BCHARGE  : 100.0 Percent\r\n\
TIMELEFT : 41.0 Minutes\r\n\
MBATTCHG : 5 Percent\r\n\
OUTPUTV  : 230.0 Volts\r\n\
ITEMP    : 26.1 C\r\n\
BATTV    : 54.4 Volts\r\n\
LINEFREQ : 50.0 Hz\r\n\
NUMXFERS : 0\r\n\
END APC  : 2025-11-03 12:00:00 +0000\r\n";

/// The field by which a message says when it was sent.
const SENT: &str = "X-Sent: ";

/// Message `number` of this process, sent so many nanoseconds after the Unix epoch, with CRLF and
/// without end of data. No two have one Message-ID, or all but the first would be repetitions to a
/// door that recognises those.
pub fn message(number: u64, sent_ns: i64) -> String {
    let run = std::process::id();
    format!(
        "{SENT}{sent_ns}\r\nMessage-ID: <{number:012}.{run}@hall.example>\r\n{}",
        plain()
    )
}

/// When a [`message`] says that it was sent.
pub fn sent(message: &[u8]) -> Option<i64> {
    let line = message.split(|&byte| byte == b'\r').next()?;
    let value = line.strip_prefix(SENT.as_bytes())?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Without a Message-ID, and so not recognised when it comes again: for a generator that sends the
/// same file each time.
pub fn plain() -> String {
    format!(
        "From: UPS <{FROM}>\r\nTo: <{TO}>\r\nDate: Mon, 03 Nov 2025 12:00:00 +0000\r\n\
         Subject: apcupsd status\r\n\r\n{BODY}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::Patterns;
    use telemetry::mail::{DecodeContext, decode};
    use wire::UnixMillis;

    #[test]
    fn both_are_reports_that_the_house_reads() {
        for text in [message(7, 1), plain()] {
            let context = DecodeContext {
                node: &"node".into(),
                seq: 1,
                arrival: UnixMillis(1),
                directory: &crate::mail::door::directory().unwrap(),
                patterns: &Patterns::NONE,
            };
            let reports = decode(&context, FROM, text.as_bytes()).unwrap();
            assert_eq!(reports.len(), 1);
            assert_eq!(reports[0].readings.len(), 9);
        }
        assert_ne!(message(1, 0), message(2, 0));
        assert_eq!(sent(message(1, -5).as_bytes()), Some(-5));
        assert_eq!(sent(plain().as_bytes()), None);
    }
}
