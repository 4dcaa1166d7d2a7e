//! A model as a safetensors file (<https://huggingface.co/docs/safetensors>): named tensors behind a JSON
//! header. The names are those of a `torch.nn.Sequential` of `Linear` layers with an activation between each
//! two, so that Python takes the file with `load_state_dict(safetensors.torch.load_file(path))`.
//!
//! A control variate (SCAFFOLD) stands beside the weights in tensors of the same names behind `variate.`; with it
//! Python takes the file with `strict=False`.
//!
//! The header's metadata says what else one must know: `activation`, `kernel` (1 unless it is there), and
//! whatever the writer adds.

use crate::{Activation, Error, SLOTS, Shape};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize};
use std::collections::{BTreeMap, HashMap};

/// Longest file accepted: three million parameters and a header.
pub const MAX_FILE: usize = 16 << 20;

/// A model read from a file.
#[derive(Clone, PartialEq, Debug)]
pub struct Stored {
    /// Its layers.
    pub shape: Shape,
    /// Its parameters, in the order of [`Model::parameters`](crate::Model::parameters); behind them its variate in
    /// the same order, if it has one.
    pub parameters: Vec<f32>,
    /// The header's metadata.
    pub about: BTreeMap<String, String>,
}

/// The file's bytes.
pub fn encode(
    shape: &Shape,
    parameters: &[f32],
    about: &BTreeMap<String, String>,
) -> Result<Vec<u8>, Error> {
    shape.check()?;
    let weights = shape.weights(parameters);
    if weights.len() != shape.parameter_count() {
        return Err(Error::ParameterCount {
            expected: shape.parameter_count(),
            found: parameters.len(),
        });
    }
    let bytes: Vec<u8> = parameters.iter().flat_map(|p| p.to_le_bytes()).collect();
    let mut rest = bytes.as_slice();
    let mut tensors = Vec::new();
    let variate = (weights.len() < parameters.len()).then(|| variate_of(shape));
    for (name, dimensions) in tensors_of(shape).chain(variate.into_iter().flatten()) {
        let (own, others) = rest.split_at(dimensions.iter().product::<usize>() * size_of::<f32>());
        rest = others;
        let view = TensorView::new(Dtype::F32, dimensions, own).map_err(broken)?;
        tensors.push((name, view));
    }
    let mut metadata: HashMap<String, String> = about.clone().into_iter().collect();
    metadata.insert(
        "activation".to_owned(),
        name_of(shape.activation).to_owned(),
    );
    metadata.insert("kernel".to_owned(), shape.kernel.to_string());
    serialize(tensors, &Some(metadata)).map_err(broken)
}

/// The model in a file's bytes.
pub fn decode(bytes: &[u8]) -> Result<Stored, Error> {
    if bytes.len() > MAX_FILE {
        return Err(Error::File(format!(
            "{} bytes are over the limit of {MAX_FILE}",
            bytes.len()
        )));
    }
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    let about: BTreeMap<String, String> = header
        .metadata()
        .clone()
        .unwrap_or_default()
        .into_iter()
        .collect();
    let file = SafeTensors::deserialize(bytes).map_err(broken)?;
    let activation = match about.get("activation").map(String::as_str) {
        Some("elu") => Activation::Elu,
        Some("relu") => Activation::Relu,
        other => {
            return Err(Error::File(format!(
                "its metadata has the activation {other:?}; elu and relu are known"
            )));
        }
    };
    let mut hidden = Vec::new();
    while let Ok(weight) = file.tensor(&format!("{}.weight", 2 * hidden.len())) {
        hidden.push(weight.shape().first().copied().unwrap_or(0));
        if hidden.len() > crate::MAX_HIDDEN_LAYERS + 1 {
            break;
        }
    }
    if hidden.pop() != Some(SLOTS) {
        return Err(Error::File(format!(
            "its last layer does not have {SLOTS} outputs"
        )));
    }
    let kernel = match about.get("kernel") {
        None => 1,
        Some(kernel) => kernel.parse().map_err(|_| {
            Error::File(format!(
                "its metadata has the kernel {kernel:?}; a number of rows belongs there"
            ))
        })?,
    };
    let shape = Shape {
        hidden,
        activation,
        kernel,
    };
    shape.check()?;
    let mut parameters = Vec::with_capacity(shape.parameter_count());
    let has_variate = file.tensor(&format!("{VARIATE}0.weight")).is_ok();
    let variate = has_variate.then(|| variate_of(&shape));
    for (name, dimensions) in tensors_of(&shape).chain(variate.into_iter().flatten()) {
        let tensor = file.tensor(&name).map_err(broken)?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != dimensions {
            return Err(Error::File(format!(
                "tensor {name} is {:?} of {:?} where F32 of {dimensions:?} belongs",
                tensor.dtype(),
                tensor.shape(),
            )));
        }
        let (numbers, _) = tensor.data().as_chunks::<4>();
        parameters.extend(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    }
    Ok(Stored {
        shape,
        parameters,
        about,
    })
}

/// Before the names of a variate's tensors.
const VARIATE: &str = "variate.";

/// As [`tensors_of`], for the variate behind the weights.
fn variate_of(shape: &Shape) -> impl Iterator<Item = (String, Vec<usize>)> {
    tensors_of(shape).map(|(name, dimensions)| (format!("{VARIATE}{name}"), dimensions))
}

/// Name and dimensions of each tensor, in the order of the flat vector.
fn tensors_of(shape: &Shape) -> impl Iterator<Item = (String, Vec<usize>)> {
    let layers = shape.layers().into_iter().enumerate();
    layers.flat_map(|(layer, (inputs, outputs))| {
        [
            (format!("{}.weight", 2 * layer), vec![outputs, inputs]),
            (format!("{}.bias", 2 * layer), vec![outputs]),
        ]
    })
}

const fn name_of(activation: Activation) -> &'static str {
    match activation {
        Activation::Elu => "elu",
        Activation::Relu => "relu",
    }
}

