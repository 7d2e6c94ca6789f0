//! A tensor as it lies in a file.

use std::ops::Range;

use half::{bf16, f16};

/// The numbers of a tensor, little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    F16,
    Bf16,
    F32,
    F64,
    /// Integers or booleans of this many bytes. No weight has them, only counters.
    Integers(usize),
}

impl Numbers {
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
            Self::Integers(bytes) => bytes,
        }
    }

    /// The number at the beginning of `bytes`, which has enough of them; NaN for integers.
    fn read(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::F16, &[a, b, ..]) => f16::from_le_bytes([a, b]).to_f32(),
            (Self::Bf16, &[a, b, ..]) => bf16::from_le_bytes([a, b]).to_f32(),
            (Self::F32, &[a, b, c, d, ..]) => f32::from_le_bytes([a, b, c, d]),
            (Self::F64, &[a, b, c, d, e, f, g, h, ..]) => {
                f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32
            }
            _ => f32::NAN,
        }
    }
}

/// Where the values of a tensor lie in a file. Several tensors may share bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StoredTensor {
    pub name: String,
    pub shape: Vec<usize>,
    /// Elements from one index to the next, for each dimension.
    pub strides: Vec<usize>,
    pub numbers: Numbers,
    /// The bytes that the tensor may use.
    pub storage: Range<usize>,
    /// The first element, counted from the beginning of the storage.
    pub offset: usize,
}

impl StoredTensor {
    /// The strides of a tensor in row-major order; `None` if its number of elements is not a `usize`.
    pub(super) fn row_major(shape: &[usize]) -> Option<Vec<usize>> {
        let mut strides = vec![1; shape.len()];
        let mut step = 1_usize;
        for (stride, &side) in strides.iter_mut().zip(shape).rev() {
            *stride = step;
            step = step.checked_mul(side)?;
        }
        Some(strides)
    }

    /// Number of elements; `None` if it is not a `usize`.
    fn elements(&self) -> Option<usize> {
        (self.shape.iter()).try_fold(1_usize, |product, &side| product.checked_mul(side))
    }

    /// Checks that every element lies in the storage, and that no two share their bytes by more than the storage has:
    /// a small file cannot describe a large tensor.
    pub(super) fn check(&self) -> Result<(), String> {
        let wrong = |reason: &str| {
            Err(format!(
                "tensor `{}` of shape {:?} {reason}",
                self.name, self.shape
            ))
        };
        if self.strides.len() != self.shape.len() {
            return wrong("has not one stride for each dimension");
        }
        let room = self.storage.len() / self.numbers.bytes().max(1);
        let Some(elements) = self.elements().filter(|&elements| elements <= room) else {
            return wrong(&format!("has more elements than its {room} stored numbers"));
        };
        if elements == 0 {
            return Ok(());
        }
        let last = (self.shape.iter().zip(&self.strides))
            .try_fold(self.offset, |at, (side, stride)| {
                at.checked_add((side - 1).checked_mul(*stride)?)
            });
        match last.is_some_and(|last| last < room) {
            true => Ok(()),
            false => wrong(&format!("reaches beyond its {room} stored numbers")),
        }
    }

    /// The values in row-major order, from the content of the file; the tensor must have passed [`Self::check`].
    pub(super) fn values(&self, file: &[u8]) -> Vec<f32> {
        let bytes = file.get(self.storage.clone()).unwrap_or_default();
        let step = self.numbers.bytes();
        let read = |element: usize| {
            let begin = element * step;
            self.numbers.read(bytes.get(begin..).unwrap_or_default())
        };
        let elements = self.elements().unwrap_or_default();
        if Self::row_major(&self.shape).as_ref() == Some(&self.strides) {
            return (self.offset..self.offset + elements).map(read).collect();
        }
        let at = |mut index: usize| {
            let mut element = self.offset;
            for (side, stride) in self.shape.iter().zip(&self.strides).rev() {
                element += index % side * stride;
                index /= side;
            }
            element
        };
        (0..elements).map(|index| read(at(index))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize], strides: &[usize], offset: usize) -> StoredTensor {
        StoredTensor {
            name: "a".into(),
            shape: shape.to_vec(),
            strides: strides.to_vec(),
            numbers: Numbers::F32,
            storage: 4..28,
            offset,
        }
    }

    fn bytes() -> Vec<u8> {
        (-1..7)
            .flat_map(|value| (value as f32).to_le_bytes())
            .collect()
    }

    #[test]
    fn strides_order_the_values() {
        let read = |shape: &[usize], strides: &[usize], offset| {
            let tensor = tensor(shape, strides, offset);
            tensor.check().unwrap();
            tensor.values(&bytes())
        };
        assert_eq!(read(&[2, 3], &[3, 1], 0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        // The transposed one.
        assert_eq!(read(&[3, 2], &[1, 3], 0), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(read(&[2], &[2], 1), [1.0, 3.0]);
        assert_eq!(read(&[], &[], 5), [5.0]);
        assert_eq!(read(&[0, 9], &[9, 1], 0), [0.0; 0]);
    }

    #[test]
    fn elements_outside_the_storage_are_refused() {
        let refused = |shape: &[usize], strides: &[usize], offset| {
            tensor(shape, strides, offset).check().unwrap_err()
        };
        assert!(refused(&[7], &[1], 0).contains("more elements than its 6"));
        assert!(refused(&[3], &[1], 4).contains("beyond its 6"));
        assert!(refused(&[2], &[usize::MAX], 1).contains("beyond"));
        assert!(refused(&[2], &[1, 1], 0).contains("one stride"));
        assert!(refused(&[usize::MAX, 2], &[0, 0], 0).contains("more elements"));
        // A broadcast of one number to many.
        assert!(refused(&[1000], &[0], 0).contains("more elements"));
    }

    #[test]
    fn numbers_of_each_kind_are_read() {
        let read = |numbers: Numbers, bytes: &[u8]| {
            let tensor = StoredTensor {
                numbers,
                storage: 0..bytes.len(),
                ..tensor(&[1], &[1], 0)
            };
            tensor.check().unwrap();
            tensor.values(bytes)
        };
        assert_eq!(read(Numbers::F16, &f16::from_f32(1.5).to_le_bytes()), [1.5]);
        assert_eq!(
            read(Numbers::Bf16, &bf16::from_f32(-2.5).to_le_bytes()),
            [-2.5]
        );
        assert_eq!(read(Numbers::F64, &0.25_f64.to_le_bytes()), [0.25]);
        assert!(read(Numbers::Integers(8), &[0; 8])[0].is_nan());
    }
}
