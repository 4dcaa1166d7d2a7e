//! Domains of this process. Cyclone has one per id and process; participants of one id share it.

use super::config::DomainConfig;
use super::log;
use super::lookup::{Looking, Lookup};
use super::peers;
use super::security::Security;
use super::sys::{self, Entity};
use crate::lane::lock;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

/// How long joining waits for the same domain to finish closing in this process.
const REOPEN_LIMIT: Duration = Duration::from_secs(10);

/// Why a domain was not joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The configuration breaks a rule.
    #[error("{0}")]
    Config(String),
    /// One process cannot hold one domain in two ways.
    #[error(
        "this process already takes part in DDS domain {domain} with another configuration; use the same one or another domain id"
    )]
    Conflict {
        /// The domain.
        domain: u32,
    },
    /// The DDS implementation said no.
    #[error(
        "cannot join DDS domain {domain} on {interfaces}: {reason}; is each interface up, and are its ports free?"
    )]
    Refused {
        /// The domain.
        domain: u32,
        /// The interfaces' addresses.
        interfaces: Addresses,
        /// Its words.
        reason: String,
    },
    /// DDS Security refused the participant itself.
    #[error(
        "DDS Security keeps this participant out of DDS domain {domain}: {reason}; the log says what is wrong with which file"
    )]
    Security {
        /// The domain.
        domain: u32,
        /// Its words.
        reason: String,
    },
}

/// A list of addresses, printed with commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses(pub Vec<std::net::IpAddr>);

impl std::fmt::Display for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&all.join(", "))
    }
}

static OPEN: Mutex<BTreeMap<u32, (DomainConfig, Weak<Domain>)>> = Mutex::new(BTreeMap::new());
static CLOSED: Condvar = Condvar::new();

/// An open domain; closes with its last holder.
pub(super) struct Domain {
    id: u32,
    entity: Arc<Entity>,
    _looking: Option<Looking>,
}

impl Domain {
    pub(super) fn open(config: &DomainConfig) -> Result<Arc<Self>, JoinError> {
        if let Some(fault) = config.fault() {
            return Err(JoinError::Config(format!("DDS domain: {fault}")));
        }
        if let Some(fault) = config.security.as_ref().and_then(Security::fault) {
            return Err(JoinError::Config(fault));
        }
        log::install();
        let peers = reachable(config)?;
        let mut open = lock(&OPEN);
        // A slot whose holder is gone but which still stands is being closed by another thread.
        while let Some((present, domain)) = open.get(&config.domain) {
            match domain.upgrade() {
                Some(domain) if present == config => return Ok(domain),
                Some(_) => {
                    return Err(JoinError::Conflict {
                        domain: config.domain,
                    });
                }
                None => {
                    let (guard, wait) = CLOSED
                        .wait_timeout(open, REOPEN_LIMIT)
                        .unwrap_or_else(PoisonError::into_inner);
                    open = guard;
                    if wait.timed_out() {
                        return Err(refused(
                            config,
                            "its former use in this process is still closing",
                        ));
                    }
                }
            }
        }
        let lookup = Lookup::of(config);
        let asked: Vec<String> = peers
            .iter()
            .cloned()
            .chain(lookup.as_ref().map(|lookup| lookup.place.clone()))
            .collect();
        let xml = CString::new(config.xml(&asked))
            .map_err(|_| refused(config, "its configuration contains NUL"))?;
        let entity = sys::create_domain(config.domain, &xml)
            .map_err(|code| refused(config, &code.to_string()))?;
        let domain = Arc::new(Self {
            id: config.domain,
            entity,
            _looking: lookup.and_then(|lookup| lookup.start(config, &peers)),
        });
        open.insert(config.domain, (config.clone(), Arc::downgrade(&domain)));
        Ok(domain)
    }

    pub(super) fn participant(&self, config: &DomainConfig) -> Result<Arc<Entity>, JoinError> {
        let Some(security) = &config.security else {
            return sys::create_participant(&self.entity, self.id, None)
                .map_err(|code| refused(config, &code.to_string()));
        };
        let properties = security.properties().map_err(JoinError::Config)?;
        sys::create_participant(&self.entity, self.id, Some(&properties)).map_err(|code| {
            JoinError::Security {
                domain: config.domain,
                reason: code.to_string(),
            }
        })
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        self.entity.delete();
        lock(&OPEN).remove(&self.id);
        CLOSED.notify_all();
    }
}

fn refused(config: &DomainConfig, reason: &str) -> JoinError {
    JoinError::Refused {
        domain: config.domain,
        interfaces: Addresses(config.interfaces.clone()),
        reason: reason.to_owned(),
    }
}

/// The addresses of the configured peers. One name that stands for nothing is a peer that is not
/// there yet; with no address at all nobody could ever be met.
fn reachable(config: &DomainConfig) -> Result<Vec<String>, JoinError> {
    let Some(like) = config.interfaces.first() else {
        return Ok(Vec::new());
    };
    let resolved = peers::resolve(&config.peers, *like);
    if !resolved.unknown.is_empty() {
        tracing::warn!(
            peers = ?resolved.unknown,
            "these DDS peers have no address that {like} could reach; whoever starts later has to know this node"
        );
    }
    if resolved.addresses.is_empty() && !config.multicast {
        return Err(JoinError::Config(format!(
            "none of the DDS peers {:?} has an address that {like} could reach; is the name right, and its service up?",
            config.peers
        )));
    }
    Ok(resolved.addresses)
}
