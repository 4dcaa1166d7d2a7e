//! Faults for a stream of readings: what a broken fan, a leaking process or a stuck sensor does
//! to the numbers.

use std::ops::Range;

use crate::mail::Metric;
use crate::seed::Seed;

/// How a metric goes wrong.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Fault {
    /// Added to every row.
    Spike {
        /// How much.
        size: f64,
    },
    /// Added once more with every row.
    Drift {
        /// How much a row.
        per_row: f64,
    },
    /// The value of the first faulty row for ever.
    Stuck,
    /// Normal noise.
    Noise {
        /// Its standard deviation.
        deviation: f64,
    },
}

/// A fault of one metric during some rows.
#[derive(Clone, PartialEq, Debug)]
pub struct Injection {
    /// Name of the metric.
    pub metric: String,
    /// The rows, counted from the injector's first.
    pub rows: Range<u64>,
    /// What happens.
    pub fault: Fault,
}

/// Applies injections to rows as they pass.
#[derive(Clone, Debug)]
pub struct Injector {
    injections: Vec<(Injection, Option<f64>)>,
    row: u64,
    seed: Seed,
}

impl Injector {
    /// With these injections; `seed` feeds [`Fault::Noise`].
    pub fn new(injections: Vec<Injection>, seed: u64) -> Self {
        let injections = injections
            .into_iter()
            .map(|injection| (injection, None))
            .collect();
        Self {
            injections,
            row: 0,
            seed: Seed::new(seed),
        }
    }

    /// Changes the next row in place. True when any injection was active.
    pub fn apply(&mut self, metrics: &mut [Metric]) -> bool {
        let mut active = false;
        for (injection, stuck) in &mut self.injections {
            if !injection.rows.contains(&self.row) {
                continue;
            }
            active = true;
            let age = (self.row - injection.rows.start) as f64;
            for metric in metrics
                .iter_mut()
                .filter(|metric| metric.name == injection.metric)
            {
                metric.value = match injection.fault {
                    Fault::Spike { size } => metric.value + size,
                    Fault::Drift { per_row } => metric.value + per_row * (age + 1.0),
                    Fault::Stuck => *stuck.get_or_insert(metric.value),
                    Fault::Noise { deviation } => metric.value + deviation * self.seed.normal(),
                };
            }
        }
        self.row += 1;
        active
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(fault: Fault) -> Vec<f64> {
        let injection = Injection {
            metric: "x".to_owned(),
            rows: 2..5,
            fault,
        };
        let mut injector = Injector::new(vec![injection], 7);
        (0..7)
            .map(|row| {
                let mut metrics = [
                    Metric::new("x", f64::from(row), ""),
                    Metric::new("y", 1.0, ""),
                ];
                let active = injector.apply(&mut metrics);
                assert_eq!(active, (2..5).contains(&row));
                assert_eq!(metrics[1].value, 1.0, "another metric is left alone");
                metrics[0].value
            })
            .collect()
    }

    #[test]
    fn each_fault_changes_its_rows_only() {
        assert_eq!(
            run(Fault::Spike { size: 10.0 }),
            [0.0, 1.0, 12.0, 13.0, 14.0, 5.0, 6.0]
        );
        assert_eq!(
            run(Fault::Drift { per_row: 10.0 }),
            [0.0, 1.0, 12.0, 23.0, 34.0, 5.0, 6.0]
        );
        assert_eq!(run(Fault::Stuck), [0.0, 1.0, 2.0, 2.0, 2.0, 5.0, 6.0]);
        let noisy = run(Fault::Noise { deviation: 1.0 });
        assert_eq!((noisy[1], noisy[5]), (1.0, 5.0));
        assert!(noisy[2] != 2.0 && noisy[2] != noisy[3] - 1.0, "{noisy:?}");
        assert_eq!(noisy, run(Fault::Noise { deviation: 1.0 }), "repeatable");
    }
}
