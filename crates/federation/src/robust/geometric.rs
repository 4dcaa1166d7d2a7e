//! The geometric median by the smoothed Weiszfeld algorithm (Pillutla, Kakade, Harchaoui 2022,
//! algorithm 2).

use super::coordinates;

/// Distances below this count as this, in the unit of the updates: an update that is the median
/// would divide by zero.
const SMOOTHING: f64 = 1e-6;
/// The paper finds three to five steps enough; these are for updates that nearly lie on a line.
const MAX_STEPS: usize = 100;
/// Steps shorter than this part of the distance to the nearest update end the search.
const TOLERANCE: f64 = 1e-7;

pub(super) fn median(updates: &[&[f32]]) -> Vec<f64> {
    // Near the answer already, however far away the liars are.
    let mut point = coordinates::median(updates);
    for _ in 0..MAX_STEPS {
        let distances: Vec<f64> = updates
            .iter()
            .map(|update| distance(&point, update).max(SMOOTHING))
            .collect();
        let total: f64 = distances.iter().map(|distance| distance.recip()).sum();
        let mut next = vec![0.0; point.len()];
        for (update, distance) in updates.iter().zip(&distances) {
            let weight = distance.recip() / total;
            for (sum, value) in next.iter_mut().zip(*update) {
                *sum += weight * f64::from(*value);
            }
        }
        let moved = point
            .iter()
            .zip(&next)
            .map(|(a, b)| (a - b).powi(2))
            .sum::<f64>()
            .sqrt();
        point = next;
        let nearest = distances.iter().copied().fold(f64::INFINITY, f64::min);
        if moved <= TOLERANCE * nearest.max(SMOOTHING) {
            break;
        }
    }
    point
}

fn distance(point: &[f64], update: &[f32]) -> f64 {
    point
        .iter()
        .zip(update)
        .map(|(a, b)| (a - f64::from(*b)).powi(2))
        .sum::<f64>()
        .sqrt()
}
