//! The autoencoder as a value: parameters in, residuals out.

use crate::layers::{self, Data, Dense};
use crate::random::SplitMix;
use crate::{Error, SLOTS, Series, Shape, row};
use std::ops::Range;

/// Rows that go through the network at once when no gradient is needed, those looked back at included: bounds
/// the memory of the hidden layers without costing speed.
const CHUNK: usize = 4096;

/// An autoencoder of a [`Shape`].
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

    /// Mean squared error over the present slots of all rows asked for, values clipped at
    /// [`CLIP`](crate::CLIP); 0 when no slot is present.
    pub fn loss(&self, series: &[Series]) -> Result<f64, Error> {
        row::check(series)?;
        Ok(self.mean_squared_error(&Data::new(series, &self.shape)))
    }

    /// Value minus reconstruction, per row asked for and slot; 0 where the slot is absent.
    pub fn residuals(&self, series: &[Series]) -> Result<Vec<[f32; SLOTS]>, Error> {
        row::check(series)?;
        let data = Data::new(series, &self.shape);
        let mut rebuilt = vec![0.0; data.len() * SLOTS];
        for (chunk, place) in self
            .chunks(&data)
            .zip(rebuilt.chunks_mut(self.chunk() * SLOTS))
        {
            let batch = data.select(chunk);
            let count = place.len();
            tch::no_grad(|| {
                layers::forward(&self.layers, &self.shape, &batch).copy_data(place, count);
            });
        }
        let asked = series
            .iter()
            .flat_map(Series::iter)
            .filter(|(_, asked)| *asked);
        let residuals = asked.zip(rebuilt.chunks(SLOTS)).map(|((row, _), rebuilt)| {
            std::array::from_fn(|slot| {
                if row.mask[slot] {
                    row.values[slot] - rebuilt[slot]
                } else {
                    0.0
                }
            })
        });
        Ok(residuals.collect())
    }

    pub(crate) fn mean_squared_error(&self, data: &Data) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for chunk in self.chunks(data) {
            let batch = data.select(chunk);
            let (error, present) =
                tch::no_grad(|| layers::squared_error(&self.layers, &self.shape, &batch));
            sum += error.double_value(&[]);
            count += present.double_value(&[]);
        }
        if count == 0.0 { 0.0 } else { sum / count }
    }

    fn chunk(&self) -> usize {
        (CHUNK / self.shape.reach()).max(1)
    }

    fn chunks(&self, data: &Data) -> impl Iterator<Item = Range<usize>> + use<> {
        let (len, chunk) = (data.len(), self.chunk());
        (0..len)
            .step_by(chunk)
            .map(move |start| start..(start + chunk).min(len))
    }
}

pub(crate) fn check_parameters(shape: &Shape, parameters: &[f32]) -> Result<(), Error> {
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
