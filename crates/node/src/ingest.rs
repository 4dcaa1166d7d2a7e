//! What came in through a door since the last act about it: its digest goes onto the ledger, so
//! that nothing accepted can be denied or slipped in later.

use replica::Ledger;
use runtime::{clock, entropy};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use wire::{Act, Digest, NodeId, ProposalId, Record, Source};

/// How often a digest goes onto the ledger while something comes in.
pub const PERIOD: Duration = Duration::from_secs(1);

/// The open batch of one door.
pub struct IngestLog {
    me: NodeId,
    source: Source,
    batch: Option<Batch>,
}

struct Batch {
    first: u64,
    last: u64,
    count: u64,
    hasher: Sha256,
}

impl IngestLog {
    /// Nothing yet.
    pub fn new(me: NodeId, source: Source) -> Self {
        Self {
            me,
            source,
            batch: None,
        }
    }

    /// One message, in order.
    pub fn add(&mut self, position: u64, message: &[u8]) {
        let batch = self.batch.get_or_insert_with(|| Batch {
            first: position,
            last: position,
            count: 0,
            hasher: Sha256::new(),
        });
        batch.first = batch.first.min(position);
        batch.last = batch.last.max(position);
        batch.count += 1;
        batch.hasher.update(Sha256::digest(message));
    }

    /// The act about everything since the last one; `None`: nothing came.
    pub fn take(&mut self) -> Option<Act> {
        let batch = self.batch.take()?;
        Some(Act::Ingested {
            node: self.me.clone(),
            source: self.source,
            first: batch.first,
            last: batch.last,
            count: batch.count,
            digest: Digest(batch.hasher.finalize().into()),
        })
    }
}

/// Gets an act onto the ledger however long that takes, unless the future is dropped: what was
/// accepted is durable here, and the cluster will have a majority again.
///
/// It is one proposal all the while: an attempt that was given up can still be committed, and a second
/// proposal would count the same messages again.
///
/// Returns its leaf, which may lie ahead of what this replica has folded.
pub async fn record(ledger: &Ledger, act: Act) -> u64 {
    let record = Record {
        id: ProposalId(entropy::bytes()),
        proposer: ledger.me().clone(),
        time: clock::unix_now(),
        act,
    };
    let mut pause = Duration::from_millis(200);
    loop {
        match ledger.propose_record(record.clone()).await {
            Ok(leaf) => return leaf,
            Err(error) => tracing::warn!("ingest digest waits for the ledger: {error}"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_covers_what_was_added_and_starts_anew() {
        let mut log = IngestLog::new("a".into(), Source::Mail);
        assert_eq!(log.take(), None);
        log.add(5, b"x");
        log.add(6, b"y");
        let concatenated: Vec<u8> = [b"x", b"y"].iter().flat_map(Sha256::digest).collect();
        let expected = Act::Ingested {
            node: "a".into(),
            source: Source::Mail,
            first: 5,
            last: 6,
            count: 2,
            digest: Digest::of(&concatenated),
        };
        assert_eq!(log.take(), Some(expected));
        assert_eq!(log.take(), None);
    }
}
