use super::*;
use proptest::prelude::*;
use wire::{Origin, Reading};

fn report(device: &str, class: &str, seq: u64, readings: &[(&str, f64)]) -> Report {
    Report {
        device: device.into(),
        room: "hall-1".into(),
        class: class.to_owned(),
        device_time: None,
        arrival: UnixMillis(1_000 * seq),
        readings: readings
            .iter()
            .map(|&(name, value)| Reading {
                name: name.to_owned(),
                value,
                unit: None,
            })
            .collect(),
        event: None,
        origin: Origin::Mail {
            node: device.into(),
            seq,
            part: 0,
        },
    }
}

/// Feeds `rows` and returns the examples.
fn feed(assembler: &mut Assembler, device: &str, rows: impl Iterator<Item = f64>) -> Vec<Example> {
    rows.zip(0..)
        .filter_map(|(value, seq)| {
            match assembler.accept(&report(device, "c", seq, &[("x", value)])) {
                Assembled::Example(example) => Some(example),
                Assembled::Warming { rows } => {
                    assert_eq!(u64::from(rows), seq + 1);
                    None
                }
                other => panic!("{other:?}"),
            }
        })
        .collect()
}

#[test]
fn numbered_metrics_stand_in_their_own_slot_on_every_node() {
    let names: Vec<String> = (0..38).map(|i| format!("m{i:02}")).collect();
    let mut all = SlotLayout::default();
    all.learn(names.iter().map(String::as_str));
    let mut reversed = SlotLayout::default();
    for name in names.iter().rev() {
        reversed.learn(std::iter::once(name.as_str()));
    }
    for (slot, name) in names.iter().enumerate() {
        assert_eq!(all.slot(name), Some(slot));
        assert_eq!(reversed.slot(name), Some(slot));
        assert_eq!(all.name(slot), Some(name.as_str()));
    }
}

#[test]
fn equal_sets_of_names_give_equal_layouts_in_any_order() {
    let names = [
        "load",
        "battery.charge",
        "input.voltage",
        "temperature",
        "fan_rpm.44",
    ];
    let mut one = SlotLayout::default();
    one.learn(names.into_iter());
    let mut other = SlotLayout::default();
    other.learn(names.into_iter().rev());
    for name in names {
        assert!(one.slot(name).is_some());
        assert_eq!(one.slot(name), other.slot(name), "{name}");
    }
}

#[test]
fn names_beyond_the_slots_get_none_and_later_ones_take_what_is_free() {
    let names: Vec<String> = (0..SLOTS + 5).map(|i| format!("name-{i}")).collect();
    let mut layout = SlotLayout::default();
    layout.learn(names.iter().take(SLOTS - 1).map(String::as_str));
    layout.learn(names.iter().skip(SLOTS - 1).map(String::as_str));
    let placed: std::collections::BTreeSet<usize> =
        names.iter().filter_map(|name| layout.slot(name)).collect();
    assert_eq!(placed.len(), SLOTS);
    assert_eq!(
        names
            .iter()
            .filter(|name| layout.slot(name).is_none())
            .count(),
        5
    );
}

#[test]
fn a_device_warms_up_and_is_then_standardised() {
    let mut assembler = Assembler::new();
    let wave = (0..400).map(|i| 50.0 + 4.0 * f64::from(i % 10) - 18.0);
    let examples = feed(&mut assembler, "d", wave);
    assert_eq!(examples.len(), 400 - WARMUP_ROWS as usize);
    let slot = examples[0].mask.iter().position(|&filled| filled).unwrap();
    assert_eq!(assembler.slot_name(&"d".into(), slot), Some("x"));
    let mean = examples
        .iter()
        .map(|e| f64::from(e.values[slot]))
        .sum::<f64>()
        / examples.len() as f64;
    assert!(mean.abs() < 0.1, "{mean}");
    assert!(
        examples
            .iter()
            .all(|e| e.mask.iter().filter(|&&filled| filled).count() == 1)
    );
    assert_eq!(assembler.ready(), 1);
}

#[test]
fn smoothing_is_the_mean_of_the_last_rows() {
    let mut assembler = Assembler::new();
    let rows = (0..300)
        .map(|i| if i % 2 == 0 { 1.0 } else { -1.0 })
        .chain([5.0; 6]);
    let examples = feed(&mut assembler, "d", rows);
    let slot = examples[0].mask.iter().position(|&filled| filled).unwrap();
    for last in examples.windows(SMOOTHING_ROWS).skip(30) {
        let off: f32 = last
            .iter()
            .map(|e| e.departure.slots[slot].copysign(e.values[slot]))
            .sum();
        let newest = last[SMOOTHING_ROWS - 1].values[slot];
        // |z| has lost its sign: it is the same where all five lie on one side.
        if last.iter().all(|e| e.departure.slots[slot] > 3.0) {
            assert!(
                (newest - off / SMOOTHING_ROWS as f32).abs() < 1e-5,
                "{last:?}"
            );
        }
    }
    // Deviation 1, level 0: one step of five in five, then more and more of them.
    let last: Vec<f32> = examples[examples.len() - 6..]
        .iter()
        .map(|e| e.values[slot])
        .collect();
    assert!(
        (last[0] - 1.0).abs() < 0.1 && last[..5].is_sorted() && last[4] > 4.0,
        "{last:?}"
    );
}

