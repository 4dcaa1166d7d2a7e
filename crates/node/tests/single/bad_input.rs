//! What a user gets to see when the input is wrong, on a real node: a clear answer or a quarantined
//! message with its reason; what was accepted before stays; nothing panics.

use crate::house::House;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const GOOD: &[u8] = b"From: ups-1@hall.example\r\nTo: telemetry@glasshouse.example\r\nMessage-ID: <good@hall>\r\nSubject: report\r\nMIME-Version: 1.0\r\nContent-Type: application/senml+json\r\n\r\n[{\"bn\":\"ups-1:\",\"n\":\"battery.charge\",\"u\":\"%\",\"v\":98.5}]\r\n";

fn mail(from: &str, id: &str, kind: &str, body: &str) -> Vec<u8> {
    format!("From: {from}\r\nTo: telemetry@glasshouse.example\r\nMessage-ID: <{id}@hall>\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n{body}\r\n").into_bytes()
}

#[test]
fn bad_mail_is_quarantined_with_its_reason_and_good_mail_goes_on() {
    let mut house = House::build("");
    house.start();
    house.mail("ups-1@hall.example", GOOD).unwrap();
    let bad = [
        (
            "stranger@hall.example",
            mail("stranger@hall.example", "1", "application/senml+json", "[]"),
            "no device is known",
        ),
        (
            "ups-1@hall.example",
            mail(
                "ups-1@hall.example",
                "2",
                "application/senml+json",
                "[{\"n\":",
            ),
            "JSON",
        ),
        (
            "ups-1@hall.example",
            mail("ups-1@hall.example", "3", "text/plain", "hello?"),
            "no known format",
        ),
        (
            "ups-1@hall.example",
            b"\x00\xff\xfe not a mail".to_vec(),
            "",
        ),
    ];
    for (from, raw, _) in &bad {
        // NUL and bare line ends are refused by the session already; the others are taken.
        let taken = house.mail(from, raw);
        assert_eq!(taken.is_ok(), !raw.contains(&0), "{taken:?}");
    }
    house
        .mail(
            "ups-1@hall.example",
            &String::from_utf8_lossy(GOOD)
                .replace("good@hall", "good2@hall")
                .into_bytes(),
        )
        .unwrap();
    let status = house.until("all is worked off", |status| {
        status.mail.pending == 0 && status.dds.received >= 2
    });
    assert_eq!(status.mail.quarantined, 3, "{status:#?}");
    assert_eq!(status.plaintext_payload_bytes, 0);

    let config = house.config.to_string_lossy().into_owned();
    let list = house.glasshouse(&["quarantine", "list", "--config", &config]);
    let text = String::from_utf8(list.stdout).unwrap();
    for (_, _, reason) in &bad[..3] {
        assert!(text.contains(reason), "`{reason}` is not in\n{text}");
    }
    let show = house.glasshouse(&["quarantine", "show", "1", "--config", &config]);
    assert!(String::from_utf8_lossy(&show.stdout).contains("stranger@hall.example"));
    assert!(
        house
            .glasshouse(&["quarantine", "discard", "1", "--config", &config])
            .status
            .success()
    );
    let gone = house.glasshouse(&["quarantine", "show", "1", "--config", &config]);
    assert!(!gone.status.success() && String::from_utf8_lossy(&gone.stderr).contains("no item 1"));
}

/// RFC 5322 §3.6. Gear without a clock needs a profile.
#[test]
fn a_mail_without_a_date_is_refused_unless_a_profile_lets_it_through() {
    let mut house = House::build(
        "[[mailbox.profile]]\nname = \"elsewhere\"\nnetworks = [\"192.0.2.0/24\"]\nrelaxes = [\"no_date\"]",
    );
    house.start();
    let refused = house.undated("ups-1@hall.example", GOOD).unwrap_err();
    assert!(refused.to_string().contains("without Date"), "{refused}");
    house.kill();
    let text = std::fs::read_to_string(&house.config).unwrap();
    std::fs::write(&house.config, text.replace("192.0.2.0/24", "127.0.0.0/8")).unwrap();
    house.start();
    house.undated("ups-1@hall.example", GOOD).unwrap();
    house.until("it is taken", |status| status.dds.received >= 1);
}

