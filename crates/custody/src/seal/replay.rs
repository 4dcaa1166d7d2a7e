//! Each payload opens once: a sliding window per stream, as in RFC 4303 §3.4.3.
//!
//! A stream is what one writer writes to one place. DDS keeps order per writer and instance but
//! not between instances, and a late joiner gets the history of one instance after live samples
//! of another; with one window for the whole writer it would take that history for replays.

use super::header::Writer;
use std::collections::BTreeMap;
use wire::{Digest, KeyEpoch};

/// How far behind its stream's newest a payload may arrive. Streams are ordered, so this only has
/// to absorb a retransmission overtaken by its successors.
pub const REPLAY_WINDOW: u64 = 128;

/// Streams remembered at once: writers × devices within the keys' grace. At some 200 bytes each
/// 25 MB; forgetting one early would let its payloads be replayed, so further ones are refused.
pub const MAX_STREAMS: usize = 1 << 17;

#[derive(Default)]
pub(super) struct Replay {
    streams: BTreeMap<(Writer, Digest), Window>,
}

struct Window {
    newest: u64,
    /// Bit i: `newest - i` was seen.
    seen: u128,
    /// The newest epoch among them: when it is retired, none of them opens any more.
    epoch: KeyEpoch,
}

/// Where a payload stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fresh,
    Replayed,
    Crowded,
}

impl Replay {
    /// Judge without remembering; authenticity is not known yet.
    pub(super) fn judge(&self, stream: &(Writer, Digest), sequence: u64) -> Verdict {
        match self.streams.get(stream) {
            None if self.streams.len() >= MAX_STREAMS => Verdict::Crowded,
            None => Verdict::Fresh,
            Some(window) if sequence > window.newest => Verdict::Fresh,
            Some(window) => {
                let behind = window.newest - sequence;
                if behind >= REPLAY_WINDOW || window.seen >> behind & 1 == 1 {
                    Verdict::Replayed
                } else {
                    Verdict::Fresh
                }
            }
        }
    }

    /// Remember an authentic payload.
    pub(super) fn remember(&mut self, stream: (Writer, Digest), sequence: u64, epoch: KeyEpoch) {
        let window = self.streams.entry(stream).or_insert(Window {
            newest: sequence,
            seen: 0,
            epoch,
        });
        window.epoch = window.epoch.max(epoch);
        if sequence > window.newest {
            let ahead = sequence - window.newest;
            window.seen = if ahead >= REPLAY_WINDOW {
                0
            } else {
                window.seen << ahead
            };
            window.newest = sequence;
        }
        let behind = window.newest - sequence;
        if behind < REPLAY_WINDOW {
            window.seen |= 1 << behind;
        }
    }

    /// Forget streams none of whose payloads opens any more.
    pub(super) fn retire_before(&mut self, oldest: KeyEpoch) {
        self.streams.retain(|_, window| window.epoch >= oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use wire::NodeId;

    fn stream(n: u8) -> (Writer, Digest) {
        (
            Writer {
                node: NodeId::from("a"),
                salt: [n; 16],
            },
            Digest([n; 32]),
        )
    }

    proptest! {
        /// Against a set that remembers everything: never fresh twice, and always fresh when new
        /// and within the window.
        #[test]
        fn agrees_with_a_perfect_memory(sequences in proptest::collection::vec(0_u64..400, 1..300)) {
            let mut replay = Replay::default();
            let mut seen = BTreeSet::new();
            let mut newest = 0;
            for sequence in sequences {
                let expected = if seen.contains(&sequence) || (!seen.is_empty() && sequence + REPLAY_WINDOW <= newest) {
                    Verdict::Replayed
                } else {
                    Verdict::Fresh
                };
                prop_assert_eq!(replay.judge(&stream(0), sequence), expected);
                if replay.judge(&stream(0), sequence) == Verdict::Fresh {
                    replay.remember(stream(0), sequence, KeyEpoch(1));
                    seen.insert(sequence);
                    newest = newest.max(sequence);
                }
            }
        }
    }

    #[test]
    fn streams_are_forgotten_with_their_last_epoch_only() {
        let mut replay = Replay::default();
        replay.remember(stream(1), 5, KeyEpoch(3));
        replay.remember(stream(2), 5, KeyEpoch(3));
        replay.remember(stream(2), 6, KeyEpoch(4));
        replay.retire_before(KeyEpoch(4));
        assert_eq!(
            replay.judge(&stream(1), 5),
            Verdict::Fresh,
            "unreadable now, so forgotten"
        );
        assert_eq!(replay.judge(&stream(2), 5), Verdict::Replayed);
    }
}
