//! Surroundings in memory: pipes for links and mail, one data space, a relay that keeps what it gets; and the three nodes
//! that live there.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test itself"
)]

use crate::kafka::Kafka;
use cluster::Transport;
use dds::{MemoryDomain, MemorySpace};
use ed25519_dalek::SigningKey;
use edge::mailer::{MailerError, Outbox};
use edge::smtp::{Acceptor, BindError, MailSink, SmtpConfig, SmtpServer};
use futures::future::BoxFuture;
use learn::Learner;
use node::probe::Probe;
use node::surroundings::{MailDoor, Surroundings};
use runtime::service::ServiceError;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use telemetry::alertmail::Letter;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex};
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use wire::NodeId;

/// The nodes of a house. Each has a room, `hall-NAME`, with one device in it, `ups-NAME`.
pub(crate) const NAMES: [&str; 3] = ["a", "b", "c"];
/// Virtual time that a step may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);
/// How often conditions are looked at, in virtual time.
pub(crate) const LOOK: Duration = Duration::from_millis(20);
/// Addresses of links and mail doors: names of pipes that look like ports.
const LINKS: usize = 7100;
const DOORS: usize = 7200;

/// A node at work.
pub(crate) struct Node {
    pub(crate) probe: Probe,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) run: JoinHandle<Result<(), ServiceError>>,
}

impl Node {
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.run.await.unwrap().unwrap();
    }
}

fn seed(index: usize) -> [u8; 32] {
    [u8::try_from(index).unwrap() + 1; 32]
}

/// Where a node's links arrive. The ledger tells it to the others.
fn link(index: usize) -> String {
    format!("127.0.0.1:{}", LINKS + index)
}

/// What all have in common, and the tables that a test gives.
fn configuration(dir: &Path, index: usize, tables: &str) -> config::Config {
    let name = NAMES[index];
    let identity = dir.join(format!("{name}.identity"));
    std::fs::write(&identity, hex::encode(seed(index))).unwrap();
    std::fs::set_permissions(&identity, PermissionsExt::from_mode(0o600)).unwrap();
    let mut text = format!(
        r#"
[node]
name = "{name}"
data_dir = "{name}"
[cluster]
name = "virtual"
listen = "{}"
identity = "{name}.identity"
[mailbox]
listen = "127.0.0.1:{}"
domains = ["glasshouse.example"]
require_tls = false
[dds]
domain = 1
{tables}
"#,
        link(index),
        DOORS + index,
    );
    for (index, name) in NAMES.iter().enumerate() {
        let key = SigningKey::from_bytes(&seed(index)).verifying_key();
        text += &format!(
            r#"
[[cluster.peer]]
name = "{name}"
address = "{}"
identity = "{}"
[[room]]
name = "hall-{name}"
home = "{name}"
[[device]]
id = "ups-{name}"
room = "hall-{name}"
class = "ups"
addresses = ["ups-{name}@hall.example"]
"#,
            link(index),
            hex::encode(key.to_bytes())
        );
    }
    config::parse(&text, &dir.join("node.toml"), dir).unwrap()
}

/// A condition holds within the limit.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        sleep(LOOK).await;
    }
    println!("{what}: after {:?}", start.elapsed());
}

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

    /// Starts a node with these tables in its configuration, whose trainings take so long.
    pub(crate) async fn start(
        &self,
        dir: &Path,
        index: usize,
        tables: &str,
        training: Duration,
    ) -> Node {
        let (sender, probe) = oneshot::channel();
        let surroundings = Surroundings {
            training,
            ..self.surroundings(&link(index), NAMES[index], sender)
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let run = tokio::spawn(node::tree::run_in(
            configuration(dir, index, tables),
            surroundings,
            async move {
                let _ = stopped.await;
                Ok(())
            },
        ));
        Node {
            probe: probe.await.unwrap(),
            stop,
            run,
        }
    }

    /// For the node that listens for links at `link` and for mail at `door`.
    fn surroundings(
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
