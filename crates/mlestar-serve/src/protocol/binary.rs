//! Tensors as bytes behind the JSON.

use crate::refusal::Refusal;
use axum::body::Bytes;

/// Hands out the bytes behind the JSON, tensor by tensor.
pub struct Section {
    rest: Bytes,
}

impl Section {
    pub fn new(rest: Bytes) -> Self {
        Self { rest }
    }

    /// The next `n` bytes, those of the tensor `name`.
    pub fn take(&mut self, name: &str, n: usize) -> Result<Bytes, Refusal> {
        let left = self.rest.len();
        if n > left {
            return Err(Refusal::invalid(format!(
                "input {name:?}: binary_data_size is {n}, but only {left} bytes are left in the body"
            )));
        }
        Ok(self.rest.split_to(n))
    }

    /// Refuses bytes that belong to no tensor.
    pub fn finish(self) -> Result<(), Refusal> {
        match self.rest.len() {
            0 => Ok(()),
            n => Err(Refusal::invalid(format!(
                "{n} bytes at the end of the body belong to no input"
            ))),
        }
    }
}

/// The elements of a BYTES tensor: each is its length (4 bytes, little-endian) and as many bytes.
pub fn elements(name: &str, mut bytes: Bytes) -> Result<Vec<Bytes>, Refusal> {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let index = elements.len();
        let Some(&length) = bytes.first_chunk::<4>() else {
            return Err(Refusal::invalid(format!(
                "input {name:?}: the length of element {index} is cut off"
            )));
        };
        let length = u32::from_le_bytes(length) as usize;
        let _ = bytes.split_to(4);
        if length > bytes.len() {
            return Err(Refusal::invalid(format!(
                "input {name:?}: element {index} has {length} bytes by its length, but only {} are left",
                bytes.len()
            )));
        }
        elements.push(bytes.split_to(length));
    }
    Ok(elements)
}

/// The bytes of a BYTES tensor.
pub fn from_elements(elements: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for element in elements {
        // Texts of a response: class names with numbers.
        let length = u32::try_from(element.len()).unwrap_or(u32::MAX);
        bytes.extend(length.to_le_bytes());
        bytes.extend(element.as_bytes().iter().take(length as usize));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn elements_come_back(texts in prop::collection::vec(".{0,9}", 0..9)) {
            let found = elements("raw", from_elements(&texts).into()).unwrap();
            let found: Vec<&[u8]> = found.iter().map(|element| &element[..]).collect();
            let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
            prop_assert_eq!(found, texts);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            let _ = elements("raw", bytes.into());
        }
    }
}
