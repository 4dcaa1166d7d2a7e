//! What a series of scores is worth against labelled stretches.
//!
//! | measure | what it asks | source |
//! |---|---|---|
//! | [`average_precision`] | area under precision over recall, row by row | Davis and Goadrich 2006; as scikit-learn sums it |
//! | [`best_f1`] | the best F1 of any threshold, row by row | |
//! | [`volume_under_surface`] | area under range-based precision over recall, averaged over buffers around the labels | Paparrizos et al., PVLDB 15(11), 2022 |
//! | [`best_point_adjusted_f1`] | the best F1 where one row above the threshold counts as the whole stretch | Xu et al. 2018; flatters noise (Kim et al., AAAI 2022), so never to be quoted without the same figure of a random score |

mod volume;

#[cfg(test)]
mod tests;

pub use volume::volume_under_surface;

use std::ops::Range;

/// Which rows are faulty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Labels {
    rows: usize,
    segments: Vec<Range<usize>>,
    faulty: Vec<bool>,
}

impl Labels {
    /// Of `rows` rows those in `segments`, which must be in order, apart, not empty and within them.
    pub fn new(rows: usize, segments: Vec<Range<usize>>) -> Option<Self> {
        let mut faulty = vec![false; rows];
        let mut free = 0;
        for segment in &segments {
            if segment.start < free || segment.is_empty() || segment.end > rows {
                return None;
            }
            faulty[segment.clone()].fill(true);
            free = segment.end + 1;
        }
        Some(Self {
            rows,
            segments,
            faulty,
        })
    }

    /// The stretches.
    pub fn segments(&self) -> &[Range<usize>] {
        &self.segments
    }

    /// Row by row.
    pub fn faulty(&self) -> &[bool] {
        &self.faulty
    }

    /// Faulty rows; what average precision and F1 of guessing tend to.
    pub fn count(&self) -> usize {
        self.segments.iter().map(ExactSizeIterator::len).sum()
    }
}

/// All measures of one series.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Measures {
    /// [`average_precision`].
    pub average_precision: f64,
    /// [`volume_under_surface`].
    pub volume: f64,
    /// [`best_f1`].
    pub f1: f64,
    /// [`best_point_adjusted_f1`].
    pub adjusted_f1: f64,
}

impl Measures {
    /// Measures `scores` (larger is more unusual), one for each labelled row. Zero without faults.
    pub fn of(scores: &[f64], labels: &Labels) -> Self {
        assert_eq!(scores.len(), labels.rows, "a score for each labelled row");
        Self {
            average_precision: average_precision(scores, labels),
            volume: volume_under_surface(scores, labels),
            f1: best_f1(scores, labels),
            adjusted_f1: best_point_adjusted_f1(scores, labels),
        }
    }
}

/// Σ (recallₙ − recallₙ₋₁) · precisionₙ over the distinct scores, largest first.
pub fn average_precision(scores: &[f64], labels: &Labels) -> f64 {
    let mut before = 0.0;
    let mut sum = 0.0;
    for (hits, taken) in thresholds(scores, labels) {
        sum += (hits - before) * hits / taken;
        before = hits;
    }
    sum / (labels.count() as f64).max(1.0)
}

/// The largest F1 = 2·hits / (taken + faulty) of the distinct scores as threshold.
pub fn best_f1(scores: &[f64], labels: &Labels) -> f64 {
    let faulty = labels.count() as f64;
    thresholds(scores, labels)
        .map(|(hits, taken)| 2.0 * hits / (taken + faulty))
        .fold(0.0, f64::max)
}

/// As [`best_f1`], a stretch counting as found from end to end once one of its rows is.
pub fn best_point_adjusted_f1(scores: &[f64], labels: &Labels) -> f64 {
    let mut adjusted = scores.to_vec();
    for segment in labels.segments() {
        let most = adjusted[segment.clone()]
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        adjusted[segment.clone()].fill(most);
    }
    best_f1(&adjusted, labels)
}

/// (faulty rows, rows) at and above each distinct score, largest first.
fn thresholds(scores: &[f64], labels: &Labels) -> impl Iterator<Item = (f64, f64)> {
    let mut order: Vec<(f64, bool)> = scores
        .iter()
        .copied()
        .zip(labels.faulty.iter().copied())
        .collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut hits = 0_usize;
    let mut points = Vec::new();
    for (index, &(score, faulty)) in order.iter().enumerate() {
        hits += usize::from(faulty);
        if order.get(index + 1).is_none_or(|next| next.0 < score) {
            points.push((hits as f64, (index + 1) as f64));
        }
    }
    points.into_iter()
}
