//! Which proposals are on the log already, as far back as a retry can reach.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use wire::{Level, ProposalId};

/// A repeated proposal is recognised for at least this many leaves after the first one, at level 0.
///
/// A proposer retries for some ten seconds; a cluster of the first release commits far fewer than a
/// hundred acts a second. A repetition after that would count twice, which every act but
/// `Ingested` survives by its own rule.
pub const SEEN_WINDOW: usize = 1024;

/// As [`SEEN_WINDOW`], from level 1 on, where acts share entries of Raft's log: ten seconds at more
/// than six thousand acts a second.
pub const SEEN_WINDOW_SHARED: usize = 64 * SEEN_WINDOW;

/// Full generations that become one old one. Between few maps to look into and little to copy.
const MERGED: usize = 8;

/// Latest ids that a copy of the state does not share: each commit makes a copy.
const FRESH: usize = 32;

type Generation = BTreeMap<ProposalId, u64>;

/// Ids by age. A copy of the state shares all but the freshest ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// Up to eight times eight windows; from level 1 on.
    old: VecDeque<Arc<Generation>>,
    /// Windows that are full: one at level 0, fewer than eight from level 1 on.
    full: Vec<Arc<Generation>>,
    /// A window that fills, without the freshest.
    young: Arc<Generation>,
    fresh: Generation,
}

impl Seen {
    /// Index of the leaf that first carried `id`.
    pub(crate) fn first(&self, id: &ProposalId) -> Option<u64> {
        let young = self.fresh.get(id).or_else(|| self.young.get(id));
        let full = || self.full.iter().rev().find_map(|seen| seen.get(id));
        let old = || self.old.iter().rev().find_map(|seen| seen.get(id));
        young.or_else(full).or_else(old).copied()
    }

    /// `level` is the ledger's: every replica must forget at the same leaf, also those of the first
    /// release while they are there.
    pub(crate) fn remember(&mut self, id: ProposalId, index: u64, level: Level) {
        if self.fresh.len() == FRESH {
            Arc::make_mut(&mut self.young).append(&mut self.fresh);
        }
        if self.young.len() + self.fresh.len() == SEEN_WINDOW {
            if level < Level::MEMBERSHIP {
                self.full.clear();
            }
            Arc::make_mut(&mut self.young).append(&mut self.fresh);
            self.full.push(std::mem::take(&mut self.young));
            if self.full.len() == MERGED {
                let full = self.full.drain(..);
                let merged = full.flat_map(|seen| seen.as_ref().clone()).collect();
                self.old.push_back(Arc::new(merged));
            }
            if self.old.len() > SEEN_WINDOW_SHARED / (MERGED * SEEN_WINDOW) {
                self.old.pop_front();
            }
        }
        self.fresh.insert(id, index);
    }

    /// Is no more remembered than the level asks for?
    pub(crate) fn is_bounded(&self, level: Level) -> bool {
        let old: usize = self.old.iter().map(|seen| seen.len()).sum();
        let full: usize = self.full.iter().map(|seen| seen.len()).sum();
        let most = match level {
            Level::FIRST => 2 * SEEN_WINDOW,
            _ => SEEN_WINDOW_SHARED + (MERGED + 1) * SEEN_WINDOW,
        };
        old + full + self.young.len() + self.fresh.len() <= most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> ProposalId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        ProposalId(id)
    }

    #[test]
    fn windows_by_level() {
        for (level, window) in [
            (Level::FIRST, SEEN_WINDOW),
            (Level::MEMBERSHIP, SEEN_WINDOW_SHARED),
        ] {
            let mut seen = Seen::default();
            for n in 0..3 * window as u64 {
                seen.remember(id(n), n, level);
                assert!(seen.is_bounded(level), "{n}");
                let oldest = (n + 1).saturating_sub(window as u64);
                assert_eq!(seen.first(&id(oldest)), Some(oldest), "after {n}");
            }
            assert_eq!(seen.first(&id(0)), None, "it forgets");
        }
    }

    #[test]
    fn a_raised_level_keeps_what_was_remembered() {
        let mut seen = Seen::default();
        (0..1500).for_each(|n| seen.remember(id(n), n, Level::FIRST));
        (1500..60_000).for_each(|n| seen.remember(id(n), n, Level::MEMBERSHIP));
        assert_eq!(seen.first(&id(700)), Some(700));
    }
}
