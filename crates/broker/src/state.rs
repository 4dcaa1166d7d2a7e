//! What all connections share.

use crate::BrokerConfig;
use crate::codec::Code;
use crate::groups::Group;
use crate::log::{self, Log};
use crate::offsets::Offsets;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Topics at most; a client that asks for random names does not eat the memory.
const MAX_TOPICS: usize = 256;
/// Partitions of one topic at most.
const MAX_PARTITIONS: i32 = 1024;
/// Groups at most.
pub(crate) const MAX_GROUPS: usize = 256;

pub(crate) struct Shared {
    pub(crate) config: BrokerConfig,
    pub(crate) host: String,
    pub(crate) port: u16,
    state: Mutex<State>,
    /// Changes with each append: waiting fetches look again.
    pub(crate) appended: watch::Sender<u64>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) topics: BTreeMap<String, Vec<Log>>,
    pub(crate) groups: BTreeMap<String, Group>,
    pub(crate) offsets: Offsets,
    pub(crate) members_named: u64,
    pub(crate) producers: i64,
}

impl Shared {
    pub(crate) fn new(config: BrokerConfig, host: String, port: u16) -> io::Result<Self> {
        let state = match &config.dir {
            None => State::default(),
            Some(dir) => State::recover(dir, config.retention_bytes)?,
        };
        Ok(Self {
            config,
            host,
            port,
            state: Mutex::new(state),
            appended: watch::channel(0).0,
        })
    }

    /// Held briefly, never across an await.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of another connection leaves whole values: every change is one push or insert.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn create_topic(&self, state: &mut State, topic: &str, partitions: i32) -> Code {
        if !is_topic_name(topic) {
            return Code::InvalidTopic;
        }
        if state.topics.contains_key(topic) {
            return Code::TopicAlreadyExists;
        }
        if !(1..=MAX_PARTITIONS).contains(&partitions) || state.topics.len() >= MAX_TOPICS {
            return Code::InvalidPartitions;
        }
        let retention = self.config.retention_bytes;
        let open = |partition: usize| match &self.config.dir {
            None => Ok(Log::in_memory(retention)),
            Some(dir) => Log::open(log::file_name(dir, topic, partition), retention),
        };
        match (0..partitions.unsigned_abs() as usize)
            .map(open)
            .collect::<io::Result<Vec<_>>>()
        {
            Ok(logs) => {
                state.topics.insert(topic.to_owned(), logs);
                Code::None
            }
            Err(error) => {
                tracing::warn!(topic, %error, "topic cannot be created");
                Code::StorageError
            }
        }
    }
}

impl State {
    fn recover(dir: &Path, retention: usize) -> io::Result<Self> {
        runtime::durable::create_dir(dir)?;
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for entry in std::fs::read_dir(dir)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let split = name
                .strip_suffix(".log")
                .and_then(|stem| stem.rsplit_once('-'));
            let Some((topic, Ok(partition))) =
                split.map(|(topic, partition)| (topic, partition.parse::<usize>()))
            else {
                continue;
            };
            if is_topic_name(topic) && partition < MAX_PARTITIONS.unsigned_abs() as usize {
                let partitions = found.entry(topic.to_owned()).or_default();
                *partitions = (*partitions).max(partition + 1);
            }
        }
        let mut state = Self {
            offsets: Offsets::open(&dir.join("offsets.tsv"))?,
            ..Self::default()
        };
        for (topic, partitions) in found {
            let logs = (0..partitions)
                .map(|partition| Log::open(log::file_name(dir, &topic, partition), retention))
                .collect::<io::Result<_>>()?;
            state.topics.insert(topic, logs);
        }
        Ok(state)
    }

    pub(crate) fn log(&mut self, topic: &str, partition: i32) -> Option<&mut Log> {
        self.topics
            .get_mut(topic)?
            .get_mut(usize::try_from(partition).ok()?)
    }
}

/// Kafka's rule, which also makes the name safe as part of a file name.
fn is_topic_name(topic: &str) -> bool {
    const MAX_NAME: usize = 249;
    !topic.is_empty()
        && topic.len() <= MAX_NAME
        && topic != "."
        && topic != ".."
        && topic
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
