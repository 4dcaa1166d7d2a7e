//! Clients that other people wrote.

use crate::house::*;
use edge::mailer::{Mailer, MailerConfig, MailerError, Security};
use std::time::Duration;
use telemetry::alertmail::Letter;
use tempfile::TempDir;
use tokio::net::TcpListener;

fn mailer(port: u16, security: Security) -> MailerConfig {
    MailerConfig {
        host: "localhost".to_owned(),
        port,
        security,
        helo: "node-1.house.example".to_owned(),
        from: "Glasshouse <alerts@house.example>".to_owned(),
        to: vec![
            "Operators <ops@other.example>".to_owned(),
            "t@house.example".to_owned(),
        ],
        limit: MailerConfig::LIMIT,
    }
}

fn letter(subject: &str, body: &str, id: &str) -> Letter {
    Letter {
        subject: subject.to_owned(),
        body: body.to_owned(),
        id: id.to_owned(),
        raised: 1,
        ..Letter::default()
    }
}

fn starttls(house: &House) -> Security {
    Security::StartTls {
        roots: house.certified.certificate.clone(),
    }
}

#[tokio::test]
async fn lettre_delivers_over_one_connection() {
    let dir = TempDir::new().expect("a directory");
    let mut house = House::start(&dir, policy()).await;
    let mailer = Mailer::new(mailer(house.port(), starttls(&house))).expect("usable");
    mailer
        .send(&letter(
            "UPS on battery",
            "Since 12:00.\n.\nß\n",
            "1@house.example",
        ))
        .await
        .expect("sent");
    let data = format!("{}.\r\n..\r\n", message(7)).into_bytes();
    let to = ["telemetry@house.example".to_owned()];
    mailer
        .send_raw("ups@hall.example", &to, &data)
        .await
        .expect("sent");

    let first = house.next().await;
    assert_eq!(first.seq, 1);
    assert!(first.mail.tls && first.mail.profile.is_none());
    assert_eq!(
        first.mail.reverse_path.as_deref(),
        Some("alerts@house.example")
    );
    assert_eq!(
        first.mail.forward_paths,
        ["ops@other.example", "t@house.example"]
    );
    assert_eq!(first.mail.helo, "node-1.house.example");
    let text = String::from_utf8(first.mail.data).expect("text");
    assert!(text.contains("Subject: UPS on battery\r\n"), "{text}");
    assert!(text.contains("Message-ID: <1@house.example>\r\n"), "{text}");
    assert!(text.contains("\r\nDate: "), "{text}");
    assert!(
        text.contains("\r\nAuto-Submitted: auto-generated\r\n"),
        "{text}"
    );
    assert!(
        text.contains("\r\nGlasshouse-Alerts: raised=1 cleared=0\r\n"),
        "{text}"
    );
    assert!(!text.contains("In-Reply-To"), "{text}");
    let second = house.next().await;
    assert_eq!((second.seq, second.mail.data), (2, data));
    let counts = house.counts();
    assert_eq!((counts.sessions, counts.accepted), (1, 2));
    assert_eq!(counts.plaintext_payload_bytes, 0);
    mailer.close().await;
}

#[tokio::test]
async fn an_all_clear_follows_its_alert_up_and_a_refused_address_keeps_it_from_nobody() {
    let dir = TempDir::new().expect("a directory");
    let mut house = House::start(&dir, policy()).await;
    let config = MailerConfig {
        to: vec![
            "gone@elsewhere.example".to_owned(),
            "ops@other.example".to_owned(),
        ],
        ..mailer(house.port(), starttls(&house))
    };
    let mailer = Mailer::new(config).expect("usable");
    let end = Letter {
        in_reply_to: Some("raised.3@hall.glasshouse".to_owned()),
        ..letter("[CLEARED] ups-1", "Over.\n", "cleared.4@hall.glasshouse")
    };
    mailer.send(&end).await.expect("one of two gets it");
    let stored = house.next().await.mail;
    assert_eq!(stored.forward_paths, ["ops@other.example"]);
    let text = String::from_utf8(stored.data).expect("text");
    for header in ["In-Reply-To", "References"] {
        let line = format!("\r\n{header}: <raised.3@hall.glasshouse>\r\n");
        assert!(text.contains(&line), "{text}");
    }
    mailer.close().await;
}

#[tokio::test]
async fn lettre_comes_back_after_the_relay_was_away() {
    let dir = TempDir::new().expect("a directory");
    let house = House::start(&dir, policy()).await;
    let port = house.port();
    let mailer = Mailer::new(mailer(port, starttls(&house))).expect("usable");
    mailer
        .send(&letter("one", "1", "1@house.example"))
        .await
        .expect("sent");
    house.close().await;
    let error = mailer
        .send(&letter("two", "2", "2@house.example"))
        .await
        .expect_err("nobody there");
    assert!(error.is_transient(), "{error}");

    let (mut config, _) = config(dir.path(), policy());
    config.listen.set_port(port);
    let journal = dir.path().join("journal");
    let (sink, mut stored, _) = edge::smtp::JournalSink::open(&journal, Default::default())
        .await
        .expect("opens");
    let _server = edge::smtp::SmtpServer::bind(config, sink)
        .await
        .expect("the port is free again");
    mailer
        .send(&letter("two", "2", "2@house.example"))
        .await
        .expect("sent");
    let mut seqs = Vec::new();
    while seqs.len() < 2 {
        seqs.push(stored.recv().await.expect("open").seq);
    }
    assert_eq!(seqs, [1, 2]);
}

