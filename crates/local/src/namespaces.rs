//! A network of its own for a cluster: one network namespace per node, joined by a bridge in
//! another one (network_namespaces(7), veth(4)).
//!
//! The bridge stands in a namespace, too, so the host's network is not touched: no interface, no
//! address and no route of the host changes, nothing leaves the machine, and every cluster can use
//! the same addresses. They are from 198.18.0.0/15, which RFC 2544 keeps for tests of network
//! equipment.

use crate::filter::{self, Losses};
use crate::tool::{self, ToolError};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Where `ip netns` keeps its names.
const NAMED: &str = "/run/netns";
/// The interface in each node's namespace.
pub(crate) const INTERFACE: &str = "eth0";

/// Address of the node with this number.
pub fn address(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 18, 0, number)
}

/// Address of the bridge itself: of whoever stands outside the nodes and talks to them.
pub const HUB_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 254);

/// Why the network could not be made, changed or entered.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The wrong user.
    #[error(
        "network namespaces need root, and this is user {0}; run it as root, or use --network loopback"
    )]
    NotRoot(u32),
    /// `ip` or `tc`.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A cable cannot be made to lag.
    #[error("cannot carry a node's frames late: {0}; packet sockets need CAP_NET_RAW")]
    Lag(io::Error),
    /// No such namespace.
    #[error(
        "cannot enter the network namespace {name}: {source}; `glasshouse cluster up` makes it again"
    )]
    Enter {
        /// Its name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
}

/// The namespaces of one cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Namespaces {
    tag: String,
}

impl Namespaces {
    /// Those of the cluster in `dir` (absolute): names are made from a digest of the path, so that
    /// several clusters live side by side.
    pub fn of(dir: &Path) -> Self {
        let digest = Sha256::digest(dir.as_os_str().as_encoded_bytes());
        Self {
            tag: hex::encode(&digest[..4]),
        }
    }

    /// Name of a node's namespace, as `ip netns exec` wants it.
    pub fn name(&self, node: &str) -> String {
        format!("gh-{}-{node}", self.tag)
    }

    /// The file that stands for it.
    pub fn path(&self, node: &str) -> PathBuf {
        Path::new(NAMED).join(self.name(node))
    }

    /// Makes what is missing for these nodes (name, number). On an error, what was made is removed.
    pub fn raise(&self, nodes: &[(String, u8)]) -> Result<(), NetworkError> {
        let user = user();
        if user != 0 {
            return Err(NetworkError::NotRoot(user));
        }
        let mut made = Vec::new();
        let outcome = self.raise_noting(nodes, &mut made);
        if outcome.is_err() {
            for name in made {
                // The first error is the one worth reporting.
                let _ = tool::run_with("ip", &["netns", "del", &name]);
            }
        }
        outcome
    }

    fn raise_noting(
        &self,
        nodes: &[(String, u8)],
        made: &mut Vec<String>,
    ) -> Result<(), NetworkError> {
        let hub = self.name(HUB);
        if !self.path(HUB).exists() {
            tool::run("ip", &format!("netns add {hub}"))?;
            made.push(hub.clone());
            // Without spanning tree a port forwards at once.
            tool::run("ip", &format!("-n {hub} link add {BRIDGE} type bridge"))?;
            tool::run("ip", &format!("-n {hub} link set lo up"))?;
            tool::run(
                "ip",
                &format!("-n {hub} address add {HUB_ADDRESS}/24 dev {BRIDGE}"),
            )?;
            tool::run("ip", &format!("-n {hub} link set {BRIDGE} up"))?;
        }
        for (node, number) in nodes {
            if self.path(node).exists() {
                continue;
            }
            let space = self.name(node);
            tool::run("ip", &format!("netns add {space}"))?;
            made.push(space.clone());
            // The other end may stay from a namespace that is just being taken down.
            let _ = tool::run("ip", &format!("-n {hub} link del p{number}"));
            for arguments in [
                format!(
                    "link add {INTERFACE} netns {space} type veth peer name p{number} netns {hub}"
                ),
                // Only the bridge answers for the hub's address, also while a port is not on it.
                format!("-n {hub} link set p{number} arp off master {BRIDGE} up"),
                format!("-n {space} link set lo up"),
                format!(
                    "-n {space} address add {}/24 dev {INTERFACE}",
                    address(*number)
                ),
                format!("-n {space} link set {INTERFACE} up"),
            ] {
                tool::run("ip", &arguments)?;
            }
            filter::prepare(&space, INTERFACE)?;
        }
        Ok(())
    }

    /// Removes all of them, and with them interfaces, addresses and filters. The processes in them
    /// must have ended. Nothing there: nothing done.
    pub fn remove(&self) -> Result<(), NetworkError> {
        let mine = format!("gh-{}-", self.tag);
        let Ok(entries) = std::fs::read_dir(NAMED) else {
            return Ok(());
        };
        let mut outcome = Ok(());
        for name in entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
            if name.starts_with(&mine)
                && let Err(error) = tool::run_with("ip", &["netns", "del", &name])
            {
                outcome = Err(error.into());
            }
        }
        outcome
    }

    /// Whether any is left.
    pub fn exist(&self) -> bool {
        let mine = format!("gh-{}-", self.tag);
        std::fs::read_dir(NAMED).is_ok_and(|entries| {
            entries
                .filter_map(Result::ok)
                .any(|entry| entry.file_name().to_string_lossy().starts_with(&mine))
        })
    }

    /// From now on `node` loses this, and nothing else.
    pub(crate) fn lose(&self, node: &str, losses: &Losses) -> Result<(), NetworkError> {
        Ok(filter::lose(&self.name(node), INTERFACE, losses)?)
    }

    /// The calling thread, and threads that it starts, stand in the bridge's namespace from now on
    /// and reach every node at its address, from [`HUB_ADDRESS`].
    pub fn enter_hub(&self) -> Result<(), NetworkError> {
        let failed = |source| NetworkError::Enter {
            name: self.name(HUB),
            source,
        };
        let file = File::open(self.path(HUB)).map_err(failed)?;
        enter(&file).map_err(failed)
    }

    /// Runs `work` in a thread whose sockets are in the namespace of `node`.
    pub fn inside<T: Send>(
        &self,
        node: &str,
        work: impl FnOnce() -> T + Send,
    ) -> Result<T, NetworkError> {
        let failed = |source| NetworkError::Enter {
            name: self.name(node),
            source,
        };
        let file = File::open(self.path(node)).map_err(failed)?;
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter(&file).map_err(failed)?;
                Ok(work())
            });
            match thread.join() {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

/// Name of the bridge's namespace, where a node's name stands in the others.
pub(crate) const HUB: &str = "hub";
/// The bridge.
pub(crate) const BRIDGE: &str = "br0";

#[expect(unsafe_code, reason = "setns(2) takes a descriptor and a number")]
fn enter(namespace: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open; only the calling thread moves.
    match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Who runs this.
#[expect(unsafe_code, reason = "geteuid(2) has no arguments and cannot fail")]
pub fn user() -> u32 {
    // SAFETY: see above.
    unsafe { libc::geteuid() }
}
