//! The layers of the autoencoder and the order of its parameters.

use crate::{Error, SLOTS};

/// Widest hidden layer accepted: 1,024 wide layers make about two million parameters, 8 MB a
/// round and node, beyond which one CPU thread is the wrong tool.
pub const MAX_WIDTH: usize = 1024;

/// Most hidden layers accepted: deeper dense autoencoders need normalisation to train at all.
pub const MAX_HIDDEN_LAYERS: usize = 8;

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
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Widths, input side first.
    pub hidden: Vec<usize>,
    /// Between the layers.
    pub activation: Activation,
}

impl Default for Shape {
    /// 80 → 64 → 16 → 64 → 40: 9,912 parameters, 40 kB a round and node.
    fn default() -> Self {
        Self {
            hidden: vec![64, 16, 64],
            activation: Activation::Elu,
        }
    }
}

impl Shape {
    /// Width of the input.
    pub const INPUT: usize = 2 * SLOTS;

    /// (inputs, outputs) of every dense layer, input side first.
    pub fn layers(&self) -> Vec<(usize, usize)> {
        let inputs = std::iter::once(Self::INPUT).chain(self.hidden.iter().copied());
        let outputs = self.hidden.iter().copied().chain(std::iter::once(SLOTS));
        inputs.zip(outputs).collect()
    }

    /// Length of the flat parameter vector.
    pub fn parameter_count(&self) -> usize {
        self.layers()
            .iter()
            .map(|(inputs, outputs)| inputs * outputs + outputs)
            .sum()
    }

    /// Refuses shapes out of bounds.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |rule| {
            Err(Error::Shape {
                hidden: self.hidden.clone(),
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
        Ok(())
    }
}
