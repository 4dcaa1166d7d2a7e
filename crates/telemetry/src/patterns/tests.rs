use super::*;
use crate::mail;
use crate::quarantine::Reason;
use proptest::prelude::*;
use wire::{Report, Severity, UnixMillis};

const EXAMPLE: &str = include_str!("../../../../deploy/formats/manageups.toml");

fn one(text: &str) -> Pattern {
    let mut patterns = Patterns::parse([("x.toml", text)]).unwrap_or_else(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        panic!("{}", errors.join("\n"))
    });
    match patterns.all.remove(0) {
        Own::Pattern(pattern) => *pattern,
        Own::Function(function) => panic!("{} is a function", function.name()),
    }
}

fn tried(pattern: &str, raw: &str) -> Result<Vec<Report>, Reason> {
    trial(&one(pattern), raw.as_bytes(), UnixMillis(0))
        .unwrap()
        .reports
}

/// Device, time, readings and event on a line.
fn shown(reports: &[Report]) -> Vec<String> {
    let line = |report: &Report| {
        let mut line = report.device.to_string();
        if let Some(at) = report.device_time {
            line.push_str(&format!(" @{at}"));
        }
        for reading in &report.readings {
            let unit = reading.unit.as_deref().unwrap_or_default();
            line.push_str(&format!(" {}={}{unit}", reading.name, reading.value));
        }
        if let Some(event) = &report.event {
            let verb = if event.clears { "clears" } else { "opens" };
            line.push_str(&format!(
                " {verb} {} {:?}: {}",
                event.condition, event.severity, event.text
            ));
        }
        line
    };
    reports.iter().map(line).collect()
}

/// A pattern file of just these rules, for any subject.
fn rules(rules: &str) -> String {
    format!("name = \"x\"\n[match]\nsubject = '.'\n{rules}")
}

#[test]
fn the_example_reads_what_the_documentation_says() {
    for (raw, expected) in [
        (
            include_str!("../../../../deploy/formats/manageups-on-battery.eml"),
            "the-sender @1795334400000 battery.charge=97% load=42.5% opens on-battery Warning: Module On Battery",
        ),
        (
            include_str!("../../../../deploy/formats/manageups-restored.eml"),
            "the-sender @1795335000000 battery.charge=81% load=42.5% clears on-battery Info: Module On Battery - Condition Cleared",
        ),
    ] {
        let trial = trial(&one(EXAMPLE), raw.as_bytes(), UnixMillis(0)).unwrap();
        assert!(
            trial.conditions.iter().all(|(_, holds)| *holds),
            "{:?}",
            trial.conditions
        );
        assert_eq!(shown(&trial.reports.unwrap()), [expected]);
    }
}

#[test]
fn every_kind_of_rule() {
    for (name, pattern, mail, expected) in [
        (
            "names by capture, decimal comma, scale",
            "[[rule]]\nregex = '^(?<metric>\\w+) = (?<value>[\\d.,]+) ?(?<unit>\\w*)'\ndecimal = ','\nscale = 0.5",
            "Subject: s\n\nload = 1.234,5 W\nfans = 4\n",
            &["the-sender load=617.25W fans=2"][..],
        ),
        (
            "templates",
            "[[rule]]\nregex = '^Outlet (?<no>\\d+): (?<value>[\\d.]+)A (?<state>\\w+)'\nmetric = 'outlet.{no}.current'\nunit = 'A'\ncondition = 'outlet {no}'\ntext = 'outlet {no} is {state}'",
            "Subject: s\n\nOutlet 3: 15.6A overload\nOutlet 4: 7.2A OK\n",
            &[
                "the-sender outlet.3.current=15.6A outlet.4.current=7.2A opens outlet-3 Warning: outlet 3 is overload",
                "the-sender clears outlet-4 Info: outlet 4 is OK",
            ],
        ),
        (
            "words of the device's language",
            "[words]\nclear = ['Ende']\nopen = ['Beginn']\ncritical = ['Notfall']\n[[rule]]\nregex = '^(?<severity>\\w+): (?<condition>.+) (?<state>\\w+)$'",
            "Subject: s\n\nNotfall: Brand BEGINN\nInformation: Regen Ende\nWarnung: Sturm Beginn\n",
            &[
                "the-sender opens brand Critical: Notfall: Brand BEGINN",
                "the-sender clears regen Info: Information: Regen Ende",
                "the-sender opens sturm Warning: Warnung: Sturm Beginn",
            ],
        ),
        (
            "the mail's time, and a line's own",
            "[[rule]]\nregex = '^At (?<time>.+)$'\n[[rule]]\nregex = '^a=(?<value>\\d+)'\nmetric = 'a'\n[[rule]]\nregex = '^(?<time>\\d\\S+) b=(?<value>\\d+)'\nmetric = 'b'",
            "Subject: s\n\na=1\n2026-11-22T08:00:00Z b=2\nAt Sun Nov 22 08:01:00 UTC 2026\nsometime b=3\n",
            &[
                "the-sender @1795334460000 a=1",
                "the-sender @1795334400000 b=2",
            ],
        ),
        (
            "header, subject, attachment, number",
            "[[rule]]\nin = 'header X-Seq'\nregex = '(?<sequence>\\d+)'\nwraps_at = 1000\n[[rule]]\nin = 'subject'\nregex = 'fan'\ncondition = 'fan'\nstate = 'open'\nseverity = 'critical'\n[[rule]]\nin = 'attachments'\nregex = 'rpm (?<value>\\d+)'\nmetric = 'rpm'",
            "Subject: fan\nX-Seq: 017\nContent-Type: text/plain; name=a.txt\n\nrpm 5\n",
            &[
                "the-sender rpm=5 mail.sequence=17 mail.sequence.modulus=1000 opens fan Critical: fan",
            ],
        ),
        (
            "a time that cannot be read is none",
            "[[rule]]\nregex = '(?<time>noon): alarm'\ncondition = 'alarm'\nstate = 'open'",
            "Subject: s\n\nnoon: alarm\n",
            &["the-sender opens alarm Warning: noon: alarm"],
        ),
    ] {
        let reports = tried(&rules(pattern), mail);
        match reports {
            Ok(reports) => assert_eq!(shown(&reports), expected, "{name}"),
            Err(refused) => panic!("{name}: {refused}"),
        }
    }
}

