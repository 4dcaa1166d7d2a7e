//! Extreme quantiles from a sample that is too small to contain them.

/// Share of the sample below the tail.
const BODY: f64 = 0.98;
/// Fewest excesses a tail is fitted to; with fewer the largest value stands for the quantile.
const MIN_EXCESSES: usize = 4;
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
    let Some(&largest) = sorted.last() else {
        return 0.0;
    };
    let count = sorted.len() as f64;
    let at = |quantile: f64| sorted[((quantile * count) as usize).min(sorted.len() - 1)];
    let body = at(BODY);
    let empirical = at(1.0 - rate);
    let excesses: Vec<f64> = sorted
        .iter()
        .filter(|&&value| value > body)
        .map(|value| value - body)
        .collect();
    if excesses.len() < MIN_EXCESSES {
        return largest.max(empirical);
    }
    let tail = excesses.len() as f64;
    let mean = excesses.iter().sum::<f64>() / tail;
    let variance = excesses.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / tail;
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
