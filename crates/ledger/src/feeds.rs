//! How far the partitions of Kafka topics were read.
//!
//! The ledger, not the consumer group's offsets, says where a reader goes on: an act counts only if it
//! begins where the last one ended and comes from the holder of the share. So a reader that has lost its
//! share and does not know it yet, or one that reads again after a crash, counts nothing twice.

use crate::state::{Outcome, State, refuse};
use std::collections::BTreeSet;
use wire::{Digest, FeedAdvance, FeedShare, NodeId, Role, UnixMillis};

/// Most partitions on the ledger: some topics with a thousand each. A broker cannot be made to have
/// more without its operator, so the bound is for memory.
pub const MAX_FEED_PARTITIONS: usize = 8192;

/// Most partitions in one act: about 40 KiB of leaf.
pub const MAX_ADVANCES: usize = 512;

/// Most shares of a topic: as many nodes as there may be, each with a few.
pub const MAX_SHARES: u16 = 256;

/// How far one partition was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPosition {
    /// The next offset to account for.
    pub to: u64,
    /// Where a successor begins to read.
    pub resume: u64,
    /// Windows that end here or before are reported.
    pub watermark: UnixMillis,
    /// Records accounted for, each once.
    pub records: u64,
    /// Who read them last.
    pub by: NodeId,
    /// Digest of the latest advance.
    pub digest: Digest,
}

impl State {
    /// Where a partition stands.
    pub fn feed_position(&self, topic: &str, partition: u32) -> Option<&FeedPosition> {
        // `BTreeMap<(String, u32), _>` cannot be asked with a borrowed name.
        self.feeds.get(&(topic.to_owned(), partition))
    }

    /// Records of a topic accounted for.
    pub fn feed_records(&self) -> u64 {
        self.feeds.values().map(|position| position.records).sum()
    }

    /// How many shares a topic has, and who holds a partition's.
    pub(crate) fn share_holder(&self, topic: &str, partition: u32) -> Option<&NodeId> {
        let of = self.shares_of(topic)?;
        let share = FeedShare::holding(topic, of, partition);
        self.roles.get(&Role::FeedShare(share))
    }

    fn shares_of(&self, topic: &str) -> Option<u16> {
        // The least share that the topic can have: what follows is one of it, if it has any.
        let least = Role::FeedShare(FeedShare {
            topic: topic.to_owned(),
            of: 0,
            share: 0,
        });
        match self.roles.range(least..).next() {
            Some((Role::FeedShare(share), _)) if share.topic == topic => Some(share.of),
            Some((Role::FeedShare(_) | Role::Room(_) | Role::Feed(_), _)) | None => None,
        }
    }

    /// A topic is divided in one way at a time: shares of another division, and the role of the whole
    /// topic, end when the first share of a new one is assigned.
    pub(crate) fn divide(&mut self, share: &FeedShare) -> Outcome {
        if !share.is_valid() || share.of > MAX_SHARES {
            return refuse(format!(
                "{} has no share {} of {}; shares count from 0 and there are {MAX_SHARES} at most",
                share.topic, share.share, share.of
            ));
        }
        self.roles.retain(|role, _| match role {
            Role::FeedShare(other) => other.topic != share.topic || other.of == share.of,
            Role::Feed(topic) => *topic != share.topic,
            Role::Room(_) => true,
        });
        Ok(())
    }

    pub(crate) fn feed_advanced(
        &mut self,
        node: &NodeId,
        proposer: &NodeId,
        topic: &str,
        advances: &[FeedAdvance],
    ) -> Outcome {
        self.member(node)?;
        if proposer != node {
            return refuse(format!("only {node} itself can say how far it has read"));
        }
        if advances.is_empty() || advances.len() > MAX_ADVANCES {
            return refuse(format!(
                "an act tells of 1 to {MAX_ADVANCES} partitions, not of {}",
                advances.len()
            ));
        }
        let mut told = BTreeSet::new();
        for advance in advances {
            if !told.insert(advance.partition) {
                return refuse(format!(
                    "partition {} stands there twice",
                    advance.partition
                ));
            }
            self.may_advance(node, topic, advance)?;
        }
        let new = advances
            .iter()
            .filter(|advance| self.feed_position(topic, advance.partition).is_none());
        if self.feeds.len() + new.count() > MAX_FEED_PARTITIONS {
            return refuse(format!(
                "the ledger knows {MAX_FEED_PARTITIONS} partitions, which is the limit"
            ));
        }
        for advance in advances {
            let before = self.feed_position(topic, advance.partition);
            let position = FeedPosition {
                to: advance.to,
                resume: advance.resume,
                watermark: advance.watermark,
                records: before
                    .map_or(0, |before| before.records)
                    .saturating_add(advance.count),
                by: node.clone(),
                digest: advance.digest,
            };
            self.feeds
                .insert((topic.to_owned(), advance.partition), position);
        }
        Ok(())
    }

    fn may_advance(&self, node: &NodeId, topic: &str, advance: &FeedAdvance) -> Outcome {
        let FeedAdvance {
            partition,
            from,
            to,
            moved,
            resume,
            watermark: _,
            count,
            digest: _,
        } = advance;
        match self.share_holder(topic, *partition) {
            Some(holder) if holder == node => {}
            Some(holder) => {
                return refuse(format!(
                    "{topic} partition {partition} is {holder}'s to read, not {node}'s"
                ));
            }
            None => {
                return refuse(format!(
                    "nobody holds the share of {topic} partition {partition}"
                ));
            }
        }
        if to < from || resume > to {
            return refuse(format!(
                "{topic} partition {partition} cannot run backwards, from {from} to {to}, resumed at {resume}"
            ));
        }
        if *count > to - from {
            return refuse(format!(
                "{topic} partition {partition}: {count} records do not fit between {from} and {to}"
            ));
        }
        match self.feed_position(topic, *partition) {
            Some(position) if position.to != *from && !moved => refuse(format!(
                "{topic} partition {partition} stands at {}, not at {from}",
                position.to
            )),
            Some(_) | None => Ok(()),
        }
    }
}
