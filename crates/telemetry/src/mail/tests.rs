use super::*;
use crate::directory::Device;
use proptest::prelude::*;
use wire::Severity;

/// Sun, 22 Nov 2026 08:00:05 UTC.
const ARRIVAL: UnixMillis = UnixMillis(1_795_334_405_000);

fn directory() -> Directory {
    let device = |id: &str, addresses: &[&str]| Device {
        id: id.into(),
        room: "hall-1".into(),
        class: "test".to_owned(),
        addresses: addresses.iter().map(|&a| a.to_owned()).collect(),
    };
    Directory::new([
        device(
            "gear",
            &[
                "apc@[10.0.0.1]",
                "oa@[10.0.0.1]",
                "bmc@[10.0.0.1]",
                "drac@[10.0.0.1]",
                "root@[10.0.0.1]",
                "switch@[10.0.0.1]",
                "sensor@[10.0.0.1]",
                "appliance@[10.0.0.1]",
                "logger@[10.0.0.1]",
                "pdu@[10.0.0.1]",
                "raid@[10.0.0.1]",
                "filer@[10.0.0.1]",
                "batch@[10.0.0.1]",
            ],
        ),
        device("other", &["other@example.net"]),
    ])
    .unwrap()
}

fn decoded(envelope: &str, raw: &[u8]) -> Result<Vec<Report>, Quarantine> {
    let node = NodeId::from("n1");
    let directory = directory();
    let context = DecodeContext {
        node: &node,
        seq: 7,
        arrival: ARRIVAL,
        directory: &directory,
        patterns: &Patterns::NONE,
    };
    decode(&context, envelope, raw)
}

/// One line per report: device time relative to nothing, readings, event.
fn shown(reports: &[Report]) -> Vec<String> {
    reports
        .iter()
        .map(|report| {
            let mut line = report
                .device_time
                .map_or("-".to_owned(), |at| at.to_string());
            for reading in &report.readings {
                let unit = reading.unit.as_deref().unwrap_or_default();
                line.push_str(&format!(" {}={}{unit}", reading.name, reading.value));
            }
            if let Some(event) = &report.event {
                let severity = match event.severity {
                    Severity::Info => "info",
                    Severity::Warning => "warning",
                    Severity::Critical => "critical",
                };
                let verb = if event.clears { "clears" } else { "opens" };
                line.push_str(&format!(
                    " | {verb} {} {severity}: {}",
                    event.condition, event.text
                ));
            }
            line
        })
        .collect()
}

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mail/");

/// Every mail in the folder, by name.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let mut fixtures: Vec<_> = std::fs::read_dir(FOLDER)
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name()?.to_str()?.strip_suffix(".eml")?.to_owned();
            Some((name, std::fs::read(path).unwrap()))
        })
        .collect();
    fixtures.sort();
    fixtures
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{FOLDER}{name}.eml")).unwrap()
}

