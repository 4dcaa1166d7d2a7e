//! What rests on a node's disk: nobody reads a mail there, the node itself does, and whoever loses the key
//! is told.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test itself"
)]

use crate::house::House;
use runtime::journal::{Journal, JournalOptions};
use std::path::{Path, PathBuf};
use std::{fs, io};
use wire::{StoredMail, UnixMicros};

/// Stands in a reading's name and in a text that nobody understands.
const MARKER: &str = "xyzzy-7f3a";

fn understood() -> Vec<u8> {
    format!(
        "From: ups-1@hall.example\r\nTo: telemetry@glasshouse.example\r\nMessage-ID: <1@hall>\r\n\
         Subject: {MARKER}\r\nMIME-Version: 1.0\r\nContent-Type: application/senml+json\r\n\r\n\
         [{{\"bn\":\"ups-1:\",\"n\":\"{MARKER}\",\"v\":98.5}}]\r\n"
    )
    .into_bytes()
}

fn not_understood() -> Vec<u8> {
    format!(
        "From: ups-1@hall.example\r\nTo: telemetry@glasshouse.example\r\nMessage-ID: <2@hall>\r\n\
         Subject: hello\r\n\r\nnobody knows {MARKER}\r\n"
    )
    .into_bytes()
}

/// All files below, with what is in them; sockets have nothing. A running node replaces files, so one that
/// was listed may be gone by the time that it is read.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let Some(kind) = if_there(fs::symlink_metadata(&path)) else {
            continue;
        };
        if kind.is_dir() {
            found.extend(files(&path));
        } else if kind.is_file() {
            found.extend(if_there(fs::read(&path)).map(|content| (path, content)));
        }
    }
    found
}

fn if_there<T>(read: io::Result<T>) -> Option<T> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        read => Some(read.unwrap()),
    }
}

fn with_marker(dir: &Path) -> Vec<PathBuf> {
    let holds = |bytes: &[u8]| {
        let mut windows = bytes.windows(MARKER.len());
        windows.any(|window| window.eq_ignore_ascii_case(MARKER.as_bytes()))
    };
    let found = files(dir).into_iter().filter(|(_, bytes)| holds(bytes));
    found.map(|(path, _)| path).collect()
}

#[test]
fn no_mail_can_be_read_on_the_disk_and_a_lost_key_is_told() {
    let mut house = House::build("");
    house.start();
    house.mail("ups-1@hall.example", &understood()).unwrap();
    house.mail("ups-1@hall.example", &not_understood()).unwrap();
    house.until("both are worked off", |status| {
        status.mail.pending == 0 && status.mail.quarantined == 1 && status.dds.received >= 1
    });
    let data = house.path("data");
    assert_eq!(with_marker(&data), Vec::<PathBuf>::new());
    let config = house.config.to_string_lossy().into_owned();
    let show = |house: &House| {
        let shown = house.glasshouse(&["quarantine", "show", "1", "--config", &config]);
        let (out, error) = (
            String::from_utf8_lossy(&shown.stdout).into_owned(),
            String::from_utf8_lossy(&shown.stderr).into_owned(),
        );
        out + &error
    };
    assert!(show(&house).contains(MARKER), "the running node reads it");
    house.kill();
    assert_eq!(with_marker(&data), Vec::<PathBuf>::new());
    assert!(show(&house).contains(MARKER), "and its owner without it");

    let key = data.join("wrapping.key");
    let aside = house.path("key");
    fs::rename(&key, &aside).unwrap();
    fs::remove_file(data.join("wrapping.key.copy")).unwrap();
    let before: Vec<(PathBuf, Vec<u8>)> = files(&data.join("mail"));
    let refused = house.glasshouse(&["node", "--config", &config]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("wrapping.key is missing"),
        "{said}"
    );
    assert!(!key.exists(), "no new key hides that the old one is gone");
    assert_eq!(files(&data.join("mail")), before);
    let shown = show(&house);
    assert!(
        shown.contains("is missing") && !shown.contains(MARKER),
        "{shown}"
    );

    fs::rename(&aside, &key).unwrap();
    let changed = house.glasshouse(&["wrapping-key", "--new", "--config", &config]);
    assert!(changed.status.success());
    let listed = house.glasshouse(&["wrapping-key", "--config", &config]);
    assert_eq!(String::from_utf8_lossy(&listed.stdout).lines().count(), 2);
    house.start();
    house.mail("ups-1@hall.example", &understood()).unwrap();
    house.until("a mail that came before is known", |status| {
        status.mail.duplicates >= 1
    });
    assert!(show(&house).contains(MARKER));
}

#[test]
fn a_node_of_an_older_release_loses_nothing() {
    let mut house = House::build("");
    let mail = house.path("data/mail");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let (journal, _) = Journal::open(&mail, JournalOptions::default()).unwrap();
    let stored = StoredMail {
        reverse_path: Some("ups-1@hall.example".to_owned()),
        forward_paths: vec!["telemetry@glasshouse.example".to_owned()],
        helo: "ups-1".to_owned(),
        peer: std::net::Ipv4Addr::LOCALHOST.into(),
        tls: true,
        profile: None,
        end_of_data: UnixMicros(1_764_000_000_000_000),
        data: understood(),
        device: None,
    };
    runtime
        .block_on(journal.append(wire::encode(&stored)))
        .unwrap();
    drop(journal);
    let plain = with_marker(&house.path("data"));
    assert_eq!(plain.len(), 1, "so the search finds what is to be found");

    house.start();
    house.until("what was waiting is published", |status| {
        status.mail.pending == 0 && status.ledger.mails == 1 && status.dds.received >= 1
    });
    let other = String::from_utf8(understood())
        .unwrap()
        .replace("<1@", "<9@");
    house.mail("ups-1@hall.example", other.as_bytes()).unwrap();
    house.until("and what comes now", |status| status.ledger.mails == 2);
    // The old file goes when all in it is worked off and a new one has begun, under another name first.
    let now = with_marker(&house.path("data"));
    let old = plain[0].to_string_lossy();
    assert!(
        now.iter()
            .all(|path| path.to_string_lossy().starts_with(&*old)),
        "only the old file is plain: {now:?}"
    );
}
