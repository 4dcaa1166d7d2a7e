#![expect(
    clippy::single_range_in_vec_init,
    reason = "a list of stretches may well hold one"
)]

use super::*;
use proptest::prelude::*;

fn labels(rows: usize, segments: &[Range<usize>]) -> Labels {
    Labels::new(rows, segments.to_vec()).unwrap()
}

#[test]
fn stretches_are_in_order_apart_and_within() {
    for bad in [vec![2..2], vec![3..5, 1..2], vec![1..3, 3..4], vec![8..11]] {
        assert_eq!(Labels::new(10, bad.clone()), None, "{bad:?}");
    }
    let good = labels(10, &[0..2, 3..4, 8..10]);
    assert_eq!(good.count(), 5);
    assert_eq!(good.faulty().iter().filter(|&&f| f).count(), 5);
}

/// Worked by hand: ranks of the faulty rows are 1 and 3 of 4 → (1/1 + 2/3) / 2; equal scores are one
/// threshold.
#[test]
fn average_precision_and_f1_by_hand() {
    let two = labels(4, &[1..2, 3..4]);
    let found = average_precision(&[0.5, 0.9, 0.1, 0.3], &two);
    assert!((found - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-12, "{found}");
    assert!((average_precision(&[1.0; 4], &two) - 0.5).abs() < 1e-12);
    assert!((best_f1(&[0.5, 0.9, 0.1, 0.3], &two) - 0.8).abs() < 1e-12);
    assert!((best_f1(&[1.0; 4], &two) - 2.0 / 3.0).abs() < 1e-12);
}

#[test]
fn point_adjustment_takes_one_row_for_the_stretch() {
    let one = labels(100, &[10..60]);
    let mut scores = vec![0.0; 100];
    scores[30] = 1.0;
    assert!((best_point_adjusted_f1(&scores, &one) - 1.0).abs() < 1e-12);
    assert!(best_f1(&scores, &one) < 0.7);
}

/// The expected figure comes from a slow, literal form of the authors' procedure (TSB-AD,
/// `generate_curve` with 2 × 100: every threshold and buffer applied to every row) on the
/// same series.
#[test]
fn the_volume_is_that_of_the_authors() {
    let rows = 2_000;
    let labels = labels(rows, &[300..340, 700..701, 1_200..1_350, 1_420..1_450]);
    // A score that anybody can compute again exactly: integers below 1009.
    let mut scores: Vec<f64> = (0..rows)
        .map(|i| ((i * i * 37 + i * 11) % 1_009) as f64)
        .collect();
    for row in (305..345).chain(1_190..1_300) {
        scores[row] += 500.0;
    }
    let volume = volume_under_surface(&scores, &labels);
    assert!((volume - VOLUME).abs() < 1e-9, "{volume}");
}
const VOLUME: f64 = 0.603_309_505_188_900_5;

proptest! {
    #[test]
    fn every_measure_lies_within_0_and_1_and_a_perfect_score_reaches_1(
        scores in proptest::collection::vec(-5.0f64..5.0, 300),
        start in 0usize..250,
        length in 1usize..50,
    ) {
        let labels = labels(300, &[start..start + length]);
        let measures = Measures::of(&scores, &labels);
        let all = [measures.average_precision, measures.volume, measures.f1, measures.adjusted_f1];
        prop_assert!(all.iter().all(|value| (0.0..=1.0 + 1e-12).contains(value)), "{measures:?}");
        prop_assert!(measures.adjusted_f1 >= measures.f1 - 1e-12);
        let perfect: Vec<f64> = labels.faulty().iter().map(|&f| f64::from(u8::from(f))).collect();
        let perfect = Measures::of(&perfect, &labels);
        prop_assert!((perfect.average_precision - 1.0).abs() < 1e-12);
        prop_assert!((perfect.f1 - 1.0).abs() < 1e-12);
    }
}
