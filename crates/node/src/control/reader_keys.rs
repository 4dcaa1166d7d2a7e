//! Keys for programs outside: first the entry on the ledger, then the key.

use super::refused;
use crate::acts;
use crate::space::SealedSpace;
use dds::Topic;
use ledger::MAX_READER_KEY_MS;
use replica::Ledger;
use runtime::{clock, entropy};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use wire::control::{Answer, ReaderKey};
use wire::{Act, Level, UnixMillis};

/// Grants that are followed at one time; each is an operator's doing.
const MAX_GRANTS: usize = 64;

/// What is asked for.
pub(super) struct Asked {
    pub(super) reader: String,
    pub(super) topic: String,
    pub(super) partition: String,
    pub(super) for_s: u64,
}

#[derive(Clone)]
struct Grant {
    topic: String,
    partition: String,
    until: UnixMillis,
}

/// The grants of this start of the node; another start knows none of them, and one asks again.
#[derive(Clone)]
pub struct ReaderKeys {
    space: Arc<SealedSpace>,
    grants: Arc<Mutex<BTreeMap<String, Grant>>>,
}

impl ReaderKeys {
    /// None yet.
    pub fn new(space: Arc<SealedSpace>) -> Self {
        Self {
            space,
            grants: Arc::default(),
        }
    }

    pub(super) async fn grant(&self, ledger: &Ledger, asked: Asked) -> Answer {
        if !Topic::ALL
            .iter()
            .any(|(_, topic)| topic.name() == asked.topic)
        {
            let topics = Topic::ALL;
            let names: Vec<&str> = topics.iter().map(|(_, topic)| topic.name()).collect();
            return refused(format!(
                "there is no topic {}; there are {}",
                asked.topic,
                names.join(", ")
            ));
        }
        let for_ms = asked.for_s.saturating_mul(1_000);
        if for_ms == 0 || for_ms > MAX_READER_KEY_MS {
            let days = MAX_READER_KEY_MS / 86_400_000;
            return refused(format!("a reader key is good for 1 second to {days} days"));
        }
        if !self.space.typed() {
            return refused(format!(
                "a member of the cluster is of an older release (level below {}), so all samples are sealed under one \
                 key, which is not given away; upgrade the last node first",
                Level::TYPED
            ));
        }
        // An entry takes its time to commit, and the ledger measures from when it was proposed.
        let until = UnixMillis(clock::unix_now().0 + for_ms);
        let act = Act::ReaderKeyGranted {
            node: ledger.me().clone(),
            reader: asked.reader,
            topic: asked.topic.clone(),
            partition: asked.partition.clone(),
            until,
        };
        if let Err(error) = acts::commit(ledger, act).await {
            return refused(error.to_string());
        }
        let grant: [u8; 16] = entropy::bytes();
        let grant = hex::encode(grant);
        {
            let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
            let now = clock::unix_now();
            grants.retain(|_, grant| grant.until > now);
            if grants.len() >= MAX_GRANTS {
                return refused(format!(
                    "{MAX_GRANTS} reader keys are followed here already"
                ));
            }
            let (topic, partition) = (asked.topic, asked.partition);
            let granted = Grant {
                topic,
                partition,
                until,
            };
            grants.insert(grant.clone(), granted);
        }
        self.again(&grant)
    }

    pub(super) fn again(&self, grant: &str) -> Answer {
        let known = {
            let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
            grants.get(grant).cloned()
        };
        let Some(known) = known.filter(|known| known.until > clock::unix_now()) else {
            return refused(
                "this grant is over, or of another start of the node; ask for a new key".to_owned(),
            );
        };
        let keys = self.space.place_keys(&known.topic, &known.partition);
        let keys = keys
            .iter()
            .map(|(epoch, key)| (epoch.to_string(), hex::encode(key.0)));
        Answer::ReaderKey {
            key: ReaderKey {
                grant: grant.to_owned(),
                keys: keys.collect(),
                topic: known.topic,
                partition: known.partition,
                until: known.until,
            },
        }
    }
}
