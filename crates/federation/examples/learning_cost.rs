//! What the algorithms cost the leader: `cargo run --release -p federation --example learning_cost`.
//!
//! One thread, a model of a million parameters, eight updates; milliseconds, best of three.

use federation::compression::{Codec, Rounding, decode};
use federation::optimizer::{Adaptive, ServerOptimizer};
use federation::privacy::Mechanism;
use federation::privacy::noise::Noise;
use federation::robust::Rule;
use std::hint::black_box;
use std::time::Instant;

const PARAMETERS: usize = 1_000_000;
const UPDATES: u32 = 8;
const TRIES: usize = 3;

fn best(what: &str, mut work: impl FnMut()) {
    let times = (0..TRIES).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64() * 1_000.0
    });
    let best = times.fold(f64::INFINITY, f64::min);
    println!("{what:32} {best:8.1} ms");
}

/// Values that look like an update's; any would do.
fn update(seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    (0..PARAMETERS)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (f64::from(state) / f64::from(u32::MAX) - 0.5) as f32 * 0.01
        })
        .collect()
}

fn main() {
    let updates: Vec<Vec<f32>> = (1..=UPDATES).map(update).collect();
    let deltas: Vec<&[f32]> = updates.iter().map(Vec::as_slice).collect();
    for (rule, liars) in [
        (Rule::Mean, 0),
        (Rule::NormClip { bound: 1.0 }, 1),
        (Rule::Median, 1),
        (Rule::TrimmedMean, 1),
        (Rule::GeometricMedian, 1),
        (Rule::Krum, 1),
        (Rule::MultiKrum, 1),
        (Rule::Bulyan, 1),
    ] {
        best(rule.name(), || {
            black_box(
                rule.combine(liars, &deltas)
                    .expect("eight suffice for one liar"),
            );
        });
    }
    let mean = Rule::Mean.combine(0, &deltas).expect("a mean of eight");
    let adam = ServerOptimizer::FedAdam(Adaptive::default());
    let (_, moments) = adam.step(&updates[0], &mean, None);
    best("fedadam, one step", || {
        black_box(adam.step(&updates[0], &mean, Some(&moments)));
    });
    let mechanism = Mechanism::new(1.0, 1.0).expect("a mechanism");
    let mut noise = Noise::from_seed([1; 32]);
    best("private mean, z = 1", || {
        black_box(mechanism.central(&deltas, &mut noise));
    });
    for codec in [
        Codec::Quantised {
            bits: 8,
            rounding: Rounding::Stochastic,
        },
        Codec::Quantised {
            bits: 4,
            rounding: Rounding::Nearest,
        },
        Codec::TopK {
            keep: PARAMETERS / 100,
        },
    ] {
        let bytes = codec.encode(&updates[0], 1).expect("an update");
        best(&format!("encode {codec:?}"), || {
            black_box(codec.encode(&updates[0], 1).expect("an update"));
        });
        best(&format!("decode {} bytes", bytes.len()), || {
            black_box(decode(&bytes, PARAMETERS).expect("as encoded"));
        });
    }
}
