//! How many messages a device may send: a token bucket for each.

use core::time::Duration;
use machine::Instant;
use std::collections::BTreeMap;

/// Devices remembered. Beyond that, those that have been silent for a minute make room; if there are
/// none, all are forgotten. So many are no house's devices but somebody's inventions, and it is better
/// to count anew than to let the honest wait or memory grow.
const MAX_DEVICES: usize = 65_536;

/// The buckets of a listener. A bucket holds a minute's worth and fills evenly, so that a device may
/// send what it collected while a link was down, and no more than its rate for long.
#[derive(Debug)]
pub struct Rates {
    per_minute: u32,
    /// The moment at which each bucket is full again.
    full_at: BTreeMap<String, Instant>,
}

impl Rates {
    /// `per_minute`: messages per device and minute, at least one.
    pub fn new(per_minute: u32) -> Self {
        Self {
            per_minute: per_minute.max(1),
            full_at: BTreeMap::new(),
        }
    }

    /// Takes one message's share, if it is there.
    pub fn take(&mut self, device: &str, now: Instant) -> bool {
        const MINUTE: Duration = Duration::from_secs(60);
        let share = MINUTE / self.per_minute;
        let full_at = match self.full_at.get(device) {
            Some(&at) => at.max(now),
            None => {
                if self.full_at.len() >= MAX_DEVICES {
                    self.full_at.retain(|_, at| *at > now);
                }
                if self.full_at.len() >= MAX_DEVICES {
                    self.full_at.clear();
                }
                now
            }
        };
        let then = full_at + share;
        let fits = then <= now + MINUTE;
        if fits {
            self.full_at.insert(device.to_owned(), then);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_worth_at_once_then_evenly() {
        let mut rates = Rates::new(4);
        let mut now = Instant::ZERO;
        let burst = |rates: &mut Rates, now| (0..10).filter(|_| rates.take("ups", now)).count();
        assert_eq!(burst(&mut rates, now), 4);
        assert!(rates.take("pdu", now), "each has its own");
        now = now + Duration::from_secs(14);
        assert_eq!(burst(&mut rates, now), 0);
        now = now + Duration::from_secs(1);
        assert_eq!(burst(&mut rates, now), 1);
        now = now + Duration::from_secs(3_600);
        assert_eq!(burst(&mut rates, now), 4);
    }

    #[test]
    fn names_without_end_do_not_take_memory_without_end() {
        let mut rates = Rates::new(60);
        for number in 0..MAX_DEVICES {
            assert!(rates.take(&number.to_string(), Instant::ZERO));
        }
        // 0 has sent twice and is not yet silent when the others are.
        assert!(rates.take("0", Instant::ZERO));
        let later = Instant::ZERO + Duration::from_secs(1);
        assert!(rates.take("one more", later), "the silent ones make room");
        assert_eq!(rates.full_at.len(), 2);
        for number in 0..MAX_DEVICES {
            assert!(rates.take(&format!("made up {number}"), later));
            assert!(rates.full_at.len() <= MAX_DEVICES);
        }
    }
}
