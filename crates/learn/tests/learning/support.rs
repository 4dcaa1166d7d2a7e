//! Data and measures that the learning tests share.

use learn::{Row, SLOTS, Series};

/// A tiny generator (xorshift64*), so that the data are the same on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn uniform(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1u32 << 24) as f32
    }

    /// About standard normal: the sum of twelve uniforms (Irwin–Hall).
    pub(crate) fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }
}

/// Slots that the synthetic device has.
pub(crate) const PRESENT: usize = 24;

/// Rows of a device whose 24 metrics follow three hidden causes (load, temperature, time of
/// day) with a little noise.
pub(crate) fn synthetic(count: usize, seed: u64) -> Vec<Row> {
    let mut random = Random(seed.wrapping_mul(2).wrapping_add(1));
    let rows = (0..count).map(|_| {
        let causes: [f32; 3] = std::array::from_fn(|_| random.normal());
        let values: Vec<f32> = (0..PRESENT)
            .map(|slot| {
                let weight = |cause: usize| ((slot * 3 + cause) as f32 * 1.7).sin();
                let mix: f32 = (0..3).map(|cause| weight(cause) * causes[cause]).sum();
                mix.tanh() * 1.4 + 0.1 * random.normal()
            })
            .collect();
        Row::dense(&values)
    });
    rows.collect()
}

/// All of them asked for.
pub(crate) fn series(rows: &[Row]) -> [Series; 1] {
    [rows.to_vec().into()]
}

/// Sum of squared residuals: the plainest score.
pub(crate) fn score(residuals: &[f32; SLOTS]) -> f64 {
    residuals.iter().map(|&r| f64::from(r) * f64::from(r)).sum()
}

/// Area under the ROC curve: the chance that a faulty row scores above a normal one (ties count
/// half).
pub(crate) fn auc(normal: &[f64], faulty: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = normal.iter().map(|&s| (s, false)).collect();
    all.extend(faulty.iter().map(|&s| (s, true)));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut start, mut rank_sum) = (0, 0.0);
    while start < all.len() {
        let end = start
            + all[start..]
                .iter()
                .take_while(|(s, _)| *s == all[start].0)
                .count();
        let mean_rank = (start + 1 + end) as f64 / 2.0;
        rank_sum += mean_rank * all[start..end].iter().filter(|(_, faulty)| *faulty).count() as f64;
        start = end;
    }
    let (n, p) = (normal.len() as f64, faulty.len() as f64);
    (rank_sum - p * (p + 1.0) / 2.0) / (n * p)
}

/// One federated round: every shard trains from `base`, the deltas' mean weighted by examples
/// is added. Returns the new parameters.
pub(crate) fn round(
    model: &learn::Model,
    shards: &[&[Row]],
    config: learn::TrainConfig,
) -> Vec<f32> {
    let mut parameters = model.parameters();
    let trained: Vec<_> = shards
        .iter()
        .map(|rows| model.train(&series(rows), config).unwrap())
        .collect();
    let total: u64 = trained.iter().map(|t| t.examples).sum();
    for update in &trained {
        let weight = update.examples as f32 / total as f32;
        parameters
            .iter_mut()
            .zip(&update.delta)
            .for_each(|(p, d)| *p += weight * d);
    }
    parameters
}
