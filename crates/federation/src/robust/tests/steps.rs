//! Against results by hand, and properties that make a rule the rule it is.

use super::super::*;
use crate::random::SplitMix;
use proptest::prelude::*;

fn check(rule: Rule, liars: usize, updates: &[&[f32]], expected: &[f64]) {
    let made = rule.combine(liars, updates).unwrap();
    assert_eq!(made.len(), expected.len(), "{rule}");
    for (made, expected) in made.iter().zip(expected) {
        assert!(
            (made - expected).abs() < 1e-6,
            "{rule}: {made} instead of {expected}"
        );
    }
}

#[test]
fn coordinates_by_hand() {
    let five: [&[f32]; 5] = [
        &[1.0, 9.0],
        &[2.0, 7.0],
        &[4.0, 8.0],
        &[8.0, 6.0],
        &[99.0, -99.0],
    ];
    check(Rule::Median, 1, &five, &[4.0, 7.0]);
    check(Rule::Median, 1, &five[..4], &[3.0, 7.5]);
    check(Rule::TrimmedMean, 1, &five, &[14.0 / 3.0, 7.0]);
    check(Rule::TrimmedMean, 2, &five, &[4.0, 7.0]);
    check(Rule::Mean, 0, &five[..2], &[1.5, 8.0]);
}

#[test]
fn clipping_by_hand() {
    // Lengths 5 and 1; the first becomes (1.2, 1.6).
    let two: [&[f32]; 2] = [&[3.0, 4.0], &[0.0, 1.0]];
    check(Rule::NormClip { bound: 2.0 }, 0, &two, &[0.6, 1.3]);
    check(Rule::NormClip { bound: 9.0 }, 0, &two, &[1.5, 2.5]);
}

#[test]
fn krum_by_hand() {
    // n = 5, f = 1: two neighbours. Scores: 0 → 1+9=10, 1 → 1+4=5, 3 → 4+1=5 (tie: the earlier
    // wins), 4 → 1+9=10, 50 far away.
    let five: [&[f32]; 5] = [&[0.0], &[1.0], &[3.0], &[4.0], &[50.0]];
    check(Rule::Krum, 1, &five, &[1.0]);
    // n − f − 2 = 2 best: 1 and 3.
    check(Rule::MultiKrum, 1, &five, &[2.0]);
}

#[test]
fn bulyan_by_hand() {
    // n = 7, f = 1: five chosen one by one, then of each coordinate the three nearest the median.
    // Neighbours counted: 4, 3, 2, 1 and at least 1.
    // 7: scores 0 → 1+4+9+16=30, 1 → 15, 2 → 1+1+4+4=10 → takes 2.
    // {0 1 3 4 9 90}: 3 nearest: 0 → 1+9+16=26, 1 → 1+4+9=14, 3 → 1+4+9=14, 4 → 1+9+16=26 → takes 1.
    // {0 3 4 9 90}: 2 nearest: 0 → 25, 3 → 1+9=10, 4 → 1+16=17, 9 → 61 → takes 3.
    // {0 4 9 90}: 1 nearest: 0 → 16, 4 → 16, 9 → 25 → takes 0.
    // {4 9 90}: 4 → 25, 9 → 25 → takes 4.
    // Of 0 1 2 3 4 the three nearest to 2 are 1 2 3.
    let seven: [&[f32]; 7] = [&[0.0], &[1.0], &[2.0], &[3.0], &[4.0], &[9.0], &[90.0]];
    check(Rule::Bulyan, 1, &seven, &[2.0]);
}

#[test]
fn the_geometric_median_minimises_distances() {
    // Of a triangle with angles below 120° it is the point that sees all sides under 120° (Fermat);
    // of this one it is (0, 1/√3).
    let triangle: [&[f32]; 3] = [&[-1.0, 0.0], &[1.0, 0.0], &[0.0, 3.0]];
    check(
        Rule::GeometricMedian,
        1,
        &triangle,
        &[0.0, 3.0_f64.sqrt().recip()],
    );
    // More than half in one place: that place.
    let same: [&[f32]; 5] = [&[2.0], &[2.0], &[2.0], &[1e9], &[-1e9]];
    check(Rule::GeometricMedian, 2, &same, &[2.0]);
}

