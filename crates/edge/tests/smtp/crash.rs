//! Kill -9 under load, and a disk that is full: real processes.

use crate::house::*;
use edge::smtp::*;
use runtime::journal::{Journal, JournalOptions};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use wire::StoredMail;

const CHILD: &str = "GLASSHOUSE_MAILBOX_CHILD";

/// Starts this test binary again as a mailbox on `dir`; its port.
fn mailbox(dir: &Path) -> (Child, u16) {
    let mut child = Command::new(std::env::current_exe().expect("a test binary"))
        .args([
            "crash::what_was_answered_250_survives_kill",
            "--exact",
            "--nocapture",
        ])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test binary starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let port = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("port ")?.parse().ok())
        .expect("the child listens");
    (child, port)
}

/// The child: a mailbox until death.
fn serve(dir: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let (config, _) = config(dir, relaxed());
        let options = JournalSinkOptions {
            journal: JournalOptions {
                segment_bytes: 64 << 10,
                ..JournalOptions::default()
            },
            ..JournalSinkOptions::default()
        };
        let (sink, mut stored, _) = JournalSink::open(&dir.join("journal"), options)
            .await
            .expect("opens");
        let server = SmtpServer::bind(config, sink).await.expect("listens");
        println!("\nport {}", server.local_addr().port());
        std::io::stdout().flush().expect("a reader");
        while stored.recv().await.is_some() {}
    });
}

/// Delivers one message after the other; the receipts it got before the server died, with the
/// message each stands for.
async fn deliver(port: u16, sender: usize) -> Vec<(u64, String)> {
    let mut receipts = Vec::new();
    let Ok(stream) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else {
        return receipts;
    };
    let mut client = Client::over(stream);
    if client.try_reply().await.is_err() {
        return receipts;
    }
    for number in 0.. {
        let message = message(sender * 1_000_000 + number);
        let all = format!(
            "EHLO c\r\nMAIL FROM:<ups@hall.example>\r\nRCPT TO:<telemetry@house.example>\r\n\
             BDAT {} LAST\r\n{message}",
            message.len()
        );
        if client.try_send(&all).await.is_err() {
            break;
        }
        let mut last = String::new();
        for _ in 0..4 {
            last = client.try_reply().await.unwrap_or_default();
        }
        match last.trim_end().strip_prefix("250 2.0.0 stored as ") {
            // Without its line end the number may be cut.
            Some(id) if last.ends_with("\r\n") => {
                receipts.push((id.parse().expect("a number"), message));
            }
            _ => break,
        }
    }
    receipts
}

fn journal(dir: &Path) -> BTreeMap<u64, StoredMail> {
    let (journal, _) =
        Journal::open(dir.join("journal"), JournalOptions::default()).expect("recovers");
    let records = journal.read_from(0).expect("lists");
    records
        .map(|record| record.expect("sound"))
        .map(|record| (record.seq, wire::decode(&record.payload).expect("a mail")))
        .collect()
}

#[test]
fn what_was_answered_250_survives_kill() {
    if let Ok(dir) = std::env::var(CHILD) {
        return serve(Path::new(&dir));
    }
    let dir = TempDir::new().expect("a directory");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    for _ in 0..3 {
        let (mut child, port) = mailbox(dir.path());
        // Postfix's generator prints every reply it gets: its receipts, too.
        let mut source = smtp_source();
        source.args([
            "-v",
            "-s",
            "5",
            "-m",
            "100000",
            "-l",
            "512",
            &format!("127.0.0.1:{port}"),
        ]);
        let mut source = source
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        let replies = BufReader::new(source.stderr.take().expect("piped")).lines();
        let (hear, heard) = std::sync::mpsc::channel();
        let listen = std::thread::spawn(move || {
            for line in replies.map_while(Result::ok) {
                let id = line
                    .split_once("<<< 250 2.0.0 stored as ")
                    .map(|(_, id)| id.to_owned());
                id.into_iter()
                    .for_each(|id| hear.send(id).expect("the test listens"));
            }
        });
        let senders: Vec<_> = (0..8)
            .map(|sender| runtime.spawn(deliver(port, sender)))
            .collect();
        let mut ids: Vec<String> = heard.iter().take(150).collect();
        child.kill().expect("it was alive");
        child.wait().expect("reaped");
        ids.extend(heard.iter());
        source.wait().expect("it gave up");
        listen.join().expect("no panic");

        let mails = journal(dir.path());
        assert!(ids.len() >= 150, "only {} receipts", ids.len());
        for id in &ids {
            assert!(
                mails.contains_key(&id.parse().expect("a number")),
                "{id} was promised"
            );
        }
        for sender in senders {
            for (seq, message) in runtime.block_on(sender).expect("no panic") {
                let stored = mails.get(&seq).map(|mail| mail.data.as_slice());
                assert_eq!(stored, Some(message.as_bytes()), "{seq} was promised");
            }
        }
    }
}

