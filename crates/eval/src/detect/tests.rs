use super::*;

#[test]
fn smoothing_is_the_mean_of_the_last_five() {
    let scores = Scores {
        train: vec![5.0; 3],
        test: vec![0.0, 0.0, 10.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    };
    let smoothed = scores.smoothed();
    assert_eq!(smoothed.train, [5.0; 3]);
    let third = 10.0 / 3.0;
    assert_eq!(smoothed.test, [0.0, 0.0, third, 2.5, 2.0, 2.0, 2.0, 0.0]);
}

#[test]
fn a_lasting_change_becomes_normal_and_a_short_one_stays_a_fault() {
    let mut rows = vec![[0.0; METRICS]; 10];
    rows.extend(vec![[4.0; METRICS]; 6_000]);
    let scores = following(&rows);
    assert!(scores[9] < 1e-9 && scores[10] == 4.0 && scores[70] > 3.8);
    assert!(scores[6_009] < 0.6, "{}", scores[6_009]);
}

#[test]
fn parts_weigh_the_same_whatever_their_unit() {
    let part = |unit: f64| Scores {
        train: vec![unit; 100],
        test: vec![unit, 4.0 * unit],
    };
    let both = Scores::geometric_mean(&[part(1.0), part(1e6)]);
    assert!((both.test[0] - 1.0).abs() < 1e-12 && (both.test[1] - 4.0).abs() < 1e-12);
}
