//! Frames on their way to a peer: numbered, counted in the window, gathered while the session has
//! its hands full. Pure.

use super::flow::{MAX_BATCH, Window};
use std::collections::VecDeque;
use wire::codec::MAX_ENCODED;
use wire::{Batch, Capability, EncodedFrame, Frame};

/// Why a frame was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The window is full.
    Full,
    /// Its encoded length is over the limit.
    TooLarge { len: usize },
}

/// While a message is under way, what comes is gathered; once it has left, all of that goes in
/// one. So a single frame goes at once, and many share the cost of a message. Below
/// [`wire::Level::BATCHES`] each is its own message.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    pub(super) window: Window,
    /// Batches by the number of their first frame.
    waiting: VecDeque<(u64, Batch)>,
    /// Number of the peer's last frame handled here, and the one that it was told.
    handled: u64,
    told: u64,
    /// The session has a message; it has left when the link has passed so many bytes.
    under_way: Option<u64>,
}

impl Outbox {
    /// Numbers a frame and takes it in.
    pub(super) fn push(&mut self, frame: &Frame) -> Result<(), Refusal> {
        self.take_in(|batch| batch.push(frame))
    }

    /// The same of a frame that is encoded already.
    pub(super) fn push_encoded(&mut self, frame: &EncodedFrame) -> Result<(), Refusal> {
        self.take_in(|batch| batch.push_encoded(frame))
    }

    fn take_in(&mut self, push: impl FnOnce(&mut Batch) -> usize) -> Result<(), Refusal> {
        if self.window.full() {
            return Err(Refusal::Full);
        }
        let (first, mut batch) = self
            .waiting
            .pop_back()
            .unwrap_or_else(|| (self.window.next(), Batch::default()));
        let len = push(&mut batch);
        let outcome = if Batch::HEAD + len > MAX_ENCODED {
            Err(Refusal::TooLarge { len })
        } else {
            self.window.admit(len).ok_or(Refusal::Full)
        };
        let crowded = batch.count() > 1 && batch.bytes() > MAX_BATCH;
        let last = (outcome.is_err() || crowded).then(|| batch.split_last(len));
        if batch.count() > 0 {
            self.waiting.push_back((first, batch));
        }
        let number = outcome?;
        self.waiting.extend(last.map(|last| (number, last)));
        Ok(())
    }

    /// Takes in the one frame of a message, on a link without batches; gives the message.
    pub(super) fn single(&mut self, encode: impl FnOnce() -> Vec<u8>) -> Result<Vec<u8>, Refusal> {
        if self.window.full() {
            return Err(Refusal::Full);
        }
        let message = encode();
        let len = message.len();
        if len > MAX_ENCODED {
            return Err(Refusal::TooLarge { len });
        }
        match self.window.admit(len) {
            Some(_) => Ok(message),
            None => Err(Refusal::Full),
        }
    }

    /// The peer's frames are handled through this number.
    pub(super) fn handled(&mut self, through: u64) {
        self.handled = through;
    }

    /// The next message, if there is anything to say and nothing under way. From then on it is,
    /// on a link that has passed `flushed` bytes so far.
    pub(super) fn begin(&mut self, capability: Capability, flushed: u64) -> Option<Vec<u8>> {
        if self.under_way.is_some() || (self.waiting.is_empty() && self.told == self.handled) {
            return None;
        }
        let next = self.window.next();
        let (first, batch) = self.waiting.pop_front().unwrap_or((next, Batch::default()));
        self.told = self.handled;
        let message = batch.encode(capability, self.handled, first);
        // What else passes meanwhile makes it come true too early. That only makes batches smaller.
        self.under_way = Some(flushed + message.len() as u64);
        Some(message)
    }

    /// The bytes that the link must have passed for the message under way to have left.
    pub(super) fn under_way(&self) -> u64 {
        self.under_way.unwrap_or(0)
    }

