//! Safetensors files.

use std::ops::Range;

use safetensors::{Dtype, SafeTensors};

use super::stored::{Numbers, StoredTensor};

/// The tensors of a file, by their names.
pub(super) fn tensors(file: &[u8]) -> Result<Vec<StoredTensor>, String> {
    let read = SafeTensors::deserialize(file).map_err(|error| error.to_string())?;
    let mut tensors = Vec::new();
    for (name, view) in read.iter() {
        let numbers = match view.dtype() {
            Dtype::F16 => Numbers::F16,
            Dtype::BF16 => Numbers::Bf16,
            Dtype::F32 => Numbers::F32,
            Dtype::F64 => Numbers::F64,
            Dtype::I64 | Dtype::U64 => Numbers::Integers(8),
            Dtype::I32 | Dtype::U32 => Numbers::Integers(4),
            Dtype::I16 | Dtype::U16 => Numbers::Integers(2),
            Dtype::I8 | Dtype::U8 | Dtype::BOOL => Numbers::Integers(1),
            other => return Err(format!("tensor `{name}` has numbers of the kind {other:?}")),
        };
        let strides = StoredTensor::row_major(view.shape());
        let tensor = StoredTensor {
            name: name.to_owned(),
            shape: view.shape().to_vec(),
            strides: strides.ok_or_else(|| format!("tensor `{name}` is too large"))?,
            numbers,
            storage: place(file, view.data()),
            offset: 0,
        };
        tensor.check()?;
        tensors.push(tensor);
    }
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tensors)
}

/// Where `part`, a part of `file`, begins and ends.
fn place(file: &[u8], part: &[u8]) -> Range<usize> {
    let begin = part.as_ptr().addr().saturating_sub(file.as_ptr().addr());
    begin..begin + part.len()
}