/// From a mail that nobody knows to a format of one's own, without a restart.
#[test]
fn a_format_taught_by_a_file_frees_what_is_in_quarantine() {
    const PATTERN: &str = include_str!("../../../../deploy/formats/manageups.toml");
    const MAIL: &str = include_str!("../../../../deploy/formats/manageups-on-battery.eml");
    let mut house = House::build("");
    let text = std::fs::read_to_string(&house.config).unwrap();
    let with_folder = "[mailbox]\nformats = \"formats\"\n";
    std::fs::write(&house.config, text.replace("[mailbox]\n", with_folder)).unwrap();
    let formats = house.path("formats");
    std::fs::create_dir(&formats).unwrap();
    house.start();
    let mail = MAIL.replace("ups-2@", "ups-1@").replace('\n', "\r\n");
    house.mail("ups-1@hall.example", mail.as_bytes()).unwrap();
    house.until("it is set aside", |status| status.mail.quarantined == 1);

    let config = house.config.to_string_lossy().into_owned();
    let quarantine = |house: &House, arguments: &[&str]| {
        let all = [&["quarantine"], arguments, &["--config", &config]].concat();
        let output = house.glasshouse(&all);
        let (out, error) = (
            output.stdout,
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        (output.status.success(), out, error)
    };
    let (_, raw, _) = quarantine(&house, &["show", "1", "--raw"]);
    assert!(
        raw.ends_with(b"Load: 42.5 %\r\n"),
        "{}",
        String::from_utf8_lossy(&raw)
    );
    let saved = house.path("saved.eml").to_string_lossy().into_owned();
    std::fs::write(&saved, &raw).unwrap();

    let file = formats.join("manageups.toml");
    let mistake = PATTERN.replace("(?<severity>", "(?<severity");
    std::fs::write(&file, mistake).unwrap();
    let (taken, _, error) = quarantine(&house, &["retry", "1"]);
    assert!(
        !taken && error.contains("manageups.toml:18: rule \"condition\""),
        "{error}"
    );

    std::fs::write(&file, PATTERN).unwrap();
    let tried = house.glasshouse(&["format", "test", &file.to_string_lossy(), &saved]);
    assert!(
        tried.status.success(),
        "{}",
        String::from_utf8_lossy(&tried.stderr)
    );
    let (taken, out, error) = quarantine(&house, &["retry", "1"]);
    let out = String::from_utf8_lossy(&out);
    assert!(taken && out.contains("1 report of ups-1"), "{out}{error}");
    house.until("it is on the data space", |status| status.dds.received >= 1);
    let (_, out, _) = quarantine(&house, &["list"]);
    assert_eq!(out, b"nothing is in quarantine\n");
    let (taken, _, error) = quarantine(&house, &["retry", "1"]);
    assert!(!taken && error.contains("no item 1"), "{error}");

    // From now on such mails are read at once.
    let again = mail.replace("97 %", "96 %");
    house.mail("ups-1@hall.example", again.as_bytes()).unwrap();
    house.until("the next one, too", |status| status.dds.received >= 2);
    house
        .mail("ups-1@hall.example", b"Subject: ?\r\n\r\n?\r\n")
        .unwrap();
    house.until("another", |status| status.mail.quarantined == 2);
    house.kill();
    let (listed, out, error) = quarantine(&house, &["list"]);
    let out = String::from_utf8_lossy(&out);
    assert!(
        listed && out.contains("no known format") && error.contains("does not run"),
        "{out}{error}"
    );
    let (taken, _, error) = quarantine(&house, &["retry", "--all"]);
    assert!(!taken && error.contains("running node"), "{error}");
    let (removed, out, _) = quarantine(&house, &["discard", "--all"]);
    assert!(removed && out == b"1 item removed.\n");
}

#[test]
fn strangers_at_the_cluster_port_get_nowhere_and_harm_nothing() {
    let mut house = House::build("");
    house.start();
    for garbage in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0u8; 4096][..],
        &[0xffu8; 70_000][..],
    ] {
        let mut stream = TcpStream::connect(house.link).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        // The node may close before everything is written.
        let _ = stream.write_all(garbage);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(
            answer.len() < 1_024,
            "a stranger was told {} bytes",
            answer.len()
        );
    }
    house.mail("ups-1@hall.example", GOOD).unwrap();
    house.until("mail still flows", |status| status.dds.received >= 1);
    let log = std::fs::read_to_string(house.log()).unwrap();
    assert!(!log.contains("panicked"), "{log}");
    assert!(
        log.contains("refused") || log.contains("handshake"),
        "the refusal is not in the log:\n{log}"
    );
}