    /// The message that was under way has left.
    pub(super) fn left(&mut self) {
        self.under_way = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::flow::WINDOW_FRAMES;
    use super::*;
    use proptest::prelude::*;
    use wire::{Cast, Digest, Round};

    const CAPABILITY: Capability = Capability([1; 16]);

    fn frame(number: u64, bytes: usize) -> Frame {
        Frame::Model {
            round: Round(number),
            model: Digest([0; 32]),
            parameters: vec![0.0; bytes / 4],
        }
    }

    fn decode(message: &[u8]) -> (u64, u64, Vec<u64>) {
        let Ok(Cast::Batch {
            through,
            first,
            frames,
            ..
        }) = wire::decode(message)
        else {
            panic!("not a batch");
        };
        let round = |frame: &Frame| match frame {
            Frame::Model { round, .. } => round.0,
            _ => panic!("another frame"),
        };
        (through, first, frames.iter().map(round).collect())
    }

    #[test]
    fn one_frame_goes_at_once_and_what_waits_goes_together() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.begin(CAPABILITY, 0), None, "nothing to say");
        outbox.push(&frame(1, 8)).unwrap();
        let message = outbox.begin(CAPABILITY, 0).unwrap();
        assert_eq!(decode(&message), (0, 1, vec![1]));
        outbox.push(&frame(2, 8)).unwrap();
        outbox.push(&frame(3, 8)).unwrap();
        outbox.handled(7);
        assert_eq!(outbox.begin(CAPABILITY, 0), None, "one is under way");
        outbox.left();
        let message = outbox.begin(CAPABILITY, 0).unwrap();
        assert_eq!(decode(&message), (7, 2, vec![2, 3]));
        outbox.left();
        assert_eq!(outbox.begin(CAPABILITY, 0), None, "the credit is told");
        outbox.handled(8);
        let message = outbox.begin(CAPABILITY, 0).unwrap();
        assert_eq!(decode(&message), (8, 4, vec![]));
    }

    #[test]
    fn a_frame_that_is_too_large_leaves_no_trace() {
        let mut outbox = Outbox::default();
        for before in [0, 1] {
            let refused = outbox.push(&frame(9, MAX_ENCODED)).unwrap_err();
            assert!(matches!(refused, Refusal::TooLarge { .. }));
            assert_eq!(outbox.window.frames(), before);
            outbox.push(&frame(before as u64, 8)).unwrap();
        }
        let message = outbox.begin(CAPABILITY, 0).unwrap();
        assert_eq!(decode(&message), (0, 1, vec![0, 1]));
    }

    proptest! {
        /// Whatever is cast, sent and credited when: all that was taken arrives once, in order,
        /// under its number, in messages within their limits.
        #[test]
        fn all_that_was_taken_arrives_once_and_in_order(
            steps in prop::collection::vec((0u8..4, 0usize..100_000), 0..700)
        ) {
            let mut outbox = Outbox::default();
            let (mut taken, mut arrived, mut credited) = (0, 0, 0);
            let mut step = |outbox: &mut Outbox, kind, bytes| {
                match kind {
                    0 | 1 => match outbox.push(&frame(taken + 1, bytes)) {
                        Ok(()) => taken += 1,
                        Err(refusal) => assert!(
                            refusal == Refusal::Full && taken - credited == WINDOW_FRAMES as u64
                        ),
                    },
                    2 => {
                        outbox.left();
                        if let Some(message) = outbox.begin(CAPABILITY, 0) {
                            let (_, first, frames) = decode(&message);
                            let small = message.len() <= MAX_BATCH + Batch::HEAD;
                            assert!(small || frames.len() == 1, "{} bytes", message.len());
                            assert!(frames.is_empty() || first == arrived + 1);
                            assert!(frames.iter().copied().eq(first..first + frames.len() as u64));
                            arrived += frames.len() as u64;
                        }
                    }
                    _ => {
                        credited = arrived;
                        outbox.window.credit(credited);
                    }
                }
                taken == arrived
            };
            for (kind, bytes) in steps {
                step(&mut outbox, kind, bytes);
            }
            while !step(&mut outbox, 2, 0) {}
        }
    }
}
