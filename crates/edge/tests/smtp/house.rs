//! What the tests share: a running mailbox, and a client that says exactly what it is told.

use edge::smtp::*;
use edge::tls::{self, Certified};
use runtime::journal::Recovery;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// Nothing here takes longer, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct House {
    pub(crate) server: SmtpServer,
    pub(crate) sink: Arc<JournalSink>,
    pub(crate) stored: Receiver<Stored>,
    pub(crate) recovery: Recovery,
    pub(crate) certified: Certified,
}

/// Strict but for the Date: most messages here are as short as can be.
pub(crate) fn policy() -> Policy {
    Policy {
        require_date: false,
        ..Policy::new(
            "localhost",
            Recipients::new(["house.example"], ["ops@other.example"]),
        )
    }
}

/// Lets this host deliver in clear.
pub(crate) fn relaxed() -> Policy {
    let here = Network::parse("127.0.0.0/8").expect("a network");
    Policy {
        profiles: vec![Profile::allow_plaintext_from(vec![here])],
        ..policy()
    }
}

pub(crate) fn config(dir: &Path, policy: Policy) -> (SmtpConfig, Certified) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certified = Certified::load_or_create(dir, "mail", &names).expect("a certificate");
    let (certificate, key) = Certified::files(dir, "mail");
    let own = tls::Reloading::open(&certificate, &key).expect("there");
    let tls = tls::mailbox_config(own, true).expect("usable");
    let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    (SmtpConfig::new(listen, policy, tls), certified)
}

impl House {
    pub(crate) async fn start(dir: &TempDir, policy: Policy) -> Self {
        Self::start_with(dir, policy, |_| ()).await
    }

    /// Goes down in good order, and gives the journal back for the next start.
    pub(crate) async fn close(self) {
        let Self {
            server,
            sink,
            stored,
            ..
        } = self;
        server.shutdown().await;
        drop((sink, stored));
    }

    pub(crate) async fn start_with(
        dir: &TempDir,
        policy: Policy,
        change: impl FnOnce(&mut SmtpConfig),
    ) -> Self {
        let (mut config, certified) = config(dir.path(), policy);
        change(&mut config);
        let journal = dir.path().join("journal");
        let (sink, stored, recovery) = JournalSink::open(&journal, JournalSinkOptions::default())
            .await
            .expect("opens");
        let door: Arc<dyn MailSink> = Arc::<JournalSink>::clone(&sink);
        let server = SmtpServer::bind(config, door).await.expect("listens");
        Self {
            server,
            sink,
            stored,
            recovery,
            certified,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.local_addr().port()
    }

    pub(crate) async fn next(&mut self) -> Stored {
        timeout(PATIENCE, self.stored.recv())
            .await
            .expect("in time")
            .expect("the sink is open")
    }

    pub(crate) fn counts(&self) -> SmtpCounts {
        self.server.counters().read()
    }
}

/// A client without opinions.
pub(crate) struct Client<S> {
    stream: BufReader<S>,
}

impl Client<TcpStream> {
    /// Connects and hears the greeting.
    pub(crate) async fn connect(port: u16) -> Self {
        let mut client = Self::connect_silently(port).await;
        assert!(client.reply().await.starts_with("220 "));
        client
    }

    pub(crate) async fn connect_silently(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .expect("connects");
        Self::over(stream)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self {
            stream: BufReader::new(stream),
        }
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream.into_inner()
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("the connection stands");
    }

    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes.as_ref()).await?;
        stream.flush().await
    }

    /// One reply, the last line of it; empty when the server has closed.
    pub(crate) async fn reply(&mut self) -> String {
        self.try_reply().await.expect("the connection stands")
    }

    pub(crate) async fn try_reply(&mut self) -> std::io::Result<String> {
        loop {
            let mut line = String::new();
            timeout(PATIENCE, self.stream.read_line(&mut line))
                .await
                .expect("in time")?;
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line);
            }
        }
    }

    /// Sends lines one by one, each with the start of the reply that it must get.
    pub(crate) async fn play(&mut self, script: &[(&str, &str)]) {
        for (line, expected) in script {
            self.send(format!("{line}\r\n")).await;
            let reply = self.reply().await;
            assert!(
                reply.starts_with(expected),
                "`{line}`: expected `{expected}`, got `{reply}`"
            );
        }
    }
}

pub(crate) const OPENING: &[(&str, &str)] = &[
    ("EHLO client.example", "250"),
    ("MAIL FROM:<ups@hall.example>", "250"),
    ("RCPT TO:<telemetry@house.example>", "250"),
];

pub(crate) fn message(number: usize) -> String {
    format!("Message-ID: <{number}@hall.example>\r\nSubject: reading\r\n\r\nvolts {number}\r\n")
}

/// Postfix's load generator, as `cargo xtask setup` brings it.
pub(crate) fn smtp_source() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let postfix = root.join(".tools/postfix/usr");
    let program: PathBuf = postfix.join("sbin/smtp-source");
    assert!(
        program.exists(),
        "smtp-source is missing: run `cargo xtask setup`"
    );
    let mut command = Command::new(program);
    command.env("LD_LIBRARY_PATH", postfix.join("lib/postfix"));
    command.args([
        "-f",
        "ups@hall.example",
        "-t",
        "telemetry@house.example",
        "-M",
        "c.example",
    ]);
    command
}

/// The Swiss army knife of SMTP, likewise.
pub(crate) fn swaks(port: u16) -> Command {
    let there = Command::new("swaks")
        .arg("--version")
        .output()
        .is_ok_and(|out| out.status.success());
    assert!(there, "swaks is missing: run `cargo xtask setup`");
    let mut command = Command::new("swaks");
    command.args([
        "--server",
        "127.0.0.1",
        "--port",
        &port.to_string(),
        "--ehlo",
        "bmc-1",
    ]);
    command.args([
        "--from",
        "bmc@hall.example",
        "--to",
        "telemetry@house.example",
    ]);
    command
}

/// Runs a client program off the async threads.
pub(crate) async fn output(mut command: Command) -> std::process::Output {
    let run = tokio::task::spawn_blocking(move || command.output());
    timeout(PATIENCE, run)
        .await
        .expect("in time")
        .expect("no panic")
        .expect("it starts")
}

/// The client says that it went well; if not, what it printed.
pub(crate) fn succeeded(out: &std::process::Output) {
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stdout)
    );
}