#[test]
fn what_a_mail_can_get_wrong() {
    let state = "[words]\nopen = ['bad']\nclear = ['good']\n[[rule]]\nregex = 'fan is (?<state>\\w+)'\ncondition = 'fan'";
    let severity = "[[rule]]\nregex = '^(?<severity>\\w+)'\ncondition = 'c'\nstate = 'open'";
    let value = "[[rule]]\nregex = 'v=(?<value>\\S+)'\nmetric = 'v'";
    let number = "[[rule]]\nregex = 'n=(?<sequence>\\S+)'\nwraps_at = 10";
    let long = format!(
        "Subject: s\n\n{}",
        "v=1 xxxxxxxxxxxxxxxxxxxxxxx\n".repeat(20_000)
    );
    let many = format!("Subject: s\n\n{}", "fan is bad\n".repeat(2_500));
    for (pattern, mail, said) in [
        (
            state,
            "Subject: s\n\nfan is odd\n",
            "neither in `words.open`",
        ),
        (
            severity,
            "Subject: s\n\nPurple\n",
            "in no list of `[words]`",
        ),
        (value, "Subject: s\n\nv=much\n", "no number"),
        (value, "Subject: s\n\nv=1e999\n", "not a finite number"),
        (value, "Subject: s\n\nv\n", "none of its rules"),
        (number, "Subject: s\n\nn=10\n", "no number below 10"),
        (number, "Subject: s\n\nn=1\n", "none of its rules"),
        (
            &format!("{value}\nrequired = true"),
            "Subject: s\n\nw=1\n",
            "required rule 1",
        ),
        (state, &many, "more than 2000 rows"),
    ] {
        let refused = tried(&rules(pattern), mail).unwrap_err().to_string();
        assert!(refused.contains(said), "{mail}: {refused}");
    }
    let long = trial(&one(&rules(value)), long.as_bytes(), UnixMillis(0)).unwrap_err();
    assert!(long.to_string().contains("that rules look at"), "{long}");
}

