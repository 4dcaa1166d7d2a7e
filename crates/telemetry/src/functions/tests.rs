//! The seam, with functions in Rust in place of a sandbox.

use super::*;
use crate::directory::{Device, Directory};
use crate::mail::{DecodeContext, Decoded, decode_named};
use crate::patterns::{File, Patterns};
use wire::{NodeId, Severity};

type Answer = Result<&'static str, &'static str>;

/// Answers always the same, and looks at what it is shown.
#[derive(Debug)]
struct Says {
    answer: Answer,
    expects: &'static str,
}

impl Function for Says {
    fn call(&self, letter: &[u8]) -> Result<Called, String> {
        let text = std::str::from_utf8(letter).unwrap();
        assert!(text.contains(self.expects), "{} {text}", self.expects);
        let called = |output: &str| Called {
            output: output.as_bytes().to_vec(),
            fuel: 1,
            memory: 65_536,
        };
        self.answer.map(called).map_err(str::to_owned)
    }
}

fn function(file: &'static str, answer: Answer) -> File<'static> {
    let loaded = Ok(Box::new(Says {
        answer,
        expects: "\"version\":1",
    }) as Box<dyn Function>);
    File::Function { file, loaded }
}

const MAIL: &str = "From: <d@example.net>\r\nSubject: Fan\r\n\r\nspeed: 12\r\n";

fn decoded(patterns: &Patterns, raw: &str) -> Decoded {
    let device = Device {
        id: "d".into(),
        room: "hall".into(),
        class: "fan".to_owned(),
        addresses: vec!["d@example.net".to_owned()],
    };
    let context = DecodeContext {
        node: &NodeId::from("n"),
        seq: 1,
        arrival: wire::UnixMillis(1_795_334_405_000),
        directory: &Directory::new([device]).unwrap(),
        patterns,
    };
    decode_named(&context, "d@example.net", raw.as_bytes())
}

fn answered(answer: Answer) -> Decoded {
    decoded(&Patterns::of([function("f.wasm", answer)]).unwrap(), MAIL)
}

#[test]
fn reports_are_taken_as_any_formats() {
    let answer = r#"{"sequence":{"number":7,"wraps_at":100},"reports":[
        {"time":"2026-11-22 09:00:00","readings":[{"name":"fan.speed","value":12.5,"unit":"/min"}]},
        {"time":1795334400000,"event":{"condition":"Fan 1","severity":"critical","text":"stands  still"}},
        {"event":{"condition":"Fan 1","clears":true}}]}"#;
    let outcome = answered(Ok(answer));
    assert_eq!(outcome.format.as_deref(), Some("f"));
    let reports = outcome.reports.unwrap();
    assert_eq!(reports.len(), 3);
    assert_eq!(reports[0].device_time.unwrap().0, 1_795_338_000_000);
    assert_eq!(reports[0].readings[0].unit.as_deref(), Some("/min"));
    assert_eq!(reports[0].readings[1].name, crate::sequence::NUMBER);
    let event = reports[1].event.as_ref().unwrap();
    assert_eq!(reports[1].device_time.unwrap().0, 1_795_334_400_000);
    assert_eq!(
        (event.condition.as_str(), event.text.as_str()),
        ("fan-1", "stands still")
    );
    assert_eq!(event.severity, Severity::Critical);
    let end = reports[2].event.as_ref().unwrap();
    assert!(end.clears && end.severity == Severity::Info);
    assert_eq!(reports[2].device_time, None);
}

