//! What each peer has acknowledged to this replica as its leader.
//!
//! A peer that then lacks it has lost what it answered for: its directory is an old copy. openraft
//! takes that for impossible and its leader would panic over it, so it is not told.

use super::types::{LogId, Vote};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

#[derive(Default)]
struct Term {
    /// Whose leadership it is: the next one starts from nothing, for a follower may have to give
    /// up what no majority had.
    vote: Option<Vote>,
    /// The last index, by replica.
    upto: BTreeMap<u64, u64>,
}

/// Shared by the clients of all peers.
#[derive(Default)]
pub(super) struct Acknowledged(Mutex<Term>);

impl Acknowledged {
    /// The peer has everything up to `last`.
    pub(super) fn note(&self, vote: Vote, peer: u64, last: Option<LogId>) {
        let Some(last) = last else { return };
        let mut term = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if term.vote != Some(vote) {
            *term = Term {
                vote: Some(vote),
                upto: BTreeMap::new(),
            };
        }
        let upto = term.upto.entry(peer).or_default();
        *upto = last.index.max(*upto);
    }

    /// Has the peer acknowledged the entry that it now says it does not have?
    pub(super) fn contradicts(&self, vote: Vote, peer: u64, missing: Option<LogId>) -> bool {
        let term = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let upto = term.upto.get(&peer).filter(|_| term.vote == Some(vote));
        missing
            .zip(upto)
            .is_some_and(|(missing, upto)| missing.index <= *upto)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openraft::testing::log_id;

    #[test]
    fn what_was_acknowledged_in_this_term_cannot_be_missing() {
        let acknowledged = Acknowledged::default();
        let (vote, next) = (Vote::new_committed(3, 1), Vote::new_committed(4, 1));
        let missing =
            |vote, peer, index| acknowledged.contradicts(vote, peer, Some(log_id(3, 1, index)));
        assert!(!missing(vote, 7, 0));
        acknowledged.note(vote, 7, Some(log_id(3, 1, 5)));
        acknowledged.note(vote, 7, Some(log_id(3, 1, 2)));
        assert!(missing(vote, 7, 5) && missing(vote, 7, 0));
        assert!(!missing(vote, 7, 6), "not yet acknowledged");
        assert!(!missing(vote, 8, 5), "another peer");
        assert!(!missing(next, 7, 5), "another term");
        acknowledged.note(next, 8, Some(log_id(4, 1, 9)));
        assert!(!missing(next, 7, 5), "forgotten with its term");
    }
}
