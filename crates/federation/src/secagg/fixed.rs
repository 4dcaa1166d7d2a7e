//! Updates as words that add up: fixed point modulo 2⁶⁴.
//!
//! An update becomes `n·Δ`, `n` and `n·loss` (n: its examples), so that the sums give the mean
//! weighted by examples and no single count is seen.
//!
//! Headroom: with at most 2²⁰ examples, |Δ| ≤ 2⁷ and 26 fractional bits a word is at most 2⁵³ in
//! size, and a thousand of them stay below 2⁶³; so sums never wrap. Error: rounding
//! takes at most 2⁻²⁷ from each `n·Δ`, so the mean is off by at most
//! `clients · 2⁻²⁷ / Σn ≤ 2⁻²⁷` (7.5e-9), below what f32 keeps of a parameter larger than 0.13.
//! 32-bit words would halve traffic and masks. With 10 bits for a thousand clients
//! and 20 for the examples they would leave two for the number itself, so the examples would have to be cut, and
//! the round could not be held against the plain sum.

use super::mask::WORD;
use super::terms::{NoiseBy, Treatment};
use crate::fedavg::Mean;
use crate::privacy::noise::Noise;
use crate::privacy::{Mechanism, Unusable};
use crate::robust;
use std::borrow::Cow;

/// Words besides the parameters: examples and loss.
pub const EXTRA: usize = 2;
/// Most examples that count: more are taken for so many.
pub const MAX_EXAMPLES: u64 = 1 << 20;
/// Largest |Δ| of a parameter.
pub const MAX_DELTA: f32 = 128.0;
/// Largest loss; a greater one is taken for this. Autoencoders on garbage reach some hundreds.
pub const MAX_LOSS: f64 = 8192.0;
const DELTA_SCALE: f64 = (1_u64 << 26) as f64;
const LOSS_SCALE: f64 = (1_u64 << 20) as f64;
/// Parameters that are checked at a time.
const CHECKED: usize = 1024;

/// One participant's part, in clear.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Value<'a> {
    /// Δ: trained parameters minus base parameters.
    pub delta: &'a [f32],
    /// n: examples it was trained with.
    pub examples: u64,
    /// Mean loss of the base model on them.
    pub loss: f64,
}

/// Why an update cannot be encoded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// Does not fit the model.
    #[error("the update has {found} parameters, the round's model {expected}")]
    Length {
        /// The model's.
        expected: usize,
        /// The update's.
        found: usize,
    },
    /// Nothing to weigh it by.
    #[error("the update has no examples behind it")]
    NoExamples,
    /// NaN, or larger than there is room for.
    #[error("parameter {index} of the update is {value}; there is room for ±{MAX_DELTA}")]
    Range {
        /// The first such parameter.
        index: usize,
        /// Its value.
        value: f32,
    },
    /// NaN or infinite.
    #[error("the loss of the update is not a number")]
    Loss,
    /// Its part of the round's noise.
    #[error(transparent)]
    Noise(#[from] Unusable),
}

/// What becomes of an update before it is masked. `honest`: so many parts of a noise make up the whole; it is
/// drawn from `seed`.
pub(super) fn treat(
    value: &Value<'_>,
    words: usize,
    treatment: &Treatment,
    (honest, seed): (usize, [u8; 32]),
) -> Result<Vec<u64>, EncodeError> {
    match treatment {
        Treatment::Weighted => encode(value, words),
        Treatment::Clipped { bound } => {
            let factor = robust::clip_factor(robust::norm(value.delta), *bound);
            let delta: Cow<'_, [f32]> = match factor < 1.0 {
                true => {
                    let scaled = value.delta.iter().map(|v| (f64::from(*v) * factor) as f32);
                    scaled.collect()
                }
                false => value.delta.into(),
            };
            let once = Value {
                delta: &delta,
                examples: value.examples.min(1),
                loss: value.loss,
            };
            encode(&once, words)
        }
        Treatment::Private { mechanism, noise } => {
            check_length(value, words)?;
            let values = match noise {
                NoiseBy::Aggregator => mechanism.clipped(value.delta),
                NoiseBy::Participants => {
                    mechanism.share(value.delta, honest, &mut Noise::from_seed(seed))?
                }
            };
            let values = values.into_iter().map(i64::cast_unsigned);
            // One example each, and no loss.
            Ok(values.chain([1, 0]).collect())
        }
    }
}

fn check_length(value: &Value<'_>, words: usize) -> Result<(), EncodeError> {
    let (expected, found) = (words - EXTRA, value.delta.len());
    match expected == found {
        true => Ok(()),
        false => Err(EncodeError::Length { expected, found }),
    }
}

fn encode(value: &Value<'_>, words: usize) -> Result<Vec<u64>, EncodeError> {
    check_length(value, words)?;
    if value.examples == 0 {
        return Err(EncodeError::NoExamples);
    }
    if !value.loss.is_finite() {
        return Err(EncodeError::Loss);
    }
    // A NaN is in no range.
    let fits = |delta: &f32| (-MAX_DELTA..=MAX_DELTA).contains(delta);
    // Of many at a time first: to look for the one that does not fit is slow.
    let all_fit = |deltas: &[f32]| deltas.iter().fold(true, |all, delta| all & fits(delta));
    if !value.delta.chunks(CHECKED).all(all_fit)
        && let Some(index) = value.delta.iter().position(|delta| !fits(delta))
    {
        let value = value.delta[index];
        return Err(EncodeError::Range { index, value });
    }
    let examples = value.examples.min(MAX_EXAMPLES);
    let weight = examples as f64;
    let mut encoded = Vec::with_capacity(words);
    let scale = weight * DELTA_SCALE;
    let scaled = value.delta.iter().map(|delta| f64::from(*delta) * scale);
    match f64::from(MAX_DELTA) * scale <= SMALL {
        true => encoded.extend(scaled.map(whole_small)),
        false => encoded.extend(scaled.map(whole)),
    }
    encoded.push(examples);
    encoded.push(whole(
        value.loss.clamp(-MAX_LOSS, MAX_LOSS) * weight * LOSS_SCALE,
    ));
    Ok(encoded)
}

