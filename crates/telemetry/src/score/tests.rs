use super::*;
use crate::features::Departure;
use proptest::prelude::*;

/// Repeatable noise in about ±1.7 with unit variance.
fn noise(state: &mut u64) -> f32 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    ((*state >> 40) as f32 / (1 << 24) as f32 - 0.5) * 3.46
}

fn example(values: &[f32]) -> Example {
    let mut example = Example {
        device: "d".into(),
        arrival: UnixMillis(1),
        values: [0.0; SLOTS],
        mask: [false; SLOTS],
        departure: Departure::NONE,
    };
    for (slot, value) in values.iter().enumerate() {
        example.values[slot] = *value;
        example.mask[slot] = true;
        example.departure.slots[slot] = value.abs();
    }
    // As of a device that has long been on this row's course: nothing is smoothed.
    let mut off: Vec<f32> = values.iter().map(|value| value.abs()).collect();
    off.sort_by(|a, b| b.total_cmp(a));
    let top = off.iter().take(3).sum::<f32>() / off.len().clamp(1, 3) as f32;
    example.departure.smoothed = (off.first().copied().unwrap_or(0.0) + top) / 2.0;
    example
}

fn normal(count: usize, width: usize) -> Vec<Example> {
    let mut state = 7;
    (0..count)
        .map(|_| example(&(0..width).map(|_| noise(&mut state)).collect::<Vec<_>>()))
        .collect()
}

fn layout() -> SlotLayout {
    let mut layout = SlotLayout::default();
    let names: Vec<String> = (0..SLOTS).map(|slot| format!("m{slot:02}")).collect();
    layout.learn(names.iter().map(String::as_str));
    layout
}

#[test]
fn normal_rows_stay_below_one_and_faults_above() {
    let mut scorer = Scorer::default();
    let device = DeviceId::from("d");
    assert_eq!(
        scorer.score(&example(&[0.0]), None, &layout()),
        None,
        "not calibrated yet"
    );
    scorer.calibrate(&device, &normal(500, 6), None).unwrap();
    let alarms = normal(2_000, 6)
        .iter()
        .skip(500)
        .filter(|e| scorer.score(e, None, &layout()).unwrap().score > 1.0)
        .count();
    assert_eq!(alarms, 0);
    let fault = scorer
        .score(&example(&[0.1, 0.0, 9.0, 0.2, 0.0, 0.0]), None, &layout())
        .unwrap();
    assert!(fault.score > 1.5, "{fault:?}");
    assert_eq!(fault.because[0].0, "m02");
    assert!(
        fault.because[0].1 > 0.9 && fault.because.len() == MAX_BECAUSE,
        "{fault:?}"
    );
}

/// Two metrics that always agree: only a model that knows it sees them part.
#[test]
fn the_shared_model_sees_what_the_local_one_cannot() {
    let mut state = 3;
    let rows: Vec<Example> = (0..300)
        .map(|_| {
            let common = noise(&mut state);
            example(&[common, common + 0.05 * noise(&mut state), noise(&mut state)])
        })
        .collect();
    // A stand-in for a trained model: each of the pair is predicted by the other.
    let model = |e: &Example| {
        let mut reconstruction = e.values;
        reconstruction.swap(0, 1);
        reconstruction
    };
    let reconstructions: Vec<[f32; SLOTS]> = rows.iter().map(model).collect();
    let device = DeviceId::from("d");
    let parted = example(&[1.2, -1.2, 0.0]);

    let mut local = Scorer::default();
    local.calibrate(&device, &rows, None).unwrap();
    assert!(local.score(&parted, None, &layout()).unwrap().score < 1.0);

    let mut both = Scorer::default();
    both.calibrate(&device, &rows, Some(&reconstructions))
        .unwrap();
    let scored = both
        .score(&parted, Some(&model(&parted)), &layout())
        .unwrap();
    assert!(scored.score > 1.0, "{scored:?}");
    let named: Vec<&str> = scored
        .because
        .iter()
        .take(2)
        .map(|(name, _)| name.as_str())
        .collect();
    assert!(
        named.contains(&"m00") && named.contains(&"m01"),
        "{scored:?}"
    );

    // And a lone wild metric that the model reproduces is still seen by the local one.
    let wild = example(&[0.0, 0.0, 9.0]);
    assert!(
        both.score(&wild, Some(&model(&wild)), &layout())
            .unwrap()
            .score
            > 1.0
    );
}

/// Rows of one device as a node sees them, calibrated anew every hundred rows by those that were normal.
fn lived(rate: f64, rows: &[Example]) -> Vec<Scored> {
    let mut scorer = Scorer::new(rate);
    let device = DeviceId::from("d");
    let model = |example: &Example| example.values.map(|value| value * 0.5);
    let mut normal: Vec<Example> = rows[..100].to_vec();
    let mut scored = Vec::new();
    for hundred in rows[100..].chunks(100) {
        let newest = &normal[normal.len().saturating_sub(1_000)..];
        let rebuilt: Vec<[f32; SLOTS]> = newest.iter().map(model).collect();
        scorer.calibrate(&device, newest, Some(&rebuilt)).unwrap();
        for example in hundred {
            let found = scorer.score(example, Some(&model(example)), &layout());
            let found = found.unwrap();
            if found.normal {
                normal.push(example.clone());
            }
            scored.push(found);
        }
    }
    scored
}

