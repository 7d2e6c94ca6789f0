//! Named tensors as safetensors bytes, always f32.

use mlestar_model::NamedTensor;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

pub(super) fn to_bytes(state: &[NamedTensor]) -> Result<Vec<u8>, String> {
    let raw: Vec<Vec<u8>> = state
        .iter()
        .map(|tensor| tensor.values.iter().flat_map(|v| v.to_le_bytes()).collect())
        .collect();
    let mut views = Vec::with_capacity(state.len());
    for (tensor, bytes) in state.iter().zip(&raw) {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)
            .map_err(|error| format!("`{}`: {error}", tensor.name))?;
        views.push((tensor.name.as_str(), view));
    }
    safetensors::serialize(views, None).map_err(|error| error.to_string())
}

/// The tensors, in the order of their names.
pub(super) fn from_bytes(bytes: &[u8]) -> Result<Vec<NamedTensor>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut state = Vec::new();
    for (name, view) in file.tensors() {
        if view.dtype() != Dtype::F32 {
            return Err(format!("`{name}` is {:?}, not F32", view.dtype()));
        }
        let values = view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        state.push(NamedTensor {
            name,
            shape: view.shape().to_vec(),
            values,
        });
    }
    // The order within the file is a detail of the format.
    state.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_survive(bits in proptest::collection::vec(any::<u32>(), 0..50)) {
            let state = vec![
                NamedTensor {
                    name: "a.b".to_owned(),
                    shape: vec![bits.len()],
                    values: bits.iter().map(|&b| f32::from_bits(b)).collect(),
                },
                NamedTensor { name: "scalar".to_owned(), shape: vec![], values: vec![1.5] },
            ];
            let back = from_bytes(&to_bytes(&state).unwrap()).unwrap();
            let find = |name: &str| back.iter().find(|t| t.name == name).unwrap();
            let found: Vec<u32> = find("a.b").values.iter().map(|v| v.to_bits()).collect();
            prop_assert_eq!(found, bits);
            prop_assert_eq!(&find("scalar").shape, &Vec::<usize>::new());
        }

        #[test]
        fn any_bytes_give_tensors_or_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = from_bytes(&bytes);
        }
    }
}
