//! What the nodes accepted from outside.

use crate::state::{Outcome, State, refuse};
use wire::{Digest, NodeId, Source};

/// Totals of one node's `Ingested` acts for one source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IngestTotal {
    /// Acts.
    pub batches: u64,
    /// Messages or records.
    pub count: u64,
    /// Last sequence number or offset of the latest batch.
    pub last: u64,
    /// Digest of the latest batch.
    pub digest: Digest,
}

impl State {
    pub(crate) fn ingested(
        &mut self,
        node: &NodeId,
        source: Source,
        (first, last): (u64, u64),
        count: u64,
        digest: Digest,
    ) -> Outcome {
        self.member(node)?;
        if count == 0 {
            return refuse("an ingest digest covers at least one message");
        }
        if first > last {
            return refuse(format!(
                "an ingest digest cannot run backwards, from {first} to {last}"
            ));
        }
        let total = self.ingest.entry((node.clone(), source)).or_default();
        total.batches += 1;
        total.count = total.count.saturating_add(count);
        total.last = last;
        total.digest = digest;
        Ok(())
    }
}
