//! The demo's house on disk: identities, certificates, ports and one configuration per node.

use crate::inventory::Inventory;
use ed25519_dalek::SigningKey;
use edge::tls;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// Nodes of the demo. Three is the smallest cluster that survives the loss of one.
pub(crate) const NODES: usize = 3;
/// Recipient domain of the mailboxes.
pub(crate) const DOMAIN: &str = "glasshouse.example";
/// Kafka topic of the transaction feed.
pub(crate) const TOPIC: &str = "mainframe.transactions";

/// One node's addresses and files.
#[derive(Clone, Debug)]
pub(crate) struct NodeSite {
    pub(crate) name: String,
    pub(crate) config: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) admin: SocketAddr,
    pub(crate) mailbox: SocketAddr,
}

/// Everything the processes need before they start.
pub(crate) struct House {
    pub(crate) dir: PathBuf,
    pub(crate) nodes: Vec<NodeSite>,
    pub(crate) pki: Pki,
    pub(crate) sink: SocketAddr,
    pub(crate) broker: SocketAddr,
    pub(crate) dds_domain: u32,
}

/// A private CA with one certificate for servers and one for clients.
pub(crate) struct Pki {
    pub(crate) ca: PathBuf,
    pub(crate) server_certificate: PathBuf,
    pub(crate) server_key: PathBuf,
    pub(crate) client_certificate: PathBuf,
    pub(crate) client_key: PathBuf,
}

