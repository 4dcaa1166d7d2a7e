//! What the mails look like.

use super::super::{gathered::Gathered, text};
use super::*;
use proptest::prelude::*;

fn anomaly() -> Alert {
    Alert {
        id: "bmc-7/anomaly/1795000000000".to_owned(),
        device: "bmc-7".into(),
        room: "hall-a".into(),
        kind: AlertKind::Anomaly {
            score: 3.217,
            because: vec![
                ("temperature.inlet".to_owned(), 0.62),
                ("fan.44".to_owned(), 0.21),
            ],
        },
        severity: Severity::Critical,
        at: UnixMillis(EPOCH),
        summary: "bmc-7 behaves unusually: temperature.inlet, fan.44".to_owned(),
    }
}

#[test]
fn an_anomaly() {
    let letter = text::raised(&settings(), 4_711, &anomaly());
    assert_eq!(letter.subject, "[CRITICAL] hall-a bmc-7: anomaly");
    assert_eq!(letter.id, "raised.4711@hall.glasshouse");
    assert_eq!(
        letter.body,
        "bmc-7 behaves unusually: temperature.inlet, fan.44

Device: bmc-7
Room: hall-a
What: anomaly
Severity: CRITICAL
Score: 3.22 (threshold 1.00)
- temperature.inlet: 62% of it
- fan.44: 21% of it
Since: 2026-11-18 12:06:40 +01:00 (2026-11-18 11:06:40 UTC)

Ledger leaf: 4711
Alert: bmc-7/anomaly/1795000000000
"
    );
}

#[test]
fn the_end_of_a_silence_west_of_greenwich() {
    let settings = Settings {
        zone: |_| -210,
        ..settings()
    };
    let silent = Alert {
        kind: AlertKind::Silent { for_ms: 65_000 },
        summary: "ups-1 has been silent for 65 s".to_owned(),
        ..alert("ups-1", "silence", 0)
    };
    assert!(
        text::raised(&settings, 1, &silent)
            .body
            .contains("\nSilent for: 65.0 s\n")
    );
    let letter = text::cleared(&settings, 12, &silent, 9, UnixMillis(EPOCH + 90_500));
    assert_eq!(letter.subject, "[CLEARED] hall-a ups-1: silence");
    assert_eq!(
        letter.body,
        "Over: ups-1 has been silent for 65 s

Device: ups-1
Room: hall-a
What: silence
Severity: WARNING
Since: 2026-11-18 07:36:40 -03:30 (2026-11-18 11:06:40 UTC)
Over since: 2026-11-18 07:38:10 -03:30 (2026-11-18 11:08:10 UTC)
Lasted: 90.5 s

Ledger leaf: 12 (raised at 9)
Alert: ups-1/silence/0
"
    );
}

#[test]
fn a_digest() {
    let mut gathered = Gathered::default();
    let ups = alert("ups-1", "on-battery", 1_000);
    gathered.raised(20, &ups);
    gathered.raised(21, &anomaly());
    gathered.cleared(23, &ups, UnixMillis(EPOCH + 9_000));
    gathered.raised(24, &alert("ups-1", "on-battery", 12_000));
    gathered.cleared(30, &alert("pdu-3", "overload", 0), UnixMillis(EPOCH));
    let letter = text::digest(&settings(), &gathered);
    assert_eq!(letter.subject, "[CRITICAL] 3 alerts in hall-a, 1 over");
    assert_eq!(letter.id, "digest.20-30@hall.glasshouse");
    assert_eq!((letter.raised, letter.cleared), (3, 2));
    assert_eq!(
        letter.body,
        "3 alerts raised in hall-a; 1 of them over already, 2 open.
1 alert of earlier mails ended.

The worst:
- CRITICAL hall-a bmc-7: anomaly, since 2026-11-18 12:06:40 +01:00, leaf
  21: bmc-7 behaves unusually: temperature.inlet, fan.44
- WARNING hall-a ups-1: on-battery, 2 times, since 2026-11-18 12:06:41
  +01:00, leaf 20: ups-1 reports: on-battery

By severity, room and kind:
- CRITICAL hall-a anomaly: 1, 0 over
- WARNING hall-a on-battery: 2, 1 over

Over, of earlier mails:
- hall-a pdu-3: overload, at 2026-11-18 12:06:40 +01:00, leaf 30

Ledger leaves: 20 to 30
"
    );
}

#[test]
fn a_digest_of_ends_alone() {
    let mut gathered = Gathered::default();
    for leaf in 0..20 {
        let pdu = alert(&format!("pdu-{leaf}"), "overload", leaf);
        gathered.cleared(leaf, &pdu, UnixMillis(EPOCH));
    }
    let letter = text::digest(&settings(), &gathered);
    assert_eq!(letter.subject, "[CLEARED] 20 alerts over");
    assert!(letter.body.contains("\n- and 8 more\n"), "{}", letter.body);
}

proptest! {
    #[test]
    fn nothing_that_a_device_says_breaks_the_lines(
        device in "\\PC{0,90}", words in any::<String>(), condition in "[ -~\r\n]{0,200}",
    ) {
        let alert = Alert { summary: words, ..alert(&device, &condition, 5) };
        let mut gathered = Gathered::default();
        gathered.raised(1, &alert);
        gathered.cleared(2, &alert, UnixMillis(EPOCH));
        for letter in [
            text::raised(&settings(), 1, &alert),
            text::cleared(&settings(), 2, &alert, 1, UnixMillis(EPOCH)),
            text::digest(&settings(), &gathered),
        ] {
            prop_assert!(letter.subject.chars().count() <= MAX_SUBJECT);
            prop_assert!(!letter.subject.chars().any(char::is_control));
            for line in letter.body.split('\n') {
                prop_assert!(line.chars().count() <= COLUMNS, "{line:?}");
                prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
    }
}
