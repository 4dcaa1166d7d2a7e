//! Which broken records were set aside already.
//!
//! Records since the last account are read once more when a partition changes hands, which within one node happens each
//! time it is given another share. What they count for, the ledger counts once; the quarantine has no such account.

use std::collections::{BTreeSet, VecDeque};

/// Places that are remembered: some times as many as are set aside between two accounts.
const MOST: usize = 8 * super::MOST_SET_ASIDE;

/// The last places.
#[derive(Debug, Default)]
pub struct Aside {
    order: VecDeque<String>,
    known: BTreeSet<String>,
}

impl Aside {
    /// Whether it was.
    pub(super) fn has(&self, place: &str) -> bool {
        self.known.contains(place)
    }

    /// It was: to be told once the quarantine has it.
    pub(super) fn add(&mut self, place: String) {
        if !self.known.insert(place.clone()) {
            return;
        }
        self.order.push_back(place);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// The places are of other records now.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_remembered_and_memory_is_bounded() {
        let mut aside = Aside::default();
        for place in ["t/1/2", "t/1/3", "t/1/2"] {
            aside.add(place.to_owned());
        }
        assert!(aside.has("t/1/2") && aside.has("t/1/3") && !aside.has("t/1/4"));
        assert_eq!(aside.order.len(), 2);
        (0..MOST).for_each(|n| aside.add(format!("t/2/{n}")));
        assert_eq!((aside.order.len(), aside.known.len()), (MOST, MOST));
        assert!(!aside.has("t/1/2"));
        aside.forget();
        assert!(!aside.has("t/2/9"));
    }
}