#[test]
fn what_was_accepted_survives_kill_9_and_the_ledger_verifies() {
    let mut house = House::build("");
    house.start();
    for number in 0..20 {
        let body = format!("[{{\"bn\":\"ups-1:\",\"n\":\"battery.charge\",\"v\":{number}}}]");
        house
            .mail(
                "ups-1@hall.example",
                &mail(
                    "ups-1@hall.example",
                    &format!("k{number}"),
                    "application/senml+json",
                    &body,
                ),
            )
            .unwrap();
    }
    house.kill();
    house.start();
    let status = house.until("the journal is replayed and accounted for", |status| {
        status.ledger.mails >= 20 && status.mail.pending == 0
    });
    assert_eq!(status.ledger.mails, 20, "each mail counts once");

    let dir = house.path("data/ledger").to_string_lossy().into_owned();
    let verified = house.glasshouse(&["ledger", "verify", &dir]);
    assert!(
        verified.status.success(),
        "{}",
        String::from_utf8_lossy(&verified.stderr)
    );
    house.kill();
    let leaves = house.path("data/ledger/leaves");
    let mut bytes = std::fs::read(&leaves).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&leaves, bytes).unwrap();
    let tampered = house.glasshouse(&["ledger", "verify", &dir]);
    assert!(
        !tampered.status.success(),
        "{}",
        String::from_utf8_lossy(&tampered.stdout)
    );
}

#[test]
fn a_corrupt_configuration_is_explained_before_anything_starts() {
    let house = House::build("");
    let good = house.glasshouse(&["config", "check", &house.config.to_string_lossy()]);
    assert!(
        good.status.success(),
        "{}",
        String::from_utf8_lossy(&good.stderr)
    );
    let text = std::fs::read_to_string(&house.config).unwrap();
    std::fs::write(
        &house.config,
        text.replace("home = \"solo\"", "home = \"nobody\""),
    )
    .unwrap();
    for command in [vec!["config", "check"], vec!["node", "--config"]] {
        let mut arguments = command.clone();
        let config = house.config.to_string_lossy().into_owned();
        arguments.push(&config);
        let output = house.glasshouse(&arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(
            error.contains("`room[0].home`") && error.contains("nobody") && error.contains("solo"),
            "{error}"
        );
    }
}

#[test]
fn a_second_node_on_the_same_data_is_refused_with_a_sentence() {
    let mut house = House::build("");
    house.start();
    let text = std::fs::read_to_string(&house.config).unwrap();
    let other = house.path("other.toml");
    let text = text
        .replace(&house.link.to_string(), "127.0.0.1:0")
        .replace(&house.admin.to_string(), "127.0.0.1:0");
    std::fs::write(&other, text).unwrap();
    let output = house.glasshouse(&["node", "--config", &other.to_string_lossy()]);
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("in use"), "{error}");
}
