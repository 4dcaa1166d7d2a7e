//! Joining a cluster from the outside: `glasshouse node join`.

use crate::identity;
use config::{Cluster, Config, Mailbox, Node, Peer};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wire::{Admission, Level, MemberEntry, NodeId};

/// Name of the identity file in the data folder.
const IDENTITY: &str = "identity";
/// Name of the proof of admission there.
const ADMISSION: &str = "admission";
/// Recipient domain of the mailbox when no member's configuration says otherwise.
const DOMAIN: &str = "glasshouse.example";

/// What the new node wants to be.
pub struct Wish {
    /// Its name.
    pub name: String,
    /// Its data folder.
    pub dir: PathBuf,
    /// Where it takes links.
    pub listen: SocketAddr,
    /// Where others reach it, if elsewhere.
    pub address: Option<String>,
    /// The configuration to write.
    pub config: PathBuf,
    /// Where gear delivers.
    pub mailbox: SocketAddr,
    /// Status page.
    pub admin: SocketAddr,
    /// What it speaks.
    pub level: Level,
}

/// What came of it.
pub struct Joined {
    /// Name of the cluster.
    pub cluster: String,
    /// Members, the new one included.
    pub members: usize,
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Makes the identity, joins, and writes the proof and a configuration.
///
/// Everything that could fail on this side is tried before the token is used up: it is good once.
pub fn join(
    token: &str,
    wish: &Wish,
    template: Option<&Config>,
    limit: Duration,
) -> Result<Joined, Error> {
    let invitation = cluster::decode_token(token)?;
    runtime::durable::create_dir(&wish.dir).map_err(|error| {
        format!(
            "cannot make {}: {error}; name a folder that this user may write",
            wish.dir.display()
        )
    })?;
    let dir = wish.dir.canonicalize()?;
    if wish.config.exists() {
        return Err(format!(
            "{} is there already and is not overwritten; choose another place with --config",
            wish.config.display()
        )
        .into());
    }
    let key = dir.join(IDENTITY);
    let identity = if key.exists() {
        identity::load(&key)?
    } else {
        identity::create(&key)?
    };
    let address = wish
        .address
        .clone()
        .unwrap_or_else(|| wish.listen.to_string());
    // Would the configuration be good? The member list is all that is not known yet.
    let mut config = configuration(wish, &dir, &invitation.cluster, template);
    config.cluster.peers = peers(&invitation.members);
    complain(&config, &wish.config)?;
    write(&wish.config, &toml::to_string(&config)?)?;

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let joining = cluster::join(
        &invitation,
        NodeId::new(wish.name.clone()),
        &identity,
        &address,
        wish.level,
        limit,
    );
    let joined = match runtime.block_on(joining) {
        Ok(joined) => joined,
        Err(error) => {
            // Nothing was gained; the next attempt must not stumble over our own file.
            let _ = std::fs::remove_file(&wish.config);
            return Err(error.into());
        }
    };
    save_admission(&dir.join(ADMISSION), &joined.admission)?;
    config.cluster.peers = peers(&joined.members);
    write(&wish.config, &toml::to_string(&config)?)?;
    Ok(Joined {
        cluster: invitation.cluster,
        members: joined.members.len(),
    })
}

/// A member's configuration made this node's own, or the smallest one that runs.
fn configuration(wish: &Wish, dir: &Path, cluster: &str, template: Option<&Config>) -> Config {
    let node = Node {
        name: wish.name.clone(),
        data_dir: dir.to_owned(),
        admin: wish.admin,
    };
    let cluster = Cluster {
        name: cluster.to_owned(),
        listen: wish.listen,
        address: wish.address.clone(),
        identity: dir.join(IDENTITY),
        admission: Some(dir.join(ADMISSION)),
        level: None,
        allow_faults: template.is_some_and(|template| template.cluster.allow_faults),
        detection: template.map_or_else(Default::default, |template| {
            template.cluster.detection.clone()
        }),
        peers: Vec::new(),
    };
    match template {
        Some(template) => {
            let mut config = template.clone();
            config.node = node;
            config.cluster = cluster;
            config.mailbox.listen = wish.mailbox;
            config
        }
        None => Config {
            node,
            cluster,
            mailbox: Mailbox::at(wish.mailbox, DOMAIN),
            feed: None,
            export: None,
            dds: Default::default(),
            rooms: Vec::new(),
            devices: Vec::new(),
            learning: Default::default(),
            alerts: None,
            keys: Default::default(),
        },
    }
}

fn peers(members: &[MemberEntry]) -> Vec<Peer> {
    let peer = |member: &MemberEntry| Peer {
        name: member.node.to_string(),
        address: member.address.clone(),
        identity: hex::encode(member.identity),
    };
    members.iter().map(peer).collect()
}

fn complain(config: &Config, path: &Path) -> Result<(), Error> {
    let problems = config.problems();
    if problems.is_empty() {
        return Ok(());
    }
    let path = path.to_owned();
    Err(config::ConfigError::Invalid { path, problems }.into())
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let text = format!(
        "# Written by `glasshouse node join`; `glasshouse config check FILE` explains every key.\n{text}"
    );
    std::fs::write(path, text)
        .map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

fn save_admission(path: &Path, admission: &Admission) -> Result<(), Error> {
    std::fs::write(path, hex::encode(wire::encode(admission)))
        .map_err(|error| format!("cannot write {}: {error}", path.display()).into())
}

/// Reads the proof that [`join`] saved.
pub fn load_admission(path: &Path) -> Result<Admission, Error> {
    let unusable = |why: String| {
        format!(
            "the proof of admission {} cannot be used: {why}; leave out `cluster.admission` if this node is a founder, or join again",
            path.display()
        )
    };
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    let bytes = hex::decode(text.trim()).map_err(|error| unusable(error.to_string()))?;
    Ok(wire::decode(&bytes).map_err(|error| unusable(error.to_string()))?)
}
