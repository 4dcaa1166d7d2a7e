//! Batch jobs of a mainframe.

use wire::UnixMillis;

use super::date::{MONTHS, civil};
use super::{Attachment, Device, Mail, State, head, iso, mixed_behind};
use crate::seed::Seed;

/// A job's end through CSSMTP, which adds the Message-ID, with the statistics of its steps.
pub(super) fn zos_job(device: &Device, at: UnixMillis, state: State, seed: u64) -> Mail {
    let end = match state {
        State::Normal | State::Recovered => "ENDED AT N1  MAXCC=0000",
        State::Failing => "ENDED AT N1  ABENDED S0C7",
    };
    let (year, month, day, hour, minute, second) = civil(at);
    let stamp = format!(
        "{}{day:02}{year:04}.{hour:02}{minute:02}{second:02}",
        MONTHS[month - 1]
    );
    let mut seed = Seed::new(seed);
    let micros = seed.next_u64() % 1_000_000;
    let mut raw = head(device, at, "", "PAYROLL ended");
    raw.push_str(&format!(
        "Message-ID: <PAYROLL.JOB00006.CSSMTP1.sysa.hall.example.{stamp}.{micros:06}.1>\r\n"
    ));
    let body = format!(
        "{hour:02}.{minute:02}.{second:02} JOB00006  $HASP165 PAYROLL  {end} CN(INTERNAL)\n"
    );
    let slow = if state == State::Failing { 3.0 } else { 1.0 };
    let statistics = format!(
        "time,cpu_seconds,elapsed_seconds,excps\n{},{:.2},{:.1},{}\n",
        iso(at),
        slow * seed.between(11.0, 13.0),
        slow * seed.between(80.0, 95.0),
        40_000 + seed.next_u64() % 1_000,
    );
    let attachments = [Attachment {
        name: "statistics.csv",
        kind: "text/csv",
        content: statistics.as_bytes(),
    }];
    mixed_behind(device, raw, &body, &attachments)
}
