//! The layers of the autoencoder and the order of its parameters.

use crate::{Error, SLOTS};

/// Widest hidden layer accepted: 1,024 wide layers make about two million parameters, 8 MB a
/// round and node, beyond which one CPU thread is the wrong tool.
pub const MAX_WIDTH: usize = 1024;

/// Most hidden layers accepted: deeper dense autoencoders need normalisation to train at all.
pub const MAX_HIDDEN_LAYERS: usize = 8;

/// Most rows a unit looks at: beyond it a deeper network says more with fewer parameters.
pub const MAX_KERNEL: usize = 4;

/// Most rows a model looks back to, its own included: as many minutes, and as many times the work of a
/// model of one row.
pub const MAX_REACH: usize = 64;

/// The non-linearity between layers; the last layer has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Activation {
    /// Exponential linear unit (Clevert et al. 2016): smooth, and negative inputs keep a gradient.
    #[default]
    Elu,
    /// Rectified linear unit.
    Relu,
}

/// Widths of the hidden layers. The input is 2 × [`SLOTS`] wide (values times mask, then the
/// mask itself, so that the shared model knows which slots exist), the output [`SLOTS`].
///
/// With a kernel of one, every row stands alone: a dense autoencoder. With a larger one it is a temporal
/// convolutional network (Bai et al. 2018): a unit of a layer looks at `kernel` units of the layer below, those
/// of the n-th layer kernelⁿ⁻¹ rows apart, the last one at the newest row. So the output, which rebuilds the
/// newest row, depends on the last kernel^layers rows and on none that comes after.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Widths, input side first.
    pub hidden: Vec<usize>,
    /// Between the layers.
    pub activation: Activation,
    /// Rows that a unit looks at.
    pub kernel: usize,
}

impl Default for Shape {
    /// 80 → 64 → 16 → 64 → 40: 9,912 parameters, 40 kB a round and node.
    fn default() -> Self {
        Self {
            hidden: vec![64, 16, 64],
            activation: Activation::Elu,
            kernel: 1,
        }
    }
}

impl Shape {
    /// Width of the input.
    pub const INPUT: usize = 2 * SLOTS;

    /// The default's widths over the last sixteen rows: 19,640 parameters.
    pub fn temporal() -> Self {
        Self {
            kernel: 2,
            ..Self::default()
        }
    }

    /// (inputs, outputs) of every layer, input side first. The inputs of a unit are those of its `kernel` rows,
    /// the oldest first.
    pub fn layers(&self) -> Vec<(usize, usize)> {
        let inputs = std::iter::once(Self::INPUT).chain(self.hidden.iter().copied());
        let outputs = self.hidden.iter().copied().chain(std::iter::once(SLOTS));
        inputs
            .map(|inputs| self.kernel * inputs)
            .zip(outputs)
            .collect()
    }

    /// Rows that the output depends on, the rebuilt one included.
    pub fn reach(&self) -> usize {
        // Checked shapes fit; of others any large number will do.
        self.kernel
            .saturating_pow(self.hidden.len().saturating_add(1) as u32)
    }

    /// Length of the flat parameter vector.
    pub fn parameter_count(&self) -> usize {
        self.layers()
            .iter()
            .map(|(inputs, outputs)| inputs * outputs + outputs)
            .sum()
    }

    /// The weights of a model as rounds carry it: a control variate of the same length may stand behind them
    /// (SCAFFOLD), which nothing is scored by. What is neither is left as it is, and fits no model.
    pub fn weights<'a>(&self, carried: &'a [f32]) -> &'a [f32] {
        let count = self.parameter_count();
        match carried.len() == 2 * count {
            true => &carried[..count],
            false => carried,
        }
    }

    /// Refuses shapes out of bounds.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |rule| {
            Err(Error::Shape {
                hidden: self.hidden.clone(),
                kernel: self.kernel,
                rule,
            })
        };
        if self.hidden.is_empty() || self.hidden.len() > MAX_HIDDEN_LAYERS {
            return refuse("there must be 1 to 8 hidden layers");
        }
        if self
            .hidden
            .iter()
            .any(|width| !(1..=MAX_WIDTH).contains(width))
        {
            return refuse("every hidden layer must be 1 to 1024 wide");
        }
        if !(1..=MAX_KERNEL).contains(&self.kernel) {
            return refuse("the kernel must be 1 to 4 rows");
        }
        if self.reach() > MAX_REACH {
            return refuse("kernel^(hidden layers + 1) rows must be at most 64");
        }
        Ok(())
    }
}
