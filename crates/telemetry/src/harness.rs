//! Entries for fuzzing: arbitrary bytes in, invariants checked, nothing out. The fuzz targets
//! (`fuzz/`) and the ordinary tests over the stored corpora call the same functions. Those of the
//! mailbox's door are in [`smtp::harness`](crate::smtp::harness).

use std::sync::OnceLock;
use wire::{NodeId, UnixMillis};

use crate::directory::{Device, Directory};
use crate::formats::{Draft, Format, Letter, Part};
use crate::functions::{self, Called, Function, Verdict};
use crate::mail::{self, DecodeContext, MAX_METRICS_PER_ROW, MAX_NAME_BYTES, MAX_ROWS_PER_MAIL};
use crate::patterns::{self, Patterns};
use crate::{cbor, senml};

/// Who sends in here, as envelope sender.
pub const SENDER: &str = "device@[10.0.0.1]";
/// Sun, 22 Nov 2026 08:00:05 UTC.
const ARRIVAL: UnixMillis = UnixMillis(1_795_334_405_000);

/// A pattern with every kind of rule, so that random mails meet all of them.
const PATTERN: &str = r#"
name = "any"
speaks_for = ["ups-*"]
[match]
subject = '.'
devices = ["device"]
[[rule]]
regex = '^(?<metric>[\w .]+)[:=]\s*(?<value>-?[\d.,]+)\s*(?<unit>%|V|A|W)?'
decimal = ","
[[rule]]
in = "subject"
regex = '^(?<severity>\w+)!? (?<condition>.+?)(?: is (?<state>\w+)|$)'
[[rule]]
in = "attachments"
regex = '^(?<time>\S+ \S+),(?<sequence>\d+),(?<device>[\w-]+)'
wraps_at = 1000
"#;

/// A whole mail, as the mailbox takes it: MIME, sender, every format in its order. Whatever becomes
/// of it is within the limits, and a refusal is a sentence.
pub fn mime_to_reports(raw: &[u8]) {
    for patterns in [&Patterns::NONE, patterns()] {
        whole(raw, patterns);
    }
}

/// The pattern compiled, once; none of it if that failed, which a test excludes.
pub(crate) fn patterns() -> &'static Patterns {
    static COMPILED: OnceLock<Patterns> = OnceLock::new();
    COMPILED.get_or_init(|| Patterns::parse([("any.toml", PATTERN)]).unwrap_or_default())
}

fn whole(raw: &[u8], patterns: &Patterns) {
    let device = |id: &str, address: &str| Device {
        id: id.into(),
        room: "hall".into(),
        class: "any".to_owned(),
        addresses: vec![address.to_owned()],
    };
    let devices = [device("device", SENDER), device("ups-1", "ups@example.net")];
    let directory = Directory::new(devices).unwrap_or_default();
    let node = NodeId::from("n1");
    let context = DecodeContext {
        node: &node,
        seq: 1,
        arrival: ARRIVAL,
        directory: &directory,
        patterns,
    };
    match mail::decode(&context, SENDER, raw) {
        Ok(reports) => {
            assert!((1..=MAX_ROWS_PER_MAIL).contains(&reports.len()));
            for report in &reports {
                assert_eq!(report.arrival, ARRIVAL);
                // The two that count mails come on top.
                assert!(report.readings.len() <= MAX_METRICS_PER_ROW + 2);
                for reading in &report.readings {
                    assert!(reading.value.is_finite());
                    assert!((1..=MAX_NAME_BYTES).contains(&reading.name.len()));
                }
                if let Some(event) = &report.event {
                    assert!(!event.condition.is_empty());
                    assert!(!event.text.chars().any(char::is_control));
                }
            }
        }
        Err(refused) => {
            let sentence = refused.to_string();
            assert!(sentence.len() > 20 && !sentence.chars().any(char::is_control));
        }
    }
}

/// A mail through one format, whether or not it has that format's marks: decoders must not rely on
/// having been asked first.
pub fn one_format(format: Format, raw: &[u8]) {
    let Ok(letter) = mail::open(raw) else {
        return;
    };
    let _ = format.recognises(&letter);
    if let Ok(drafts) = mail::decode_as(format, &letter, ARRIVAL) {
        let empty = |draft: &Draft| draft.readings.is_empty() && draft.event.is_none();
        assert!(!drafts.iter().all(empty));
    }
}

/// A pattern file: it compiles or is refused with a place and a remedy, and what compiles can be
/// tried on any mail.
pub fn pattern_file(text: &[u8]) {
    /// Some of everything that rules look at.
    const MAIL: &[u8] = b"From: <device@[10.0.0.1]>\nSubject: Warning! Fan 1 is Normal\n\n\
        Load: 3,5 %\n2026-11-22 08:00:00,7,ups-1\n";
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    match Patterns::parse([("any.toml", text)]) {
        Ok(patterns) => {
            for pattern in patterns.iter() {
                let _ = patterns::trial(pattern, MAIL, ARRIVAL);
            }
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            assert!(errors.iter().all(|error| !error.remedy.is_empty()));
        }
    }
}

/// A SenML pack in CBOR, without the mail around it, and as plain CBOR. A pack without a number is an
/// error only where it is a mail's only content, so no draft may be empty here.
pub fn senml_cbor(bytes: &[u8]) {
    if let Ok(value) = cbor::parse(bytes, |key| key.to_string()) {
        // JSON has no other numbers than these, and the pack is read as JSON.
        assert!(serde_json::to_string(&value).is_ok());
    }
    let pack = Part::binary(
        "application/senml+cbor".to_owned(),
        Some("pack.senmlc".to_owned()),
        bytes.to_vec(),
    );
    let letter = Letter {
        from: String::new(),
        subject: String::new(),
        date: None,
        headers: Vec::new(),
        parts: vec![pack],
    };
    if let Ok(drafts) = senml::decode_letter(&letter, ARRIVAL) {
        assert!(
            drafts
                .iter()
                .all(|draft| !draft.readings.is_empty() || draft.event.is_some())
        );
    }
}

/// Answers what it was made with.
#[derive(Debug)]
struct Says(Vec<u8>);

impl Function for Says {
    fn call(&self, _: &[u8]) -> Result<Called, String> {
        Ok(Called {
            output: self.0.clone(),
            fuel: 1,
            memory: 0,
        })
    }
}

/// What a function answers: taken within the limits of every format, or refused with a sentence.
pub fn function_answer(output: &[u8]) {
    const MAIL: &[u8] = b"From: <device@[10.0.0.1]>\nSubject: x\n\nx\n";
    let function = Says(output.to_vec());
    let Ok(trial) = functions::trial(&function, MAIL, ARRIVAL) else {
        unreachable!("the mail is one");
    };
    match trial.verdict {
        Verdict::Reports(reports) => {
            assert!((1..=MAX_ROWS_PER_MAIL).contains(&reports.len()));
            assert!(
                reports
                    .iter()
                    .all(|report| report.device.as_str() == "the-sender")
            );
            let mut readings = reports.iter().flat_map(|report| &report.readings);
            assert!(readings.all(|reading| reading.value.is_finite()));
        }
        Verdict::Failed(sentence) => assert!(!sentence.is_empty()),
        Verdict::Refused(reason) => assert!(reason.to_string().len() > 20),
        Verdict::NotMine => assert!(output.is_empty()),
    }
}
