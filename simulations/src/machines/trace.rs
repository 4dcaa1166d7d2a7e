//! What happened, as text; its hash tells two runs apart.

use machine::Instant;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;

/// Events shown with a violation. Enough to see the race, not so many that nobody reads them.
const SHOWN: usize = 60;

#[derive(Default)]
pub(crate) struct Trace {
    hash: Sha256,
    last: VecDeque<String>,
    events: u64,
}

impl Trace {
    pub(crate) fn event(&mut self, now: Instant, text: &str) {
        let line = format!("{:>10.3} ms  {text}", now.as_nanos() as f64 / 1e6);
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
        if self.last.len() == SHOWN {
            self.last.pop_front();
        }
        self.last.push_back(line);
        self.events += 1;
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    pub(crate) fn hash(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }

    pub(crate) fn last(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }
}
