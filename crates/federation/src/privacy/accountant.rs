//! What rounds cost: Rényi differential privacy of the Gaussian mechanism under Poisson sampling
//! (Mironov, Talwar, Zhang 2019, *Rényi Differential Privacy of the Sampled Gaussian Mechanism*, §3.3), added
//! up over rounds and converted to (ε, δ) by Canonne, Kamath, Steinke 2020, proposition 12.
//!
//! Held against Google's `dp-accounting` to three digits by `tests/dp_accounting`.

use super::tail::ln_erfc;
use std::f64::consts::{LN_2, SQRT_2};

/// Series that have not settled by then are given up, and their order is not used; that can only make ε larger.
const MAX_TERMS: u32 = 1_000;
/// A term that is smaller than the sum by this in the logarithm does not change its 13th digit.
const SETTLED: f64 = 30.0;
/// Below this order the conversion is numerically worthless.
const MIN_ORDER: f64 = 1.01;

/// The orders α that are looked at, those of `dp-accounting`: tight for every ε that anybody would call
/// private.
fn orders() -> impl Iterator<Item = f64> {
    let fine = (1..100).map(|tenth| 1.0 + f64::from(tenth) / 10.0);
    let coarse = (11..64).map(f64::from);
    fine.chain(coarse).chain([128.0, 256.0, 512.0, 1024.0])
}

/// One round's mechanism.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampledGaussian {
    /// q: chance of a participant to be asked, without anybody knowing whether it was; 1: all are, or it is
    /// known who.
    pub sampling_rate: f64,
    /// z: standard deviation of the noise over the sensitivity.
    pub noise_multiplier: f64,
}

/// Privacy spent so far, at every order.
#[derive(Clone, Debug, PartialEq)]
pub struct Accountant {
    spent: Vec<f64>,
}

impl Default for Accountant {
    fn default() -> Self {
        Self {
            spent: orders().map(|_| 0.0).collect(),
        }
    }
}

impl Accountant {
    /// Adds `rounds` of `mechanism`. What is no mechanism (a rate outside 0 to 1, noise of 0 or less) hides
    /// nothing and costs everything.
    pub fn add(&mut self, mechanism: SampledGaussian, rounds: u64) {
        if rounds == 0 {
            return;
        }
        for (spent, order) in self.spent.iter_mut().zip(orders()) {
            *spent += rounds as f64 * mechanism.renyi(order);
        }
    }

    /// The smallest ε that goes with `delta`; infinite where nothing can be said.
    pub fn epsilon(&self, delta: f64) -> f64 {
        self.spent
            .iter()
            .zip(orders())
            .map(|(spent, order)| epsilon(*spent, order, delta))
            .fold(f64::INFINITY, f64::min)
            .max(0.0)
    }
}

fn epsilon(spent: f64, order: f64, delta: f64) -> f64 {
    if spent == 0.0 || delta.powi(2) + (-spent).exp_m1() > 0.0 {
        // By the KL divergence (Bretagnolle and Huber): δ ≤ √(1 − e^−KL) at ε = 0.
        0.0
    } else if order > MIN_ORDER && delta > 0.0 {
        spent + (-order.recip()).ln_1p() - (delta * order).ln() / (order - 1.0)
    } else {
        f64::INFINITY
    }
}

impl SampledGaussian {
    /// Its Rényi divergence of this order.
    fn renyi(self, order: f64) -> f64 {
        let Self {
            sampling_rate: q,
            noise_multiplier: z,
        } = self;
        if !(z > 0.0 && (0.0..=1.0).contains(&q)) {
            return f64::INFINITY;
        }
        if q == 0.0 {
            return 0.0;
        }
        if q == 1.0 {
            return order / (2.0 * z.powi(2));
        }
        let moment = if order.fract() == 0.0 {
            ln_moment(q, z, order)
        } else {
            ln_moment_between(q, z, order)
        };
        moment / (order - 1.0)
    }
}

/// ln A_α of an integer order: `Σₖ C(α, k)·(1 − q)^(α−k)·q^k·exp((k² − k) / 2σ²)`.
fn ln_moment(q: f64, sigma: f64, order: f64) -> f64 {
    let mut ln_choose = 0.0;
    let mut sum = f64::NEG_INFINITY;
    for k in 0..=order as u32 {
        let k = f64::from(k);
        if k > 0.0 {
            ln_choose += ((order - k + 1.0) / k).ln();
        }
        let term = ln_choose
            + (order - k) * (-q).ln_1p()
            + k * q.ln()
            + (k * k - k) / (2.0 * sigma.powi(2));
        sum = ln_add(sum, term);
    }
    sum
}

