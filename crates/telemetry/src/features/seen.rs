//! Memory of what was taken.

use std::collections::{BTreeSet, VecDeque};
use wire::{NodeId, Origin};

/// The last so many origins; the oldest is forgotten first.
#[derive(Debug)]
pub struct Seen {
    limit: usize,
    order: VecDeque<Key>,
    known: BTreeSet<Key>,
}

/// [`Origin`] with an order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key {
    Mail(NodeId, u64, u32),
    Kafka(String, i32, i64, u32),
}

impl From<&Origin> for Key {
    fn from(origin: &Origin) -> Self {
        match origin {
            Origin::Mail { node, seq, part } => Self::Mail(node.clone(), *seq, *part),
            Origin::Kafka {
                topic,
                partition,
                offset,
                part,
            } => Self::Kafka(topic.clone(), *partition, *offset, *part),
        }
    }
}

impl Seen {
    /// Remembers up to `limit` origins.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            order: VecDeque::new(),
            known: BTreeSet::new(),
        }
    }

    /// True, once per origin within the memory.
    pub fn first_time(&mut self, origin: &Origin) -> bool {
        let key = Key::from(origin);
        if !self.known.insert(key.clone()) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}
