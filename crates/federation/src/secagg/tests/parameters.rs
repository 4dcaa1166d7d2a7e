//! The bounds behind the table of degrees, computed exactly.

use crate::secagg::MIN_COHORT;
use crate::secagg::graph::neighbours;
use crate::secagg::params::{CORRUPT, DROPPED, LARGEST, LARGEST_COMPLETE, Parameters};
use wire::Digest;

/// P(at least `least` of `draws` without replacement are among the `marked` of `of`).
fn hypergeometric_tail(of: usize, marked: usize, draws: usize, least: usize) -> f64 {
    let logs: Vec<f64> = std::iter::once(0.0)
        .chain((1..=of).scan(0.0, |sum, n| {
            *sum += (n as f64).ln();
            Some(*sum)
        }))
        .collect();
    let choose = |n: usize, k: usize| logs[n] - logs[k] - logs[n - k];
    (least..=draws.min(marked))
        .filter(|hits| draws - hits <= of - marked)
        .map(|hits| {
            let ways = choose(marked, hits) + choose(of - marked, draws - hits);
            (ways - choose(of, draws)).exp()
        })
        .sum()
}

#[test]
fn the_tail_is_right_where_one_can_count() {
    // 5 cards of 10 of which 4 are marked: C(4,3)C(6,2) + C(4,4)C(6,1) = 66 of 252.
    assert!((hypergeometric_tail(10, 4, 5, 3) - 66.0 / 252.0).abs() < 1e-12);
    assert!((hypergeometric_tail(10, 4, 5, 0) - 1.0).abs() < 1e-12);
    assert_eq!(hypergeometric_tail(10, 2, 5, 3), 0.0);
}

#[test]
fn every_neighbourhood_is_large_enough() {
    let unsafe_bound = 2.0_f64.powi(-40);
    let failed_bound = 2.0_f64.powi(-20);
    for n in LARGEST_COMPLETE + 1..=LARGEST {
        let parameters = Parameters::of(n).unwrap();
        let (k, t) = (parameters.degree, parameters.threshold);
        let count = |share: f64| (share * n as f64).floor() as usize;
        let (corrupt, dropped) = (count(CORRUPT), count(DROPPED));
        // Two sets with t consents each share at least 2t − h holders; one of them must be honest.
        let overlap = 2 * t - parameters.holders();
        let split = n as f64 * hypergeometric_tail(n - 1, corrupt, k, overlap);
        assert!(split < unsafe_bound, "n={n} k={k}: {split:e}");
        let cut = n as f64 * (CORRUPT + DROPPED).powi(k as i32 / 2);
        assert!(cut < unsafe_bound, "n={n} k={k}: {cut:e}");
        let lost = parameters.holders() - t + 1;
        let starved = n as f64 * hypergeometric_tail(n - 1, dropped, k, lost);
        assert!(starved < failed_bound, "n={n} k={k}: {starved:e}");
        assert!(k % 2 == 0 && k < n && parameters.holders() <= 255);
    }
}

#[test]
fn thresholds_are_more_than_two_thirds() {
    for n in MIN_COHORT..=LARGEST {
        let parameters = Parameters::of(n).unwrap();
        assert!(3 * parameters.threshold > 2 * parameters.holders());
        assert!(3 * parameters.quorum() > 2 * n && parameters.quorum() <= n);
        assert!(parameters.threshold <= parameters.holders());
    }
    assert_eq!(Parameters::of(2), None);
    assert_eq!(Parameters::of(LARGEST + 1), None);
}

#[test]
fn everybody_has_as_many_neighbours_and_they_have_it() {
    for n in [3, 8, 100, 101, 257, 1000] {
        let parameters = Parameters::of(n).unwrap();
        let graph = neighbours(parameters, Digest::of(b"entry"));
        for (place, list) in graph.iter().enumerate() {
            assert_eq!(list.len(), parameters.degree);
            assert!(list.is_sorted_by(|a, b| a < b));
            for other in list {
                assert!(usize::from(*other) != place);
                assert!(graph[usize::from(*other)].contains(&(place as u16)));
            }
        }
    }
    let of = |seed: &[u8]| neighbours(Parameters::of(500).unwrap(), Digest::of(seed));
    assert_eq!(of(b"one"), of(b"one"));
    assert_ne!(of(b"one"), of(b"other"));
}
