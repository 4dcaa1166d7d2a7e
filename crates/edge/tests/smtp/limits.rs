//! How many, and how it ends.

use crate::house::*;
use edge::smtp::*;
use futures::future::BoxFuture;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::sync::Notify;

/// A sink that answers what it is told, when it is told.
struct Scripted {
    room: Result<(), Defer>,
    verdict: Result<(), Defer>,
    arrived: Notify,
    go: Notify,
}

impl Scripted {
    fn new(room: Result<(), Defer>, verdict: Result<(), Defer>) -> Arc<Self> {
        Arc::new(Self {
            room,
            verdict,
            arrived: Notify::new(),
            go: Notify::new(),
        })
    }
}

impl MailSink for Scripted {
    fn room(&self) -> Result<(), Defer> {
        self.room
    }

    fn accept(&self, _: AcceptedMail) -> BoxFuture<'_, Result<Receipt, Defer>> {
        Box::pin(async {
            self.arrived.notify_one();
            self.go.notified().await;
            self.verdict.map(|()| Receipt {
                id: "here".to_owned(),
                duplicate: false,
            })
        })
    }
}

async fn serve(dir: &TempDir, limits: SmtpLimits, sink: Arc<Scripted>) -> SmtpServer {
    let (config, _) = config(dir.path(), relaxed());
    SmtpServer::bind(SmtpConfig { limits, ..config }, sink)
        .await
        .expect("listens")
}

#[tokio::test]
async fn connections_are_limited_in_all_and_per_address() {
    let dir = TempDir::new().expect("a directory");
    let few = SmtpLimits {
        sessions: 2,
        sessions_per_address: 9,
        ..SmtpLimits::default()
    };
    let few_each = SmtpLimits {
        sessions: 9,
        sessions_per_address: 2,
        ..SmtpLimits::default()
    };
    for limits in [few, few_each] {
        let server = serve(&dir, limits, Scripted::new(Ok(()), Ok(()))).await;
        let port = server.local_addr().port();
        let mut first = Client::connect(port).await;
        let _second = Client::connect(port).await;
        let mut third = Client::connect_silently(port).await;
        assert!(third.reply().await.starts_with("421 4.3.2"));
        assert_eq!(server.counters().read().turned_away, 1);
        assert_eq!(server.counters().read().open, 2);

        first.play(&[("QUIT", "221")]).await;
        assert_eq!(first.reply().await, "");
        drop(first);
        // The place is free as soon as the server has seen the close.
        loop {
            let mut again = Client::connect_silently(port).await;
            if again.reply().await.starts_with("220") {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_full_disk_is_told_before_the_data_and_a_late_one_after() {
    let dir = TempDir::new().expect("a directory");
    let server = serve(
        &dir,
        SmtpLimits::default(),
        Scripted::new(Err(Defer::Full), Ok(())),
    )
    .await;
    let mut client = Client::connect(server.local_addr().port()).await;
    client
        .play(&[("EHLO c", "250"), ("MAIL FROM:<>", "452 4.3.1")])
        .await;
    assert_eq!(server.counters().read().deferred, 1);

    for (defer, expected) in [(Defer::Full, "452 4.3.1"), (Defer::Busy, "451 4.3.2")] {
        let sink = Scripted::new(Ok(()), Err(defer));
        sink.go.notify_one();
        let server = serve(&dir, SmtpLimits::default(), sink).await;
        let mut client = Client::connect(server.local_addr().port()).await;
        client.play(OPENING).await;
        client
            .play(&[("DATA", "354"), ("x\r\n.", expected), ("NOOP", "250")])
            .await;
        assert_eq!(server.counters().read().accepted, 0);
    }
}

#[tokio::test]
async fn a_shutdown_lets_a_message_finish() {
    let dir = TempDir::new().expect("a directory");
    let sink = Scripted::new(Ok(()), Ok(()));
    let server = serve(&dir, SmtpLimits::default(), Arc::clone(&sink)).await;
    let port = server.local_addr().port();
    let mut idle = Client::connect(port).await;
    let mut sending = Client::connect(port).await;
    sending.play(OPENING).await;
    sending.play(&[("DATA", "354")]).await;
    sending.send("x\r\n.\r\n").await;
    sink.arrived.notified().await;

    let down = tokio::spawn(server.shutdown());
    assert!(idle.reply().await.starts_with("421 4.3.2"));
    assert_eq!(idle.reply().await, "");
    sink.go.notify_one();
    assert!(
        sending
            .reply()
            .await
            .starts_with("250 2.0.0 stored as here")
    );
    assert!(sending.reply().await.starts_with("421 4.3.2"));
    drop((idle, sending));
    down.await.expect("it ends");
    tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .expect_err("nobody listens");
}

#[tokio::test]
async fn a_policy_that_promises_too_much_is_refused() {
    let dir = TempDir::new().expect("a directory");
    let (mut config, _) = config(dir.path(), relaxed());
    config.policy.max_size = MAX_MESSAGE + 1;
    let error = SmtpServer::bind(config, Scripted::new(Ok(()), Ok(())))
        .await
        .expect_err("refused");
    assert!(
        error.to_string().contains(&MAX_MESSAGE.to_string()),
        "{error}"
    );
}

/// Connections in memory.
struct Pipes(tokio::sync::mpsc::Receiver<tokio::io::DuplexStream>);

impl edge::smtp::Acceptor for Pipes {
    type Stream = tokio::io::DuplexStream;

    async fn accept(&mut self) -> std::io::Result<(Self::Stream, std::net::IpAddr)> {
        match self.0.recv().await {
            Some(stream) => Ok((stream, std::net::Ipv4Addr::LOCALHOST.into())),
            None => std::future::pending().await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_no_sockets_are_served_and_turned_away_alike() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let dir = TempDir::new().expect("a directory");
    let (config, _) = config(dir.path(), relaxed());
    let limits = SmtpLimits {
        sessions: 1,
        sessions_per_address: 1,
        ..SmtpLimits::default()
    };
    let (knock, arriving) = tokio::sync::mpsc::channel(2);
    let sink = Scripted::new(Ok(()), Ok(()));
    let server = SmtpServer::serve_on(Pipes(arriving), SmtpConfig { limits, ..config }, sink)
        .expect("serves");
    let mut ends = Vec::new();
    for _ in 0..2 {
        let (mine, theirs) = tokio::io::duplex(4096);
        knock.send(theirs).await.expect("accepted");
        ends.push(mine);
    }
    let mut greeting = [0; 4];
    ends[0].read_exact(&mut greeting).await.expect("greeted");
    assert_eq!(&greeting, b"220 ");
    let mut all = String::new();
    ends[1].read_to_string(&mut all).await.expect("turned away");
    assert!(all.starts_with("421 4.3.2"), "{all}");
    assert_eq!(server.counters().read().turned_away, 1);

    ends[0].write_all(b"QUIT\r\n").await.expect("taken");
    let mut all = String::new();
    ends[0].read_to_string(&mut all).await.expect("closed");
    assert!(all.ends_with("\r\n") && all.contains("221"), "{all}");
    server.shutdown().await;
}