/// What stands in the file beside it; as in the file, and with the CRLF line ends of a real
/// delivery.
#[test]
fn every_fixture_gives_its_reports() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 49, "{}", fixtures.len());
    let mut wrong = Vec::new();
    for (name, raw) in fixtures {
        let expected = std::fs::read_to_string(format!("{FOLDER}{name}.txt")).unwrap_or_default();
        let crlf = with_crlf(&raw);
        for raw in [raw, crlf] {
            let found = match decoded("", &raw) {
                Ok(reports) => shown(&reports),
                Err(refused) => vec![format!("refused: {refused}")],
            };
            if found != expected.lines().collect::<Vec<_>>() {
                wrong.push(format!("{name}:\n{}", found.join("\n")));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Bytewise: some fixtures are in other charsets.
fn with_crlf(raw: &[u8]) -> Vec<u8> {
    raw.split_inclusive(|&b| b == b'\n')
        .flat_map(|line| match line.strip_suffix(b"\n") {
            Some(line) => [line, b"\r\n"].concat(),
            None => line.to_vec(),
        })
        .collect()
}

#[test]
fn a_report_says_where_it_comes_from() {
    let reports = decoded("", &fixture("csv-logger")).unwrap();
    for (report, part) in reports.iter().zip(0..) {
        assert_eq!(
            (report.device.as_str(), report.room.as_str()),
            ("gear", "hall-1")
        );
        assert_eq!((report.class.as_str(), report.arrival), ("test", ARRIVAL));
        assert_eq!(
            report.origin,
            Origin::Mail {
                node: "n1".into(),
                seq: 7,
                part
            }
        );
    }
}

fn letter(headers: &str, body: &str) -> Vec<u8> {
    format!("From: <sensor@[10.0.0.1]>\r\n{headers}\r\n{body}").into_bytes()
}

#[test]
fn what_is_refused_and_how_it_is_said() {
    const SENML: &str = "Content-Type: application/senml+json\r\n";
    const JSON: &str = "Content-Type: application/json\r\n";
    const CSV: &str = "Content-Type: text/csv\r\n";
    let metrics: Vec<String> = (0..300).map(|i| format!("\"k{i}\":{i}")).collect();
    let long_name = "x".repeat(200);
    for (headers, body, said) in [
        ("", "Hello, I am on holiday.", "no known format fits"),
        ("", "", "no known format fits"),
        (
            "Content-Type: image/png\r\n",
            "\u{1}\u{2}",
            "no known format fits",
        ),
        (JSON, "{\"a\":", "no valid JSON"),
        (JSON, "{\"a\":1e999}", "not a finite number"),
        (JSON, "{\"a\":NaN}", "no valid JSON"),
        (JSON, "{\"a\":[1,2]}", "is an array"),
        (JSON, "17", "neither an object nor"),
        (JSON, "{\"a\":\"text\"}", "neither a number nor an event"),
        (JSON, "{\"time\":\"yesterday\",\"a\":1}", "is no time"),
        (
            JSON,
            "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":1}}}}}}}",
            "nests deeper",
        ),
        (JSON, &format!("{{{}}}", metrics.join(",")), "257 metrics"),
        (JSON, &format!("{{\"{long_name}\":1}}"), "is not usable"),
        (JSON, "{\"\":1}", "is not usable"),
        (SENML, "{\"n\":\"a\",\"v\":1}", "no array of records"),
        (SENML, "[{\"n\":\"a\",\"v\":\"1\"}]", "is no number"),
        (
            SENML,
            "[{\"n\":\"a\",\"v\":1,\"x_\":2}]",
            "unknown extension",
        ),
        (SENML, "[{\"bver\":11,\"n\":\"a\",\"v\":1}]", "version 11"),
        (SENML, "[{\"n\":\"_a\",\"v\":1}]", "is not usable"),
        (SENML, "[{\"v\":1}]", "is not usable"),
        (
            SENML,
            "[{\"n\":\"a\",\"v\":1e308,\"bv\":1e308}]",
            "not a finite number",
        ),
        (
            SENML,
            "[{\"n\":\"a\",\"v\":1,\"t\":1e300}]",
            "outside of 1970 to 9999",
        ),
        (
            SENML,
            "[{\"n\":\"a\",\"vs\":\"text\"}]",
            "neither a number nor an event",
        ),
        (SENML, "[]", "neither a number nor an event"),
        (CSV, "temperature,fan\n1,2\n", "no column \"time\""),
        (CSV, "time,a\n0,1,2\n", "CSV is broken"),
        (CSV, "time,a\n0,warm\n", "is no number"),
        (CSV, "time,a\nnoon,1\n", "unreadable"),
        (CSV, "time,a\n0,NaN\n", "not a finite number"),
        (CSV, "time,a\n0,inf\n", "not a finite number"),
        (CSV, "time,a\n", "neither a number nor an event"),
        (
            CSV,
            &format!("time,a\n{}", "0,1\n".repeat(2_001)),
            "more than 2000 rows",
        ),
        (
            "Subject: HP AlertMail-1: (PURPLE) Fan: x\r\n",
            "",
            "severity \"PURPLE\" is unknown",
        ),
        ("Subject: HP AlertMail-what\r\n", "", "subject is not"),
        (
            "",
            "PEF EMail alert\nSensor Type: 04\nSensor No.: 1\nEvent Type: 6f\n",
            "Data is not three",
        ),
        (
            "",
            "PEF EMail alert\nSensor Type: é\nSensor No.: 1\nEvent Type: 6f\n",
            "hexadecimal",
        ),
        (
            "Subject: Boom event on /dev/md0:h\r\n",
            "",
            "event \"Boom\" is unknown",
        ),
        (
            "",
            "generated by the smartd daemon",
            "\"Device: …\" is missing",
        ),
        (
            "",
            "Time of Event:x\nMessage Name:y\nSeverity Level:12\n",
            "is not 0 to 9",
        ),
        (
            "",
            "APC : 1\nSTATUS : ONLINE\nLINEV : much\n",
            "is no number",
        ),
        ("", "Code: 0x0109\n", "no description"),
        (
            "Subject: HA Group Notification from f (X FAILED) PURPLE\r\n",
            "",
            "severity \"PURPLE\" is unknown",
        ),
        (
            "",
            "Event Description: x\nEvent Type: Odd\nEvent Source: y\n",
            "event type \"Odd\" is unknown",
        ),
        (
            "",
            "<Block xmlns=\"http://www.cisco.com/2004/01/aml-block\"/>",
            "names no severity level",
        ),
        (
            "Message-ID: <JOB.JOB00001.C.h.Nov222026.090000.1.1>\r\nContent-Type: text/csv; name=a.csv\r\n",
            "time,a\n0,warm\n",
            "z/OS CSSMTP report but \"warm\"",
        ),
        (
            "Content-Type: application/senml+cbor\r\n",
            "x",
            "ends in the middle of an item",
        ),
    ] {
        let refused = decoded("", &letter(headers, body)).unwrap_err();
        assert!(
            refused.to_string().contains(said),
            "{headers}{body}: {refused}"
        );
        assert_eq!(refused.device, Some("gear".into()), "{refused}");
    }
}