fn louder(rows: Vec<Example>, by: impl Fn(usize) -> f32) -> Vec<Example> {
    let rows = rows.into_iter().enumerate();
    rows.map(|(row, e)| {
        example(
            &e.values[..6]
                .iter()
                .map(|v| v * by(row))
                .collect::<Vec<_>>(),
        )
    })
    .collect()
}

#[test]
fn what_is_learned_does_not_depend_on_how_often_somebody_wants_to_be_called() {
    // Now and then a row, each farther out than those before.
    let spike = |row: usize| match row % 300 {
        299 => 4.0 + row as f32 / 100.0,
        _ => 1.0,
    };
    let rows = louder(normal(3_000, 6), spike);
    let [often, seldom] = [1e-2, 1e-6].map(|rate| lived(rate, &rows));
    let far_out = often.iter().filter(|scored| !scored.normal).count();
    assert!((5..30).contains(&far_out), "{far_out}");
    let differ = |one: &Scored, other: &Scored| (one.score / other.score - 1.0).abs() > 0.1;
    let mut both = often.iter().zip(&seldom);
    assert!(both.clone().all(|(one, other)| one.normal == other.normal));
    assert!(both.any(|(one, other)| differ(one, other)));
}

#[test]
fn a_device_that_became_noisier_for_good_is_normal_again() {
    let rows = louder(normal(12_000, 6), |row| if row < 2_000 { 1.0 } else { 3.0 });
    let scored = lived(1e-4, &rows);
    let unusual = |rows: &[Scored]| rows.iter().filter(|scored| scored.score > 1.0).count();
    assert!(unusual(&scored[..1_900]) == 0);
    assert!(
        unusual(&scored[1_900..2_400]) > 400,
        "{}",
        unusual(&scored[1_900..2_400])
    );
    let last = &scored[scored.len() - 1_000..];
    assert!(unusual(last) < 10, "{}", unusual(last));
    assert!(last.iter().filter(|scored| scored.normal).count() > 900);
}

#[test]
fn too_few_examples_are_refused_with_their_number() {
    let mut scorer = Scorer::default();
    let refused = scorer
        .calibrate(&"d".into(), &normal(59, 3), None)
        .unwrap_err();
    assert_eq!(refused, TooFew { found: 59 });
    let short = vec![[0.0; SLOTS]; 10];
    assert_eq!(
        scorer
            .calibrate(&"d".into(), &normal(100, 3), Some(&short))
            .unwrap_err(),
        TooFew { found: 10 }
    );
    assert!(!scorer.is_calibrated(&"d".into()));
    assert_eq!(scorer.calibrated(), 0);
}

/// Against the exact quantiles of known distributions, from samples that do not reach them.
#[test]
fn the_tail_is_extrapolated_to_the_right_magnitude() {
    let uniform = |n: usize| (0..n).map(move |i| (i as f64 + 0.5) / n as f64);
    for (name, sample, exact) in [
        (
            "exponential",
            uniform(2_000).map(|p| -(1.0 - p).ln()).collect::<Vec<_>>(),
            1e4_f64.ln(),
        ),
        ("uniform", uniform(2_000).collect(), 1.0 - 1e-4),
    ] {
        let found = tail_quantile(&sample, 1e-4);
        assert!(
            (found / exact - 1.0).abs() < 0.15,
            "{name}: {found} against {exact}"
        );
    }
    assert_eq!(tail_quantile(&[], 1e-4), 0.0);
    assert_eq!(tail_quantile(&[2.0; 100], 1e-4), 2.0);
    assert_eq!(tail_quantile(&[f64::NAN, 1.0], 1e-4), 1.0);
}

proptest! {
    #[test]
    fn scores_are_finite_and_shares_sum_to_one_at_most(
        rows in proptest::collection::vec(proptest::collection::vec(-10.0f32..10.0, 4), 60..90),
        probe in proptest::collection::vec(-10.0f32..10.0, 0..8),
        wild in any::<f32>(),
    ) {
        let rows: Vec<Example> = rows.iter().map(|values| example(values)).collect();
        let reconstructions = vec![[0.5; SLOTS]; rows.len()];
        let mut scorer = Scorer::default();
        scorer.calibrate(&"d".into(), &rows, Some(&reconstructions)).unwrap();
        let scored = scorer.score(&example(&probe), Some(&[wild; SLOTS]), &layout()).unwrap();
        prop_assert!(scored.score.is_finite() && scored.score >= 0.0);
        let sum: f64 = scored.because.iter().map(|(_, share)| share).sum();
        prop_assert!(sum <= 1.0 + 1e-9);
    }

    #[test]
    fn a_smaller_rate_never_lowers_the_quantile(
        sample in proptest::collection::vec(0.0f64..100.0, 1..500)
    ) {
        let quantiles = [1e-2, 1e-3, 1e-4, 1e-6].map(|rate| tail_quantile(&sample, rate));
        prop_assert!(quantiles.is_sorted(), "{:?}", quantiles);
    }
}
