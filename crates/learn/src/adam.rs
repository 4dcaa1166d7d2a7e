//! Adam (Kingma and Ba, *Adam: A Method for Stochastic Optimization*, ICLR 2015, algorithm 1) on all parameters of a
//! network as one vector.
//!
//! libtorch's own walks through memory some seven times for each of the network's tensors. Here the vector is cut into
//! blocks that stay in the cache while all of a step is done to them; and a small network is one block, however many
//! tensors it has.

use tch::Tensor;

/// Parameters of a block: they, both moments, the gradient and what lies between take 768 KiB, which fits the second
/// cache of today's processors, and are many enough that a call's cost does not count.
const BLOCK: usize = 32 * 1024;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
/// Keeps the division from zero.
const EPSILON: f64 = 1e-8;

/// What Adam remembers, and the parameters that it changes.
pub(crate) struct Adam {
    learning_rate: f64,
    steps: i32,
    blocks: Vec<Block>,
    /// Between the operations of a block.
    between: Tensor,
}

struct Block {
    /// A view of the vector.
    parameters: Tensor,
    first: Tensor,
    second: Tensor,
}

impl Adam {
    /// Changes `parameters`, a vector, in place.
    pub(crate) fn new(parameters: &Tensor, learning_rate: f64) -> Self {
        let parameters = parameters.detach();
        let blocks = blocks(&parameters).map(|parameters| Block {
            first: parameters.zeros_like(),
            second: parameters.zeros_like(),
            parameters,
        });
        let blocks: Vec<_> = blocks.collect();
        let between = blocks.first().map(|block| block.first.zeros_like());
        Self {
            learning_rate,
            steps: 0,
            between: between.unwrap_or_default(),
            blocks,
        }
    }

    /// One step down `gradient`, a vector as long as that of the parameters.
    pub(crate) fn step(&mut self, gradient: &Tensor) {
        self.steps = self.steps.saturating_add(1);
        let unbiased = |beta: f64| 1.0 - beta.powi(self.steps);
        let rate = self.learning_rate / unbiased(BETA1);
        // w − rate · m / (√v / √(1 − β₂ᵗ) + ε), with −rate in what m is divided by: tch knows no factor there.
        let scale = -1.0 / (rate * unbiased(BETA2).sqrt());
        let shift = -EPSILON / rate;
        for (block, gradient) in self.blocks.iter_mut().zip(blocks(gradient)) {
            let mut between = self.between.narrow(0, 0, gradient.size()[0]);
            let _ = block.first.lerp_(&gradient, 1.0 - BETA1);
            let _ = gradient.square_out(&between);
            let _ = block.second.lerp_(&between, 1.0 - BETA2);
            let _ = block.second.sqrt_out(&between);
            let _ = between.g_mul_scalar_(scale);
            let _ = between.g_add_scalar_(shift);
            let _ = block.parameters.addcdiv_(&block.first, &between);
        }
    }
}

fn blocks(vector: &Tensor) -> impl Iterator<Item = Tensor> {
    let length = vector.numel();
    let cuts = (0..length).step_by(BLOCK);
    cuts.map(move |start| {
        let block = BLOCK.min(length - start);
        vector.narrow(0, start as i64, block as i64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Algorithm 1 number by number, over some steps and more than one block.
    #[test]
    fn steps_are_those_of_the_paper() {
        const RATE: f64 = 0.01;
        crate::layers::use_one_thread();
        let start = |at: usize| (at % 13) as f64 / 4.0 - 1.5;
        // Of all sizes, of both signs, and none at all.
        let gradient = |at: usize, step: i32| match at % 5 {
            0 => 0.0,
            left => (f64::from(step) - 2.5) * 10_f64.powi(left as i32 - 4) * (at % 7) as f64,
        };
        for length in [1, BLOCK, BLOCK + 3] {
            let vector = |number: &dyn Fn(usize) -> f64| {
                let numbers: Vec<f32> = (0..length).map(|at| number(at) as f32).collect();
                Tensor::from_slice(&numbers)
            };
            let parameters = vector(&start);
            let mut adam = Adam::new(&parameters, RATE);
            for step in 1..=4 {
                adam.step(&vector(&|at| gradient(at, step)));
            }
            let mut found = vec![0.0_f32; length];
            parameters.copy_data(&mut found, length);
            for at in (0..length).step_by(31).chain([length - 1]) {
                let (mut w, mut m, mut v) = (start(at), 0.0, 0.0);
                for step in 1..=4 {
                    let g = gradient(at, step);
                    m = BETA1 * m + (1.0 - BETA1) * g;
                    v = BETA2 * v + (1.0 - BETA2) * g * g;
                    let (first, second) = (1.0 - BETA1.powi(step), 1.0 - BETA2.powi(step));
                    w -= RATE * (m / first) / ((v / second).sqrt() + EPSILON);
                }
                let difference = (w - f64::from(found[at])).abs();
                assert!(difference < 1e-6, "{at} of {length}: {w} and {}", found[at]);
            }
        }
    }
}