#[test]
fn the_sender_must_be_known_and_one() {
    let raw = |from: &str| format!("From: {from}\r\n\r\n{{\"a\":1}}").into_bytes();
    for (envelope, from, device) in [
        ("sensor@[10.0.0.1]", "nobody@example.net", Some("gear")),
        ("<SENSOR@[10.0.0.1]>", "<sensor@[10.0.0.1]>", Some("gear")),
        ("", "A sensor <sensor@[10.0.0.1]>", Some("gear")),
        (
            "bounce@relay.example",
            "Other <other@example.net>",
            Some("other"),
        ),
        ("", "nobody@example.net", None),
        ("nobody@example.net", "", None),
    ] {
        match (decoded(envelope, &raw(from)), device) {
            (Ok(reports), Some(device)) => assert_eq!(reports[0].device.as_str(), device),
            (Err(refused), None) => {
                assert!(
                    matches!(refused.reason, Reason::UnknownDevice { .. }),
                    "{refused}"
                );
            }
            (result, _) => panic!("{envelope} {from}: {result:?}"),
        }
    }
    let forged = decoded("other@example.net", &raw("<sensor@[10.0.0.1]>")).unwrap_err();
    assert!(
        matches!(forged.reason, Reason::ConflictingSenders { .. }),
        "{forged}"
    );
}