/// The nearest whole number in two's complement; the callers bound it by 2⁵³.
#[expect(
    clippy::cast_sign_loss,
    reason = "two's complement is what adds up modulo 2⁶⁴"
)]
fn whole(value: f64) -> u64 {
    value.round_ties_even() as i64 as u64
}

/// Below this an f64 has room for a half, so that adding [`NUDGE`] rounds as [`whole`] does.
const SMALL: f64 = (1_u64 << 51) as f64;
/// 1.5 · 2⁵²: added to a number of up to ±2⁵¹ it leaves no room for fractions, and the sum's lowest bits are the
/// number in two's complement.
const NUDGE: f64 = 3.0 * SMALL;

/// As [`whole`], of a number of up to ±2⁵¹: two additions where rounding and converting are calls and jumps on processors
/// of the baseline.
fn whole_small(value: f64) -> u64 {
    (value + NUDGE).to_bits().wrapping_sub(NUDGE.to_bits())
}

/// The mean is all that is learned of the updates. `None`: a count of examples that no sum of them can have.
pub(super) fn decode(words: &[u64], clients: usize) -> Option<Mean> {
    let (values, extra) = words.split_at_checked(words.len().checked_sub(EXTRA)?)?;
    let examples = extra[0];
    if !(clients as u64..=clients as u64 * MAX_EXAMPLES).contains(&examples) {
        return None;
    }
    let number = |word: u64| word.cast_signed() as f64 / examples as f64;
    Some(Mean {
        delta: values
            .iter()
            .map(|word| number(*word) / DELTA_SCALE)
            .collect(),
        examples,
        loss: number(extra[1]) / LOSS_SCALE,
    })
}

/// The same of a private round: every participant is one example, and the aggregator's `noise`, if it is to
/// add some, is in the integers before they are numbers.
pub(super) fn decode_private(
    words: &[u64],
    clients: usize,
    mechanism: &Mechanism,
    noise: Option<&mut Noise>,
) -> Option<Mean> {
    let (values, extra) = words.split_at_checked(words.len().checked_sub(EXTRA)?)?;
    if extra != [clients as u64, 0] {
        return None;
    }
    let mut sum: Vec<i64> = values.iter().map(|word| word.cast_signed()).collect();
    if let Some(noise) = noise {
        mechanism.add_noise(&mut sum, noise);
    }
    Some(Mean {
        delta: mechanism.mean(&sum, clients),
        examples: clients as u64,
        loss: 0.0,
    })
}

/// Adds words that came as bytes; the caller has checked their number.
pub(super) fn add_bytes(sum: &mut [u64], bytes: &[u8]) {
    let (words, _) = bytes.as_chunks::<WORD>();
    for (sum, word) in sum.iter_mut().zip(words) {
        *sum = sum.wrapping_add(u64::from_le_bytes(*word));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn small_numbers_are_rounded_as_all_are(value in -SMALL..=SMALL, small in -9.0..9.0_f64) {
            for value in [value, small, value.round(), value.trunc() + 0.5, value.trunc() - 0.5] {
                if value.abs() <= SMALL {
                    prop_assert_eq!(whole_small(value), whole(value), "{}", value);
                }
            }
        }

        /// Of whatever number of examples: for more than 2¹⁸ products may be too large for the fast way.
        #[test]
        fn an_update_is_encoded_number_by_number(
            delta in prop::collection::vec(-MAX_DELTA..=MAX_DELTA, 0..40),
            examples in prop_oneof![1..300_u64, (1_u64 << 18) - 2..(1 << 18) + 2, 1..=MAX_EXAMPLES],
        ) {
            let value = Value { delta: &delta, examples, loss: 0.5 };
            let encoded = encode(&value, delta.len() + EXTRA).unwrap();
            let scale = examples as f64 * DELTA_SCALE;
            let expected: Vec<u64> = delta.iter().map(|delta| whole(f64::from(*delta) * scale)).collect();
            prop_assert_eq!(&encoded[..delta.len()], &expected);
            prop_assert_eq!(encoded[delta.len()], examples);
        }
    }

    #[test]
    fn ends_and_halves_are_rounded_as_all_are() {
        for value in [
            0.0,
            -0.0,
            0.5,
            -0.5,
            1.5,
            2.5,
            -2.5,
            SMALL,
            -SMALL,
            SMALL - 0.5,
            0.5 - SMALL,
        ] {
            assert_eq!(whole_small(value), whole(value), "{value}");
        }
    }

    #[test]
    fn the_first_parameter_that_does_not_fit_is_named() {
        for (index, odd) in [
            (0, f32::NAN),
            (CHECKED - 1, 128.5),
            (CHECKED, -129.0),
            (2500, f32::INFINITY),
        ] {
            let mut delta = vec![1.0; 2501];
            (delta[index], delta[2500]) = (odd, f32::INFINITY);
            let value = Value {
                delta: &delta,
                examples: 1,
                loss: 0.0,
            };
            match encode(&value, delta.len() + EXTRA) {
                Err(EncodeError::Range {
                    index: found,
                    value,
                }) => {
                    assert_eq!((found, value.to_bits()), (index, delta[index].to_bits()));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}
