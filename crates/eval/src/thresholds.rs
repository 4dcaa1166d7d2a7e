//! Whether a threshold keeps what it promises: false alarms at the stated rate, and what is found at that price.

use crate::data::Machine;
use crate::metrics::average_precision;
use std::fmt::Write as _;

/// What nodes do at the thresholds they set for a stated rate.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Kept {
    /// False alarms per row, as stated.
    pub stated: f64,
    /// As they were: rows without a fault above the threshold, on the machine of middle place.
    pub middle: f64,
    /// The same, on the mean of the machines.
    pub mean: f64,
    /// Average precision of the scores, on the mean of the machines.
    pub precision: f64,
    /// Share of the faults with a row above the threshold.
    pub faults: f64,
    /// Share of the faulty rows above it.
    pub rows: f64,
}

impl Kept {
    /// By the machines' scores in units of the threshold.
    pub fn of(stated: f64, machines: &[Machine], scores: &[&[f64]]) -> Self {
        let (mut rates, mut precision) = (Vec::new(), 0.0);
        let (mut faults, mut rows) = ((0, 0), (0, 0));
        for (machine, scores) in machines.iter().zip(scores) {
            precision += average_precision(scores, &machine.labels);
            let above = |row: usize| scores.get(row).is_some_and(|score| *score > 1.0);
            let faulty = machine.labels.faulty().iter().enumerate();
            let (faulty, calm): (Vec<_>, Vec<_>) = faulty.partition(|(_, faulty)| **faulty);
            let false_alarms = calm.iter().filter(|(row, _)| above(*row)).count();
            rates.push(false_alarms as f64 / calm.len().max(1) as f64);
            rows.0 += faulty.iter().filter(|(row, _)| above(*row)).count();
            rows.1 += faulty.len();
            let segments = machine.labels.segments();
            faults.0 += segments.iter().filter(|s| (*s).clone().any(above)).count();
            faults.1 += segments.len();
        }
        rates.sort_by(f64::total_cmp);
        let share = |(part, whole): (usize, usize)| part as f64 / whole.max(1) as f64;
        Self {
            stated,
            middle: rates.get(rates.len() / 2).copied().unwrap_or(0.0),
            mean: rates.iter().sum::<f64>() / rates.len().max(1) as f64,
            precision: precision / machines.len().max(1) as f64,
            faults: share(faults),
            rows: share(rows),
        }
    }
}

/// For the terminal.
pub fn table(kept: &[Kept]) -> String {
    let mut text =
        "At the thresholds that nodes set themselves, false alarms per row without a fault:\n"
            .to_owned();
    let _ = writeln!(
        text,
        "{:>10}  {:>15}  {:>10}  {:>12}  {:>17}  {:>6}",
        "stated", "middle machine", "mean", "faults found", "faulty rows found", "AUC-PR"
    );
    for kept in kept {
        let _ = writeln!(
            text,
            "{:>10.0e}  {:>15.5}  {:>10.5}  {:>12.3}  {:>17.3}  {:>6.3}",
            kept.stated, kept.middle, kept.mean, kept.faults, kept.rows, kept.precision
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Labels;

    #[test]
    fn false_alarms_are_counted_without_faults_and_faults_once() {
        let machine = |name: &str| {
            let labels = Labels::new(10, vec![2..4, 6..8]).unwrap();
            Machine::new(
                name.to_owned(),
                vec![[0.0; 38]; 2],
                vec![[0.0; 38]; 10],
                labels,
            )
        };
        let machines = [machine("a"), machine("b"), machine("c")];
        let quiet = [0.0; 10];
        // One false alarm in six rows; one of two faults, by one of its rows.
        let mut loud = quiet;
        (loud[0], loud[3]) = (1.5, 1.1);
        // Two false alarms; on the threshold is not above it.
        let mut louder = loud;
        (louder[1], louder[6]) = (2.0, 1.0);
        let kept = Kept::of(1e-3, &machines, &[&quiet, &loud, &louder]);
        assert_eq!((kept.stated, kept.middle), (1e-3, 1.0 / 6.0));
        assert!((kept.mean - 0.5 / 3.0).abs() < 1e-12, "{kept:?}");
        assert_eq!((kept.faults, kept.rows), (2.0 / 6.0, 2.0 / 12.0));
        assert!(table(&[kept]).contains("1e-3"));
    }
}