#[test]
fn constant_metrics_do_not_explode_and_wild_values_are_clipped() {
    let mut assembler = Assembler::new();
    let examples = feed(
        &mut assembler,
        "d",
        (0..40).map(|_| 100.0).chain([100.1, 1e300, f64::MAX]),
    );
    let slot = examples[0].mask.iter().position(|&filled| filled).unwrap();
    let values: Vec<f32> = examples.iter().map(|e| e.values[slot]).collect();
    assert_eq!(values[0], 0.0);
    assert!(
        values[10] > 0.0 && values[10] < 0.1,
        "a thousandth of the mean is no news: {values:?}"
    );
    assert!(
        values.iter().all(|v| v.is_finite() && v.abs() <= CLIP),
        "{values:?}"
    );
    assert_eq!(values[11], CLIP);
}

#[test]
fn a_new_normal_is_told_with_its_metric() {
    let mut assembler = Assembler::new();
    let days = REFERENCE_ROWS;
    feed(&mut assembler, "d", (0..days).map(|row| f64::from(row % 2)));
    assert_eq!(assembler.drifted(), []);
    for seq in 0..u64::from(days) {
        assembler.accept(&report("d", "c", 10_000 + seq, &[("x", 5.0)]));
    }
    let told = assembler.drifted();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (told[0].device.clone(), told[0].metric.as_str()),
        ("d".into(), "x")
    );
    assert_eq!((told[0].change.from, told[0].change.to), (0.5, 5.0));
    assert_eq!(assembler.drifted(), []);
}

#[test]
fn few_metrics_events_and_repetitions() {
    let mut assembler = Assembler::new();
    for seq in 0..u64::from(WARMUP_ROWS) {
        let readings = [("battery.charge", 100.0), ("load", 30.0 + (seq % 3) as f64)];
        assembler.accept(&report("ups", "ups", seq, &readings));
    }
    let partial = report("ups", "ups", 100, &[("load", 31.0)]);
    let Assembled::Example(example) = assembler.accept(&partial) else {
        panic!("an example")
    };
    assert_eq!(example.mask.iter().filter(|&&filled| filled).count(), 1);
    assert_eq!(assembler.accept(&partial), Assembled::Duplicate);
    assert_eq!(
        assembler.accept(&report("ups", "ups", 101, &[])),
        Assembled::NoReadings
    );
}

#[test]
fn a_metric_that_joins_late_warms_up_on_its_own() {
    let mut assembler = Assembler::new();
    for seq in 0..50 {
        assembler.accept(&report("d", "c", seq, &[("x", seq as f64)]));
    }
    let with_new = |seq| report("d", "c", seq, &[("x", 1.0), ("new", 7.0)]);
    let Assembled::Example(first) = assembler.accept(&with_new(50)) else {
        panic!("an example")
    };
    assert_eq!(first.mask.iter().filter(|&&filled| filled).count(), 1);
    for seq in 51..51 + u64::from(WARMUP_ROWS) {
        assembler.accept(&with_new(seq));
    }
    let Assembled::Example(later) = assembler.accept(&with_new(200)) else {
        panic!("an example")
    };
    assert_eq!(later.mask.iter().filter(|&&filled| filled).count(), 2);
}

#[test]
fn classes_are_bounded_and_seen_forgets_the_oldest() {
    let mut assembler = Assembler::new();
    for class in 0..MAX_CLASSES {
        let taken = assembler.accept(&report(
            "d",
            &format!("c{class}"),
            class as u64,
            &[("x", 1.0)],
        ));
        assert_ne!(taken, Assembled::Full);
    }
    assert_eq!(
        assembler.accept(&report("e", "one-more", 0, &[("x", 1.0)])),
        Assembled::Full
    );

    let mut seen = Seen::new(2);
    let origin = |seq| Origin::Mail {
        node: "n".into(),
        seq,
        part: 0,
    };
    let kafka = Origin::Kafka {
        topic: "t".to_owned(),
        partition: 0,
        offset: 1,
        part: 0,
    };
    assert!(seen.first_time(&origin(1)));
    assert!(!seen.first_time(&origin(1)));
    assert!(seen.first_time(&kafka));
    assert!(seen.first_time(&origin(2)), "pushes origin 1 out");
    assert!(seen.first_time(&origin(1)));
    assert!(!seen.first_time(&origin(2)));
}

proptest! {
    #[test]
    fn examples_are_always_finite_and_masked(
        rows in proptest::collection::vec((0usize..60, any::<f64>().prop_filter("finite", |v| v.is_finite())), 1..200)
    ) {
        let mut assembler = Assembler::new();
        for (seq, (name, value)) in rows.into_iter().enumerate() {
            let name = format!("metric-{name}");
            if let Assembled::Example(example) =
                assembler.accept(&report("d", "c", seq as u64, &[(&name, value)]))
            {
                for (value, filled) in example.values.iter().zip(example.mask) {
                    prop_assert!(value.is_finite() && value.abs() <= CLIP);
                    prop_assert!(filled || *value == 0.0);
                }
            }
        }
    }
}
