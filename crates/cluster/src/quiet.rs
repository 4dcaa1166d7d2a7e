//! Log lines that strangers can cause: each is written once in a while, however often it happens.

use runtime::clock;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The same line is written again after this time.
const AGAIN: Duration = Duration::from_secs(60);

/// Different lines remembered; while so many are recent, further ones are counted only.
const LINES: usize = 64;

#[derive(Default)]
pub(super) struct Quiet(Mutex<Said>);

#[derive(Default)]
struct Said {
    lines: BTreeMap<String, machine::Instant>,
    withheld: u64,
}

impl Quiet {
    /// Writes a line, unless it or too many others were written lately.
    pub(super) fn warn(&self, line: String) {
        if let Some(withheld) = self.admit(&line, clock::now()) {
            if withheld == 0 {
                tracing::warn!("{line}");
            } else {
                tracing::warn!("{line} ({withheld} such lines withheld before)");
            }
        }
    }

    /// `Some`: write it, so many were withheld since the last one.
    fn admit(&self, line: &str, now: machine::Instant) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.lines.retain(|_, at| now.since(*at) < AGAIN);
        if said.lines.len() == LINES || said.lines.contains_key(line) {
            said.withheld += 1;
            return None;
        }
        said.lines.insert(line.to_owned(), now);
        Some(std::mem::take(&mut said.withheld))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_writes_few_lines() {
        let quiet = Quiet::default();
        let at = |seconds| machine::Instant::ZERO + Duration::from_secs(seconds);
        assert_eq!(quiet.admit("no", at(1)), Some(0));
        for _ in 0..1_000 {
            assert_eq!(quiet.admit("no", at(2)), None);
        }
        assert_eq!(quiet.admit("not at all", at(2)), Some(1_000));
        assert_eq!(quiet.admit("no", at(61)), Some(0));
        let other = (0..1_000).filter(|n| quiet.admit(&n.to_string(), at(61)).is_some());
        assert_eq!(other.count(), LINES - 2);
        assert_eq!(
            quiet.admit("later", at(122)),
            Some(1_000 - LINES as u64 + 2)
        );
    }
}