/// The same of an order between integers: two series, left and right of the point z₀ where both densities
/// are equal. Binomial coefficients enter by their size, so the result is not below the true one.
fn ln_moment_between(q: f64, sigma: f64, order: f64) -> f64 {
    let z0 = sigma.powi(2) * (q.recip() - 1.0).ln() + 0.5;
    let width = SQRT_2 * sigma;
    let mut ln_choose = 0.0;
    let mut sum = f64::NEG_INFINITY;
    let mut before = (f64::NEG_INFINITY, f64::NEG_INFINITY);
    for i in 0..MAX_TERMS {
        let i = f64::from(i);
        if i > 0.0 {
            ln_choose += ((order - i + 1.0) / i).abs().ln();
        }
        let j = order - i;
        let weight = |a: f64, b: f64| ln_choose + a * q.ln() + b * (-q).ln_1p();
        let growth = |k: f64| (k * k - k) / (2.0 * sigma.powi(2));
        let left = weight(i, j) + growth(i) + ln_erfc((i - z0) / width) - LN_2;
        let right = weight(j, i) + growth(j) + ln_erfc((z0 - j) / width) - LN_2;
        sum = ln_add(ln_add(sum, left), right);
        if left < before.0 && right < before.1 && left.max(right) < sum - SETTLED {
            return sum;
        }
        before = (left, right);
    }
    f64::INFINITY
}

/// ln(eᵃ + eᵇ).
fn ln_add(a: f64, b: f64) -> f64 {
    let (small, large) = if a < b { (a, b) } else { (b, a) };
    if small == f64::NEG_INFINITY {
        large
    } else {
        large + (small - large).exp().ln_1p()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(sampling_rate: f64, noise_multiplier: f64, rounds: u64) -> Accountant {
        let mut accountant = Accountant::default();
        let mechanism = SampledGaussian {
            sampling_rate,
            noise_multiplier,
        };
        accountant.add(mechanism, rounds);
        accountant
    }

    #[test]
    fn agrees_with_dp_accounting_to_three_digits() {
        let vectors = include_str!("../../tests/dp_accounting/vectors.csv");
        let mut checked = 0;
        for line in vectors.lines().skip(1) {
            let numbers: Vec<f64> = line.split(',').map(|n| n.parse().unwrap()).collect();
            let [rate, noise, steps, delta, expected] = numbers[..] else {
                panic!("{line}");
            };
            let found = spent(rate, noise, steps as u64).epsilon(delta);
            assert!(
                (found - expected).abs() <= 5e-4 * expected,
                "{line}: here {found}"
            );
            checked += 1;
        }
        assert_eq!(checked, 525);
    }

    #[test]
    fn rounds_add_up_whatever_their_order() {
        let mut one = spent(1.0, 2.0, 30);
        let other = SampledGaussian {
            sampling_rate: 0.1,
            noise_multiplier: 1.0,
        };
        one.add(other, 5);
        let mut two = spent(0.1, 1.0, 5);
        let first = SampledGaussian {
            sampling_rate: 1.0,
            noise_multiplier: 2.0,
        };
        (0..30).for_each(|_| two.add(first, 1));
        assert!((one.epsilon(1e-5) - two.epsilon(1e-5)).abs() < 1e-9);
    }

    #[test]
    fn edges() {
        assert_eq!(Accountant::default().epsilon(1e-5), 0.0);
        assert_eq!(spent(0.0, 1.0, 100).epsilon(1e-5), 0.0);
        assert_eq!(spent(1.0, 1.0, 1).epsilon(0.0), f64::INFINITY);
        for (rate, noise) in [
            (1.0, 0.0),
            (1.0, -1.0),
            (1.0, f64::NAN),
            (1.5, 1.0),
            (f64::NAN, 1.0),
        ] {
            assert_eq!(
                spent(rate, noise, 1).epsilon(1e-5),
                f64::INFINITY,
                "{rate} {noise}"
            );
        }
    }
}
