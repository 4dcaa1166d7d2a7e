//! What the test files share. Not every file uses all of it.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod net;
pub(crate) mod port;

use dds::{DataSpace, Delivery, DomainConfig, Sample, SpaceEvent, Subscription};
use sha2::{Digest as _, Sha256};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tokio::sync::broadcast;

/// Longest wait for something that must come; only a failing test ever waits it out.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A domain of this test process alone: the tag keeps others out even on the same domain id.
pub(crate) fn config() -> DomainConfig {
    DomainConfig::loopback(100 + std::process::id() % 120).with_tag(tag())
}

pub(crate) fn tag() -> String {
    format!("test-{}", std::process::id())
}

pub(crate) fn sample(key: &str, sequence: u64) -> Sample {
    Sample {
        key: key.into(),
        writer: "test-writer".into(),
        sequence,
        key_epoch: 7,
        source_time_ns: -5,
        sealed: format!("sealed {key} {sequence}").into_bytes(),
    }
}

pub(crate) async fn next(subscription: &mut Subscription) -> Delivery {
    let delivery = tokio::time::timeout(LIMIT, subscription.recv()).await;
    delivery
        .expect("a delivery came in time")
        .expect("the space is open")
}

pub(crate) async fn next_sample(subscription: &mut Subscription) -> Sample {
    match next(subscription).await {
        Delivery::Sample(sample) => sample,
        Delivery::Disposed { key } => panic!("{key} was disposed of, a sample was due"),
    }
}

pub(crate) async fn event(
    events: &mut broadcast::Receiver<SpaceEvent>,
    wanted: impl Fn(&SpaceEvent) -> bool,
) -> SpaceEvent {
    tokio::time::timeout(LIMIT, async {
        loop {
            let event = events.recv().await.expect("events go on");
            if wanted(&event) {
                return event;
            }
        }
    })
    .await
    .expect("the event came in time")
}

pub(crate) async fn publish_all(
    space: &dyn DataSpace,
    topic: &dds::Topic,
    partition: &str,
    samples: impl IntoIterator<Item = Sample>,
) {
    for sample in samples {
        space
            .publish_wait(topic, partition, sample)
            .await
            .expect("published");
    }
}

/// A peer that `deploy/tools/build-NAME.sh` builds from `sources`, with these packages.
pub(crate) fn built(name: &str, sources: &[&[u8]], packages: &str) -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cache = match set("GLASSHOUSE_CACHE") {
        Some(cache) => root.join(cache),
        None => PathBuf::from(set("HOME").expect("HOME is set")).join(".cache/glasshouse"),
    };
    let all = sources
        .iter()
        .fold(Sha256::new(), |all, source| all.chain_update(source));
    let program = cache.join(name).join(hex::encode(&all.finalize()[..8]));
    assert!(
        program.exists(),
        "{name} {} is missing: `cargo xtask setup` installs {packages}, and builds it",
        program.display()
    );
    program
}

/// Another process, ended with its handle; its lines are read on a thread.
pub(crate) struct Peer {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Peer {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dds-peer"));
        command.args(arguments);
        Self::run(command)
    }

    /// One that says `ready` first.
    pub(crate) fn ready(command: Command) -> Self {
        let peer = Self::run(command);
        peer.wait_ready();
        peer
    }

    pub(crate) fn wait_ready(&self) {
        assert_eq!(self.line(), "ready");
    }

    /// What it has in memory, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the peer process runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let words = line.and_then(|line| line.split_whitespace().nth(1));
        words
            .and_then(|kib| kib.parse().ok())
            .expect("the kernel says")
    }

    pub(crate) fn run(mut command: Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout is piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            stdin,
            lines,
        }
    }

    pub(crate) fn line(&self) -> String {
        self.lines
            .recv_timeout(LIMIT)
            .expect("the peer process printed a line in time")
    }

    /// Gives it a line to read.
    pub(crate) fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its input is open");
        writeln!(stdin, "{line}").expect("the peer process reads");
    }

    /// Gives a `feed` something to do and waits until it is done.
    pub(crate) fn feed(&mut self, line: &str) {
        self.say(line);
        assert_eq!(self.line(), "done");
    }

    /// The line that is there already or comes in this time.
    pub(crate) fn line_within(&self, limit: Duration) -> Option<String> {
        self.lines.recv_timeout(limit).ok()
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// `STOP`, `CONT`: by kill(1), for the standard library sends no signals.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status();
        assert!(status.expect("kill(1) runs").success());
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the peer can be killed");
        self.child.wait().expect("the peer ends");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
