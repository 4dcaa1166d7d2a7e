//! Tensors: the dense layers and what goes in and out of them.
//!
//! `tch` panics where libtorch reports an error. The shapes here are right by construction and
//! inputs were checked before, so what can remain is a lack of memory or a defect; the
//! [`Learner`](crate::Learner) turns such a panic into an error of the job.

use crate::{Activation, CLIP, Row, SLOTS, Shape};
use std::cell::Cell;
use tch::{Kind, Tensor};

/// One dense layer, y = x·Wᵀ + b.
pub(crate) struct Dense {
    pub(crate) weight: Tensor, // [outputs, inputs]
    pub(crate) bias: Tensor,   // [outputs]
}

/// Rows as tensors.
pub(crate) struct Batch {
    pub(crate) input: Tensor, // [rows, 2·SLOTS]: clipped values, 0 where absent; then the mask
    pub(crate) mask: Tensor,  // [rows, SLOTS], 0 or 1
}

/// One intra-op thread for libtorch, set before a thread's first operation: two of its threads
/// on two busy cores took 16–31 ms a step instead of 1.2, and one thread is what makes a
/// result bit-identical from run to run. OpenMP keeps the number per calling thread.
pub(crate) fn use_one_thread() {
    thread_local!(static DONE: Cell<bool> = const { Cell::new(false) });
    DONE.with(|done| {
        if !done.replace(true) {
            tch::set_num_threads(1);
        }
    });
}

/// Cuts a flat vector into layers: for each layer its weight row by row (one row per output),
/// then its bias. `flat` must have the shape's length.
pub(crate) fn from_flat(shape: &Shape, flat: &[f32]) -> Vec<Dense> {
    use_one_thread();
    let mut rest = flat;
    let mut take = |len: usize| {
        let (head, tail) = rest.split_at(len);
        rest = tail;
        Tensor::from_slice(head)
    };
    let layers = shape.layers().into_iter().map(|(inputs, outputs)| Dense {
        weight: take(inputs * outputs).reshape([outputs as i64, inputs as i64]),
        bias: take(outputs),
    });
    layers.collect()
}

/// The inverse of [`from_flat`].
pub(crate) fn to_flat(layers: &[Dense]) -> Vec<f32> {
    let mut flat = Vec::new();
    for tensor in tensors(layers) {
        let start = flat.len();
        let count = tensor.numel();
        flat.resize(start + count, 0.0);
        tensor
            .detach()
            .contiguous()
            .copy_data(&mut flat[start..], count);
    }
    flat
}

/// All tensors in the order of the flat vector.
pub(crate) fn tensors(layers: &[Dense]) -> impl Iterator<Item = &Tensor> {
    layers.iter().flat_map(|layer| [&layer.weight, &layer.bias])
}

pub(crate) fn batch(rows: &[Row]) -> Batch {
    use_one_thread();
    let mut flat = Vec::with_capacity(rows.len() * Shape::INPUT);
    for row in rows {
        // Selected, not multiplied: NaN · 0 would be NaN.
        let clipped = |slot: usize| {
            if row.mask[slot] {
                row.values[slot].clamp(-CLIP, CLIP)
            } else {
                0.0
            }
        };
        flat.extend((0..SLOTS).map(clipped));
        flat.extend(row.mask.iter().map(|&present| f32::from(u8::from(present))));
    }
    let input = Tensor::from_slice(&flat).reshape([rows.len() as i64, Shape::INPUT as i64]);
    let mask = input.narrow(1, SLOTS as i64, SLOTS as i64).contiguous();
    Batch { input, mask }
}

impl Batch {
    /// The rows at `indices`.
    pub(crate) fn select(&self, indices: &[i64]) -> Self {
        let indices = Tensor::from_slice(indices);
        Self {
            input: self.input.index_select(0, &indices),
            mask: self.mask.index_select(0, &indices),
        }
    }

    fn values(&self) -> Tensor {
        self.input.narrow(1, 0, SLOTS as i64)
    }
}

/// The network's reconstruction, [rows, SLOTS].
pub(crate) fn forward(layers: &[Dense], activation: Activation, batch: &Batch) -> Tensor {
    let mut x = batch.input.shallow_clone();
    for (index, layer) in layers.iter().enumerate() {
        x = x.linear(&layer.weight, Some(&layer.bias));
        if index + 1 < layers.len() {
            x = match activation {
                Activation::Elu => x.elu(),
                Activation::Relu => x.relu(),
            };
        }
    }
    x
}

/// Sum of squared errors over present slots, and their number. Sums in f64: a mean over
/// millions of slots in f32 loses digits.
pub(crate) fn squared_error(
    layers: &[Dense],
    activation: Activation,
    batch: &Batch,
) -> (Tensor, Tensor) {
    let error = (forward(layers, activation, batch) - batch.values()) * &batch.mask;
    (
        error.square().sum(Kind::Double),
        batch.mask.sum(Kind::Double),
    )
}
