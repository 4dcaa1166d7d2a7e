use super::*;
use crate::problem::{DIMENSIONS, Problem};
use crate::random::SplitMix;
use crate::robust::Rule;
use proptest::prelude::*;
use wire::Round;

const fn quantised(bits: u8, rounding: Rounding) -> Codec {
    Codec::Quantised { bits, rounding }
}

#[test]
fn bytes_by_hand() {
    // Levels −1, 0, 1 as 0, 1, 2 in two bits: 1 → 2, −1 → 0, 0.2 → 1, 0.9 → 2, 0 → 1:
    // 10 01 00 10 from the right = 0x92, then 01.
    let codec = quantised(2, Rounding::Nearest);
    let bytes = codec.encode(&[2.0, -2.0, 0.4, 1.8, 0.0], 0).unwrap();
    assert_eq!(bytes, [1, 2, 5, 0, 0, 0, 0, 0, 0, 0x40, 0x92, 0x01]);
    assert_eq!(decode(&bytes, 5).unwrap(), [2.0, -2.0, 0.0, 2.0, 0.0]);

    // Indices 1 and 4 in three bits: 100 001 = 0x21.
    let codec = Codec::TopK { keep: 2 };
    let bytes = codec.encode(&[0.5, -2.0, 0.1, 0.0, 1.0], 0).unwrap();
    let expected = [
        2, 5, 0, 0, 0, 2, 0, 0, 0, 0x21, 0, 0, 0, 0xc0, 0, 0, 0x80, 0x3f,
    ];
    assert_eq!(bytes, expected);
    assert_eq!(decode(&bytes, 5).unwrap(), [0.0, -2.0, 0.0, 0.0, 1.0]);
}

#[test]
fn sizes_of_a_model_of_a_million() {
    let of = |codec: Codec| codec.encoded_len(1_000_000);
    assert_eq!(
        of(quantised(8, Rounding::Nearest)),
        6 + 3_907 * 4 + 1_000_000
    );
    assert_eq!(of(quantised(4, Rounding::Nearest)), 6 + 3_907 * 4 + 500_000);
    assert_eq!(of(Codec::TopK { keep: 10_000 }), 9 + 25_000 + 40_000);
}

#[test]
fn stochastic_rounding_is_right_on_average() {
    let update = [1.0_f32, 0.3, -0.55, 0.01, 0.0];
    let mut sum = [0.0_f64; 5];
    const DRAWS: u64 = 20_000;
    for seed in 0..DRAWS {
        let bytes = quantised(3, Rounding::Stochastic)
            .encode(&update, seed)
            .unwrap();
        for (sum, value) in sum.iter_mut().zip(decode(&bytes, 5).unwrap()) {
            *sum += f64::from(value) / DRAWS as f64;
        }
    }
    for (mean, value) in sum.iter().zip(update) {
        // A third between levels: deviation of the mean at most 1/6/√20,000 = 0.0012.
        assert!(
            (mean - f64::from(value)).abs() < 0.006,
            "{mean} for {value}"
        );
    }
}

#[test]
fn what_is_not_encoded() {
    for bits in [0, 1, 17] {
        let refused = quantised(bits, Rounding::Nearest).encode(&[1.0], 0);
        assert_eq!(refused, Err(EncodeError::Bits { bits }));
    }
    assert_eq!(
        Codec::TopK { keep: 0 }.encode(&[1.0], 0),
        Err(EncodeError::Nothing)
    );
    let broken = Codec::TopK { keep: 1 }.encode(&[0.0, f32::NAN], 0);
    assert_eq!(broken, Err(EncodeError::NotFinite { index: 1 }));
}

#[test]
fn what_is_not_decoded() {
    let good = Codec::TopK { keep: 2 }
        .encode(&[0.5, -2.0, 0.1, 0.0, 1.0], 0)
        .unwrap();
    let check = |change: &dyn Fn(&mut Vec<u8>), expected: DecodeError| {
        let mut bytes = good.clone();
        change(&mut bytes);
        assert_eq!(decode(&bytes, 5), Err(expected));
    };
    check(&|bytes| bytes.clear(), DecodeError::Kind { found: None });
    check(&|bytes| bytes[0] = 9, DecodeError::Kind { found: Some(9) });
    check(
        &|bytes| bytes[1] = 6,
        DecodeError::Length {
            expected: 5,
            found: 6,
        },
    );
    check(
        &|bytes| bytes[5] = 6,
        DecodeError::Malformed("more coordinates than there are"),
    );
    check(
        &|bytes| bytes.push(0),
        DecodeError::Size {
            expected: 18,
            found: 19,
        },
    );
    check(
        &|bytes| bytes[9] = 0x0c,
        DecodeError::Malformed("indices that do not rise"),
    );
    check(
        &|bytes| bytes[9] = 0x31,
        DecodeError::Malformed("an index beyond the model"),
    );
    check(
        &|bytes| bytes[9] |= 0x80,
        DecodeError::Malformed("something stands behind the last value"),
    );
    check(
        &|bytes| bytes[12..14].copy_from_slice(&[0x80, 0x7f]),
        DecodeError::Malformed("a value that is not finite"),
    );
}

