//! Crowds: idle connections, drips, and announcements that are too large. In memory and virtual
//! time, so that thousands of sessions wait for minutes within a second.

use crate::house::*;
use edge::smtp::*;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::Instant;

pub(crate) struct Pipes(pub(crate) Receiver<(DuplexStream, IpAddr)>);

impl Acceptor for Pipes {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> std::io::Result<(DuplexStream, IpAddr)> {
        match self.0.recv().await {
            Some(arrived) => Ok(arrived),
            None => std::future::pending().await,
        }
    }
}

/// Takes everything and keeps nothing.
pub(crate) struct Drain;

impl MailSink for Drain {
    fn room(&self) -> Result<(), Defer> {
        Ok(())
    }

    fn accept(&self, _: AcceptedMail) -> futures::future::BoxFuture<'_, Result<Receipt, Defer>> {
        let receipt = Receipt {
            id: "here".to_owned(),
            duplicate: false,
        };
        Box::pin(std::future::ready(Ok(receipt)))
    }
}

struct Crowd {
    server: SmtpServer,
    knock: Sender<(DuplexStream, IpAddr)>,
}

impl Crowd {
    fn gather(dir: &TempDir, limits: SmtpLimits) -> Self {
        let everywhere = Network::parse("0.0.0.0/0").expect("a network");
        let policy = Policy {
            profiles: vec![Profile::allow_plaintext_from(vec![everywhere])],
            ..policy()
        };
        let (config, _) = config(dir.path(), policy);
        let (knock, arriving) = channel(16);
        let config = SmtpConfig { limits, ..config };
        let server = SmtpServer::serve_on(Pipes(arriving), config, Arc::new(Drain));
        Self {
            server: server.expect("serves"),
            knock,
        }
    }

    /// The `number`-th client: its address is its own.
    async fn client(&self, number: u32) -> Client<DuplexStream> {
        let (mine, theirs) = tokio::io::duplex(4 << 10);
        let address = Ipv4Addr::from_bits(0x0a00_0000 + number);
        let arrived = (theirs, address.into());
        self.knock.send(arrived).await.expect("accepted");
        Client::over(mine)
    }
}

const MAIL: &[(&str, &str)] = &[
    ("EHLO client.example", "250"),
    ("MAIL FROM:<ups@hall.example>", "250"),
    ("RCPT TO:<telemetry@house.example>", "250"),
    ("DATA", "354"),
    ("x\r\n.", "250"),
    ("QUIT", "221"),
];

#[tokio::test(start_paused = true)]
async fn ten_thousand_idle_connections_hurt_nobody_and_end() {
    const IDLE: u32 = 10_000;
    let dir = TempDir::new().expect("a directory");
    let limits = SmtpLimits {
        sessions: IDLE as usize + 1,
        ..SmtpLimits::default()
    };
    let crowd = Crowd::gather(&dir, limits);
    let mut idle = Vec::new();
    for number in 0..IDLE {
        let mut client = crowd.client(number).await;
        assert!(client.reply().await.starts_with("220"));
        idle.push(client);
    }
    assert_eq!(crowd.server.counters().read().open, u64::from(IDLE));
    let mut honest = crowd.client(IDLE).await;
    assert!(honest.reply().await.starts_with("220"));
    honest.play(MAIL).await;
    let begun = Instant::now();
    for client in idle {
        let mut all = String::new();
        let mut stream = client.into_inner();
        stream.read_to_string(&mut all).await.expect("closed");
        assert_eq!(all, "421 4.4.2 timeout\r\n");
    }
    assert!(begun.elapsed() < Duration::from_secs(5 * 60 + 10));
    let counts = crowd.server.counters().read();
    assert_eq!((counts.accepted, counts.turned_away), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_that_drip_are_cut_off_and_others_are_served() {
    const DRIPS: u32 = 1_000;
    let dir = TempDir::new().expect("a directory");
    let crowd = Crowd::gather(&dir, SmtpLimits::default());
    let begun = Instant::now();
    let mut drips = tokio::task::JoinSet::new();
    for number in 0..DRIPS {
        let mut client = crowd.client(number).await;
        assert!(client.reply().await.starts_with("220"));
        client.play(&MAIL[..4]).await;
        drips.spawn(async move {
            let mut stream = client.into_inner();
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
            begun.elapsed()
        });
    }
    let mut honest = crowd.client(DRIPS).await;
    assert!(honest.reply().await.starts_with("220"));
    honest.play(MAIL).await;
    while let Some(lasted) = drips.join_next().await {
        let lasted = lasted.expect("no panic");
        assert!(lasted < Duration::from_secs(200), "{lasted:?}");
    }
    assert_eq!(crowd.server.counters().read().accepted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_gigabyte_is_refused_when_it_is_announced() {
    let dir = TempDir::new().expect("a directory");
    let crowd = Crowd::gather(&dir, SmtpLimits::default());
    for announcement in ["BDAT 1073741824 LAST", "BDAT 18446744073709551615"] {
        let mut client = crowd.client(1).await;
        assert!(client.reply().await.starts_with("220"));
        client.play(&MAIL[..3]).await;
        client.play(&[(announcement, "552 5.3.4")]).await;
        assert_eq!(client.reply().await, "", "the session ends");
    }
    let mut client = crowd.client(1).await;
    assert!(client.reply().await.starts_with("220"));
    let line = "MAIL FROM:<ups@hall.example> SIZE=1073741824";
    client.play(&[MAIL[0], (line, "552 5.3.4")]).await;
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_device_are_counted_by_the_minute() {
    let dir = TempDir::new().expect("a directory");
    let limits = SmtpLimits {
        messages_per_minute: 3,
        ..SmtpLimits::default()
    };
    let crowd = Crowd::gather(&dir, limits);
    let mut client = crowd.client(1).await;
    assert!(client.reply().await.starts_with("220"));
    for _ in 0..3 {
        client.play(&MAIL[..5]).await;
    }
    client.play(&[MAIL[0], (MAIL[1].0, "451 4.7.1")]).await;
    // Another sender behind the same address is another device.
    client
        .play(&[("MAIL FROM:<pdu@hall.example>", "250"), ("RSET", "250")])
        .await;
    tokio::time::advance(Duration::from_secs(20)).await;
    client.play(&MAIL[..5]).await;
    client.play(&[MAIL[0], (MAIL[1].0, "451 4.7.1")]).await;
}

#[tokio::test(start_paused = true)]
async fn refusals_are_slowed_down() {
    let dir = TempDir::new().expect("a directory");
    let crowd = Crowd::gather(&dir, SmtpLimits::default());
    let mut client = crowd.client(1).await;
    assert!(client.reply().await.starts_with("220"));
    let begun = Instant::now();
    client.send("X\r\n".repeat(20)).await;
    for _ in 0..20 {
        assert!(client.reply().await.starts_with("500"));
    }
    assert!(client.reply().await.starts_with("421 4.7.0"));
    // 0.25 + 0.5 + 1 + 2, then thirteen times 4 seconds.
    let expected = Duration::from_millis(3_750 + 13 * 4_000);
    let took = begun.elapsed();
    assert!(
        took >= expected && took < expected + Duration::from_secs(1),
        "{took:?}"
    );
}