#[test]
fn bombs_are_refused_before_they_are_built() {
    let empty_parts = format!(
        "From: <sensor@[10.0.0.1]>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{}",
        "--b\r\n\r\n".repeat(100_000)
    );
    let few_too_many = format!(
        "From: <sensor@[10.0.0.1]>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
        "--b\r\n\r\nx\r\n".repeat(40)
    );
    let nested = format!(
        "From: <sensor@[10.0.0.1]>\r\n{}",
        "Content-Type: Message/ RFC822\r\n\r\n".repeat(50_000)
    );
    let multiparts: String = (0..30_000)
        .map(|i| format!("Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n"))
        .collect();
    let too_large = vec![b'x'; MAX_MAIL_BYTES + 1];
    let headers = "a:\r\n".repeat(800_000);
    let folded = format!("Subject: x\r\n{}\r\n", " y\r\n".repeat(800_000));
    let addresses = format!("From: {}\r\n\r\n", "a@b,".repeat(1_000_000));
    let part_headers = format!(
        "From: <sensor@[10.0.0.1]>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{headers}"
    );
    for (raw, said) in [
        (headers.as_bytes(), "lines and"),
        (folded.as_bytes(), "lines and"),
        (addresses.as_bytes(), "lines and"),
        (part_headers.as_bytes(), "lines and"),
        (empty_parts.as_bytes(), "MIME parts"),
        (few_too_many.as_bytes(), "MIME parts"),
        (nested.as_bytes(), "another mail"),
        (multiparts.as_bytes(), "MIME parts"),
        (too_large.as_slice(), "over the limit"),
        (b"".as_slice(), "no mail header"),
    ] {
        let refused = decoded("sensor@[10.0.0.1]", raw).unwrap_err();
        assert!(refused.to_string().contains(said), "{refused}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A mail with this text and these attachments, 8bit.
fn attached(body: &str, attachments: &[(&str, &[u8])]) -> Vec<u8> {
    let mut raw = format!(
        "From: <sensor@[10.0.0.1]>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{body}\r\n"
    )
    .into_bytes();
    for (name, bytes) in attachments {
        raw.extend(format!("--b\r\nContent-Type: application/octet-stream; name={name}\r\nContent-Transfer-Encoding: binary\r\n\r\n").as_bytes());
        raw.extend(*bytes);
        raw.extend(b"\r\n");
    }
    raw.extend(b"--b--\r\n");
    raw
}

#[test]
fn packed_attachments_share_one_bound_and_never_hide_an_alarm() {
    const ALARM: &str = "139.234.6.49:Severe:0x0107:UPS: Batteries Discharged";
    let bomb = gzip(&vec![b'0'; 64 << 20]);
    let half = gzip(format!("time,a\n0,1\n{}", "\n".repeat(MAX_MAIL_BYTES / 2 - 20)).as_bytes());
    let table = gzip(b"time,a\n0,1\n");
    let broken = &table[..table.len() - 5];
    for (name, raw, said) in [
        (
            "bomb",
            attached("see log", &[("a.csv.gz", &bomb)]),
            "unpacks to more than",
        ),
        (
            "two halves",
            attached("", &[("a.csv.gz", &half), ("b.csv.gz", &half)]),
            "",
        ),
        (
            "three halves",
            attached(
                "",
                &[
                    ("a.csv.gz", &half),
                    ("b.csv.gz", &half),
                    ("c.csv.gz", &half),
                ],
            ),
            "\"c.csv.gz\" unpacks to more than",
        ),
        (
            "broken",
            attached("", &[("a.csv.gz", &table), ("b.csv.gz", broken)]),
            "cannot be unpacked",
        ),
        (
            "an alarm beside a bomb",
            attached(ALARM, &[("log.gz", &bomb)]),
            "",
        ),
        (
            "an alarm beside a broken log",
            attached(ALARM, &[("log.gz", broken)]),
            "",
        ),
    ] {
        match decoded("", &raw) {
            Ok(reports) => assert!(said.is_empty() && !reports.is_empty(), "{name}"),
            Err(refused) => {
                let text = refused.to_string();
                assert!(!said.is_empty() && text.contains(said), "{name}: {text}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_bytes_never_panic(raw in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(decoded("sensor@[10.0.0.1]", &raw).is_err());
    }

    /// Mutated fixtures decode or are refused; whatever decodes is within the limits.
    #[test]
    fn mutated_fixtures_never_panic(
        which in any::<prop::sample::Index>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..12),
    ) {
        let fixtures = fixtures();
        let mut raw = which.get(&fixtures).1.clone();
        for (at, byte, edit) in edits {
            let at = at.index(raw.len());
            match edit {
                0 => raw[at] = byte,
                1 => raw.insert(at, byte),
                _ => raw.truncate(at.max(1)),
            }
        }
        if let Ok(reports) = decoded("sensor@[10.0.0.1]", &raw) {
            prop_assert!(!reports.is_empty() && reports.len() <= MAX_ROWS_PER_MAIL);
            for reading in reports.iter().flat_map(|report| &report.readings) {
                prop_assert!(reading.value.is_finite());
                prop_assert!((1..=MAX_NAME_BYTES).contains(&reading.name.len()));
            }
        }
    }

    /// What a body says is text of any kind: no layout may trip over it.
    #[test]
    fn random_texts_in_every_layout_never_panic(
        body in "(Code: |Data: |Device: |EVENT \\(|time,|\\[\\{|[ -~é\n]){0,40}",
        subject in "(HP AlertMail-1: \\(|Daily Status|Fail event on /dev/|[ -~é]){0,6}",
    ) {
        let raw = letter(&format!("Subject: {subject}\r\n"), &body);
        if let Err(refused) = decoded("", &raw) {
            prop_assert!(refused.to_string().len() > 20);
        }
    }
}
