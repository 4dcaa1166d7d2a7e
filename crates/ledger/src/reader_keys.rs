//! Keys handed to programs outside. Nothing is kept of them but their leaves: what a key opens ends with
//! its key epochs, and who had which is the log's to tell.

use crate::state::{Outcome, State, refuse};
use wire::{NodeId, Record, UnixMillis};

/// Longest time a reader may be given keys of later epochs, in milliseconds: a week. Whoever needs
/// more asks again, and that is another leaf.
pub const MAX_READER_KEY_MS: u64 = 7 * 24 * 3_600_000;

/// Longest name of a reader, topic or partition, in bytes; it stays on the ledger for ever.
pub const MAX_READER_NAME: usize = 128;

impl State {
    pub(crate) fn reader_key_granted(
        &mut self,
        record: &Record,
        node: &NodeId,
        names: [&str; 3],
        until: UnixMillis,
    ) -> Outcome {
        self.member(node)?;
        if *node != record.proposer {
            let proposer = &record.proposer;
            return refuse(format!("{proposer} cannot hand out keys for {node}"));
        }
        if names
            .iter()
            .any(|name| name.is_empty() || name.len() > MAX_READER_NAME)
        {
            return refuse(format!(
                "reader, topic and partition have 1 to {MAX_READER_NAME} bytes each"
            ));
        }
        let for_ms = until.0.saturating_sub(record.time.0);
        if for_ms == 0 || for_ms > MAX_READER_KEY_MS {
            return refuse(format!(
                "a reader key is good for 1 to {MAX_READER_KEY_MS} ms, not {for_ms}"
            ));
        }
        Ok(())
    }
}
