//! Surroundings in memory: pipes for links and mail, one data space, a relay that keeps what it gets.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test itself"
)]

use crate::kafka::Kafka;
use cluster::Transport;
use dds::{MemoryDomain, MemorySpace};
use edge::mailer::{MailerError, Outbox};
use edge::smtp::{Acceptor, BindError, MailSink, SmtpConfig, SmtpServer};
use futures::future::BoxFuture;
use learn::Learner;
use node::probe::Probe;
use node::surroundings::{MailDoor, Surroundings};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use telemetry::alertmail::Letter;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use wire::NodeId;

/// Bytes that a pipe holds.
const PIPE: usize = 256 << 10;
/// Connections that wait to be accepted.
const BACKLOG: usize = 64;

/// Who listens where.
type Book = Arc<Mutex<BTreeMap<String, mpsc::Sender<DuplexStream>>>>;

/// The world between the nodes.
pub(crate) struct World {
    links: Book,
    doors: Book,
    domain: MemoryDomain,
    pub(crate) letters: Arc<Mutex<Vec<Letter>>>,
    pub(crate) kafka: Arc<Kafka>,
}

impl World {
    /// What it keeps is in `dir`.
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            links: Book::default(),
            doors: Book::default(),
            domain: MemoryDomain::default(),
            letters: Arc::default(),
            kafka: Kafka::new(dir),
        }
    }

    /// For the node that listens for links at `link` and for mail at `door`.
    pub(crate) fn surroundings(
        &self,
        link: &str,
        door: &str,
        probe: oneshot::Sender<Probe>,
    ) -> Surroundings<Pipes> {
        let space: MemorySpace = self.domain.join();
        Surroundings {
            transport: Pipes {
                book: self.links.clone(),
                arriving: AsyncMutex::new(listen(&self.links, link)),
            },
            space: Arc::new(space),
            door: Arc::new(PipeDoor {
                book: self.doors.clone(),
                name: door.to_owned(),
            }),
            alerts: Some(Arc::new(Letterbox(self.letters.clone()))),
            kafka: self.kafka.reach(),
            learner: Learner::inline,
            training: Duration::ZERO,
            letters: 64,
            admin: false,
            control: false,
            consensus: None,
            probe: Some(probe),
        }
    }

    /// Delivers a mail as gear does: one session, one message, with a Date.
    pub(crate) async fn deliver(&self, door: &str, from: &str, body: &str) -> io::Result<()> {
        let mut stream = BufReader::new(connect(&self.doors, door).await?);
        expect(&mut stream, "220").await?;
        let opening = ["EHLO gear".to_owned(), format!("MAIL FROM:<{from}>")];
        let rest = ["RCPT TO:<telemetry@glasshouse.example>", "DATA"].map(str::to_owned);
        for command in opening.into_iter().chain(rest) {
            let reply = if command == "DATA" { "354" } else { "250" };
            stream
                .write_all(format!("{command}\r\n").as_bytes())
                .await?;
            expect(&mut stream, reply).await?;
        }
        let date = gear::mail::rfc5322(runtime::clock::unix_now());
        stream
            .write_all(format!("Date: {date}\r\n{body}\r\n.\r\n").as_bytes())
            .await?;
        expect(&mut stream, "250").await?;
        stream.write_all(b"QUIT\r\n").await?;
        expect(&mut stream, "221").await
    }
}

/// Reads one whole reply.
async fn expect(stream: &mut BufReader<DuplexStream>, code: &str) -> io::Result<()> {
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !line.starts_with(code) {
            return Err(io::Error::other(line));
        }
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(());
        }
    }
}

fn listen(book: &Book, name: &str) -> mpsc::Receiver<DuplexStream> {
    let (sender, arriving) = mpsc::channel(BACKLOG);
    book.lock().unwrap().insert(name.to_owned(), sender);
    arriving
}

async fn connect(book: &Book, name: &str) -> io::Result<DuplexStream> {
    let listener = book.lock().unwrap().get(name).cloned();
    let listener = listener.ok_or(io::ErrorKind::ConnectionRefused)?;
    let (mine, theirs) = duplex(PIPE);
    let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
    listener.send(theirs).await.map_err(refused)?;
    Ok(mine)
}

async fn next(arriving: &mut mpsc::Receiver<DuplexStream>) -> io::Result<DuplexStream> {
    match arriving.recv().await {
        Some(stream) => Ok(stream),
        // Replaced by a later start: nobody comes here any more.
        None => std::future::pending().await,
    }
}

/// Links as pipes.
pub(crate) struct Pipes {
    book: Book,
    arriving: AsyncMutex<mpsc::Receiver<DuplexStream>>,
}

impl Transport for Pipes {
    type Stream = DuplexStream;

    async fn dial(&self, _: &NodeId, address: &str) -> io::Result<DuplexStream> {
        connect(&self.book, address).await
    }

    async fn accept(&self) -> io::Result<DuplexStream> {
        next(&mut *self.arriving.lock().await).await
    }
}

/// The door as a pipe.
struct PipeDoor {
    book: Book,
    name: String,
}

impl MailDoor for PipeDoor {
    fn open(
        &self,
        config: SmtpConfig,
        sink: Arc<dyn MailSink>,
    ) -> BoxFuture<'_, Result<SmtpServer, BindError>> {
        let arriving = PipeAcceptor(listen(&self.book, &self.name));
        Box::pin(async move { SmtpServer::serve_on(arriving, config, sink) })
    }
}

struct PipeAcceptor(mpsc::Receiver<DuplexStream>);

impl Acceptor for PipeAcceptor {
    type Stream = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, IpAddr)> {
        let stream = next(&mut self.0).await?;
        Ok((stream, IpAddr::V4(Ipv4Addr::LOCALHOST)))
    }
}

/// The operator's letterbox.
struct Letterbox(Arc<Mutex<Vec<Letter>>>);

impl Outbox for Letterbox {
    fn post<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<(), MailerError>> {
        self.0.lock().unwrap().push(letter.clone());
        Box::pin(async { Ok(()) })
    }
}
