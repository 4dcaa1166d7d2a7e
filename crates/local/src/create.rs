//! Making a cluster: files and network, no processes yet.

use crate::cluster::{ClusterError, LocalCluster, NetworkChoice, Options};
use crate::files::{self, FileError};
use crate::identity;
use crate::site::{self, MAX_NODES, Site};
use crate::state::{Lock, Network, State};
use std::path::Path;

impl LocalCluster {
    /// Makes a cluster of `nodes` in `dir`, which must be new or empty, or left by a creation that
    /// did not come to its end: identities, configurations, network. Nothing runs yet.
    pub fn create(dir: &Path, nodes: usize, options: Options) -> Result<Self, ClusterError> {
        let count = u8::try_from(nodes)
            .ok()
            .filter(|count| (1..=MAX_NODES).contains(&usize::from(*count)))
            .ok_or(ClusterError::Count(nodes))?;
        files::folder(dir)?;
        let unfinished = State::exists(dir) && State::load(dir)?.nodes.is_empty();
        let mut entries = std::fs::read_dir(dir).map_err(FileError::when("read", dir))?;
        if !unfinished && entries.next().is_some() {
            return Err(ClusterError::Taken(dir.to_owned()));
        }
        let mut cluster = Self::at(dir, options)?;
        let _lock = Lock::take(&cluster.dir)?;
        // First of all a record, so that `down` finds what a killed creation leaves.
        State::new(Network::Loopback, 0).save(&cluster.dir)?;
        if let Err(error) = cluster.write_files(count) {
            cluster.spaces.remove()?;
            return Err(error);
        }
        Ok(cluster)
    }

    fn write_files(&mut self, count: u8) -> Result<(), ClusterError> {
        let dir = self.dir.clone();
        files::folder(&dir.join("logs"))?;
        let numbers: Vec<u8> = (1..=count).collect();
        Site::of(&dir, "node-1").check()?;
        let network = self.choose(&numbers)?;
        let mut state = State::new(network, identity::dds_domain()?);
        state.nodes = site::records(network, &numbers)?;
        let identities = state
            .nodes
            .iter()
            .map(|node| identity::create(&Site::of(&dir, &node.name).identity))
            .collect::<Result<Vec<_>, _>>()?;
        for node in &state.nodes {
            let mut whole = site::founder(&state, node, &identities);
            site::merge(&mut whole, &self.options.overrides);
            site::save(&Site::of(&dir, &node.name).config, &whole)?;
        }
        Ok(state.save(&dir)?)
    }

    /// The network for new nodes: namespaces are made as a trial that stays.
    fn choose(&mut self, numbers: &[u8]) -> Result<Network, ClusterError> {
        let nodes: Vec<(String, u8)> = numbers
            .iter()
            .map(|number| (format!("node-{number}"), *number))
            .collect();
        match self.options.network {
            NetworkChoice::Only(Network::Loopback) => Ok(Network::Loopback),
            NetworkChoice::Only(Network::Namespaces) => {
                self.spaces.raise(&nodes)?;
                Ok(Network::Namespaces)
            }
            NetworkChoice::Auto => match self.spaces.raise(&nodes) {
                Ok(()) => Ok(Network::Namespaces),
                Err(reason) => {
                    self.fallback = Some(reason);
                    Ok(Network::Loopback)
                }
            },
        }
    }
}
