//! Principal component analysis: what a machine's own correlations do not explain.

use gear::smd::{METRICS, Values};

/// Share of the variance that the components kept explain.
const EXPLAINED: f64 = 0.8;
/// Sweeps of Jacobi's method; for 38 × 38 it is at machine precision after seven or eight.
const SWEEPS: usize = 30;

type Square = Vec<Values>;

/// What is left of `rows` without the principal components of `train`; both standardised by `train`.
pub fn principal_residuals(train: &[Values], rows: &[Values]) -> Vec<Values> {
    let kept = components(train);
    let residual = |row: &Values| {
        let mut left = *row;
        for component in &kept {
            let share: f64 = row.iter().zip(component).map(|(a, b)| a * b).sum();
            for (value, direction) in left.iter_mut().zip(component) {
                *value -= share * direction;
            }
        }
        left
    };
    rows.iter().map(residual).collect()
}

/// The fewest directions that explain [`EXPLAINED`] of the variance.
fn components(train: &[Values]) -> Vec<Values> {
    let mut covariance = vec![[0.0; METRICS]; METRICS];
    for row in train {
        for (sums, value) in covariance.iter_mut().zip(row) {
            for (sum, other) in sums.iter_mut().zip(row) {
                *sum += value * other / train.len() as f64;
            }
        }
    }
    let mut pairs = eigen(covariance);
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let all: f64 = pairs.iter().map(|(value, _)| value.max(0.0)).sum();
    let mut explained = 0.0;
    let mut kept = Vec::new();
    for (value, direction) in pairs {
        if explained >= EXPLAINED * all {
            break;
        }
        explained += value;
        kept.push(direction);
    }
    kept
}

/// Eigenvalues and -vectors of a symmetric matrix by cyclic Jacobi rotations (Golub and Van Loan, *Matrix
/// Computations*, 4th ed., 8.5).
fn eigen(mut matrix: Square) -> Vec<(f64, Values)> {
    let mut vectors: Square = (0..METRICS)
        .map(|row| std::array::from_fn(|column| f64::from(u8::from(row == column))))
        .collect();
    for _ in 0..SWEEPS {
        let mut turned = false;
        for p in 0..METRICS {
            for q in p + 1..METRICS {
                let off = matrix[p][q];
                if off.abs() <= 1e-14 * (matrix[p][p].abs() + matrix[q][q].abs()) {
                    continue;
                }
                turned = true;
                let tau = (matrix[q][q] - matrix[p][p]) / (2.0 * off);
                let tangent = tau.signum() / (tau.abs() + tau.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let sine = tangent * cosine;
                for row in &mut matrix {
                    rotate(row, p, q, cosine, sine);
                }
                // p < q: the rows of both, at once.
                let (upper, lower) = matrix.split_at_mut(q);
                for (first, second) in upper[p].iter_mut().zip(&mut lower[0]) {
                    let (a, b) = (*first, *second);
                    (*first, *second) = (cosine * a - sine * b, sine * a + cosine * b);
                }
                for row in &mut vectors {
                    rotate(row, p, q, cosine, sine);
                }
            }
        }
        if !turned {
            break;
        }
    }
    (0..METRICS)
        .map(|index| {
            let vector = std::array::from_fn(|row| vectors[row][index]);
            (matrix[index][index], vector)
        })
        .collect()
}

fn rotate(row: &mut Values, p: usize, q: usize, cosine: f64, sine: f64) {
    let (a, b) = (row[p], row[q]);
    row[p] = cosine * a - sine * b;
    row[q] = sine * a + cosine * b;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_is_its_eigenvalues_along_its_eigenvectors() {
        let mut seed = gear::seed::Seed::new(3);
        let rows: Vec<Values> = (0..60)
            .map(|_| std::array::from_fn(|_| seed.normal()))
            .collect();
        let entry = |i: usize, j: usize| rows.iter().map(|row| row[i] * row[j]).sum::<f64>();
        let matrix: Square = (0..METRICS)
            .map(|i| std::array::from_fn(|j| entry(i, j)))
            .collect();
        let pairs = eigen(matrix.clone());
        for i in 0..METRICS {
            for j in 0..METRICS {
                let again: f64 = pairs.iter().map(|(value, v)| value * v[i] * v[j]).sum();
                assert!((again - matrix[i][j]).abs() < 1e-8, "{i} {j}");
                let product: f64 = (0..METRICS).map(|k| pairs[i].1[k] * pairs[j].1[k]).sum();
                assert!((product - f64::from(u8::from(i == j))).abs() < 1e-10);
            }
        }
    }

    /// All metrics move together and one parts: the residual is where it parted.
    #[test]
    fn what_the_common_movement_explains_leaves_no_residual() {
        let mut seed = gear::seed::Seed::new(5);
        let train: Vec<Values> = (0..200).map(|_| [seed.normal(); METRICS]).collect();
        let mut odd = [2.0; METRICS];
        odd[7] = -2.0;
        let left = principal_residuals(&train, &[[3.0; METRICS], odd]);
        assert!(
            left[0].iter().all(|value| value.abs() < 1e-9),
            "{:?}",
            left[0]
        );
        assert!(left[1][7] < -3.0 && left[1][6].abs() < 0.2, "{:?}", left[1]);
    }
}
