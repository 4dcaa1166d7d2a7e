//! Extreme quantiles from a sample that is too small to contain them.

/// Share of the sample below the tail.
const BODY: f64 = 0.98;
/// Fewest excesses a tail is fitted to; with fewer the largest value stands for the quantile.
const MIN_EXCESSES: f64 = 4.0;
/// The shape is kept within these: from a handful of excesses moments can yield shapes that put
/// the quantile at infinity.
const SHAPES: std::ops::RangeInclusive<f64> = -0.5..=0.25;

/// The value that `rate` of all samples exceed: peaks over the 98% quantile fitted with a
/// generalised Pareto distribution by the method of moments (Hosking and Wallis 1987). Never
/// below the sample's own quantile of that rate. 0 for an empty sample.
pub fn tail_quantile(sample: &[f64], rate: f64) -> f64 {
    let mut sorted: Vec<f64> = sample
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    sorted.sort_by(f64::total_cmp);
    let weighted: Vec<(f64, f64)> = sorted.into_iter().map(|value| (value, 1.0)).collect();
    tail_quantile_of(&weighted, rate)
}

/// As [`tail_quantile`], of values that rise and how often each was seen.
pub(super) fn tail_quantile_of(sorted: &[(f64, f64)], rate: f64) -> f64 {
    let Some(&(largest, _)) = sorted.last() else {
        return 0.0;
    };
    let count: f64 = sorted.iter().map(|(_, times)| times).sum();
    let at = |quantile: f64| {
        let wanted = (quantile * count).floor();
        let mut below = 0.0;
        let found = sorted.iter().find(|(_, times)| {
            below += times;
            below > wanted
        });
        found.map_or(largest, |(value, _)| *value)
    };
    let body = at(BODY);
    let empirical = at(1.0 - rate);
    let excesses = || sorted.iter().filter(|(value, _)| *value > body);
    let tail: f64 = excesses().map(|(_, times)| times).sum();
    if tail < MIN_EXCESSES {
        return largest.max(empirical);
    }
    let mean = excesses()
        .map(|(value, times)| (value - body) * times)
        .sum::<f64>()
        / tail;
    let square = |(value, times): &(f64, f64)| (value - body - mean).powi(2) * times;
    let variance = excesses().map(square).sum::<f64>() / tail;
    let ratio = mean * mean / variance.max(f64::MIN_POSITIVE);
    let shape = (0.5 * (1.0 - ratio)).clamp(*SHAPES.start(), *SHAPES.end());
    let scale = mean * (1.0 - shape);
    // P(X > body + y) = tail/count · (1 + shape·y/scale)^(-1/shape) = rate, solved for y.
    let odds = rate * count / tail;
    let excess = if shape.abs() < 1e-6 {
        -scale * odds.ln()
    } else {
        scale / shape * (odds.powf(-shape) - 1.0)
    };
    (body + excess).max(empirical)
}
