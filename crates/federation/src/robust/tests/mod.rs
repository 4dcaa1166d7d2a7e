mod attacks;
mod steps;

#[test]
fn a_norm_is_that_of_all_values_and_finite_only_if_they_are() {
    for length in [0_usize, 1, 7, 8, 9, 1000] {
        let mut update: Vec<f32> = (0..length).map(|at| at as f32 - 3.5).collect();
        let squares: f64 = update.iter().map(|value| f64::from(*value).powi(2)).sum();
        assert!((super::norm(&update) - squares.sqrt()).abs() < 1e-9 * squares.sqrt().max(1.0));
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for at in [0, length / 2, length.saturating_sub(1)] {
                if let Some(value) = update.get_mut(at) {
                    let before = std::mem::replace(value, odd);
                    assert!(
                        !super::norm(&update).is_finite(),
                        "{odd} at {at} of {length}"
                    );
                    update[at] = before;
                }
            }
        }
    }
    assert!(super::norm(&[f32::MAX; 100]).is_finite());
}