#[tokio::test]
async fn the_mailer_says_what_went_wrong() {
    let dir = TempDir::new().expect("a directory");
    let house = House::start(&dir, policy()).await;
    let port = house.port();
    let send = |config: MailerConfig| async move {
        Mailer::new(config)
            .expect("usable")
            .send(&letter("x", "y", "z@house.example"))
            .await
    };

    let elsewhere = vec!["ops@elsewhere.example".to_owned()];
    let refused = send(MailerConfig {
        to: elsewhere,
        ..mailer(port, starttls(&house))
    })
    .await;
    let error = refused.expect_err("not ours");
    assert!(
        matches!(error, MailerError::Refused { .. }) && !error.is_transient(),
        "{error}"
    );

    // Without TLS: 530.
    let error = send(mailer(port, Security::Plaintext))
        .await
        .expect_err("TLS is required");
    assert!(matches!(error, MailerError::Refused { .. }), "{error}");

    let foreign = edge::tls::Certified::self_signed(&["localhost".to_owned()]).expect("made");
    let roots = Security::StartTls {
        roots: foreign.certificate,
    };
    let error = send(mailer(port, roots)).await.expect_err("not trusted");
    assert!(matches!(error, MailerError::NotNow { .. }), "{error}");

    let mute = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let limit = Duration::from_millis(200);
    let port = mute.local_addr().expect("bound").port();
    let error = send(MailerConfig {
        limit,
        ..mailer(port, Security::Plaintext)
    })
    .await;
    let error = error.expect_err("no greeting");
    assert!(error.is_transient(), "{error}");

    let bad = MailerConfig {
        from: "nobody".to_owned(),
        ..mailer(port, Security::Plaintext)
    };
    let error = Mailer::new(bad).err().expect("no address");
    assert!(error.to_string().contains("nobody"), "{error}");
}

#[tokio::test]
async fn swaks_delivers_with_starttls_and_not_without() {
    let dir = TempDir::new().expect("a directory");
    let mut house = House::start(&dir, policy()).await;
    let mut command = swaks(house.port());
    command.args([
        "--tls",
        "--header",
        "Subject: SEL event",
        "--body",
        "fan 3 failed",
    ]);
    let out = output(command).await;
    succeeded(&out);
    let stored = house.next().await;
    assert!(stored.mail.tls);
    let text = String::from_utf8_lossy(&stored.mail.data).into_owned();
    assert!(
        text.contains("Subject: SEL event") && text.contains("fan 3 failed"),
        "{text}"
    );

    let out = output(swaks(house.port())).await;
    assert!(!out.status.success());
    assert!(String::from_utf8_lossy(&out.stdout).contains("530 5.7.0"));

    let mut pipelined = swaks(house.port());
    pipelined.args(["--tls", "--pipeline"]);
    assert!(output(pipelined).await.status.success());
    assert_eq!(house.counts().accepted, 2);
    assert_eq!(house.counts().plaintext_payload_bytes, 0);
}

#[tokio::test]
async fn smtp_source_delivers_by_the_hundred() {
    const MESSAGES: usize = 300;
    let dir = TempDir::new().expect("a directory");
    let mut house = House::start(&dir, relaxed()).await;
    // A new connection for each message; then connections kept open.
    for (round, keep) in [(0, false), (1, true)] {
        let mut command = smtp_source();
        command.args(["-s", "10", "-m", &MESSAGES.to_string(), "-l", "1024"]);
        if keep {
            command.arg("-d");
        }
        command.arg(format!("127.0.0.1:{}", house.port()));
        let out = output(command).await;
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        for number in 1..=MESSAGES {
            let stored = house.next().await;
            assert_eq!(
                stored.seq,
                (round * MESSAGES + number) as u64,
                "in the journal's order"
            );
            assert_eq!(stored.mail.profile.as_deref(), Some("allow_plaintext_from"));
        }
    }
    let counts = house.counts();
    assert_eq!(
        (counts.accepted, counts.rejected, counts.deferred),
        (2 * MESSAGES as u64, 0, 0)
    );
    assert!(counts.plaintext_payload_bytes >= 2 * MESSAGES as u64 * 1024);
    let commits = house.sink.journal().commits();
    assert!(
        commits < counts.accepted,
        "{commits} commits for {} messages",
        counts.accepted
    );
}
