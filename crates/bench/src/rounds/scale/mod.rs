//! Secure aggregation at scale: the machines of all participants and of their aggregator in one process, without links,
//! beside the figures of the paper whose protocol it is.
//!
//! What is measured is `federation::secagg` alone: no training, no links, no actors, no ledger. Participants work on as many
//! threads as there are processors, each of them on one; the aggregator works on one. All times are processor time of the
//! thread that does the step, so they hold on a machine that has other things to do as well.

mod paper;
mod round;
mod table;

use crate::{Failure, report};
use std::str::FromStr;

/// What is measured unless something else is asked for: the paper's setting, and large updates.
pub const DEFAULT: &str = "8:100000:0,32:100000:0,100:100000:0,100:100000:10,100:100000:30,500:100000:0,500:100000:10,500:100000:30,1000:100000:0,1000:100000:10,1000:100000:30,8:1000000:0,8:1000000:25,32:1000000:0,32:1000000:10,100:1000000:0,100:1000000:10";

/// One size of a round.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Case {
    clients: usize,
    /// Of an update.
    entries: usize,
    /// How many of a hundred clients fall silent when they have dealt their shares, where it costs the aggregator most.
    percent: usize,
}

impl Case {
    /// Who drops out, to the nearest whole number.
    fn dropped(self) -> usize {
        (self.clients * self.percent + 50) / 100
    }
}

/// Sizes, as they are asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cases(Vec<Case>);

impl FromStr for Cases {
    type Err = String;

    fn from_str(words: &str) -> Result<Self, String> {
        words
            .split(',')
            .map(case)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn case(word: &str) -> Result<Case, String> {
    let numbers = word.split(':').map(str::parse);
    let numbers = numbers.collect::<Result<Vec<usize>, _>>();
    match numbers.as_deref() {
        Ok(&[clients, entries, percent]) if percent <= 100 => Ok(Case {
            clients,
            entries,
            percent,
        }),
        Ok(_) | Err(_) => Err(format!(
            "{word:?} is no size of a round; one is clients:entries:percent dropped, as in 100:1000000:10"
        )),
    }
}

/// Measures all of them, prints the table and leaves `rounds-scale.json`.
pub fn measure(Cases(cases): &Cases) -> Result<(), Failure> {
    // As in a node's process.
    runtime::heap::keep_large_buffers();
    let machine = report::machine();
    let mut measured = Vec::new();
    for case in cases {
        let round = round::run(*case)?;
        eprintln!(
            "{} clients, {} entries, {} dropped: done",
            case.clients,
            case.entries,
            case.dropped()
        );
        measured.push((*case, round));
    }
    table::publish(machine, &measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_others_refused() {
        let Cases(cases) = DEFAULT.parse().unwrap();
        assert!(cases.len() > 10);
        let Cases(one) = "8:1000000:25".parse().unwrap();
        assert_eq!(
            one,
            [Case {
                clients: 8,
                entries: 1_000_000,
                percent: 25
            }]
        );
        assert_eq!(one[0].dropped(), 2);
        for wrong in ["", "8", "8:1", "8:1:101", "8:1:0:0", "8:x:0", "8:1:0,"] {
            let refused = wrong.parse::<Cases>().unwrap_err();
            assert!(refused.contains("100:1000000:10"), "{refused}");
        }
    }
}
