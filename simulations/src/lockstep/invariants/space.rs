//! Rules about the data space: what was written, and what readers took of it.

use super::{Broken, IN_ORDER_ONCE, ONLY_WRITTEN, RETAINED};
use std::collections::{BTreeMap, BTreeSet};

/// A process in one of its lives.
pub type Life = (String, u64);

/// The samples of one writer about one device.
type Stream = (Life, String);

/// What was seen of the data space.
#[derive(Debug, Default)]
pub(super) struct Space {
    /// The newest number of each stream.
    written: BTreeMap<Stream, u64>,
    /// What a stranger wrote once more: who had missed it may take it late, and once.
    again: BTreeMap<Stream, BTreeSet<u64>>,
    read: BTreeMap<(Life, Stream), BTreeSet<u64>>,
}

impl Space {
    pub(super) fn wrote(&mut self, writer: Life, device: &str, number: u64) {
        self.written.insert((writer, device.to_owned()), number);
    }

    pub(super) fn wrote_again(&mut self, writer: Life, device: String, number: u64) {
        let again = self.again.entry((writer, device)).or_default();
        again.insert(number);
    }

    pub(super) fn read(
        &mut self,
        reader: Life,
        writer: Life,
        device: &str,
        number: u64,
    ) -> Result<(), Broken> {
        let stream = (writer, device.to_owned());
        let written = self.written.get(&stream).copied().unwrap_or(0);
        let told = |reader: &Life, stream: &Stream| {
            let ((writer, life), device) = stream;
            let (name, reader_life) = reader;
            format!(
                "{name} (life {reader_life}) takes sample {number} of {device} by {writer} (life {life})"
            )
        };
        ONLY_WRITTEN.check((1..=written).contains(&number), || {
            format!("{}, who wrote {written}", told(&reader, &stream))
        })?;
        let again = self.again.get(&stream);
        let may_be_late = again.is_some_and(|again| again.contains(&number));
        let key = (reader, stream);
        let taken = self.read.entry(key.clone()).or_default();
        let last = taken.last().copied().unwrap_or(0);
        let first_time = taken.insert(number);
        IN_ORDER_ONCE.check(first_time && (number > last || may_be_late), || {
            format!("{} after {last}", told(&key.0, &key.1))
        })
    }

    /// Everybody who lives has what everybody who lives retains.
    pub(super) fn retained(&self, living: &[Life], retained: u64) -> Result<(), Broken> {
        for reader in living {
            let lives = |stream: &Stream| living.contains(&stream.0);
            for (stream, last) in self.written.iter().filter(|(stream, _)| lives(stream)) {
                let taken = self.read.get(&(reader.clone(), stream.clone()));
                let first = last.saturating_sub(retained) + 1;
                let missing: Vec<u64> = (first..=*last)
                    .filter(|number| !taken.is_some_and(|taken| taken.contains(number)))
                    .collect();
                RETAINED.check(missing.is_empty(), || {
                    let ((writer, life), device) = stream;
                    format!(
                        "{} (life {}) lacks {missing:?} of {device} by {writer} (life {life}), who wrote {last}",
                        reader.0, reader.1
                    )
                })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(name: &str, life: u64) -> Life {
        (name.to_owned(), life)
    }

    fn written(upto: u64) -> Space {
        let mut space = Space::default();
        space.wrote(life("a", 0), "ups", upto);
        space
    }

    #[test]
    fn samples_come_in_order_and_once_to_each_life() {
        let mut space = written(9);
        let mut read = |reader, number| space.read(life("b", reader), life("a", 0), "ups", number);
        read(0, 3).unwrap();
        read(0, 5).unwrap();
        assert_eq!(read(0, 5).unwrap_err().rule, IN_ORDER_ONCE);
        for wrong in [3, 4] {
            assert_eq!(read(0, wrong).unwrap_err().rule, IN_ORDER_ONCE);
        }
        read(1, 3).unwrap();
        space.wrote_again(life("a", 0), "ups".to_owned(), 2);
        let mut read = |reader, number| space.read(life("b", reader), life("a", 0), "ups", number);
        read(0, 2).unwrap();
        assert_eq!(read(0, 2).unwrap_err().rule, IN_ORDER_ONCE);
        assert_eq!(read(0, 10).unwrap_err().rule, ONLY_WRITTEN);
    }

    #[test]
    fn who_lives_has_what_is_retained_by_those_who_live() {
        let mut space = written(9);
        let living = [life("a", 0), life("b", 1)];
        for number in 8..=9 {
            for reader in &living {
                space
                    .read(reader.clone(), life("a", 0), "ups", number)
                    .unwrap();
            }
        }
        space.retained(&living, 2).unwrap();
        let lacks = space.retained(&living, 3).unwrap_err();
        assert_eq!(lacks.rule, RETAINED);
        assert!(lacks.detail.contains("[7]"), "{}", lacks.detail);
        // Another life of the reader has nothing yet; another one of the writer owes nothing.
        space
            .retained(&[life("a", 0), life("b", 2)], 2)
            .unwrap_err();
        space.retained(&[life("a", 1), life("b", 2)], 2).unwrap();
    }
}
