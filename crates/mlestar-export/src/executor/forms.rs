//! The form of each buffer between the layers, and memory for it.

use mlestar_kernels::{ByteScale, Values, ValuesMut};

use super::Numbers;
use crate::frozen::FrozenModel;
use crate::graph::{Layer, Operation};

/// How a buffer stores its values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Form {
    F32,
    Bfloat16,
    Bytes(ByteScale),
}

/// Memory of one form.
#[derive(Debug)]
pub(super) enum Slot {
    F32(Vec<f32>),
    Bfloat16(Vec<u16>),
    Bytes(Vec<u8>),
}

impl Form {
    /// Whether buffers of both forms can use the same memory.
    pub(super) fn shares_memory_with(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }

    /// Bytes of a value.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bfloat16 => 2,
            Self::Bytes(_) => 1,
        }
    }

    pub(super) fn slot(self) -> Slot {
        match self {
            Self::F32 => Slot::F32(Vec::new()),
            Self::Bfloat16 => Slot::Bfloat16(Vec::new()),
            Self::Bytes(_) => Slot::Bytes(Vec::new()),
        }
    }
}

impl Default for Slot {
    fn default() -> Self {
        Self::F32(Vec::new())
    }
}

impl Slot {
    /// Makes room for `len` values. Memory only grows: filling it again would be a waste.
    pub(super) fn grow(&mut self, len: usize) {
        match self {
            Self::F32(values) => values.resize(values.len().max(len), 0.0),
            Self::Bfloat16(values) => values.resize(values.len().max(len), 0),
            Self::Bytes(values) => values.resize(values.len().max(len), 0),
        }
    }

    /// The first `len` values of a buffer of this form.
    pub(super) fn values(&self, len: usize, form: Form) -> Values<'_> {
        match (self, form) {
            (Self::F32(values), _) => Values::F32(&values[..len]),
            (Self::Bfloat16(values), _) => Values::Bfloat16(&values[..len]),
            (Self::Bytes(values), form) => Values::Bytes(&values[..len], scale(form)),
        }
    }

    /// The same for writing them.
    pub(super) fn values_mut(&mut self, len: usize, form: Form) -> ValuesMut<'_> {
        match (self, form) {
            (Self::F32(values), _) => ValuesMut::F32(&mut values[..len]),
            (Self::Bfloat16(values), _) => ValuesMut::Bfloat16(&mut values[..len]),
            (Self::Bytes(values), form) => ValuesMut::Bytes(&mut values[..len], scale(form)),
        }
    }
}

/// The scale of bytes. Slots hold buffers of their own form only, so others do not ask.
fn scale(form: Form) -> ByteScale {
    match form {
        Form::Bytes(scale) => scale,
        Form::F32 | Form::Bfloat16 => ByteScale {
            scale: 1.0,
            zero_point: 0,
        },
    }
}

/// The form of every buffer of a model.
pub(super) fn forms(model: &FrozenModel, numbers: Numbers) -> Vec<Form> {
    let buffers = 0..=model.operations().len();
    match numbers {
        Numbers::F32 => buffers.map(|_| Form::F32).collect(),
        Numbers::Bf16 => buffers
            .map(|buffer| match is_between_convolutions(model, buffer) {
                true => Form::Bfloat16,
                false => Form::F32,
            })
            .collect(),
        Numbers::Int8(quantized) => quantized
            .buffers()
            .iter()
            .map(|scale| match scale {
                Some(scale) => Form::Bytes(ByteScale {
                    scale: scale.scale,
                    zero_point: scale.zero_point,
                }),
                None => Form::F32,
            })
            .collect(),
    }
}

/// Whether a convolution that knows all forms writes a buffer (or it is the image) and nothing reads it that knows
/// `f32` only.
fn is_between_convolutions(model: &FrozenModel, buffer: usize) -> bool {
    let operations = model.operations();
    let writer = buffer.checked_sub(1).map(|index| &operations[index]);
    let mut readers = operations
        .iter()
        .filter(|operation| operation.input == buffer);
    writer.is_none_or(knows_all_forms)
        && readers.all(|operation| {
            knows_all_forms(operation) || matches!(operation.layer, Layer::GlobalAveragePool)
        })
        && !operations.iter().any(|operation| {
            !knows_all_forms(operation) && operation.layer.added_buffer() == Some(buffer)
        })
}

fn knows_all_forms(operation: &Operation) -> bool {
    matches!(&operation.layer, Layer::Convolution(convolution)
        if convolution.groups == 1 || convolution.is_depthwise())
}