/// A disk without space, by a limit on file sizes in a process of its own: 452 for the message
/// that hit it, 452 before the data for the next, and 250 again when there is space.
#[test]
fn a_full_disk_is_survived() {
    if let Ok(dir) = std::env::var("GLASSHOUSE_MAILBOX_FULL") {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        return runtime.block_on(fill(Path::new(&dir)));
    }
    let dir = TempDir::new().expect("a directory");
    let status = Command::new(std::env::current_exe().expect("a test binary"))
        .args(["crash::a_full_disk_is_survived", "--exact", "--nocapture"])
        .env("GLASSHOUSE_MAILBOX_FULL", dir.path())
        .stdout(Stdio::null())
        .status()
        .expect("the test binary starts");
    assert!(status.success(), "{status}");
    let mails = journal(dir.path());
    assert!(mails.len() > 3);
    assert_eq!(
        mails.keys().copied().collect::<Vec<_>>(),
        (1..=mails.len() as u64).collect::<Vec<_>>()
    );
}

async fn fill(dir: &Path) {
    let (config, _) = config(dir, relaxed());
    let (sink, mut stored, _) =
        JournalSink::open(&dir.join("journal"), JournalSinkOptions::default())
            .await
            .expect("opens");
    let door: Arc<dyn MailSink> = Arc::<JournalSink>::clone(&sink);
    let server = SmtpServer::bind(config, door).await.expect("listens");
    limit_file_size(4_000);
    let mut client = Client::connect(server.local_addr().port()).await;
    client.play(&OPENING[..1]).await;
    let mut accepted = 0;
    let refused = loop {
        client.play(&OPENING[1..]).await;
        client.play(&[("DATA", "354")]).await;
        client
            .send(format!("{}{}\r\n.\r\n", message(accepted), "x".repeat(500)))
            .await;
        let reply = client.reply().await;
        if !reply.starts_with("250") {
            break reply;
        }
        accepted += 1;
    };
    assert!(refused.starts_with("452 4.3.1"), "{refused}");
    assert!(accepted > 2);
    client
        .play(&[OPENING[1]].map(|(line, _)| (line, "452 4.3.1")))
        .await;

    limit_file_size(1 << 20);
    // The disk is taken for full for a moment more, then someone is let through to try.
    loop {
        client.send(format!("{}\r\n", OPENING[1].0)).await;
        if client.reply().await.starts_with("250") {
            break;
        }
    }
    client.play(&OPENING[2..]).await;
    client.play(&[("DATA", "354"), ("x\r\n.", "250")]).await;
    for seq in 1..=accepted as u64 + 1 {
        assert_eq!(stored.recv().await.map(|stored| stored.seq), Some(seq));
    }
    server.shutdown().await;
}

/// Sets this process's soft limit; the signal that would go with it is ignored, so that the write
/// fails with `EFBIG`.
#[expect(
    unsafe_code,
    reason = "setrlimit and signal have no safe wrapper among the dependencies"
)]
fn limit_file_size(bytes: u64) {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the calls take plain values and pointers to a local that outlives them.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit), 0);
        limit.rlim_cur = bytes;
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
}
