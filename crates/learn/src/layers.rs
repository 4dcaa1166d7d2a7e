//! Tensors: the layers and what goes in and out of them.
//!
//! `tch` panics where libtorch reports an error. The shapes here are right by construction and
//! inputs were checked before, so what can remain is a lack of memory or a defect; the
//! [`Learner`](crate::Learner) turns such a panic into an error of the job.

use crate::{Activation, CLIP, Row, SLOTS, Series, Shape};
use std::cell::Cell;
use tch::{Kind, Tensor};

/// One layer, y = x·Wᵀ + b.
pub(crate) struct Dense {
    pub(crate) weight: Tensor, // [outputs, inputs]
    pub(crate) bias: Tensor,   // [outputs]
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

/// The layers as views of a flat vector that is a tensor.
pub(crate) fn views(shape: &Shape, flat: &Tensor) -> Vec<Dense> {
    let sizes = shape
        .layers()
        .into_iter()
        .map(|(i, o)| (i as i64, o as i64));
    let lengths: Vec<i64> = sizes.clone().flat_map(|(i, o)| [i * o, o]).collect();
    let mut parts = flat.split_with_sizes(lengths, 0).into_iter();
    let mut layers = Vec::new();
    for (inputs, outputs) in sizes {
        if let (Some(weight), Some(bias)) = (parts.next(), parts.next()) {
            let weight = weight.view([outputs, inputs]);
            layers.push(Dense { weight, bias });
        }
    }
    layers
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

/// Rows as one tensor, and where those that are asked for stand in it.
pub(crate) struct Data {
    input: Tensor,       // [rows, 2·SLOTS]: clipped values, 0 where absent; then the mask
    positions: Vec<i64>, // of the rows asked for
    reach: i64,
}

/// Rows to rebuild, each with those before it.
pub(crate) struct Batch {
    input: Tensor,  // [rows · reach, 2·SLOTS], the oldest of each first
    values: Tensor, // [rows, SLOTS]
    mask: Tensor,   // [rows, SLOTS], 0 or 1
}

impl Data {
    /// In front of each series stand as many empty rows as a model looks back: what came before is not known.
    pub(crate) fn new(series: &[Series], shape: &Shape) -> Self {
        use_one_thread();
        let before = shape.reach() - 1;
        let mut flat: Vec<f32> = Vec::new();
        let mut positions = Vec::new();
        for series in series {
            flat.resize(flat.len() + before * Shape::INPUT, 0.0);
            for (row, asked) in series.iter() {
                if *asked {
                    positions.push((flat.len() / Shape::INPUT) as i64);
                } else if before == 0 {
                    continue;
                }
                write(row, &mut flat);
            }
        }
        let rows = (flat.len() / Shape::INPUT) as i64;
        Self {
            input: Tensor::from_slice(&flat).reshape([rows, Shape::INPUT as i64]),
            positions,
            reach: shape.reach() as i64,
        }
    }

    /// How many rows are asked for.
    pub(crate) fn len(&self) -> usize {
        self.positions.len()
    }

    /// The rows asked for at `indices` of all that are.
    pub(crate) fn select(&self, indices: impl Iterator<Item = usize>) -> Batch {
        let newest: Vec<i64> = indices.map(|index| self.positions[index]).collect();
        let all: Vec<i64> = newest
            .iter()
            .flat_map(|newest| newest - self.reach + 1..=*newest)
            .collect();
        let input = self.input.index_select(0, &Tensor::from_slice(&all));
        let slots = SLOTS as i64;
        let last = input
            .view([newest.len() as i64, self.reach, Shape::INPUT as i64])
            .select(1, self.reach - 1);
        Batch {
            values: last.narrow(1, 0, slots),
            mask: last.narrow(1, slots, slots),
            input,
        }
    }
}

impl Batch {
    /// Hides metrics from the network, as if their device did not report them; what they are is still to be
    /// rebuilt. `kept` has a number for each slot of each row, 0 for hidden and 1 else.
    pub(crate) fn hide(&mut self, kept: &[f32]) {
        let rows = self.values.size()[0];
        let kept = Tensor::from_slice(kept).view([rows, 1, SLOTS as i64]);
        let both = kept.repeat([1, 1, 2]); // the value and its place in the mask
        let input = self.input.view([rows, -1, Shape::INPUT as i64]) * both;
        self.input = input.view([-1, Shape::INPUT as i64]);
    }

    #[cfg(test)]
    pub(crate) fn input(&self) -> &Tensor {
        &self.input
    }

    #[cfg(test)]
    pub(crate) fn values(&self) -> &Tensor {
        &self.values
    }

    /// How many rows are to be rebuilt.
    pub(crate) fn rows(&self) -> usize {
        self.values.size()[0] as usize
    }
}

fn write(row: &Row, flat: &mut Vec<f32>) {
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

/// The network's reconstruction, [rows, SLOTS]. A unit's inputs lie side by side, so that a convolution whose
/// steps are as long as its kernel is a matrix product.
pub(crate) fn forward(layers: &[Dense], shape: &Shape, batch: &Batch) -> Tensor {
    let mut x = batch.input.shallow_clone();
    for (index, (layer, (inputs, _))) in layers.iter().zip(shape.layers()).enumerate() {
        x = x
            .view([-1, inputs as i64])
            .linear(&layer.weight, Some(&layer.bias));
        if index + 1 < layers.len() {
            x = match shape.activation {
                Activation::Elu => x.elu(),
                Activation::Relu => x.relu(),
            };
        }
    }
    x
}

/// Sum of squared errors over present slots, and their number. Sums in f64: a mean over
/// millions of slots in f32 loses digits.
pub(crate) fn squared_error(layers: &[Dense], shape: &Shape, batch: &Batch) -> (Tensor, Tensor) {
    let error = (forward(layers, shape, batch) - &batch.values) * &batch.mask;
    (
        error.square().sum(Kind::Double),
        batch.mask.sum(Kind::Double),
    )
}
