//! One time of holding a part of the topic: what is read with, and what was read and is not accounted for yet.

use super::account::Account;
use super::schemas::Schemas;
use crate::ingest::IngestLog;
use edge::kafka::{KafkaFeed, Snapshot};
use std::collections::BTreeSet;
use telemetry::transactions::{Counters, Pipeline};
use tokio::time::Instant;

/// One time of holding a part.
pub(super) struct Tenure {
    pub(super) feed: KafkaFeed,
    pub(super) pipeline: Pipeline,
    pub(super) schemas: Schemas,
    pub(super) log: Log,
    pub(super) committed: Instant,
    pub(super) shown: Snapshot,
    /// Since the last account: set aside, and broken beyond that with the place of the last one.
    pub(super) aside: usize,
    pub(super) unkept: Option<(usize, String)>,
    /// Late, ahead and shed records that were told of.
    pub(super) told: Counters,
}

/// What goes onto the ledger about records.
pub(super) enum Log {
    /// Of shares: by partition, and the ledger keeps the place.
    Shares {
        of: u16,
        held: BTreeSet<u16>,
        account: Account,
    },
    /// Of the whole topic, for a ledger that does not know shares yet.
    Whole(IngestLog),
}

impl Tenure {
    /// The account of shares, and a place of Kafka's as the ledger counts it.
    fn account(&mut self, partition: i32, offset: i64) -> Option<(&mut Account, u32, u64)> {
        let (partition, offset) = place(partition, offset)?;
        match &mut self.log {
            Log::Shares { account, .. } => Some((account, partition, offset)),
            Log::Whole(_) => None,
        }
    }

    pub(super) fn stands(&mut self, partition: i32, at: i64) {
        if let Some((account, partition, at)) = self.account(partition, at) {
            account.stands(partition, at);
        }
    }

    pub(super) fn moved(&mut self, partition: i32, offset: i64) {
        if let Some((account, partition, offset)) = self.account(partition, offset) {
            account.moved(partition, offset);
        }
    }

    pub(super) fn add(&mut self, partition: i32, offset: i64, value: &[u8]) {
        let Some((partition, offset)) = place(partition, offset) else {
            return;
        };
        match &mut self.log {
            Log::Shares { account, .. } => account.record(partition, offset, value),
            Log::Whole(log) => log.add(offset, value),
        }
    }

    pub(super) fn read_to(&mut self, partition: i32, next: i64) {
        if let Some((account, partition, next)) = self.account(partition, next) {
            account.read_to(partition, next);
        }
    }
}

/// Kafka counts partitions and offsets in signed numbers; none is negative.
fn place(partition: i32, offset: i64) -> Option<(u32, u64)> {
    Some((u32::try_from(partition).ok()?, u64::try_from(offset).ok()?))
}