fn broken(error: safetensors::SafeTensorError) -> Error {
    Error::File(format!("{error:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;

    fn small() -> Shape {
        Shape {
            hidden: vec![3, 2],
            activation: Activation::Relu,
            kernel: 1,
        }
    }

    #[test]
    fn what_was_written_is_read() {
        for shape in [Shape::default(), small(), Shape::temporal()] {
            let parameters = Model::initial(shape.clone(), 3).unwrap().parameters();
            let about = BTreeMap::from([("round".to_owned(), "7".to_owned())]);
            let bytes = encode(&shape, &parameters, &about).unwrap();
            let stored = decode(&bytes).unwrap();
            assert_eq!(stored.shape, shape);
            assert_eq!(stored.parameters, parameters);
            assert_eq!(stored.about["round"], "7");
        }
    }

    #[test]
    fn a_variate_is_read_with_its_weights_and_python_finds_both_by_name() {
        let shape = small();
        let weights = Model::initial(shape.clone(), 3).unwrap().parameters();
        let variate: Vec<f32> = weights.iter().map(|weight| weight / 2.0).collect();
        let joined = [&weights[..], &variate[..]].concat();
        assert_eq!(shape.weights(&joined), weights);
        assert_eq!(shape.weights(&weights), weights);
        let bytes = encode(&shape, &joined, &BTreeMap::new()).unwrap();
        let stored = decode(&bytes).unwrap();
        assert_eq!((stored.shape, stored.parameters), (shape, joined.clone()));
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let last = |name| file.tensor(name).unwrap().data().to_vec();
        assert_eq!(last("variate.4.bias"), last("4.bias"), "zeros, both");
        assert_ne!(last("variate.4.weight"), last("4.weight"));
        assert!(encode(&small(), &joined[1..], &BTreeMap::new()).is_err());
    }

    #[test]
    fn what_is_no_model_is_refused_with_a_reason() {
        let parameters = Model::initial(small(), 3).unwrap().parameters();
        assert!(matches!(
            encode(&small(), &parameters[1..], &BTreeMap::new()),
            Err(Error::ParameterCount { .. })
        ));
        let good = encode(&small(), &parameters, &BTreeMap::new()).unwrap();
        let cases: [(Vec<u8>, &str); 4] = [
            (b"torn".to_vec(), "no model"),
            (good[..good.len() - 4].to_vec(), "no model"),
            (text(&good, "relu", "tanh"), "activation"),
            (text(&good, "4.weight", "6.weight"), "40 outputs"),
        ];
        for (bytes, says) in cases {
            let error = decode(&bytes).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    /// The file with a text of the header replaced by one as long.
    fn text(file: &[u8], from: &str, to: &str) -> Vec<u8> {
        assert_eq!(from.len(), to.len());
        let at = file
            .windows(from.len())
            .position(|window| window == from.as_bytes())
            .unwrap();
        let mut changed = file.to_vec();
        changed[at..at + to.len()].copy_from_slice(to.as_bytes());
        changed
    }
}
