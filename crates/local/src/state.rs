//! What is written down about a cluster, so that the next command finds it: `DIR/cluster.json`.

use crate::files::{self, FileError};
use crate::process::Process;
use serde::{Deserialize, Serialize};
use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file.
const FILE: &str = "cluster.json";
/// Held while a command changes the cluster.
const LOCK: &str = "cluster.lock";
/// A command holds the lock for as long as it starts or stops processes, not while it waits for
/// the cluster to agree.
const LOCK_LIMIT: Duration = Duration::from_secs(30);
/// How often a held lock is tried.
const LOCK_LOOK: Duration = Duration::from_millis(50);
/// Of the file's format.
const VERSION: u32 = 1;

/// Where the nodes' packets go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// A network namespace for each node, and a bridge between them in one of its own: what is split
    /// loses real packets.
    Namespaces,
    /// Everybody on 127.0.0.1: what is split has its links cut by the nodes themselves.
    Loopback,
}

impl Network {
    /// In words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Namespaces => "network namespaces (a split loses real packets)",
            Self::Loopback => "loopback (a split cuts links in the nodes)",
        }
    }
}

/// One node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Its name.
    pub name: String,
    /// Its number, from 1; also the last part of its address in a namespace.
    pub number: u8,
    /// Status page, loopback in its network.
    pub admin: SocketAddr,
    /// Mailbox.
    pub mailbox: SocketAddr,
    /// Where links arrive.
    pub link: SocketAddr,
    /// Its process, if it was started and not stopped.
    pub process: Option<Process>,
    /// Starts so far.
    pub starts: u32,
    /// It was paused when the network was split or healed, and on loopback has to be told.
    #[serde(default)]
    pub untold: bool,
    /// It does not hear these, who still hear it.
    #[serde(default)]
    pub deaf_to: Vec<String>,
    /// It loses this share of what reaches it, in percent.
    #[serde(default)]
    pub loses: u8,
    /// The program it was last started with.
    pub binary: PathBuf,
}

impl NodeRecord {
    /// What gear calls the mailbox by, `host:port`: the host is the name in its certificate.
    pub fn mail_to(&self) -> String {
        if self.mailbox.ip().is_loopback() {
            format!("localhost:{}", self.mailbox.port())
        } else {
            self.mailbox.to_string()
        }
    }
}

/// The cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// How the nodes reach each other.
    pub network: Network,
    /// The DDS domain.
    pub dds_domain: u32,
    /// Its nodes, by number.
    pub nodes: Vec<NodeRecord>,
    /// Who was separated from whom; empty: nobody.
    pub split: Vec<Vec<String>>,
}

/// Why there is no state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Not a cluster's folder.
    #[error("{0} holds no cluster; `glasshouse cluster up --dir {0}` makes one")]
    Absent(PathBuf),
    /// Not readable.
    #[error("{path} cannot be understood: {reason}; use the version of `glasshouse` that wrote it")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Somebody else is at work.
    #[error(
        "another command has been changing the cluster in {0} for {limit} s; wait for its end",
        limit = LOCK_LIMIT.as_secs()
    )]
    Busy(PathBuf),
}

impl State {
    /// Of a new cluster.
    pub fn new(network: Network, dds_domain: u32) -> Self {
        Self {
            version: VERSION,
            network,
            dds_domain,
            nodes: Vec::new(),
            split: Vec::new(),
        }
    }

    /// Is there a cluster in `dir`?
    pub fn exists(dir: &Path) -> bool {
        dir.join(FILE).exists()
    }

    /// Reads it.
    pub fn load(dir: &Path) -> Result<Self, StateError> {
        let path = dir.join(FILE);
        if !path.exists() {
            return Err(StateError::Absent(dir.to_owned()));
        }
        let text = std::fs::read_to_string(&path).map_err(FileError::when("read", &path))?;
        let malformed = |reason: String| StateError::Malformed {
            path: path.clone(),
            reason,
        };
        let state: Self =
            serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        if state.version == VERSION {
            Ok(state)
        } else {
            Err(malformed(format!(
                "its format is {}, this program knows {VERSION}",
                state.version
            )))
        }
    }

    /// Writes it, as a whole or not at all.
    pub fn save(&self, dir: &Path) -> Result<(), StateError> {
        let path = dir.join(FILE);
        let text = serde_json::to_string_pretty(self).map_err(|error| StateError::Malformed {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        Ok(files::replace(&path, &(text + "\n"))?)
    }

    /// The names, by number.
    pub fn names(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.name.clone()).collect()
    }
}

/// The right to change a cluster; ends when it is dropped, or with the process.
pub struct Lock(#[expect(dead_code, reason = "held, not read")] File);

impl Lock {
    /// Waits for it.
    pub fn take(dir: &Path) -> Result<Self, StateError> {
        let path = dir.join(LOCK);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(FileError::when("open", &path))?;
        let deadline = Instant::now() + LOCK_LIMIT;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    std::thread::sleep(LOCK_LOOK);
                }
                Err(TryLockError::WouldBlock) => return Err(StateError::Busy(dir.to_owned())),
                Err(TryLockError::Error(error)) => {
                    return Err(FileError::when("lock", &path)(error).into());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let mut state = State::new(Network::Loopback, 133);
        state.nodes.push(NodeRecord {
            name: "node-1".into(),
            number: 1,
            admin: ([127, 0, 0, 1], 7100).into(),
            mailbox: ([127, 0, 0, 1], 2525).into(),
            link: ([127, 0, 0, 1], 7200).into(),
            process: Some(Process {
                pid: 4711,
                started: 99,
            }),
            starts: 2,
            untold: false,
            deaf_to: Vec::new(),
            loses: 0,
            binary: "/usr/bin/glasshouse".into(),
        });
        state
    }

    #[test]
    fn what_was_written_is_read_and_no_half_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!State::exists(dir.path()));
        let absent = State::load(dir.path()).unwrap_err().to_string();
        assert!(absent.contains("cluster up --dir"), "{absent}");
        state().save(dir.path()).unwrap();
        assert_eq!(State::load(dir.path()).unwrap(), state());
        let files: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(files, [FILE]);
    }

    #[test]
    fn another_format_is_refused_with_both_numbers() {
        let dir = tempfile::tempdir().unwrap();
        state().save(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        let text = std::fs::read_to_string(&path)
            .unwrap()
            .replace("\"version\": 1", "\"version\": 7");
        std::fs::write(&path, text).unwrap();
        let error = State::load(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("is 7") && error.contains("knows 1"),
            "{error}"
        );
    }

    #[test]
    fn one_command_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = Lock::take(dir.path()).unwrap();
        let path = dir.path().to_owned();
        let (sender, receiver) = std::sync::mpsc::channel();
        let other = std::thread::spawn(move || {
            let lock = Lock::take(&path);
            sender.send(()).unwrap();
            lock.is_ok()
        });
        assert!(receiver.recv_timeout(Duration::from_millis(100)).is_err());
        drop(held);
        assert!(other.join().unwrap());
    }
}