#[test]
fn requirements() {
    let check = |rule: Rule, liars, needed| {
        assert_eq!(rule.needs(liars), Some(needed));
        assert_eq!(rule.check(needed, liars), Ok(()));
        let found = needed - 1;
        let few = RobustError::TooFew {
            rule,
            liars,
            needed,
            found,
        };
        assert_eq!(rule.check(found, liars), Err(few));
        let updates = vec![&[0.0_f32][..]; found];
        assert_eq!(rule.combine(liars, &updates), Err(few));
    };
    for liars in 0..4 {
        check(Rule::Median, liars, 2 * liars + 1);
        check(Rule::TrimmedMean, liars, 2 * liars + 1);
        check(Rule::GeometricMedian, liars, 2 * liars + 1);
        check(Rule::Krum, liars, 2 * liars + 3);
        check(Rule::MultiKrum, liars, 2 * liars + 3);
        check(Rule::Bulyan, liars, 4 * liars + 3);
    }
    check(Rule::NormClip { bound: 1.0 }, 3, 1);
    let mean = Rule::Mean;
    assert_eq!(
        mean.check(100, 1),
        Err(RobustError::Defenceless {
            rule: mean,
            liars: 1
        })
    );
    // No wrapping around into a requirement that is met.
    let liars = usize::MAX / 2;
    assert!(matches!(
        Rule::Bulyan.check(100, liars),
        Err(RobustError::Defenceless { .. })
    ));
    let few = Rule::Krum.check(4, 1).unwrap_err();
    assert_eq!(
        few.to_string(),
        "krum withstands 1 liars among 5 updates or more, and there are 4; raise the cohort or lower f"
    );
}

#[test]
fn what_is_no_update_is_refused() {
    let length = RobustError::Length {
        index: 1,
        expected: 2,
        found: 1,
    };
    assert_eq!(Rule::Median.combine(0, &[&[0.0, 1.0], &[0.0]]), Err(length));
    assert_eq!(
        Rule::Median.combine(0, &[&[0.0], &[f32::NAN]]),
        Err(RobustError::NotFinite { index: 1 })
    );
    for bound in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            Rule::NormClip { bound }.combine(0, &[&[0.0]]),
            Err(RobustError::Bound { .. })
        ));
    }
}

proptest! {
    /// With at most f liars the result of a rule over coordinates lies within the honest range of each,
    /// whatever the liars send.
    #[test]
    fn liars_do_not_leave_the_honest_range(
        honest in proptest::collection::vec(proptest::collection::vec(-10.0_f32..10.0, 3), 5..9),
        lies in proptest::collection::vec(proptest::collection::vec(-1e30_f32..1e30, 3), 1..2),
    ) {
        // f = 1 among at least 6; Bulyan needs 7.
        let updates: Vec<&[f32]> = lies.iter().chain(&honest).map(Vec::as_slice).collect();
        for rule in [Rule::Median, Rule::TrimmedMean, Rule::Bulyan] {
            if rule.check(updates.len(), 1).is_err() { continue; }
            let made = rule.combine(1, &updates).unwrap();
            for (at, made) in made.iter().enumerate() {
                let of = honest.iter().map(|update| f64::from(update[at]));
                let (low, high) = of.fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v), h.max(v)));
                prop_assert!(*made >= low - 1e-9 && *made <= high + 1e-9, "{rule}: {made} not in {low}..{high}");
            }
        }
    }

    /// The order of updates changes nothing but the last bits, where no two scores are equal. (Bulyan's last
    /// choices count one neighbour, and of two nearest neighbours each is the other's.)
    #[test]
    fn order_does_not_matter(seed in any::<u64>(), count in 7_usize..10) {
        let rules = [Rule::Mean, Rule::NormClip { bound: 3.0 }, Rule::Median, Rule::TrimmedMean,
            Rule::GeometricMedian, Rule::Krum, Rule::MultiKrum];
        let combine = |updates: &[Vec<f32>]| -> Vec<Vec<f64>> {
            let updates: Vec<&[f32]> = updates.iter().map(Vec::as_slice).collect();
            rules.iter().map(|rule| rule.combine(usize::from(*rule != Rule::Mean), &updates).unwrap()).collect()
        };
        let mut random = SplitMix::new(seed);
        let mut updates: Vec<Vec<f32>> = (0..count)
            .map(|_| random.normals(4).iter().map(|value| *value as f32).collect())
            .collect();
        let before = combine(&updates);
        updates.reverse();
        for (rule, (one, other)) in rules.iter().zip(before.iter().zip(combine(&updates))) {
            for (a, b) in one.iter().zip(other) {
                prop_assert!((a - b).abs() < 1e-4, "{rule}: {a} and {b}");
            }
        }
    }
}
