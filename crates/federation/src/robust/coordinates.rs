//! Rules that look at one coordinate at a time.

/// Calls `of` with the sorted values of each coordinate.
fn sorted_columns(updates: &[&[f32]], of: impl Fn(&[f32]) -> f64) -> Vec<f64> {
    let mut column = vec![0.0_f32; updates.len()];
    (0..updates.first().map_or(0, |update| update.len()))
        .map(|at| {
            for (value, update) in column.iter_mut().zip(updates) {
                *value = update[at];
            }
            column.sort_unstable_by(f32::total_cmp);
            of(&column)
        })
        .collect()
}

fn mean(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64
}

/// Of sorted values; the mean of the middle two where their number is even.
fn middle(sorted: &[f32]) -> f64 {
    let half = sorted.len() / 2;
    mean(&sorted[half - (1 - sorted.len() % 2)..=half])
}

pub(super) fn median(updates: &[&[f32]]) -> Vec<f64> {
    sorted_columns(updates, middle)
}

/// `cut` fewer at each end; more than twice as many updates are given.
pub(super) fn trimmed_mean(cut: usize, updates: &[&[f32]]) -> Vec<f64> {
    sorted_columns(updates, |sorted| mean(&sorted[cut..sorted.len() - cut]))
}

/// The mean of the `keep` values nearest to the median. In sorted order they stand together, so
/// the window slides while its far end on the left is farther than the one to come on the right.
pub(super) fn mean_around_median(keep: usize, updates: &[&[f32]]) -> Vec<f64> {
    sorted_columns(updates, |sorted| {
        let median = middle(sorted);
        let mut from = 0;
        while from + keep < sorted.len()
            && median - f64::from(sorted[from]) > f64::from(sorted[from + keep]) - median
        {
            from += 1;
        }
        mean(&sorted[from..from + keep])
    })
}