#[test]
fn what_a_file_can_get_wrong_is_said_with_line_and_remedy() {
    let long = "#".repeat(MAX_FILE_BYTES + 1);
    let many =
        rules(&"[[rule]]\nregex = 'a'\ncondition = 'c'\nstate = 'open'\n".repeat(MAX_RULES + 1));
    for (text, expected) in [
        ("name = ", "x.toml:1: "),
        ("nome = 'x'", "unknown field `nome`"),
        ("name = 'x'\n[match]\nsubject = '.'", "missing field `rule`"),
        (
            long.as_str(),
            "x.toml: it has 65537 bytes, over the limit of 65536; split it",
        ),
        (&rules("rule = []"), "unknown field `rule`"),
        (&many, "x.toml:1: it has 65 rules; write 1 to 64 `[[rule]]`"),
        (
            "name = 'two words'\n[match]\nsubject = '.'\n[[rule]]\nregex = 'a'\ncondition = 'c'\nstate = 'open'",
            "x.toml:1: the name \"two words\" is not usable; use 1 to 63",
        ),
        (
            "name = 'x'\n[match]\n[[rule]]\nregex = 'a'\ncondition = 'c'\nstate = 'open'",
            "x.toml:2: `[match]` has no condition, so the format would take every mail; give at least",
        ),
        (
            "name = 'x'\n[match]\nsubject = '('\n[[rule]]\nregex = 'a'\ncondition = 'c'\nstate = 'open'",
            "x.toml:3: the expression `(` is broken: unclosed group",
        ),
        (
            &rules("[[rule]]\nname = 'load'\nregex = '(?=a)'\nmetric = 'm'"),
            "x.toml:6: rule \"load\": the expression `(?=a)` is broken: look-around",
        ),
        (
            &rules("[[rule]]\nregex = '(\\w{500}){500}'\nmetric = 'm'"),
            "rule 1: the expression is too large",
        ),
        (
            &rules("[[rule]]\nregex = 'a'"),
            "x.toml:4: rule 1: it extracts nothing; give it a `metric`",
        ),
        (
            &rules("[[rule]]\nregex = 'a'\nmetric = 'm'"),
            "it has a metric but catches no value",
        ),
        (
            &rules("[[rule]]\nregex = '(?<value>a)'"),
            "catches a value but names no metric",
        ),
        (
            &rules("[[rule]]\nregex = 'a'\ncondition = 'c'"),
            "begins or ends; add `state",
        ),
        (
            &rules("[[rule]]\nregex = 'a'\nstate = 'open'"),
            "names no condition",
        ),
        (
            &rules("[[rule]]\nregex = '(?<state>a)'\ncondition = 'c'\nstate = 'open'"),
            "x.toml:7: rule 1: it gives a `state` and has a group `state`, too; drop one",
        ),
        (
            &rules("[[rule]]\nregex = 'a'\ncondition = 'c'\nstate = 'ajar'"),
            "`state = \"ajar\"` is no state",
        ),
        (
            &rules("[[rule]]\nregex = 'a'\ncondition = 'c'\nstate = 'open'\nseverity = 'bad'"),
            "x.toml:8: rule 1: `severity = \"bad\"` is none; take \"info\"",
        ),
        (
            &rules("[[rule]]\nregex = 'a(?<x>b)'\ncondition = 'c'\nstate = 'open'"),
            "the group `x` is not used; name it `{x}`",
        ),
        (
            &rules("[[rule]]\nregex = 'a'\ncondition = 'c{y}'\nstate = 'open'"),
            "`condition` names the group `y`, which the expression lacks; add `(?<y>…)`",
        ),
        (
            &rules("[[rule]]\nregex = 'a'\ncondition = 'c{'\nstate = 'open'"),
            "is no text with groups",
        ),
        (
            &rules("[[rule]]\nin = 'footer'\nregex = 'a'\ncondition = 'c'\nstate = 'open'"),
            "is no place in a mail",
        ),
        (
            &rules("[[rule]]\nregex = '(?<value>a)'\nmetric = 'm'\nscale = nan"),
            "makes every value useless",
        ),
        (
            &rules("[[rule]]\nregex = '(?<value>a)'\nmetric = 'm'\ndecimal = ';'"),
            "is no decimal sign",
        ),
        (
            &rules("[[rule]]\nregex = '(?<sequence>a)'\nwraps_at = 1"),
            "is no counter",
        ),
        (
            &rules("[[rule]]\nregex = 'a'\ncondition = 'c'\nstate = 'open'\nscale = 2.0"),
            "it has `scale` without a metric; add a metric, or drop `scale`",
        ),
        (
            &rules("[[rule]]\nregex = '(?<time>a)'\nwraps_at = 10"),
            "it has `wraps_at` without a group `sequence`",
        ),
        (
            &rules("[[rule]]\nregex = '(?<device>a)'"),
            "speak for another device, and nothing says who may do so for whom",
        ),
    ] {
        let errors = Patterns::parse([("x.toml", text)]).unwrap_err();
        let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(
            said.iter().any(|line| line.contains(expected)),
            "{expected}\n{said:#?}"
        );
        assert!(said.iter().all(|line| !line.contains('\n')), "{said:#?}");
    }
    let both = [("a.toml", EXAMPLE), ("b.toml", EXAMPLE), ("c.toml", "")];
    let errors = Patterns::parse(both).unwrap_err();
    assert_eq!(errors.len(), 2, "all files are looked at: {errors:?}");
    assert!(
        errors[0]
            .to_string()
            .starts_with("b.toml: another file has the format")
    );
}