/// Why the house could not be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HouseError {
    #[error("cannot write {path}: {error}; choose another place with --dir DIR")]
    Write {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("no free port on 127.0.0.1: {0}")]
    Port(std::io::Error),
    #[error("{wanted} free ports are needed on 127.0.0.1, {found} were found")]
    Ports { wanted: usize, found: usize },
    #[error(transparent)]
    Certificate(#[from] tls::TlsError),
    #[error("the system gave no randomness: {0}")]
    Entropy(getrandom::Error),
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), HouseError> {
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |error| HouseError::Write {
        path: path.to_owned(),
        error,
    };
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

/// Ports from here on are tried. Below the range from which the system gives ports to outgoing
/// connections (32768 and up by default): one of those could take a killed node's port before it is
/// back.
const FIRST_PORT: u16 = 10_000;
/// How many there are.
const PORTS: u16 = 22_000;

/// Free loopback ports. Bound all at once, so that no two are equal, and released together;
/// another program may still take one before we do, and then the node says so.
fn free_ports(count: usize) -> Result<Vec<SocketAddr>, HouseError> {
    let mut random = [0u8; 2];
    getrandom::fill(&mut random).map_err(HouseError::Entropy)?;
    let start = u16::from_le_bytes(random) % PORTS;
    let listeners: Vec<TcpListener> = (0..PORTS)
        .map(|offset| FIRST_PORT + (start + offset) % PORTS)
        .filter_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
        .take(count)
        .collect();
    if listeners.len() < count {
        return Err(HouseError::Ports {
            wanted: count,
            found: listeners.len(),
        });
    }
    listeners
        .iter()
        .map(TcpListener::local_addr)
        .collect::<Result<_, _>>()
        .map_err(HouseError::Port)
}

impl Pki {
    fn create(dir: &Path) -> Result<Self, HouseError> {
        let pki = Self {
            ca: dir.join("ca.pem"),
            server_certificate: dir.join("server.pem"),
            server_key: dir.join("server.key"),
            client_certificate: dir.join("client.pem"),
            client_key: dir.join("client.key"),
        };
        let authority = tls::Authority::new("Glasshouse demo")?;
        write(&pki.ca, authority.certificate(), 0o644)?;
        for (name, certificate, key) in [
            ("localhost", &pki.server_certificate, &pki.server_key),
            ("glasshouse-feed", &pki.client_certificate, &pki.client_key),
        ] {
            let issued = authority.issue(&[name.to_owned(), "127.0.0.1".to_owned()])?;
            write(certificate, &issued.certificate, 0o644)?;
            write(key, &issued.key, 0o600)?;
        }
        Ok(pki)
    }
}

impl House {
    /// Builds the house under `dir` for the devices of `inventory`.
    pub(crate) fn build(dir: &Path, inventory: &Inventory) -> Result<Self, HouseError> {
        for sub in ["", "copybooks", "logs"] {
            let path = dir.join(sub);
            std::fs::create_dir_all(&path).map_err(|error| HouseError::Write { path, error })?;
        }
        let ports = free_ports(NODES * 3 + 2)?;
        let pki = Pki::create(dir)?;
        write(
            &dir.join("copybooks/transaction.cpy"),
            gear::mainframe::COPYBOOK,
            0o644,
        )?;
        let mut identities = Vec::new();
        for index in 0..NODES {
            let mut seed = [0u8; 32];
            getrandom::fill(&mut seed).map_err(HouseError::Entropy)?;
            write(
                &dir.join(format!("node-{}.identity", index + 1)),
                &hex::encode(seed),
                0o600,
            )?;
            identities.push(SigningKey::from_bytes(&seed).verifying_key().to_bytes());
        }
        let mut domain = [0u8; 1];
        getrandom::fill(&mut domain).map_err(HouseError::Entropy)?;
        let house = Self {
            dir: dir.to_owned(),
            nodes: (0..NODES)
                .map(|index| {
                    let name = format!("node-{}", index + 1);
                    NodeSite {
                        config: dir.join(format!("{name}.toml")),
                        log: dir.join(format!("logs/{name}.log")),
                        data: dir.join(&name),
                        admin: ports[index * 3],
                        mailbox: ports[index * 3 + 1],
                        name,
                    }
                })
                .collect(),
            pki,
            sink: ports[NODES * 3],
            broker: ports[NODES * 3 + 1],
            // Another domain than the usual 0, so that a DDS system on this host is left alone.
            dds_domain: 100 + u32::from(domain[0] % 100),
        };
        let links: Vec<SocketAddr> = (0..NODES).map(|index| ports[index * 3 + 2]).collect();
        for site in &house.nodes {
            write(
                &site.config,
                &house.config(site, &links, &identities, inventory),
                0o644,
            )?;
        }
        Ok(house)
    }

    fn config(
        &self,
        site: &NodeSite,
        links: &[SocketAddr],
        identities: &[[u8; 32]],
        inventory: &Inventory,
    ) -> String {
        let index = self
            .nodes
            .iter()
            .position(|other| other.name == site.name)
            .unwrap_or(0);
        let mut text = format!(
            r#"# Written by the demo; `glasshouse config check FILE` explains every key it refuses.
[node]
name = "{name}"
data_dir = "{name}"
admin = "{admin}"

[cluster]
name = "demo"
listen = "{link}"
identity = "{name}.identity"
"#,
            name = site.name,
            admin = site.admin,
            link = links[index],
        );
        for (peer, (link, identity)) in self.nodes.iter().zip(links.iter().zip(identities)) {
            let identity = hex::encode(identity);
            let _ = write!(
                text,
                "\n[[cluster.peer]]\nname = \"{}\"\naddress = \"{link}\"\nidentity = \"{identity}\"\n",
                peer.name
            );
        }
        let _ = write!(
            text,
            r#"
[mailbox]
listen = "{mailbox}"
hostname = "localhost"
domains = ["{DOMAIN}"]
certificate = "server.pem"
key = "server.key"

[feed]
brokers = ["{broker}"]
topic = "{TOPIC}"
copybook = "copybooks/transaction.cpy"
window_ms = 500
room = "{feed_room}"
home = "node-1"
ca = "ca.pem"
certificate = "client.pem"
key = "client.key"

[dds]
domain = {domain}

[learning]
pause_ms = 900
round_timeout_ms = 6000

[alerts]
relay = "localhost:{sink}"
from = "glasshouse@{DOMAIN}"
to = ["operator@{DOMAIN}"]
ca = "ca.pem"
"#,
            mailbox = site.mailbox,
            broker = self.broker,
            feed_room = inventory.rooms[0],
            domain = self.dds_domain,
            sink = self.sink.port(),
        );
        for (room, home) in inventory.rooms.iter().zip(self.nodes.iter().cycle()) {
            let _ = write!(
                text,
                "\n[[room]]\nname = \"{room}\"\nhome = \"{}\"\n",
                home.name
            );
        }
        for (device, _) in &inventory.devices {
            let _ = write!(
                text,
                "\n[[device]]\nid = \"{}\"\nroom = \"{}\"\nclass = \"{}\"\naddresses = [\"{}\"]\n",
                device.id, device.room, device.class, device.address
            );
        }
        text
    }
}
