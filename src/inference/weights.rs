//! A network's weights as safetensors: written from values, and checked against the architecture before anything loads
//! them (names, shapes, type, finiteness). LibTorch's own loader would broadcast a wrong shape without a word.

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::nn::ParameterSpec;

/// Why weights do not fit a network.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum WeightsError {
    /// Not safetensors.
    #[error("the weights are no safetensors: {0}")]
    Format(String),
    /// A parameter is not there.
    #[error("the weights have no {0}")]
    Missing(String),
    /// A tensor that the architecture does not have.
    #[error("the weights hold {0}, which the architecture does not have")]
    Unknown(String),
    /// Another shape or type.
    #[error("{name} has shape {found} where the architecture has {expected}")]
    Shape {
        /// Which parameter.
        name: String,
        /// Of the architecture.
        expected: String,
        /// Of the file.
        found: String,
    },
    /// NaN or an infinity.
    #[error("{0} holds a value that is not finite")]
    NotFinite(String),
}

/// Safetensors of all parameters; `values` holds them one after another.
pub fn write(parameters: &[ParameterSpec], values: &[f32]) -> Vec<u8> {
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut offset = 0;
    let views: Vec<(String, TensorView<'_>)> = parameters
        .iter()
        .map(|parameter| {
            let n = parameter.len() as usize * 4;
            let shape = parameter.shape.iter().map(|&size| size as usize).collect();
            let view = TensorView::new(Dtype::F32, shape, &bytes[offset..offset + n]);
            offset += n;
            (parameter.name.clone(), view.expect("four bytes a value"))
        })
        .collect();
    safetensors::serialize(views, None).expect("views of one dtype")
}

/// The values of all parameters, one after another.
///
/// # Errors
/// [`WeightsError`] naming the first thing that does not fit.
pub fn read(parameters: &[ParameterSpec], bytes: &[u8]) -> Result<Vec<f32>, WeightsError> {
    let tensors =
        SafeTensors::deserialize(bytes).map_err(|error| WeightsError::Format(error.to_string()))?;
    if let Some(name) =
        tensors.names().into_iter().find(|name| !parameters.iter().any(|p| p.name == **name))
    {
        return Err(WeightsError::Unknown(name.to_owned()));
    }
    let mut values = Vec::new();
    for parameter in parameters {
        let name = &parameter.name;
        let tensor = tensors.tensor(name).map_err(|_| WeightsError::Missing(name.clone()))?;
        let shape: Vec<i64> = tensor.shape().iter().map(|&size| size as i64).collect();
        if shape != parameter.shape || tensor.dtype() != Dtype::F32 {
            return Err(WeightsError::Shape {
                name: name.clone(),
                expected: format!("{:?} F32", parameter.shape),
                found: format!("{shape:?} {:?}", tensor.dtype()),
            });
        }
        let read =
            tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        let from = values.len();
        values.extend(read);
        if values[from..].iter().any(|value| !value.is_finite()) {
            return Err(WeightsError::NotFinite(name.clone()));
        }
    }
    Ok(values)
}
