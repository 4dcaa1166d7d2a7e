//! Numbers that devices give their mails: whoever counts lets us see what never arrived.
//!
//! A device's number travels within its report as two readings, so that no node of an older level
//! stumbles over it; [`features`](crate::features) leaves them out of what is learned.

use wire::{Reading, Report};

/// Name of the reading that holds the number.
pub const NUMBER: &str = "mail.sequence";
/// Name of the reading that holds how many numbers there are before it starts at 0 again.
pub const MODULUS: &str = "mail.sequence.modulus";
/// Modulus of a counter that does not wrap: the last integer below which every `f64` is exact.
pub const NEVER_WRAPS: u64 = 1 << 53;

/// A place in a device's own counting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sequence {
    number: u64,
    modulus: u64,
}

impl Sequence {
    /// `number` out of 0 to `modulus - 1`; `None` when it is not, or beyond [`NEVER_WRAPS`].
    pub fn new(number: u64, modulus: u64) -> Option<Self> {
        (number < modulus && modulus <= NEVER_WRAPS).then_some(Self { number, modulus })
    }

    /// The number.
    pub fn number(self) -> u64 {
        self.number
    }

    /// How far `later` is ahead on the circle. Counters of different circles have no distance.
    pub fn to(self, later: Self) -> Option<u64> {
        (self.modulus == later.modulus)
            .then(|| (later.number + self.modulus - self.number) % self.modulus)
    }

    /// `steps` further on the circle.
    #[must_use]
    pub fn plus(self, steps: u64) -> Self {
        Self {
            number: (self.number + steps % self.modulus) % self.modulus,
            ..self
        }
    }

    /// As it travels.
    pub(crate) fn readings(self) -> [Reading; 2] {
        // Both are at most 2^53.
        [(NUMBER, self.number), (MODULUS, self.modulus)].map(|(name, value)| Reading {
            name: name.to_owned(),
            value: value as f64,
            unit: None,
        })
    }

    /// The number of a report, if its device counts.
    pub fn of(report: &Report) -> Option<Self> {
        let find = |name: &str| {
            let reading = report
                .readings
                .iter()
                .find(|reading| reading.name == name)?;
            let whole =
                reading.value.fract() == 0.0 && (0.0..=NEVER_WRAPS as f64).contains(&reading.value);
            whole.then_some(reading.value as u64)
        };
        Self::new(find(NUMBER)?, find(MODULUS)?)
    }
}

/// Whether a reading counts mails instead of measuring something.
pub fn counts(name: &str) -> bool {
    name == NUMBER || name == MODULUS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_has_no_end() {
        let at = |number| Sequence::new(number, 1_000).unwrap();
        for (from, to, distance) in [(0, 0, 0), (0, 1, 1), (999, 0, 1), (998, 2, 4), (5, 4, 999)] {
            assert_eq!(at(from).to(at(to)), Some(distance), "{from} to {to}");
            assert_eq!(at(from).plus(distance), at(to));
        }
        assert_eq!(at(1).to(Sequence::new(2, 100).unwrap()), None);
        assert_eq!(Sequence::new(1_000, 1_000), None);
        assert_eq!(Sequence::new(0, 0), None);
        assert_eq!(Sequence::new(0, NEVER_WRAPS + 1), None);
        let last = Sequence::new(NEVER_WRAPS - 1, NEVER_WRAPS).unwrap();
        assert_eq!(last.plus(1).number(), 0);
        assert_eq!(last.plus(NEVER_WRAPS), last);
    }
}
