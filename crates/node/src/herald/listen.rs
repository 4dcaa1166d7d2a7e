//! What is announced in the house, read as any member can: what does not open, is not signed by whom it
//! names, or is not of its topic's type shows in the status of every node, not only at a stranger's.

use crate::space::{HOUSE, Refused, SealedSpace, TopicReader, Unsealed};
use dds::{SubscribeError, Subscription, Topic};
use std::sync::Arc;
use tokio::task::JoinHandle;
use wire::payload::{Alert, ModelAnnouncement, NodeStatus, Score};
use wire::xcdr::{XcdrError, decode};

/// The key that a payload of a topic claims.
type KeyOf = fn(&[u8]) -> Result<String, XcdrError>;

const TOPICS: [(Topic, KeyOf); 4] = [
    (Topic::SCORES, |bytes| Ok(decode::<Score>(bytes)?.device)),
    (Topic::ALERTS, |bytes| Ok(decode::<Alert>(bytes)?.id)),
    (Topic::MODELS, |bytes| {
        Ok(decode::<ModelAnnouncement>(bytes)?.cluster)
    }),
    (Topic::STATUS, |bytes| Ok(decode::<NodeStatus>(bytes)?.node)),
];

/// One reading task per topic.
pub(super) struct Listeners(Vec<JoinHandle<()>>);

impl Listeners {
    pub(super) fn enter(space: &Arc<SealedSpace>) -> Result<Self, SubscribeError> {
        let mut listeners = Self(Vec::new());
        for (topic, key_of) in TOPICS {
            let subscription = space.space().subscribe(&topic, &[HOUSE])?;
            let task = listen(space.clone(), topic, subscription, key_of);
            listeners.0.push(tokio::spawn(task));
        }
        Ok(listeners)
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

async fn listen(
    space: Arc<SealedSpace>,
    topic: Topic,
    mut subscription: Subscription,
    key_of: KeyOf,
) {
    let mut epochs = space.epochs();
    let mut reader = TopicReader::new(space, topic, HOUSE);
    loop {
        let opened: Vec<Unsealed> = tokio::select! {
            sample = subscription.sample() => match sample {
                Some(sample) => reader.take(sample).into_iter().collect(),
                None => return,
            },
            changed = epochs.changed() => match changed {
                Ok(()) => reader.retry(),
                Err(_) => return,
            },
        };
        for unsealed in opened {
            match key_of(&unsealed.plaintext) {
                Ok(key) if key == unsealed.key => reader.accepted(),
                Ok(key) => {
                    let reason = format!("it speaks of {key} under the key {}", unsealed.key);
                    reader.refused(Refused::Misplaced, &reason);
                }
                Err(error) => reader.refused(Refused::NotTyped, &error.to_string()),
            }
        }
    }
}
