//! Updates as integers: clipped, and rounded towards zero, which makes no coordinate longer. So the bound
//! on the norm is checked in integers and holds to the last bit.

use crate::robust;

/// Grid steps that the clipping bound is long. Fine enough that rounding a model of a million parameters
/// shortens an update by less than 2 % of the bound.
pub const STEPS: u64 = 1 << 16;

/// An update on the grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clipped {
    /// Coordinates in units of `bound / STEPS`; the sum of their squares is at most `STEPS²`.
    pub values: Vec<i32>,
    /// Whether its norm was within the bound before: what adaptive clipping counts.
    pub within: bool,
}

/// `delta`, scaled down to `bound` where it is longer. Whatever is not finite counts as nothing.
pub fn clip(delta: &[f32], bound: f64) -> Clipped {
    let norm = robust::norm(delta);
    if !norm.is_finite() {
        return Clipped {
            values: vec![0; delta.len()],
            within: false,
        };
    }
    let mut scale = robust::clip_factor(norm, bound) * STEPS as f64 / bound;
    loop {
        let values: Vec<i32> = delta
            .iter()
            .map(|value| (f64::from(*value) * scale) as i32)
            .collect();
        let square: u128 = values
            .iter()
            .map(|value| u128::from(value.unsigned_abs()).pow(2))
            .sum();
        if square <= u128::from(STEPS).pow(2) {
            let within = norm <= bound;
            return Clipped { values, within };
        }
        // The norm came out a rounding error too short.
        scale *= 1.0 - 1e-12;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn by_hand() {
        // Length 5 with a bound of 2.5: half of each; a step is 2.5 / 65,536.
        let clipped = clip(&[3.0, -4.0], 2.5);
        assert_eq!(clipped.values, [39_321, -52_428]);
        assert!(!clipped.within);
        let whole = clip(&[0.75, -1.0], 2.5);
        assert_eq!(whole.values, [19_660, -26_214]);
        assert!(whole.within);
        let nothing = clip(&[f32::INFINITY, 1.0], 2.5);
        assert_eq!(nothing.values, [0, 0]);
    }

    proptest! {
        #[test]
        fn no_longer_than_the_bound_and_not_far_from_the_update(
            delta in proptest::collection::vec(-1e3_f32..1e3, 1..50),
            bound in 1e-3_f64..1e3,
        ) {
            let clipped = clip(&delta, bound);
            let square: u128 = clipped.values.iter().map(|v| u128::from(v.unsigned_abs()).pow(2)).sum();
            prop_assert!(square <= u128::from(STEPS).pow(2));
            let norm = robust::norm(&delta);
            prop_assert_eq!(clipped.within, norm <= bound);
            for (value, delta) in clipped.values.iter().zip(&delta) {
                let expected = f64::from(*delta) * robust::clip_factor(norm, bound);
                let found = f64::from(*value) * bound / STEPS as f64;
                prop_assert!(found.abs() <= expected.abs() + 1e-9);
                prop_assert!((found - expected).abs() <= 1.001 * bound / STEPS as f64);
            }
        }
    }
}
