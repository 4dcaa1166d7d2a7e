//! Mails that wait for the relay, and when to try which.

use super::{Answer, Letter};
use machine::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// First pause after a relay that did not take a mail; doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause between tries. There is no last try: the alerts are on the ledger, and a relay
/// that comes back after a day still gets them.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// Pauses vary by a quarter up and down, so that the nodes of a house do not come back all at once.
const JITTER_PERCENT: u64 = 25;

/// Which leaves a mail is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum About {
    /// One.
    Leaf(u64),
    /// The digest under way; there is one at most.
    Digest,
}

#[derive(Debug)]
struct Queued {
    about: About,
    letter: Letter,
    tries: u32,
    not_before: Instant,
}

/// The mails. How many is bounded by whoever puts them in.
#[derive(Debug, Default)]
pub(super) struct Queue {
    mails: VecDeque<Queued>,
    /// The first one is at the relay.
    under_way: bool,
    /// In a row, whatever the mail: the relay itself is down.
    failures: u32,
    not_before: Instant,
    random: u64,
}

impl Queue {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: seed,
            ..Self::default()
        }
    }

    pub(super) fn len(&self) -> usize {
        self.mails.len()
    }

    pub(super) fn has_digest(&self) -> bool {
        self.mails.iter().any(|mail| mail.about == About::Digest)
    }

    pub(super) fn push(&mut self, about: About, letter: Letter) {
        self.mails.push_back(Queued {
            about,
            letter,
            tries: 0,
            not_before: Instant::ZERO,
        });
    }

    /// The mail to try now: it stays first until its [answer](Self::answered).
    pub(super) fn next(&mut self, now: Instant) -> Option<&Letter> {
        if self.under_way || now < self.not_before {
            return None;
        }
        let due = self.mails.iter().position(|mail| mail.not_before <= now)?;
        // Whoever waits longer keeps the place before those that came later.
        let mail = self.mails.remove(due)?;
        self.mails.push_front(mail);
        self.under_way = true;
        self.mails.front().map(|mail| &mail.letter)
    }

    /// What the mail was about that needs no further try.
    pub(super) fn answered(&mut self, now: Instant, answer: Answer) -> Option<About> {
        self.under_way = false;
        let mut mail = self.mails.pop_front()?;
        match answer {
            // A relay that refuses one mail is there for the others.
            Answer::Taken | Answer::Refused => {
                self.failures = 0;
                self.not_before = Instant::ZERO;
                Some(mail.about)
            }
            Answer::NotNow => {
                mail.tries = mail.tries.saturating_add(1);
                self.failures = self.failures.saturating_add(1);
                mail.not_before = now + self.pause(mail.tries);
                self.not_before = now + self.pause(self.failures);
                // The next try is another mail's: it may be this one that the relay dislikes.
                self.mails.push_back(mail);
                None
            }
        }
    }

    /// When [`next`](Self::next) has something, if that is a question of time.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.under_way {
            return None;
        }
        let first = self.mails.iter().map(|mail| mail.not_before).min()?;
        Some(first.max(self.not_before))
    }

    fn pause(&mut self, tries: u32) -> Duration {
        let doubled = 2u32.saturating_pow(tries.saturating_sub(1));
        let pause = FIRST_PAUSE.saturating_mul(doubled).min(MAX_PAUSE);
        let percent = 100 - JITTER_PERCENT + self.draw() % (2 * JITTER_PERCENT + 1);
        let millis = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(millis.saturating_mul(percent) / 100)
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
