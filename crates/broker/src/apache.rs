//! Apache Kafka itself (KRaft) as processes of this machine: tests, benchmarks and chaos run against it beside the embedded broker.
//! Its jars come by `deploy/kafka/fetch.sh`, and run on the JDK.

use std::fs::File;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// What tests run against besides the version that is the default of `fetch.sh`: the last one that has
/// ZooKeeper's protocol floor.
pub const OLDER: &str = "3.9.1";

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum ApacheError {
    /// No jars.
    #[error(
        "Apache Kafka is missing: run `cargo xtask setup` (its jars come by deploy/kafka/fetch.sh, with mvn and a JDK 17)"
    )]
    Missing,
    /// A file or process.
    #[error("Apache Kafka cannot be run: {0}")]
    Io(#[from] io::Error),
}

/// One node, broker and controller. It ends with this process, however that ends: `run.sh` watches its standard input.
pub struct Apache {
    libs: PathBuf,
    home: PathBuf,
    address: SocketAddr,
    controller: u16,
    child: Option<Child>,
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kafka")
}

/// The folder of the jars of a version, or of the default one; fetches them where they are not there.
pub fn libs(version: Option<&str>) -> Result<PathBuf, ApacheError> {
    let output = Command::new("sh")
        .arg(scripts().join("fetch.sh"))
        .args(version)
        .stderr(Stdio::inherit())
        .output()?;
    match (output.status.success(), String::from_utf8(output.stdout)) {
        (true, Ok(folder)) => Ok(PathBuf::from(folder.trim())),
        _ => Err(ApacheError::Missing),
    }
}

impl Apache {
    /// Not running yet. It keeps everything in `home`, and finds it there when it is started again.
    pub fn new(
        libs: PathBuf,
        home: PathBuf,
        address: SocketAddr,
        controller: u16,
    ) -> Result<Self, ApacheError> {
        std::fs::create_dir_all(&home)?;
        Ok(Self {
            libs,
            home,
            address,
            controller,
            child: None,
        })
    }

    /// Settings beside those that `run.sh` writes, and words for the formatting of its logs, from the next start on.
    pub fn configure(&self, properties: &str, format: &str) -> Result<(), ApacheError> {
        std::fs::write(self.home.join("extra.properties"), properties)?;
        std::fs::write(self.home.join("format.args"), format)?;
        Ok(())
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its controller listens, on the same host.
    pub const fn controller(&self) -> u16 {
        self.controller
    }

    /// Starts it, with the logs it had. It serves some seconds later.
    pub fn start(&mut self) -> Result<(), ApacheError> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.home.join("kafka.log"))?;
        let child = Command::new("sh")
            .arg(scripts().join("run.sh"))
            .args([&self.libs, &self.home])
            .args([self.address.port(), self.controller].map(|port| port.to_string()))
            .arg(self.address.ip().to_string())
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// How it ended, if it did so by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut()?.try_wait().ok().flatten()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Its script ends with its standard input, and kills the broker.
            drop(child.stdin.take());
            // It is our child: waiting for it fails only if somebody else has.
            let _ = child.wait();
        }
    }

    /// Lets it leave in order, and returns when it has: other brokers lead its partitions before it goes.
    pub fn stop(&mut self) -> io::Result<ExitStatus> {
        let mut child = self.child.take().ok_or(io::ErrorKind::NotConnected)?;
        let mut commands = child.stdin.take().ok_or(io::ErrorKind::NotConnected)?;
        // The other end of the pipe stays open until it is gone: its script kills it at once when that ends.
        commands.write_all(b"stop\n")?;
        child.wait()
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("kafka.log")).unwrap_or_default()
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        self.kill();
    }
}
