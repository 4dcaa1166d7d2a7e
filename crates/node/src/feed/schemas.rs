//! Schemas of a topic's values: asked for at the registry, and what waits for them.

use crate::board::Board;
use edge::registry::{Registry, RegistryConfig, RegistryError};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use telemetry::transactions::Answer;

/// A partition whose schema is not there is read again after this: soon enough for a registry that starts, and
/// seldom enough not to fetch the same megabyte all the time.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

/// The registry, if there is one, and the partitions that wait for it.
pub(super) struct Schemas {
    registry: Option<Registry>,
    board: Arc<Board>,
    waiting: BTreeSet<i32>,
    /// What was logged last: the same again is no news.
    said: Option<RegistryError>,
}

impl Schemas {
    pub(super) fn new(registry: Option<RegistryConfig>, board: Arc<Board>) -> Self {
        Self {
            registry: registry.map(Registry::new),
            board,
            waiting: BTreeSet::new(),
            said: None,
        }
    }

    /// What the registry says about a schema; `None`: nothing yet, and the partition has to wait.
    pub(super) async fn fetch(&mut self, partition: i32, id: u32) -> Option<Answer> {
        let asked = match &mut self.registry {
            Some(registry) => registry.schema(id).await,
            // Only a layout by schemas wants one, and the configuration has a registry with it.
            None => return Some(Answer::Unknown),
        };
        match asked {
            Ok(answer) => {
                tracing::info!("feed: schema {id} has come");
                Some(answer)
            }
            Err(error) => {
                self.waiting.insert(partition);
                if self.said.as_ref() != Some(&error) {
                    tracing::warn!("feed: partition {partition} waits for schema {id}: {error}");
                }
                self.board.feed_held_back(Some(error.to_string()));
                self.said = Some(error);
                None
            }
        }
    }

    /// The partition has all schemas that it needed.
    pub(super) fn goes_on(&mut self, partition: i32) {
        if self.waiting.remove(&partition) && self.waiting.is_empty() {
            self.end();
        }
    }

    fn end(&mut self) {
        self.said = None;
        self.board.feed_held_back(None);
    }
}

impl Drop for Schemas {
    /// Whoever reads the partitions next says why they wait.
    fn drop(&mut self) {
        self.end();
    }
}
