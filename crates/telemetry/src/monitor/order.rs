//! Mails that never arrived, by the numbers of devices that count theirs.

use std::collections::BTreeSet;

use crate::sequence::Sequence;

/// A jump over more than this is no loss but a counter that began anew, as after a restart or an
/// exchanged card: a relay that lost a hundred mails of one device would be known by silence.
const MAX_GAP: u64 = 100;
/// So far back a number is a mail that comes twice; a counter that begins anew jumps further, and
/// if it does not, the first few of its mails go uncounted.
const MAX_BACK: u64 = 3;
/// Mails in order after which a gap is history: what is still on its way comes within a few.
const IN_ORDER: u32 = 10;

/// What a number says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Nothing new.
    Fine,
    /// Those from `first` to `last` were skipped.
    Gap { first: u64, last: u64 },
    /// No mail is missing any more, or none was for a while.
    Settled,
}

/// A device's counting.
#[derive(Debug, Default)]
pub(super) struct Order {
    newest: Option<Sequence>,
    /// Numbers that were skipped.
    missing: BTreeSet<u64>,
    in_order: u32,
}

impl Order {
    /// The next mail has this number.
    pub(super) fn heard(&mut self, number: Sequence) -> Step {
        let distance = self.newest.and_then(|newest| newest.to(number));
        match distance {
            // The same mail again, or a second report of it.
            Some(0) => Step::Fine,
            Some(1) => {
                self.newest = Some(number);
                self.in_order = self.in_order.saturating_add(1);
                if self.in_order < IN_ORDER {
                    return Step::Fine;
                }
                self.missing.clear();
                Step::Settled
            }
            Some(distance) if distance <= MAX_GAP + 1 => {
                let before = self.newest.replace(number).unwrap_or(number);
                self.in_order = 0;
                // A second gap does not grow this without bound.
                if self.missing.len() as u64 <= MAX_GAP {
                    let skipped = (1..distance).map(|step| before.plus(step).number());
                    self.missing.extend(skipped);
                }
                Step::Gap {
                    first: before.plus(1).number(),
                    last: before.plus(distance - 1).number(),
                }
            }
            // Backwards: a late one, which other nodes' doors make possible.
            Some(_) if self.missing.remove(&number.number()) => {
                if self.missing.is_empty() {
                    Step::Settled
                } else {
                    Step::Fine
                }
            }
            // Backwards by one to three: a relay's repetition. Further back the counter began anew.
            Some(_) if self.is_repetition(number) => Step::Fine,
            Some(_) | None => {
                self.newest = Some(number);
                self.missing.clear();
                self.in_order = 0;
                Step::Fine
            }
        }
    }

    fn is_repetition(&self, number: Sequence) -> bool {
        let newest = self.newest;
        let back = newest.and_then(|newest| number.to(newest));
        back.is_some_and(|back| back <= MAX_BACK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heard(order: &mut Order, number: u64) -> Step {
        order.heard(Sequence::new(number, 1_000).unwrap())
    }

    #[test]
    fn every_way_to_count() {
        const fn gap(first: u64, last: u64) -> Step {
            Step::Gap { first, last }
        }
        for (name, numbers, last) in [
            ("first", &[500][..], Step::Fine),
            ("in order", &[1, 2], Step::Fine),
            ("wrapped", &[999, 0], Step::Fine),
            ("the same again", &[5, 5], Step::Fine),
            ("one lost", &[5, 7], gap(6, 6)),
            ("lost over the wrap", &[998, 2], gap(999, 1)),
            ("late", &[5, 7, 6], Step::Settled),
            ("one of two late", &[5, 8, 6], Step::Fine),
            ("both late", &[5, 8, 7, 6], Step::Settled),
            ("late over the wrap", &[999, 1, 0], Step::Settled),
            ("a repetition", &[5, 6, 7, 5], Step::Fine),
            ("after a repetition", &[5, 6, 7, 5, 8], Step::Fine),
            ("restarted", &[700, 0], Step::Fine),
            ("after a restart", &[700, 0, 2], gap(1, 1)),
            ("most", &[0, 101], gap(1, 100)),
            ("one more is a restart", &[0, 102], Step::Fine),
        ] {
            let mut order = Order::default();
            let steps: Vec<Step> = numbers.iter().map(|&n| heard(&mut order, n)).collect();
            assert_eq!(steps.last(), Some(&last), "{name}: {steps:?}");
        }
    }

    #[test]
    fn a_gap_is_history_after_a_while() {
        let mut order = Order::default();
        heard(&mut order, 0);
        assert!(matches!(heard(&mut order, 5), Step::Gap { .. }));
        let steps: Vec<Step> = (6..16).map(|n| heard(&mut order, n)).collect();
        assert_eq!(
            steps.iter().position(|step| *step == Step::Settled),
            Some(9)
        );
        assert_eq!(
            heard(&mut order, 3),
            Step::Fine,
            "forgotten, and no restart of its own"
        );
    }

    proptest! {
        /// Whatever is lost on the way is told, and nothing else: mails in order with some left out.
        #[test]
        fn what_is_left_out_is_told(start in 0u64..1_000, lost in proptest::collection::vec(any::<bool>(), 2..200)) {
            let mut order = Order::default();
            heard(&mut order, start);
            let mut told = 0;
            let mut run = 0;
            let mut expected = 0;
            for (number, lost) in (start + 1..).zip(lost) {
                if lost && run < MAX_GAP {
                    run += 1;
                    continue;
                }
                expected += run;
                run = 0;
                if let Step::Gap { first, last } = heard(&mut order, number % 1_000) {
                    told += (last + 1_000 - first) % 1_000 + 1;
                }
            }
            prop_assert_eq!(told, expected);
            prop_assert!(order.missing.len() as u64 <= 2 * MAX_GAP);
        }

        #[test]
        fn any_numbers_keep_it_small(numbers in proptest::collection::vec(0u64..1_000, 0..500)) {
            let mut order = Order::default();
            for number in numbers {
                heard(&mut order, number);
                prop_assert!(order.missing.len() as u64 <= 2 * MAX_GAP);
            }
        }
    }
}
