//! The tail of the normal distribution in logarithms, where it would underflow.

use std::f64::consts::{LN_2, PI};

/// From here on the continued fraction converges within [`TERMS`].
const FAR: f64 = 2.0;
/// For 15 digits at [`FAR`], where both expansions are slowest.
const TERMS: u32 = 150;

/// ln erfc(x), by the series and the continued fraction of Abramowitz and Stegun, 7.1.6 and 7.1.14.
pub(super) fn ln_erfc(x: f64) -> f64 {
    if x < -FAR {
        // erfc(x) = 2 − erfc(−x).
        return LN_2 + (-0.5 * ln_erfc(-x).exp()).ln_1p();
    }
    if x < FAR {
        // erf(x) = 2/√π · e^(−x²) · Σ 2ⁿ x²ⁿ⁺¹ / (1·3·…·(2n+1)): terms of one sign.
        let mut term = x;
        let mut sum = x;
        for n in 1..TERMS {
            term *= 2.0 * x * x / f64::from(2 * n + 1);
            sum += term;
        }
        return (-2.0 / PI.sqrt() * (-x * x).exp() * sum).ln_1p();
    }
    // erfc(x) = e^(−x²)/√π · 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + …)))).
    let fraction = (1..=TERMS)
        .rev()
        .fold(x, |rest, n| x + f64::from(n) / 2.0 / rest);
    -x * x - PI.ln() / 2.0 - fraction.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against SciPy 1.17: `log(2) + scipy.special.log_ndtr(-x * sqrt(2))`.
    #[test]
    fn agrees_with_scipy() {
        let check = |x: f64, expected: f64| {
            let found = ln_erfc(x);
            assert!(
                (found - expected).abs() <= 1e-11 * expected.abs().max(1e-3),
                "ln erfc({x}) = {found}, not {expected}"
            );
        };
        for (x, expected) in [
            (-30.0, LN_2),
            (-6.0, LN_2),
            (-3.0, 0.6931361352504468),
            (-2.0001, 0.6908066092107219),
            (-1.9999, 0.6908045376670718),
            (-1.0, 0.6112323176780705),
            (-0.5, 0.4190391477755596),
            (0.0, 0.0),
            (0.1, -0.11930497373739557),
            (0.5, -0.7350111298370848),
            (1.0, -1.849605509933249),
            (1.5, -3.3844920895515536),
            (1.9999, -5.364499457773531),
            (2.0, -5.36494126461664),
            (2.0001, -5.365383089934764),
            (3.0, -10.720363041981116),
            (5.0, -27.200889545537446),
            (10.0, -102.87988902484493),
            (27.0, -732.8688865078977),
            (40.0, -1604.2615566532743),
            (1000.0, -1000007.4801207221),
        ] {
            check(x, expected);
        }
    }
}
