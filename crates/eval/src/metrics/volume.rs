//! VUS-PR: no threshold to choose, no exact edge of a fault to hit.

use super::Labels;
use std::ops::Range;

/// Largest buffer around a labelled stretch, in rows, half of it on either side: twice the 100 that the
/// authors' benchmark (TSB-AD) takes where it does not estimate a period.
const MOST_BUFFER: usize = 200;
/// Thresholds tried: ranks spread evenly over all rows, as the authors do.
const THRESHOLDS: usize = 250;

/// The volume under precision, recall and buffer (Paparrizos et al. 2022), with buffers of 0 to
/// `MOST_BUFFER` rows. The label of a row `d` rows outside of a stretch is √(1 − d/buffer) within the
/// buffer; recall counts how many stretches are hit at all.
pub fn volume_under_surface(scores: &[f64], labels: &Labels) -> f64 {
    if labels.segments.is_empty() {
        return 0.0;
    }
    let thresholds = Thresholds::of(scores);
    let area = |buffer| area_under_curve(scores, labels, buffer, &thresholds);
    (0..=MOST_BUFFER).map(area).sum::<f64>() / (MOST_BUFFER + 1) as f64
}

/// Scores to cut at, falling, and how many rows each takes.
struct Thresholds(Vec<(f64, f64)>);

impl Thresholds {
    fn of(scores: &[f64]) -> Self {
        let mut sorted = scores.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let last = sorted.len().saturating_sub(1) as f64;
        let step = last / (THRESHOLDS - 1) as f64;
        let at = |index: usize| {
            let score = sorted[(index as f64 * step) as usize];
            // Equal scores stand or fall together.
            let taken = sorted.partition_point(|&other| other >= score);
            (score, taken as f64)
        };
        Self((0..THRESHOLDS).map(at).collect())
    }
}

fn area_under_curve(
    scores: &[f64],
    labels: &Labels,
    buffer: usize,
    thresholds: &Thresholds,
) -> f64 {
    let stretches = widened(labels, buffer);
    let weights = weights(labels, buffer);
    // Rows that weigh anything, by falling score, with what they weigh and whether they are labelled.
    let mut weighing: Vec<(f64, f64, bool)> = Vec::new();
    for row in stretches.iter().cloned().flatten() {
        weighing.push((scores[row], weights[row], labels.faulty[row]));
    }
    weighing.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut peaks: Vec<f64> = stretches
        .iter()
        .map(|stretch| {
            scores[stretch.clone()]
                .iter()
                .copied()
                .fold(f64::NEG_INFINITY, f64::max)
        })
        .collect();
    peaks.sort_by(|a, b| b.total_cmp(a));

    let faulty = labels.count() as f64;
    let (mut next, mut true_positive, mut in_buffer) = (0, 0.0, 0.0);
    let (mut area, mut recall_before) = (0.0, 0.0);
    for &(threshold, taken) in &thresholds.0 {
        while let Some(&(score, weight, labelled)) = weighing.get(next)
            && score >= threshold
        {
            true_positive += weight;
            if !labelled {
                in_buffer += weight;
            }
            next += 1;
        }
        let found = peaks.partition_point(|&peak| peak >= threshold) as f64;
        // Half-way between the labels as given and with what of the buffers was taken.
        let positive = faulty + in_buffer / 2.0;
        let recall = (true_positive / positive).min(1.0) * found / peaks.len() as f64;
        area += (recall - recall_before) * true_positive / taken;
        recall_before = recall;
    }
    area
}

/// Labelled stretches with half the buffer on either side; those that touch are one.
fn widened(labels: &Labels, buffer: usize) -> Vec<Range<usize>> {
    let half = buffer / 2;
    let mut wide: Vec<Range<usize>> = Vec::new();
    for segment in &labels.segments {
        let start = segment.start.saturating_sub(half);
        let end = (segment.end + half).min(labels.rows);
        match wide.last_mut() {
            Some(last) if start < last.end => last.end = end,
            Some(_) | None => wide.push(start..end),
        }
    }
    wide
}

fn weights(labels: &Labels, buffer: usize) -> Vec<f64> {
    let mut weights: Vec<f64> = labels
        .faulty
        .iter()
        .map(|&f| f64::from(u8::from(f)))
        .collect();
    let fading = |distance: usize| (1.0 - distance as f64 / buffer as f64).sqrt();
    for segment in &labels.segments {
        for distance in 1..=buffer / 2 {
            if let Some(weight) = weights.get_mut(segment.end - 1 + distance) {
                *weight += fading(distance);
            }
            if let Some(row) = segment.start.checked_sub(distance) {
                weights[row] += fading(distance);
            }
        }
    }
    for weight in &mut weights {
        *weight = weight.min(1.0);
    }
    weights
}
