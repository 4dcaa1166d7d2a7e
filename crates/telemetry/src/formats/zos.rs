//! z/OS batch jobs through CSSMTP, which takes BSMTP from the JES spool and adds `Date` and a
//! `Message-ID` of job name, job id, CSSMTP name, host, and time:
//! `<TESTMAIL.SYS00006.CSSMTP1.mydomain.com.Sep302008.160454.541437.1>`.
//!
//! The content is whatever the job wrote. Read are completion messages of JES2 (`$HASP165 … MAXCC=`,
//! `ABENDED`) and of the initiator (`IEF450I … ABEND=`), and CSV attachments.

use wire::{DeviceEvent, Reading, Severity};

use super::text::{sentence, slug};
use super::{Draft, Format, Letter, reading};
use crate::quarantine::Reason;
use crate::{csv, moment};

/// From this condition code on a step failed by convention: 4 is a warning, 8 an error, 12 and
/// 16 are severe.
const ERROR_CODE: u32 = 8;
const WARNING_CODE: u32 = 4;

/// What a Message-ID says.
struct Origin {
    job: String,
    time: Option<moment::Civil>,
}

pub(super) fn recognises(letter: &Letter) -> bool {
    origin(letter).is_some()
}

pub(super) fn decode(letter: &Letter) -> Result<Vec<Draft>, Reason> {
    let origin =
        origin(letter).ok_or_else(|| Format::ZosCssmtp.malformed("has no Message-ID of CSSMTP"))?;
    let device_time = origin.time.and_then(|time| time.at(letter.zone()));
    let mut drafts = vec![Draft {
        device_time,
        ..completion(&origin.job, letter)
    }];
    for text in letter.texts(csv::is_csv) {
        drafts.extend(csv::decode(text, letter.zone(), Format::ZosCssmtp)?);
    }
    Ok(drafts)
}

/// `JOB.JOBID.CSSMTP.host….MonDDYYYY.HHMMSS.micros.n`, read from both ends, since hosts have dots.
fn origin(letter: &Letter) -> Option<Origin> {
    let id = letter.header("Message-ID")?.trim_matches(['<', '>', ' ']);
    // A site may append its domain as RFC 5322 wants it.
    let id = id.split('@').next()?;
    let mut fields = id.split('.');
    let (job, job_id) = (fields.next()?, fields.next()?);
    let (_count, _micros) = (fields.next_back()?, fields.next_back()?);
    let (clock, date) = (fields.next_back()?, fields.next_back()?);
    let is_name = (1..=8).contains(&job.len())
        && job
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "$#@".contains(c));
    let is_id = job_id.len() == 8 && job_id.ends_with(|c: char| c.is_ascii_digit());
    (is_name && is_id && moment::number::<u32>(clock).is_some()).then(|| Origin {
        job: job.to_owned(),
        time: stamp(date, clock),
    })
}

/// `Sep302008` and `160454`.
fn stamp(date: &str, clock: &str) -> Option<moment::Civil> {
    let (month, rest) = date.split_at_checked(3)?;
    let (day, year) = rest.split_at_checked(rest.len().checked_sub(4)?)?;
    let (hour, rest) = clock.split_at_checked(2)?;
    let (minute, second) = rest.split_at_checked(2)?;
    Some(moment::Civil {
        year: moment::number(year)?,
        month: moment::month_of(month)?,
        day: moment::number(day)?,
        hour: moment::number(hour)?,
        minute: moment::number(minute)?,
        second: moment::number(second)?,
        milli: 0,
    })
}

/// How the job ended. One condition a job: its next good run ends the trouble.
fn completion(job: &str, letter: &Letter) -> Draft {
    let condition = slug(&format!("job {job}"));
    let lines = || letter.body().lines().map(str::trim);
    let said = lines().find_map(|line| outcome(line).map(|outcome| (line, outcome)));
    let Some((line, outcome)) = said else {
        // A report that says nothing of the job itself.
        return Draft {
            event: Some(DeviceEvent {
                condition: slug(&format!("report {job}")),
                severity: Severity::Info,
                text: sentence(&format!("{job}: {}", letter.subject)),
                clears: false,
            }),
            ..Draft::default()
        };
    };
    let (severity, readings) = match outcome {
        Outcome::Abend => (Severity::Critical, Vec::new()),
        Outcome::Code(code) => (severity_of(code), vec![max_cc(code)]),
    };
    Draft {
        readings,
        event: Some(DeviceEvent {
            condition,
            severity,
            text: sentence(line),
            clears: severity == Severity::Info,
        }),
        ..Draft::default()
    }
}

