//! The autoencoder as a value: parameters in, residuals out.

use crate::layers::{self, Dense};
use crate::random::SplitMix;
use crate::{Error, Row, SLOTS, Shape, row};

/// Most rows in one job: as tensors they take 64 MB.
pub const MAX_ROWS: usize = 200_000;

/// Rows that go through the network at once when no gradient is needed: bounds the memory of
/// the hidden layers without costing speed.
const CHUNK: usize = 4096;

/// A dense autoencoder of a [`Shape`].
pub struct Model {
    pub(crate) shape: Shape,
    pub(crate) layers: Vec<Dense>,
}

impl Model {
    /// The initial model: weights uniform in ±√(6 / (inputs + outputs)) (Glorot and Bengio
    /// 2010), biases zero; a function of shape and seed only.
    pub fn initial(shape: Shape, seed: u64) -> Result<Self, Error> {
        shape.check()?;
        let mut random = SplitMix::new(seed);
        let mut flat = Vec::with_capacity(shape.parameter_count());
        for (inputs, outputs) in shape.layers() {
            let bound = (6.0 / (inputs + outputs) as f32).sqrt();
            flat.extend((0..inputs * outputs).map(|_| random.symmetric(bound)));
            flat.extend(std::iter::repeat_n(0.0, outputs));
        }
        Ok(Self {
            layers: layers::from_flat(&shape, &flat),
            shape,
        })
    }

    /// A model with the given parameters; see [`parameters`](Self::parameters) for their order.
    pub fn with_parameters(shape: Shape, parameters: &[f32]) -> Result<Self, Error> {
        shape.check()?;
        check_parameters(&shape, parameters)?;
        Ok(Self {
            layers: layers::from_flat(&shape, parameters),
            shape,
        })
    }

    /// The shape.
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// All parameters as one vector: for each layer, input side first, the weight row by row
    /// (one row of `inputs` numbers per output), then the bias. Bit for bit what
    /// [`set_parameters`](Self::set_parameters) was given.
    pub fn parameters(&self) -> Vec<f32> {
        layers::to_flat(&self.layers)
    }

    /// Replaces all parameters; on an error the model stays as it was.
    pub fn set_parameters(&mut self, parameters: &[f32]) -> Result<(), Error> {
        check_parameters(&self.shape, parameters)?;
        self.layers = layers::from_flat(&self.shape, parameters);
        Ok(())
    }

    /// Mean squared error over the present slots of all rows, values clipped at
    /// [`CLIP`](crate::CLIP); 0 when no slot is present.
    pub fn loss(&self, rows: &[Row]) -> Result<f64, Error> {
        check_rows(rows)?;
        Ok(self.mean_squared_error(rows))
    }

    /// Value minus reconstruction, per row and slot; 0 where the slot is absent.
    pub fn residuals(&self, rows: &[Row]) -> Result<Vec<[f32; SLOTS]>, Error> {
        check_rows(rows)?;
        let mut all = Vec::with_capacity(rows.len());
        let mut flat = Vec::new();
        for chunk in rows.chunks(CHUNK) {
            flat.resize(chunk.len() * SLOTS, 0.0);
            let batch = layers::batch(chunk);
            tch::no_grad(|| {
                layers::forward(&self.layers, self.shape.activation, &batch)
                    .copy_data(&mut flat, chunk.len() * SLOTS);
            });
            all.extend(
                chunk
                    .iter()
                    .zip(flat.chunks(SLOTS))
                    .map(|(row, reconstruction)| {
                        std::array::from_fn(|slot| {
                            if row.mask[slot] {
                                row.values[slot] - reconstruction[slot]
                            } else {
                                0.0
                            }
                        })
                    }),
            );
        }
        Ok(all)
    }

    pub(crate) fn mean_squared_error(&self, rows: &[Row]) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for chunk in rows.chunks(CHUNK) {
            let batch = layers::batch(chunk);
            let (error, present) =
                tch::no_grad(|| layers::squared_error(&self.layers, self.shape.activation, &batch));
            sum += error.double_value(&[]);
            count += present.double_value(&[]);
        }
        if count == 0.0 { 0.0 } else { sum / count }
    }
}

pub(crate) fn check_rows(rows: &[Row]) -> Result<(), Error> {
    if rows.len() > MAX_ROWS {
        return Err(Error::TooManyRows {
            rows: rows.len(),
            limit: MAX_ROWS,
        });
    }
    row::check(rows)
}

fn check_parameters(shape: &Shape, parameters: &[f32]) -> Result<(), Error> {
    let expected = shape.parameter_count();
    if parameters.len() != expected {
        return Err(Error::ParameterCount {
            expected,
            found: parameters.len(),
        });
    }
    match parameters
        .iter()
        .enumerate()
        .find(|(_, value)| !value.is_finite())
    {
        Some((index, &value)) => Err(Error::NonFiniteParameter { index, value }),
        None => Ok(()),
    }
}