const GATEWAY: &str = "name = 'gateway'\nspeaks_for = ['ups-*', 'pdu-1']\n[match]\nsubject = '.'\ndevices = ['gw']\n[[rule]]\nregex = '^(?<device>\\S+) load (?<value>\\d+)'\nmetric = 'load'\n";

#[test]
fn a_gateway_speaks_only_for_whom_it_may() {
    let mail = |name: &str| format!("Subject: s\n\n{name} load 7\n");
    for (name, allowed) in [
        ("ups-7", true),
        ("pdu-1", true),
        ("pdu-2", false),
        ("gw", false),
    ] {
        let reports = tried(GATEWAY, &mail(name));
        match reports {
            Ok(reports) => assert_eq!((reports[0].device.as_str(), allowed), (name, true)),
            Err(refused) => {
                assert!(!allowed, "{name}: {refused}");
                assert!(
                    refused.to_string().contains("not in its `speaks_for`"),
                    "{refused}"
                );
            }
        }
    }
}

/// Through the whole way of a mail: who may send it, and that the named device must be known.
#[test]
fn a_mail_goes_to_the_device_it_names() {
    use crate::{DecodeContext, Device, Directory, decode};
    let device = |id: &str| Device {
        id: id.into(),
        room: format!("room-of-{id}").as_str().into(),
        class: "c".to_owned(),
        addresses: vec![format!("{id}@example.net")],
    };
    let directory = Directory::new(["gw", "ups-7", "stranger"].map(device)).unwrap();
    let patterns = Patterns::parse([("g.toml", GATEWAY)]).unwrap();
    let node = wire::NodeId::from("n");
    let context = DecodeContext {
        node: &node,
        seq: 1,
        arrival: UnixMillis(0),
        directory: &directory,
        patterns: &patterns,
    };
    let raw = |name: &str| format!("Subject: s\n\n{name} load 7\n").into_bytes();
    let reports = decode(&context, "gw@example.net", &raw("ups-7")).unwrap();
    assert_eq!(reports[0].device.as_str(), "ups-7");
    assert_eq!(reports[0].room.as_str(), "room-of-ups-7");
    for (sender, name, said) in [
        (
            "gw@example.net",
            "ups-8",
            "speaks for the device \"ups-8\", which the configuration does not list",
        ),
        // Not the gateway: the pattern is not even tried.
        ("stranger@example.net", "ups-7", "no known format fits"),
        ("ups-7@example.net", "ups-7", "no known format fits"),
    ] {
        let refused = decode(&context, sender, &raw(name))
            .unwrap_err()
            .to_string();
        assert!(refused.contains(said), "{refused}");
    }
}

#[test]
fn a_pattern_comes_before_the_built_in_formats() {
    use crate::harness;
    let letter = mail::open(b"Subject: csv\n\ntime,a\n0,1\n").unwrap();
    let patterns = Patterns::parse([(
        "x.toml",
        rules("[[rule]]\nregex = ',(?<value>1)'\nmetric = 'own'").as_str(),
    )])
    .unwrap();
    let pattern = patterns
        .iter()
        .find(|pattern| pattern.fits(&letter, &"d".into()))
        .unwrap();
    assert_eq!(pattern.decode(&letter).unwrap()[0].readings[0].name, "own");
    assert!(
        harness::patterns().iter().count() == 1,
        "the harness has its pattern"
    );
}

#[test]
fn severities_are_those_of_the_wire() {
    let grades = ["info", "warning", "critical"].map(|grade| {
        let text = rules(&format!(
            "[[rule]]\nregex = 'a'\ncondition = 'c'\nstate = 'open'\nseverity = '{grade}'"
        ));
        tried(&text, "Subject: s\n\na\n").unwrap()[0]
            .event
            .clone()
            .unwrap()
            .severity
    });
    assert_eq!(
        grades,
        [Severity::Info, Severity::Warning, Severity::Critical]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// No text is more than a refusal.
    #[test]
    fn random_mails_never_panic(subject in "[ -~é]{1,60}", body in "(Load: |[0-9]{1,4}|[,.:%]|ups-1|\\n|[ -~é]){0,60}") {
        let raw = format!("Subject: {subject}\r\n\r\n{body}");
        crate::harness::mime_to_reports(raw.as_bytes());
    }

    #[test]
    fn mutated_files_never_panic(edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..8)) {
        let mut text = EXAMPLE.as_bytes().to_vec();
        for (at, byte, edit) in edits {
            let at = at.index(text.len());
            match edit {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                _ => drop(text.remove(at)),
            }
        }
        crate::harness::pattern_file(&text);
    }
}