fn max_cc(code: u32) -> Reading {
    reading("job.max_cc", code.into())
}

fn severity_of(code: u32) -> Severity {
    match code {
        ERROR_CODE.. => Severity::Critical,
        WARNING_CODE.. => Severity::Warning,
        _ => Severity::Info,
    }
}

enum Outcome {
    /// The job was ended by a system or user completion code.
    Abend,
    /// The highest condition code of its steps.
    Code(u32),
}

/// `$HASP165 PAYROLL ENDED AT N1 MAXCC=0008 CN(INTERNAL)`, `… ABENDED S0C7 …`,
/// `IEF450I PAYROLL STEP1 - ABEND=S0C7 U0000 …`.
fn outcome(line: &str) -> Option<Outcome> {
    let hasp = line.contains("$HASP165");
    if hasp && line.contains("ABENDED") || line.contains("IEF450I") {
        return Some(Outcome::Abend);
    }
    let code = line.split_once("MAXCC=").filter(|_| hasp)?.1;
    let digits: String = code.chars().take_while(char::is_ascii_digit).collect();
    moment::number(&digits).map(Outcome::Code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(id: &str) -> Letter {
        let raw = format!("Message-ID: {id}\r\nSubject: s\r\n\r\nx\r\n");
        crate::mail::open(raw.as_bytes()).unwrap()
    }

    #[test]
    fn a_message_id_of_cssmtp_is_known_by_its_fields() {
        for (id, job) in [
            // As in IBM's documentation.
            (
                "<TESTMAIL.SYS00006.CSSMTP1.mydomain.com.Sep302008.160454.541437.1>",
                Some("TESTMAIL"),
            ),
            (
                "<PAY$ROLL.JOB00006.CSSMTP1.h.Nov222026.090000.1.1>",
                Some("PAY$ROLL"),
            ),
            (
                "<J.TSU00006.C.a.b.c.d.Nov222026.090000.1.1@a.b.c.d>",
                Some("J"),
            ),
            ("<TESTMAIL.SYS00006.CSSMTP1>", None),
            ("<LONGERNAME.SYS00006.C.h.Sep302008.160454.541437.1>", None),
            ("<T.SYS6.C.h.Sep302008.160454.541437.1>", None),
            ("<20261122.090000.1.1@mail.example.net>", None),
            ("<CAF1234.5678@mail.example.com>", None),
            ("", None),
        ] {
            let found = origin(&letter(id));
            assert_eq!(found.map(|origin| origin.job).as_deref(), job, "{id}");
        }
        let time = stamp("Sep302008", "160454").and_then(|time| time.at(0));
        assert_eq!(time.map(|at| at.0), Some(1_222_790_694_000));
        for (date, clock) in [
            ("Sep", "160454"),
            ("Xyz302008", "160454"),
            ("Sep302008", "1é"),
            ("é", ""),
        ] {
            assert!(stamp(date, clock).is_none(), "{date} {clock}");
        }
    }

    #[test]
    fn a_jobs_end_is_graded_by_its_condition_code() {
        for (line, severity) in [
            (
                "$HASP165 PAYROLL  ENDED AT N1  MAXCC=0000 CN(INTERNAL)",
                Severity::Info,
            ),
            (
                "$HASP165 PAYROLL  ENDED AT N1  MAXCC=0004",
                Severity::Warning,
            ),
            ("$HASP165 PAYROLL  ENDED AT N1  MAXCC=8", Severity::Critical),
            (
                "$HASP165 PAYROLL  ENDED AT N1  ABENDED S0C7",
                Severity::Critical,
            ),
            (
                "IEF450I PAYROLL STEP1 - ABEND=S222 U0000 REASON=00000000",
                Severity::Critical,
            ),
        ] {
            let graded = outcome(line).map(|outcome| match outcome {
                Outcome::Abend => Severity::Critical,
                Outcome::Code(code) => severity_of(code),
            });
            assert_eq!(graded, Some(severity), "{line}");
        }
        for line in [
            "",
            "MAXCC=0012",
            "$HASP165 PAYROLL ENDED",
            "$HASP165 X MAXCC=é",
        ] {
            assert!(outcome(line).is_none(), "{line}");
        }
    }
}