/// The model after 400 rounds, averaged over the last 100: under feedback it circles its goal.
fn train(codec: Option<Codec>, feedback: bool) -> Vec<f64> {
    let problem = Problem::new(8, 0.5, 3);
    let mut states = vec![Feedback::new(); 8];
    let mut model = vec![0.0_f32; DIMENSIONS];
    let mut average = vec![0.0; DIMENSIONS];
    for round in 0..400_u64 {
        let updates: Vec<Vec<f32>> = (0..8)
            .map(|i| {
                let update = problem.participants[i].train(&model, 1);
                let seed = round * 8 + i as u64;
                let bytes = match codec {
                    None => return update,
                    Some(codec) if feedback => states[i].encode(codec, &update, Round(round), seed),
                    Some(codec) => codec.encode(&update, seed),
                };
                states[i].ended(Round(round), true);
                decode(&bytes.unwrap(), DIMENSIONS).unwrap()
            })
            .collect();
        let updates: Vec<&[f32]> = updates.iter().map(Vec::as_slice).collect();
        for (w, step) in model
            .iter_mut()
            .zip(Rule::Mean.combine(0, &updates).unwrap())
        {
            *w += step as f32;
        }
        if round >= 300 {
            for (average, w) in average.iter_mut().zip(&model) {
                *average += f64::from(*w) / 100.0;
            }
        }
    }
    average
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
    squares.sum::<f64>().sqrt()
}

/// Participants that differ: without feedback what is never the largest is never heard of. Distances to
/// where the uncompressed updates lead.
#[test]
fn feedback_finds_what_compression_leaves_out() {
    let goal = train(None, false);
    let away = |codec, feedback| distance(&train(Some(codec), feedback), &goal);
    for codec in [Codec::TopK { keep: 1 }, quantised(2, Rounding::Nearest)] {
        let (with, without) = (away(codec, true), away(codec, false));
        assert!(with < 0.05, "{codec:?} with feedback: {with}");
        assert!(
            without > 5.0 * with,
            "{codec:?} without: {without}, with {with}"
        );
    }
    for codec in [
        quantised(8, Rounding::Stochastic),
        quantised(4, Rounding::Stochastic),
    ] {
        let without = away(codec, false);
        assert!(without < 0.05, "{codec:?} is unbiased: {without}");
    }
}

#[test]
fn an_update_that_does_not_count_leaves_nothing_out() {
    let codec = Codec::TopK { keep: 1 };
    let mut feedback = Feedback::new();
    let [first, second, third] = [1, 2, 3].map(Round);
    feedback.encode(codec, &[3.0, 2.0], first, 0).unwrap();
    feedback.ended(first, false);
    let bytes = feedback.encode(codec, &[3.0, 2.0], second, 0).unwrap();
    assert_eq!(decode(&bytes, 2).unwrap(), [3.0, 0.0]);
    // A process that starts again in the middle knows as much.
    let mut feedback = Feedback::of(feedback.memory().clone());
    feedback.ended(first, false);
    feedback.ended(second, true);
    let bytes = feedback.encode(codec, &[3.0, 2.0], third, 0).unwrap();
    assert_eq!(decode(&bytes, 2).unwrap(), [0.0, 4.0]);
    // Another model: nothing of the former.
    let bytes = feedback.encode(codec, &[1.0], third, 0).unwrap();
    assert_eq!(decode(&bytes, 1).unwrap(), [1.0]);
}

fn codec() -> impl Strategy<Value = Codec> {
    let rounding = prop_oneof![Just(Rounding::Stochastic), Just(Rounding::Nearest)];
    prop_oneof![
        (2_u8..=16, rounding).prop_map(|(bits, rounding)| Codec::Quantised { bits, rounding }),
        (1_usize..600).prop_map(|keep| Codec::TopK { keep }),
    ]
}

proptest! {
    #[test]
    fn lengths_are_exact_and_errors_bounded(codec in codec(), length in 0_usize..600, seed in any::<u64>()) {
        let update: Vec<f32> = SplitMix::new(seed).normals(length).iter().map(|v| *v as f32).collect();
        let bytes = codec.encode(&update, seed).unwrap();
        prop_assert_eq!(bytes.len(), codec.encoded_len(length));
        let decoded = decode(&bytes, length).unwrap();
        let square = |of: &mut dyn Iterator<Item = f32>| of.map(|v| f64::from(v).powi(2)).sum::<f64>();
        let error = square(&mut update.iter().zip(&decoded).map(|(a, b)| a - b));
        let whole = square(&mut update.iter().copied());
        match codec {
            // What feedback needs: the error is no longer than the update.
            Codec::Quantised { rounding: Rounding::Nearest, .. } => prop_assert!(error <= whole),
            Codec::TopK { keep } => {
                let share = (keep as f64 / length.max(1) as f64).min(1.0);
                prop_assert!(error <= (1.0 - share) * whole + 1e-9);
            }
            Codec::Quantised { bits, rounding: Rounding::Stochastic } => {
                let most = update.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
                let step = f64::from(most) / f64::from((1_u32 << (bits - 1)) - 1);
                prop_assert!(update.iter().zip(&decoded).all(|(a, b)| f64::from((a - b).abs()) <= step * 1.001 + 1e-6));
            }
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0_u8..4, length in 0_usize..300) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() { *first = kind; }
        if let Ok(update) = decode(&bytes, length) {
            prop_assert_eq!(update.len(), length);
            prop_assert!(update.iter().all(|value| value.is_finite()));
        }
    }
}
