//! A house of one node for tests: a cluster of one is a cluster, and everything in it is real.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test itself"
)]

use ed25519_dalek::SigningKey;
use edge::mailer::{Mailer, MailerConfig, MailerError, Security};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use wire::status::Status;

/// Nothing here takes longer than seconds, on a busy machine tens of them.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct House {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) config: PathBuf,
    pub(crate) admin: SocketAddr,
    pub(crate) mailbox: SocketAddr,
    pub(crate) link: SocketAddr,
    pub(crate) node: Option<Child>,
}

/// Loopback ports that nobody uses: below the range of outgoing connections, and never the same one
/// twice in this process, for its tests run side by side.
fn ports<const N: usize>() -> [SocketAddr; N] {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 20_000).unwrap();
    std::array::from_fn(|_| {
        loop {
            let offset = NEXT.fetch_add(1, Ordering::Relaxed);
            let port = 10_000 + (start + offset) % 22_000;
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
                break listener.local_addr().unwrap();
            }
        }
    })
}

impl House {
    /// Writes a configuration, with `more` at its end.
    pub(crate) fn build(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [admin, mailbox, link] = ports();
        let identity = dir.path().join("node.identity");
        let seed = [7u8; 32];
        std::fs::write(&identity, hex::encode(seed)).unwrap();
        std::fs::set_permissions(
            &identity,
            std::os::unix::fs::PermissionsExt::from_mode(0o600),
        )
        .unwrap();
        let key = hex::encode(SigningKey::from_bytes(&seed).verifying_key().to_bytes());
        let config = dir.path().join("node.toml");
        let domain = 20 + admin.port() % 80;
        let text = format!(
            r#"
[node]
name = "solo"
data_dir = "data"
admin = "{admin}"
[cluster]
name = "test"
listen = "{link}"
identity = "node.identity"
[[cluster.peer]]
name = "solo"
address = "{link}"
identity = "{key}"
[mailbox]
listen = "{mailbox}"
hostname = "localhost"
domains = ["glasshouse.example"]
[dds]
domain = {domain}
[[room]]
name = "hall"
home = "solo"
[[device]]
id = "ups-1"
room = "hall"
class = "ups"
addresses = ["ups-1@hall.example"]
{more}
"#
        );
        std::fs::write(&config, text).unwrap();
        Self {
            dir,
            config,
            admin,
            mailbox,
            link,
            node: None,
        }
    }

    pub(crate) fn glasshouse(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_glasshouse"))
            .args(arguments)
            .output()
            .unwrap()
    }

    pub(crate) fn start(&mut self) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .unwrap();
        let node = Command::new(env!("CARGO_BIN_EXE_glasshouse"))
            .args(["node", "--config"])
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.node = Some(node);
        self.until("the node is in its key group", |status| {
            status.key_epoch.0 > 0 && !status.roles.is_empty()
        });
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut node) = self.node.take() {
            node.kill().unwrap();
            node.wait().unwrap();
        }
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    pub(crate) fn status(&self) -> Option<Status> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(5)))
            .build()
            .into();
        agent
            .get(format!("http://{}/status.json", self.admin))
            .call()
            .ok()?
            .body_mut()
            .read_json()
            .ok()
    }

    /// Polls the status until it fits.
    pub(crate) fn until(&self, what: &str, fits: impl Fn(&Status) -> bool) -> Status {
        let deadline = Instant::now() + LIMIT;
        let mut last = None;
        while Instant::now() < deadline {
            if let Some(status) = self.status() {
                if fits(&status) {
                    return status;
                }
                last = Some(status);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let log = std::fs::read_to_string(self.log()).unwrap_or_default();
        panic!("{what}: not within {LIMIT:?}; last status {last:#?}; log:\n{log}");
    }

    /// Sends raw bytes as a mail from `from`, with a Date, which no mail may lack.
    pub(crate) fn mail(&self, from: &str, raw: &[u8]) -> Result<(), MailerError> {
        let date = gear::mail::rfc5322(runtime::clock::unix_now());
        self.undated(
            from,
            &[format!("Date: {date}\r\n").as_bytes(), raw].concat(),
        )
    }

    /// Sends just these bytes.
    pub(crate) fn undated(&self, from: &str, raw: &[u8]) -> Result<(), MailerError> {
        let roots = std::fs::read_to_string(self.certificate()).unwrap();
        let mailer = Mailer::new(MailerConfig {
            host: "localhost".into(),
            port: self.mailbox.port(),
            security: Security::StartTls { roots },
            helo: "test.example".into(),
            from: from.into(),
            to: vec!["telemetry@glasshouse.example".into()],
            limit: Duration::from_secs(20),
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(mailer.send_raw(from, &["telemetry@glasshouse.example".to_owned()], raw))
    }

    /// The self-signed certificate that the node made at its first start.
    fn certificate(&self) -> PathBuf {
        let data = self.dir.path().join("data");
        let mut found: Vec<PathBuf> = std::fs::read_dir(&data)
            .unwrap()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with("mailbox"))
            })
            .filter(|path| {
                std::fs::read_to_string(path).is_ok_and(|text| text.contains("BEGIN CERTIFICATE"))
            })
            .collect();
        found
            .pop()
            .unwrap_or_else(|| panic!("no certificate in {}", data.display()))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        Path::new(self.dir.path()).join(name)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.kill();
    }
}
