//! The house: the cluster's files and network, its disks, certificates, and the way to its broker.

use crate::brokers::{Brokers, Kind, TOPIC};
use crate::disk::Disk;
use crate::load;
use crate::plan::Powers;
use crate::ways::Doors;
use local::files::{self, PUBLIC};
use local::pki::Pki;
use local::{LocalCluster, Network, NetworkChoice, Options, namespaces, ports};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use toml::{Table, Value};

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Five nodes: two may be away, at once and for different reasons, and a majority is left.
pub(crate) const NODES: u8 = 5;
/// In a network of its own the broker needs no luck with ports.
const BROKER_PORT: u16 = 9_092;
const CONTROLLER_PORT: u16 = 9_093;
/// RFC 8314 §7.3.
const IMPLICIT_TLS: u16 = 465;
const COPYBOOK: &str = "transaction.cpy";

/// Everything before the first process.
pub(crate) struct House {
    pub(crate) cluster: LocalCluster,
    /// By node, from node-1 on; empty: nodes share the machine's disk.
    pub(crate) disks: Vec<Disk>,
    pub(crate) brokers: Brokers,
    pub(crate) roots: String,
    /// By node, from node-1 on.
    pub(crate) doors: Vec<Doors>,
}

/// The name of the node with this number.
pub(crate) fn name(number: u8) -> String {
    format!("node-{number}")
}

impl House {
    /// Makes it in `dir`. The calling thread stands outside the nodes afterwards, and reaches all.
    pub(crate) fn build(
        dir: &Path,
        glasshouse: &Path,
        powers: Powers,
        broker: Kind,
    ) -> Result<Self, Fault> {
        let (network, broker_at, controller) = if powers.cables {
            let outside = SocketAddr::from((namespaces::HUB_ADDRESS, BROKER_PORT));
            (Network::Namespaces, outside, CONTROLLER_PORT)
        } else {
            let ports = ports::free(2)?;
            (Network::Loopback, ports[0], ports[1].port())
        };
        let host = match network {
            Network::Namespaces => broker_at.to_string(),
            Network::Loopback => format!("localhost:{}", broker_at.port()),
        };
        let options = Options {
            network: NetworkChoice::Only(network),
            overrides: overrides(&host, broker == Kind::Embedded),
            ..Options::new(glasshouse)
        };
        let cluster = LocalCluster::create(dir, usize::from(NODES), options)?;
        let dir = cluster.dir().to_owned();
        let mut addresses: Vec<IpAddr> = (1..=NODES)
            .map(|number| namespaces::address(number).into())
            .collect();
        addresses.push(namespaces::HUB_ADDRESS.into());
        addresses.push(Ipv4Addr::LOCALHOST.into());
        let pki = Pki::create(&dir, "Glasshouse chaos", "glasshouse-feed", &addresses)?;
        files::write(&dir.join(COPYBOOK), gear::mainframe::COPYBOOK, PUBLIC)?;
        let mut disks = Vec::new();
        if powers.disks {
            for number in 1..=NODES {
                disks.push(Disk::mount(&cluster.files(&name(number)).data)?);
            }
        }
        let doors = doors(&cluster, glasshouse, network)?;
        cluster.enter_outside()?;
        Ok(Self {
            brokers: Brokers::new(broker, broker_at, controller, dir.join("broker"), &pki)?,
            roots: std::fs::read_to_string(&pki.ca)?,
            cluster,
            disks,
            doors,
        })
    }
}

/// Gives each node its further doors, in its configuration.
fn doors(cluster: &LocalCluster, glasshouse: &Path, network: Network) -> Result<Vec<Doors>, Fault> {
    let free = match network {
        // In a network of its own each node has every port.
        Network::Namespaces => None,
        Network::Loopback => Some(ports::free(usize::from(NODES))?),
    };
    let mut doors = Vec::new();
    for (index, node) in cluster.state()?.nodes.iter().enumerate() {
        let files = cluster.files(&node.name);
        let implicit_tls = match &free {
            None => SocketAddr::new(node.mailbox.ip(), IMPLICIT_TLS),
            Some(free) => free[index],
        };
        let lmtp = std::path::absolute(files.data.join("lmtp"))?;
        let mut config: Table = std::fs::read_to_string(&files.config)?.parse()?;
        if let Some(Value::Table(mailbox)) = config.get_mut("mailbox") {
            mailbox.insert("implicit_tls".into(), implicit_tls.to_string().into());
            let path = lmtp.to_str().ok_or("the folder's name is not UTF-8")?;
            mailbox.insert("lmtp".into(), path.into());
        }
        files::write(&files.config, &toml::to_string(&config)?, PUBLIC)?;
        let mut ask = std::process::Command::new(glasshouse);
        let ask = ask
            .args(["device", "house-key", "--config"])
            .arg(&files.config);
        let key = ask.output()?;
        let text = String::from_utf8_lossy(&key.stdout);
        doors.push(Doors {
            mailbox: node.mailbox,
            implicit_tls,
            lmtp,
            house_key: hex::decode(text.trim())
                .ok()
                .and_then(|key| key.try_into().ok())
                .ok_or_else(|| String::from_utf8_lossy(&key.stderr).into_owned())?,
        });
    }
    Ok(doors)
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    let entries = entries.into_iter();
    entries
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// What is laid over the nodes' configurations.
fn overrides(broker: &str, encrypted: bool) -> Table {
    let mut feed = table([
        ("brokers", vec![Value::from(broker)].into()),
        ("topic", TOPIC.into()),
        ("copybook", COPYBOOK.into()),
        ("window_ms", 500.into()),
        ("room", "room-1".into()),
    ]);
    if encrypted {
        feed.extend(table([
            ("ca", "ca.pem".into()),
            ("certificate", "client.pem".into()),
            ("key", "client.key".into()),
        ]));
    }
    let devices: Vec<Value> = load::devices(NODES)
        .into_iter()
        .map(|gear| {
            let known_by = gear.way.known_by(gear.device.id.as_str());
            let device = gear.device;
            let mut table = table([
                ("id", device.id.to_string().into()),
                ("room", device.room.to_string().into()),
                ("class", device.class.into()),
                ("addresses", vec![Value::from(device.address)].into()),
            ]);
            if let Some((key, value)) = known_by {
                table.insert(key.to_owned(), value.into());
            }
            table.into()
        })
        .collect();
    table([
        (
            "mailbox",
            table([
                ("certificate", "server.pem".into()),
                ("key", "server.key".into()),
            ])
            .into(),
        ),
        ("feed", feed.into()),
        // Rounds follow each other quickly, and a node that was away takes part again soon.
        (
            "learning",
            table([
                ("pause_ms", 900.into()),
                ("round_timeout_ms", 6_000.into()),
                ("min_examples", 16.into()),
            ])
            .into(),
        ),
        ("device", devices.into()),
    ])
}
