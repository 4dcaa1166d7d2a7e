//! Frames on their way to a peer: numbered, counted in the window, gathered while the session has
//! its hands full. Pure.

use super::flow::{MAX_BATCH, Window};
use super::traffic::Letter;
use std::collections::VecDeque;
use wire::codec::MAX_ENCODED;
use wire::{Batch, Capability};

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
    /// Numbers a frame and takes it in; gives the message that is to go now, as [`begin`](Self::begin) does. A frame
    /// that finds nothing before it is written into its message at once: it may be a model.
    pub(super) fn send(
        &mut self,
        letter: Letter<'_>,
        capability: Capability,
        flushed: u64,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        if self.under_way.is_some() || !self.waiting.is_empty() {
            self.push(letter)?;
            return Ok(self.begin(capability, flushed));
        }
        if self.window.full() {
            return Err(Refusal::Full);
        }
        let head = (capability, self.handled, self.window.next());
        let (message, len) = match letter {
            Letter::Frame(frame) => Batch::of_one(head, frame),
            Letter::Encoded(frame) => Batch::of_one_encoded(head, frame),
        };
        if Batch::HEAD + len > MAX_ENCODED {
            return Err(Refusal::TooLarge { len });
        }
        self.window.admit(len).ok_or(Refusal::Full)?;
        self.gone(message.len(), flushed);
        Ok(Some(message))
    }

    fn push(&mut self, letter: Letter<'_>) -> Result<(), Refusal> {
        if self.window.full() {
            return Err(Refusal::Full);
        }
        let (first, mut batch) = self
            .waiting
            .pop_back()
            .unwrap_or_else(|| (self.window.next(), Batch::default()));
        let len = match letter {
            Letter::Frame(frame) => batch.push(frame),
            Letter::Encoded(frame) => batch.push_encoded(frame),
        };
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
        let message = batch.encode(capability, self.handled, first);
        self.gone(message.len(), flushed);
        Some(message)
    }

    /// A message of so many bytes goes, on a link that has passed `flushed` so far.
    fn gone(&mut self, bytes: usize, flushed: u64) {
        self.told = self.handled;
        // What else passes meanwhile makes it come true too early. That only makes batches smaller.
        self.under_way = Some(flushed + bytes as u64);
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
    use std::sync::Arc;
    use wire::{Cast, Digest, EncodedFrame, Frame, Round};

    const CAPABILITY: Capability = Capability([1; 16]);

    fn frame(number: u64, bytes: usize) -> Frame {
        Frame::Model {
            round: Round(number),
            model: Digest([0; 32]),
            parameters: Arc::new(vec![0.0; bytes / 4]),
        }
    }

    fn send(outbox: &mut Outbox, frame: &Frame) -> Result<Option<Vec<u8>>, Refusal> {
        outbox.send(Letter::Frame(frame), CAPABILITY, 0)
    }

    fn decode(message: &[u8]) -> (u64, u64, Vec<u64>) {
        let Ok(Cast::Batch {
            through,
            first,
            frames,
            ..
        }) = Cast::decode(message)
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
        let message = send(&mut outbox, &frame(1, 8)).unwrap().unwrap();
        assert_eq!(decode(&message), (0, 1, vec![1]));
        assert_eq!(send(&mut outbox, &frame(2, 8)), Ok(None));
        let third = EncodedFrame::of(&frame(3, 8));
        let sent = outbox.send(Letter::Encoded(&third), CAPABILITY, 0);
        assert_eq!(sent, Ok(None));
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

    /// Whether a frame is written into its message at once or waits in a batch before, encoded or not, is seen by nobody.
    #[test]
    fn a_frame_has_one_message_however_it_comes_to_it() {
        let model = frame(1, 8000);
        let encoded = EncodedFrame::of(&model);
        let mut messages = Vec::new();
        for letter in [Letter::Frame(&model), Letter::Encoded(&encoded)] {
            let mut outbox = Outbox::default();
            outbox.handled(300);
            let at_once = outbox.send(letter, CAPABILITY, 50).unwrap().unwrap();
            let under_way = outbox.under_way();
            let mut outbox = Outbox::default();
            outbox.handled(300);
            outbox.push(letter).unwrap();
            let waited = outbox.begin(CAPABILITY, 50).unwrap();
            assert_eq!(outbox.under_way(), under_way);
            messages.extend([at_once, waited]);
        }
        assert!(messages.iter().all(|message| *message == messages[0]));
        assert_eq!(decode(&messages[0]), (300, 1, vec![1]));
    }

    #[test]
    fn a_frame_that_is_too_large_leaves_no_trace() {
        let mut outbox = Outbox::default();
        for before in [0, 1] {
            let refused = send(&mut outbox, &frame(9, MAX_ENCODED)).unwrap_err();
            assert!(matches!(refused, Refusal::TooLarge { .. }));
            assert_eq!(outbox.window.frames(), before);
            let message = send(&mut outbox, &frame(before as u64, 8)).unwrap();
            let first = message.map(|message| decode(&message));
            assert_eq!(first, (before == 0).then(|| (0, 1, vec![0])));
        }
        outbox.left();
        let message = outbox.begin(CAPABILITY, 0).unwrap();
        assert_eq!(decode(&message), (0, 2, vec![1]));
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
                let message = match kind {
                    0 | 1 => match send(outbox, &frame(taken + 1, bytes)) {
                        Ok(message) => {
                            taken += 1;
                            message
                        }
                        Err(refusal) => {
                            assert!(
                                refusal == Refusal::Full && taken - credited == WINDOW_FRAMES as u64
                            );
                            None
                        }
                    },
                    2 => {
                        outbox.left();
                        outbox.begin(CAPABILITY, 0)
                    }
                    _ => {
                        credited = arrived;
                        outbox.window.credit(credited);
                        None
                    }
                };
                if let Some(message) = message {
                    let (_, first, frames) = decode(&message);
                    let small = message.len() <= MAX_BATCH + Batch::HEAD;
                    assert!(small || frames.len() == 1, "{} bytes", message.len());
                    assert!(frames.is_empty() || first == arrived + 1);
                    assert!(frames.iter().copied().eq(first..first + frames.len() as u64));
                    arrived += frames.len() as u64;
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