#[test]
fn whatever_goes_wrong_names_the_function() {
    let number = r#"{"reports":[{"readings":[{"name":"x","value":1e999}]}]}"#;
    let table: [(Answer, &str); 14] = [
        (Err("used up its fuel"), "used up its fuel"),
        (Err("two\nlines"), "two lines"),
        (
            Ok(r#"{"error":"the table has no end"}"#),
            "says: the table has no end",
        ),
        (Ok("nonsense"), "not in order"),
        (Ok("{}"), "neither `reports` nor `error`"),
        (Ok(r#"{"error":"x","reports":[]}"#), "or with both"),
        (Ok(r#"{"reports":[]}"#), "gave 0 reports"),
        (Ok(r#"{"reports":[{}]}"#), "neither a number nor an event"),
        (
            Ok(r#"{"reports":[{"readings":[{"name":"x"}]}]}"#),
            "missing field `value`",
        ),
        (
            Ok(r#"{"reports":[{"device":"ups-1","event":{"condition":"x"}}]}"#),
            "unknown field `device`",
        ),
        (Ok(number), "out of range"),
        (
            Ok(r#"{"reports":[{"event":{"condition":"x","severity":"odd"}}]}"#),
            "the severity \"odd\"",
        ),
        (
            Ok(r#"{"sequence":{"number":9,"wraps_at":9},"reports":[{"event":{"condition":"x"}}]}"#),
            "no number below 9",
        ),
        (Ok("[[[[[[[["), "not in order"),
    ];
    for (answer, told) in table {
        let outcome = answered(answer);
        assert_eq!(outcome.format.as_deref(), Some("f"), "{told}");
        let sentence = outcome.reports.unwrap_err().to_string();
        assert!(
            sentence.starts_with("the function f ") && sentence.contains(told),
            "{sentence}"
        );
        assert!(!sentence.chars().any(char::is_control), "{sentence}");
    }
}

#[test]
fn limits_of_every_format_hold() {
    let nameless = r#"{"reports":[{"readings":[{"name":"","value":1}]}]}"#;
    let outcome = answered(Ok(nameless)).reports.unwrap_err();
    assert!(matches!(outcome.reason, Reason::BadName { .. }));
}

#[test]
fn who_does_not_want_it_lets_the_next_one_try() {
    const READS: &str = r#"{"reports":[{"readings":[{"name":"n","value":1}]}]}"#;
    const PATTERN: &str = "name = \"p\"\n[match]\nsubject = 'Fan'\n[[rule]]\nregex = 'speed: (?<value>\\d+)'\nmetric = 'speed'\n";
    let pattern = || File::Pattern {
        file: "p.toml",
        text: PATTERN,
    };
    let taken = |files: Vec<File<'static>>, mail: &str| {
        let outcome = decoded(&Patterns::of(files).unwrap(), mail);
        assert_eq!(outcome.format.is_some(), outcome.reports.is_ok());
        outcome.format
    };
    let not_mine = || function("a.wasm", Ok(""));
    let reads = || function("b.wasm", Ok(READS));
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(
        taken(vec![not_mine(), reads(), pattern()], MAIL),
        named("b")
    );
    assert_eq!(
        taken(vec![not_mine(), pattern(), reads()], MAIL),
        named("p")
    );
    assert_eq!(taken(vec![not_mine()], MAIL), None);
    let json = MAIL.replace("speed: 12", "{\"speed\": 12}");
    assert_eq!(taken(vec![not_mine()], &json), named("json"));
    // Too large to ask: formats that are built in come next, and if none fits, that is said.
    let padding = "y".repeat(MAX_LETTER_BYTES);
    let large_json = json.replace("speed", &padding);
    let patterns = Patterns::of([function("a.wasm", Err("was asked"))]).unwrap();
    assert_eq!(decoded(&patterns, &large_json).format, named("json"));
    let large = decoded(&patterns, &MAIL.replace("12", &padding));
    let sentence = large.reports.unwrap_err().to_string();
    assert!(
        sentence.starts_with("the function a is not asked about"),
        "{sentence}"
    );
}

#[test]
fn it_sees_what_a_mail_holds() {
    let mail = "From: <d@example.net>\r\nSubject: =?utf-8?Q?L=C3=BCfter?=\r\nX-Mailer: fan\r\n 2\r\n\
        Date: Sun, 22 Nov 2026 09:00:00 +0100\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/plain\r\n\r\nbody\r\n\
        --b\r\nContent-Type: application/octet-stream; name=a.bin\r\nContent-Transfer-Encoding: base64\r\n\r\n/wA=\r\n\
        --b\r\nContent-Type: application/gzip; name=l.gz\r\nContent-Transfer-Encoding: base64\r\n\r\nH4sIAAAA\r\n\
        --b--\r\n";
    for expects in [
        r#""device":"the-sender","from":"d@example.net","subject":"Lüfter","arrival_ms":5,"zone_minutes":60,"#,
        r#"["X-Mailer","fan 2"]"#,
        r#"{"type":"text/plain","text":"body"}"#,
        r#"{"type":"application/octet-stream","name":"a.bin","base64":"/wA="}"#,
        r#""name":"l.gz","broken":"the attachment"#,
    ] {
        let function = Says {
            answer: Ok(""),
            expects,
        };
        let tried = trial(&function, mail.as_bytes(), wire::UnixMillis(5)).unwrap();
        assert_eq!(tried.verdict, Verdict::NotMine);
        assert_eq!(tried.cost, Some((1, 65_536)));
    }
}

#[test]
fn files_that_cannot_be_used_are_told_together() {
    let refused = |files: Vec<File<'static>>| {
        let errors = Patterns::of(files).unwrap_err();
        errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let broken = File::Function {
        file: "formats/x.wasm",
        loaded: Err("imports `env.clock`".to_owned()),
    };
    let told = refused(vec![broken, function("a b.wasm", Ok(""))]);
    assert!(
        told.contains("formats/x.wasm: the function imports `env.clock`; "),
        "{told}"
    );
    assert!(told.contains("a b.wasm: the file's name"), "{told}");
    let twice = refused(vec![
        function("x/a.wasm", Ok("")),
        function("y/a.wasm", Ok("")),
    ]);
    assert!(
        twice.contains("another file has the format \"a\""),
        "{twice}"
    );
    let names: Vec<String> = (0..=MAX_FUNCTIONS).map(|n| format!("f{n}.wasm")).collect();
    let files = names.iter().map(|file| File::Function {
        file,
        loaded: Err(String::new()),
    });
    let errors = Patterns::of(files).unwrap_err();
    assert!(
        errors[MAX_FUNCTIONS]
            .to_string()
            .contains("more than 16 functions")
    );
}
