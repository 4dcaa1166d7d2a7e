//! A node's files: where they are, and the configuration it is started with.

use crate::files::{self, FileError, PUBLIC};
use crate::namespaces;
use crate::ports::{self, PortError};
use crate::state::{Network, NodeRecord, State};
use config::ConfigError;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Most nodes of a local cluster: each is a whole node with a learner, and one machine runs all.
pub const MAX_NODES: usize = 9;
/// Recipient domain of the mailboxes.
pub const DOMAIN: &str = "glasshouse.example";
/// In a namespace of its own a node needs no luck with ports.
const ADMIN_PORT: u16 = 7100;
const LINK_PORT: u16 = 7200;
const MAILBOX_PORT: u16 = 2525;
/// Longest path of a Unix socket (`sun_path` of unix(7), less its end).
const SOCKET_PATH: usize = 107;

/// Why a node has no configuration.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// Ports.
    #[error(transparent)]
    Port(#[from] PortError),
    /// What was written is refused: by what the caller wants changed, or by an older program.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Not TOML.
    #[error("{path} is not TOML: {reason}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The place is too deep.
    #[error(
        "{socket} is {} bytes long, and a Unix socket's path may have {SOCKET_PATH}; choose a shorter --dir",
        .socket.as_os_str().len()
    )]
    Deep {
        /// The control socket.
        socket: PathBuf,
    },
}

/// Files of the node `name` in the cluster's `dir`.
pub(crate) struct Site {
    pub(crate) config: PathBuf,
    pub(crate) identity: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) log: PathBuf,
}

impl Site {
    pub(crate) fn of(dir: &Path, name: &str) -> Self {
        Self {
            config: dir.join(format!("{name}.toml")),
            identity: dir.join(format!("{name}.identity")),
            data: dir.join(name),
            log: dir.join("logs").join(format!("{name}.log")),
        }
    }

    pub(crate) fn control(&self) -> PathBuf {
        crate::control::socket(&self.data)
    }

    pub(crate) fn check(&self) -> Result<(), SiteError> {
        let socket = self.control();
        if socket.as_os_str().len() > SOCKET_PATH {
            return Err(SiteError::Deep { socket });
        }
        Ok(())
    }
}

