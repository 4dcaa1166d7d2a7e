use super::*;
use runtime::journal::{Journal, JournalOptions};
use std::net::{IpAddr, Ipv4Addr};
use wire::{KnownDevice, Proof, Source, UnixMicros, UnixMillis};

fn stored(number: u8) -> StoredMail {
    StoredMail {
        reverse_path: Some("ups-1@hall.example".to_owned()),
        forward_paths: vec!["alerts@glasshouse.example".to_owned()],
        helo: "ups-1".to_owned(),
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        tls: false,
        profile: Some("old".to_owned()),
        end_of_data: UnixMicros(7),
        data: vec![number; 300],
        device: Some(KnownDevice {
            id: "ups-1".into(),
            proof: Proof::Address,
            counter: None,
        }),
    }
}

fn shown_by_nobody(number: u8) -> StoredMail {
    StoredMail {
        device: None,
        ..stored(number)
    }
}

/// By the product's own writer and reader.
#[test]
fn mails_of_an_older_journal_are_read_and_go_on() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mail = dir.path().join("mail");
    runtime.block_on(async {
        let (journal, _) = Journal::open(&mail, JournalOptions::default()).unwrap();
        for number in 1..=3 {
            journal.append(wire::encode(&stored(number))).await.unwrap();
        }
        journal.mark_processed(1).unwrap();
        drop(journal);
        let done = rewrite(dir.path(), &mut Dice::new(1)).unwrap();
        assert!(done.contains("3 mails"), "{done}");
        let again = rewrite(dir.path(), &mut Dice::new(1)).unwrap();
        assert!(
            !again.contains("mails"),
            "what is older already stays: {again}"
        );
        // The writer's task ends in its own time.
        tokio::task::yield_now().await;
        let (journal, _) = Journal::open(&mail, JournalOptions::default()).unwrap();
        assert_eq!(
            journal.append(wire::encode(&stored(4))).await.unwrap(),
            4,
            "nothing was lost"
        );
        let read: Vec<StoredMail> = journal
            .read_from(1)
            .unwrap()
            .map(|record| StoredMail::read(&record.unwrap().payload).unwrap())
            .collect();
        let mut expected: Vec<_> = (1..=3).map(shown_by_nobody).collect();
        expected.push(stored(4));
        assert_eq!(read, expected);
    });
}

#[test]
fn numbers_lose_their_checksum_or_are_not_there_yet() {
    let numbers = |seed: u64, number: u64, begun: bool| {
        let dir = tempfile::tempdir().unwrap();
        let mail = dir.path().join("mail");
        fs::create_dir(&mail).unwrap();
        if begun {
            fs::write(mail.join("processed"), b"x").unwrap();
        }
        let files = [
            dir.path().join("incarnation"),
            mail.join("numbers"),
            mail.join("numbers.copy"),
        ];
        for path in &files {
            number::write(path, number).unwrap();
        }
        let ahead = dir.path().join("postman-ahead");
        fs::write(&ahead, "x").unwrap();
        rewrite(dir.path(), &mut Dice::new(seed)).unwrap();
        assert!(!ahead.exists(), "the first programs had none");
        files.map(|path| fs::read_to_string(path).ok())
    };
    let bare = |number: &str| [(); 3].map(|()| Some(number.to_owned()));
    for seed in 0..20 {
        assert_eq!(numbers(seed, 41, true), bare("41"));
        assert_eq!(numbers(seed, 0, false), bare("0"));
    }
    let oldest = [Some("0".to_owned()), None, None];
    let found: Vec<_> = (0..20).map(|seed| numbers(seed, 0, true)).collect();
    assert!(found.contains(&oldest) && found.contains(&bare("0")));
}

#[test]
fn quarantined_mails_are_shown_by_nobody() {
    let item = Quarantined {
        at: UnixMillis(7),
        source: Source::Mail,
        position: "9".to_owned(),
        sender: "ups-1@hall.example".to_owned(),
        reason: "no format knows it".to_owned(),
        raw: b"Subject: x".to_vec(),
        shown: Some("ups-1".into()),
    };
    let (older, count) = quarantined(&wire::encode(&item));
    let nobody = Quarantined {
        shown: None,
        ..item
    };
    assert_eq!((Quarantined::read(&older), count), (Ok(nobody), 1));
    assert_eq!(quarantined(&older), (older.clone(), 0));
    assert_eq!(quarantined(b"junk"), (b"junk".to_vec(), 0));
}

/// What frames the product reads is for the scenario to show; here only that nothing else changes.
#[test]
fn entries_lose_their_marks_and_a_torn_log_stays() {
    let frame = |out: &mut Vec<u8>, payload: &[u8]| {
        let (at, len) = (out.len() as u64, payload.len() as u32);
        let crc = crc32c::crc32c(payload);
        let sum = [
            &at.to_le_bytes()[..],
            &len.to_le_bytes(),
            &crc.to_le_bytes(),
        ]
        .concat();
        for word in [len, crc, crc32c::crc32c(&sum)] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(payload);
    };
    let frames = |payloads: &[&[u8]]| {
        let mut out = Vec::new();
        payloads.iter().for_each(|payload| frame(&mut out, payload));
        out
    };
    let marked = [&[0xb2][..], &[7; 8], b"\x01two"].concat();
    let new = frames(&[b"\x01head", b"\x01one", &marked, b"\x01three"]);
    let old = frames(&[b"\x01head", b"\x01one", b"\x01two", b"\x01three"]);
    assert_eq!(raft_log(&new), (old.clone(), 1));
    assert_eq!(raft_log(&old), (old, 0));
    let torn = &new[..new.len() - 1];
    assert_eq!(raft_log(torn), (torn.to_vec(), 0));
}
