//! What may be in flight or waiting on one link. Pure.

use std::collections::VecDeque;

/// Frames that may be in flight to one peer: enough to fill a link at 1 KiB frames, few enough
/// that a peer that stopped working is noticed by its sender and not by its memory.
pub const WINDOW_FRAMES: usize = 256;

// What waits for one message can be as much as that.
const _: () = assert!(WINDOW_FRAMES <= wire::Batch::MAX_FRAMES);

/// Bytes that may be in flight to one peer: four of the largest frames.
pub const WINDOW_BYTES: usize = 4 * wire::codec::MAX_ENCODED;

/// Most bytes of frames that share a message: enough to make the cost of a message small beside
/// theirs, and one record of the link.
pub(super) const MAX_BATCH: usize = 60 << 10;

/// The receiver gives credit after so many frames, or as soon as it has nothing left to do: a
/// quarter of the window, so that a busy sender never runs dry for want of a credit.
pub(super) const CREDIT_EVERY: u64 = WINDOW_FRAMES as u64 / 4;

/// The sender's side.
#[derive(Debug, Default)]
pub(super) struct Window {
    sent: u64,
    in_flight: VecDeque<(u64, usize)>,
    bytes: usize,
}

impl Window {
    /// Takes a frame of `bytes` into the window and numbers it; `None`: no room.
    pub(super) fn admit(&mut self, bytes: usize) -> Option<u64> {
        let room = self.in_flight.len() < WINDOW_FRAMES
            && (self.in_flight.is_empty() || self.bytes + bytes <= WINDOW_BYTES);
        room.then(|| {
            self.sent += 1;
            self.bytes += bytes;
            self.in_flight.push_back((self.sent, bytes));
            self.sent
        })
    }

    /// The peer has handled every frame through this number.
    pub(super) fn credit(&mut self, through: u64) {
        while let Some(&(number, bytes)) = self.in_flight.front() {
            if number > through {
                break;
            }
            self.bytes -= bytes;
            self.in_flight.pop_front();
        }
    }

    /// Is there no room for even an empty frame?
    pub(super) fn full(&self) -> bool {
        self.in_flight.len() == WINDOW_FRAMES
    }

    /// The number that the next frame admitted will have.
    pub(super) fn next(&self) -> u64 {
        self.sent + 1
    }

    pub(super) fn frames(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Calls in flight to one peer or waiting for their turn. A caller that does not slow down when
/// its peer does is refused instead of remembered.
pub const MAX_WAITING_CALLS: usize = 512;

/// Bytes of those calls: as much as frames may take.
pub const MAX_WAITING_BYTES: usize = WINDOW_BYTES;

/// Calls in flight or waiting.
#[derive(Debug, Default)]
pub(super) struct CallBudget {
    calls: usize,
    bytes: usize,
}

impl CallBudget {
    /// Takes a call of `bytes` in; the error says how many there are and of how many bytes.
    pub(super) fn admit(&mut self, bytes: usize) -> Result<(), (usize, usize)> {
        let room = self.calls < MAX_WAITING_CALLS
            && (self.calls == 0 || self.bytes + bytes <= MAX_WAITING_BYTES);
        if !room {
            return Err((self.calls, self.bytes));
        }
        self.calls += 1;
        self.bytes += bytes;
        Ok(())
    }

    /// A call that was admitted is over.
    pub(super) fn release(&mut self, bytes: usize) {
        self.calls -= 1;
        self.bytes -= bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_window_bounds_frames_and_bytes_and_credits_free_exactly_what_they_name(
            steps in prop::collection::vec((any::<bool>(), 0usize..WINDOW_BYTES / 3, 0u64..600), 0..600)
        ) {
            let mut window = Window::default();
            let mut model = vec![];
            let mut sent = 0;
            for (send, bytes, through) in steps {
                if send {
                    let fits = model.len() < WINDOW_FRAMES
                        && model.iter().map(|(_, b)| b).sum::<usize>() + bytes <= WINDOW_BYTES;
                    let number = window.admit(bytes);
                    prop_assert_eq!(number.is_some(), fits);
                    if fits {
                        sent += 1;
                        prop_assert_eq!(number, Some(sent));
                        model.push((sent, bytes));
                    }
                } else {
                    window.credit(through);
                    model.retain(|(number, _)| *number > through);
                }
                prop_assert_eq!(window.frames(), model.len());
                prop_assert_eq!(window.bytes(), model.iter().map(|(_, b)| b).sum::<usize>());
            }
        }
    }
}