/// Records for the nodes with these numbers, not started yet.
pub(crate) fn records(network: Network, numbers: &[u8]) -> Result<Vec<NodeRecord>, SiteError> {
    let record = |number: u8, admin, mailbox, link| NodeRecord {
        name: format!("node-{number}"),
        number,
        admin,
        mailbox,
        link,
        process: None,
        starts: 0,
        untold: false,
        deaf_to: Vec::new(),
        loses: 0,
        binary: PathBuf::new(),
    };
    match network {
        Network::Loopback => {
            let ports = ports::free(numbers.len() * 3)?;
            Ok(numbers
                .iter()
                .zip(ports.chunks_exact(3))
                .map(|(number, ports)| record(*number, ports[0], ports[1], ports[2]))
                .collect())
        }
        Network::Namespaces => Ok(numbers
            .iter()
            .map(|number| {
                let outside = |port| SocketAddr::from((namespaces::address(*number), port));
                record(
                    *number,
                    (Ipv4Addr::LOCALHOST, ADMIN_PORT).into(),
                    outside(MAILBOX_PORT),
                    outside(LINK_PORT),
                )
            })
            .collect()),
    }
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

fn text(value: impl ToString) -> Value {
    Value::String(value.to_string())
}

/// What every configuration here says, whether its node is a founder or has joined. File names are
/// relative to the cluster's folder, so that it can be moved.
fn common(state: &State, node: &NodeRecord, founders: &[NodeRecord]) -> Table {
    let dds = match state.network {
        Network::Loopback => table([("domain", i64::from(state.dds_domain).into())]),
        Network::Namespaces => table([
            ("domain", i64::from(state.dds_domain).into()),
            ("interface", text(node.link.ip())),
            (
                "peers",
                state
                    .nodes
                    .iter()
                    .map(|node| text(node.link.ip()))
                    .collect::<Vec<_>>()
                    .into(),
            ),
        ]),
    };
    let rooms: Vec<Value> = founders
        .iter()
        .map(|home| {
            let room = format!("room-{}", home.number);
            table([("name", text(room)), ("home", text(&home.name))]).into()
        })
        .collect();
    // Also the name in the mailbox's certificate, so it is what gear calls it by.
    let hostname = match state.network {
        Network::Loopback => text("localhost"),
        Network::Namespaces => text(node.mailbox.ip()),
    };
    let mut cluster = table([
        ("name", text("local")),
        ("listen", text(node.link)),
        ("identity", text(format!("{}.identity", node.name))),
    ]);
    if state.network == Network::Loopback {
        cluster.insert("allow_faults".into(), true.into());
    }
    table([
        (
            "node",
            table([
                ("name", text(&node.name)),
                ("data_dir", text(&node.name)),
                ("admin", text(node.admin)),
            ])
            .into(),
        ),
        ("cluster", cluster.into()),
        (
            "mailbox",
            table([
                ("listen", text(node.mailbox)),
                ("hostname", hostname),
                ("domains", vec![text(DOMAIN)].into()),
            ])
            .into(),
        ),
        ("dds", dds.into()),
        ("room", rooms.into()),
    ])
}

/// The configuration of a founder.
pub(crate) fn founder(state: &State, node: &NodeRecord, identities: &[[u8; 32]]) -> Table {
    let mut whole = common(state, node, &state.nodes);
    let peers: Vec<Value> = state
        .nodes
        .iter()
        .zip(identities)
        .map(|(peer, identity)| {
            table([
                ("name", text(&peer.name)),
                ("address", text(peer.link)),
                ("identity", text(hex::encode(identity))),
            ])
            .into()
        })
        .collect();
    if let Some(Value::Table(cluster)) = whole.get_mut("cluster") {
        cluster.insert("peer".into(), peers.into());
    }
    whole
}

/// What `glasshouse node join` wrote, and over it what this cluster needs. What joining decides
/// (name, identity, peers, data folder) stays as it wrote it; rooms are those of the cluster.
pub(crate) fn joined(state: &State, node: &NodeRecord, written: &Table, model: &Table) -> Table {
    let mut whole = written.clone();
    let mut ours = common(state, node, &[]);
    ours.remove("room");
    if let Some(Value::Table(cluster)) = ours.get_mut("cluster") {
        cluster.remove("name");
        cluster.remove("identity");
    }
    if let Some(Value::Table(section)) = ours.get_mut("node") {
        section.remove("name");
        section.remove("data_dir");
    }
    merge(&mut whole, &ours);
    for key in ["room", "device", "learning", "keys"] {
        if let Some(value) = model.get(key) {
            whole.insert(key.into(), value.clone());
        }
    }
    whole
}

/// Lays `over` over `under`: tables key by key, all else as a whole.
pub(crate) fn merge(under: &mut Table, over: &Table) {
    for (key, value) in over {
        match (under.get_mut(key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            _ => {
                under.insert(key.clone(), value.clone());
            }
        }
    }
}

pub(crate) fn read(path: &Path) -> Result<Table, SiteError> {
    let text = std::fs::read_to_string(path).map_err(FileError::when("read", path))?;
    text.parse::<Table>().map_err(|error| SiteError::Toml {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

/// Above each configuration.
const HEAD: &str = "# Written by `glasshouse cluster up`; `glasshouse config check FILE` explains every key it refuses.\n\n";

/// Checks a configuration and writes it.
pub(crate) fn save(path: &Path, whole: &Table) -> Result<(), SiteError> {
    let text = format!("{HEAD}{whole}");
    config::parse(&text, path, path.parent().unwrap_or(Path::new(".")))?;
    Ok(files::write(path, &text, PUBLIC)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(network: Network, numbers: &[u8]) -> State {
        let mut state = State::new(network, 133);
        state.nodes = records(network, numbers).unwrap();
        state
    }

    fn keys(count: usize) -> Vec<[u8; 32]> {
        (1..=count)
            .map(|index| {
                ed25519_dalek::SigningKey::from_bytes(&[u8::try_from(index).unwrap(); 32])
                    .verifying_key()
                    .to_bytes()
            })
            .collect()
    }

    #[test]
    fn every_size_and_network_gives_configurations_that_pass_the_check() {
        let dir = tempfile::tempdir().unwrap();
        for network in [Network::Loopback, Network::Namespaces] {
            for count in 1..=9u8 {
                let state = state(network, &(1..=count).collect::<Vec<_>>());
                for node in &state.nodes {
                    let path = dir.path().join("node.toml");
                    save(&path, &founder(&state, node, &keys(count.into()))).unwrap();
                    let config = config::load(&path).unwrap();
                    assert_eq!(config.cluster.allow_faults, network == Network::Loopback);
                    assert_eq!(config.rooms.len(), usize::from(count));
                    assert_eq!(config.cluster.listen, node.link);
                    assert!(config.feed.is_none());
                }
            }
        }
    }

    #[test]
    fn what_joining_decided_stays_and_the_rest_is_the_clusters() {
        let mut state = state(Network::Loopback, &[1, 2]);
        let model = founder(&state, &state.nodes[0], &keys(2));
        state
            .nodes
            .extend(records(Network::Loopback, &[3]).unwrap());
        let written: Table = r#"
            [node]
            name = "node-3"
            data_dir = "/elsewhere"
            admin = "127.0.0.1:1"
            [cluster]
            name = "local"
            identity = "/elsewhere/identity"
            listen = "127.0.0.1:2"
        "#
        .parse()
        .unwrap();
        let node = &state.nodes[2];
        let whole = joined(&state, node, &written, &model);
        let value = |section: &str, key: &str| whole[section][key].as_str().unwrap().to_owned();
        assert_eq!(value("node", "data_dir"), "/elsewhere");
        assert_eq!(value("cluster", "identity"), "/elsewhere/identity");
        assert_eq!(value("node", "admin"), node.admin.to_string());
        assert_eq!(value("cluster", "listen"), node.link.to_string());
        assert_eq!(whole["room"], model["room"]);
    }

    #[test]
    fn laying_over_keeps_what_is_not_named() {
        let mut under: Table = "a = 1\n[t]\nb = 2\nc = 3".parse().unwrap();
        merge(&mut under, &"[t]\nb = 5\n[u]\nd = 6".parse().unwrap());
        let expected: Table = "a = 1\n[t]\nb = 5\nc = 3\n[u]\nd = 6".parse().unwrap();
        assert_eq!(under, expected);
    }

    #[test]
    fn a_place_too_deep_for_a_socket_is_refused_before_anything_is_made() {
        let deep = Path::new("/").join("d".repeat(100));
        let error = Site::of(&deep, "node-1").check().unwrap_err().to_string();
        assert!(error.contains("shorter --dir"), "{error}");
        Site::of(Path::new("/tmp/x"), "node-1").check().unwrap();
    }
}
