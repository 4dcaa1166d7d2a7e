//! The demo's house on disk: identities, certificates, ports and one configuration per node.

use crate::inventory::Inventory;
use local::files::{self, FileError, PUBLIC};
use local::identity::{self, IdentityError};
use local::pki::{Pki, PkiError};
use local::ports::{self, PortError};
use std::fmt::Write as _;
use std::net::SocketAddr;
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

/// Why the house could not be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HouseError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Port(#[from] PortError),
    #[error(transparent)]
    Certificate(#[from] PkiError),
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl House {
    /// Builds the house under `dir` for the devices of `inventory`.
    pub(crate) fn build(dir: &Path, inventory: &Inventory) -> Result<Self, HouseError> {
        for sub in ["", "copybooks", "logs"] {
            files::folder(&dir.join(sub))?;
        }
        let ports = ports::free(NODES * 3 + 2)?;
        let pki = Pki::create(dir, "Glasshouse demo", "glasshouse-feed", &[])?;
        files::write(
            &dir.join("copybooks/transaction.cpy"),
            gear::mainframe::COPYBOOK,
            PUBLIC,
        )?;
        let identities = (1..=NODES)
            .map(|number| identity::create(&dir.join(format!("node-{number}.identity"))))
            .collect::<Result<Vec<_>, _>>()?;
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
            dds_domain: identity::dds_domain()?,
        };
        let links: Vec<SocketAddr> = (0..NODES).map(|index| ports[index * 3 + 2]).collect();
        for site in &house.nodes {
            files::write(
                &site.config,
                &house.config(site, &links, &identities, inventory),
                PUBLIC,
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
# A run is over before a digest with the usual times would go out.
digest_window_s = 5
repeat_s = 5
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
