//! Optimizer steps and the norm of gradients on tensors of the plain `flex` device.

use burn::{
    backend::{Flex, TensorMetadata},
    tensor::Tensor,
};
use burn_flex::FlexTensor;

use super::flex::{contiguous, done, primitive, values};
use crate::{AdamStep, LionStep, MuonStep, SgdStep};

/// Mutable values of a tensor: its own memory if it is not shared, otherwise a copy.
fn values_mut(tensor: &mut FlexTensor) -> &mut [f32] {
    let whole = |tensor: &FlexTensor| {
        let len = tensor.shape().num_elements();
        tensor.is_contiguous() && tensor.storage::<f32>().len() == len
    };
    if !whole(tensor) {
        *tensor = tensor.to_contiguous();
    }
    if !whole(tensor) {
        // A contiguous part of a larger tensor.
        *tensor = FlexTensor::from_data(tensor.clone().into_data());
    }
    tensor.storage_mut()
}

/// One step of Adam or AdamW: parameter, first moment and second moment after it.
///
/// # Panics
///
/// If the tensors are not on the plain `flex` device or differ in length.
#[must_use]
pub fn adam_step(
    step: &AdamStep,
    gradient_scale: f32,
    gradient: Tensor<1>,
    parameter: Tensor<1>,
    moments: [Tensor<1>; 2],
) -> [Tensor<1>; 3] {
    let gradient = contiguous(primitive(gradient));
    let mut parameter = primitive(parameter);
    let [mut first, mut second] = moments.map(primitive);
    done(crate::adam_step(
        step,
        gradient_scale,
        values(&gradient),
        values_mut(&mut parameter),
        values_mut(&mut first),
        values_mut(&mut second),
    ));
    [parameter, first, second].map(Tensor::from_primitive::<Flex>)
}

/// One step of stochastic gradient descent with momentum: parameter and momentum buffer after it.
///
/// # Panics
///
/// If the tensors are not on the plain `flex` device or differ in length.
#[must_use]
pub fn sgd_step(
    step: &SgdStep,
    gradient_scale: f32,
    gradient: Tensor<1>,
    parameter: Tensor<1>,
    buffer: Tensor<1>,
) -> [Tensor<1>; 2] {
    let gradient = contiguous(primitive(gradient));
    let [mut parameter, mut buffer] = [parameter, buffer].map(primitive);
    done(crate::sgd_step(
        step,
        gradient_scale,
        values(&gradient),
        values_mut(&mut parameter),
        values_mut(&mut buffer),
    ));
    [parameter, buffer].map(Tensor::from_primitive::<Flex>)
}

/// One step of Lion: parameter and momentum after it.
///
/// # Panics
///
/// If the tensors are not on the plain `flex` device or differ in length.
#[must_use]
pub fn lion_step(
    step: &LionStep,
    gradient_scale: f32,
    gradient: Tensor<1>,
    parameter: Tensor<1>,
    momentum: Tensor<1>,
) -> [Tensor<1>; 2] {
    let gradient = contiguous(primitive(gradient));
    let [mut parameter, mut momentum] = [parameter, momentum].map(primitive);
    done(crate::lion_step(
        step,
        gradient_scale,
        values(&gradient),
        values_mut(&mut parameter),
        values_mut(&mut momentum),
    ));
    [parameter, momentum].map(Tensor::from_primitive::<Flex>)
}

/// One step of Muon on matrices of `rows` rows, flat: parameter and momentum buffer after it.
///
/// # Panics
///
/// If the tensors are not on the plain `flex` device, differ in length, or do not hold whole rows.
#[must_use]
pub fn muon_step(
    step: &MuonStep,
    gradient_scale: f32,
    gradient: Tensor<1>,
    rows: usize,
    parameter: Tensor<1>,
    buffer: Tensor<1>,
) -> [Tensor<1>; 2] {
    let gradient = contiguous(primitive(gradient));
    let [mut parameter, mut buffer] = [parameter, buffer].map(primitive);
    done(crate::muon_step(
        step,
        gradient_scale,
        values(&gradient),
        rows,
        values_mut(&mut parameter),
        values_mut(&mut buffer),
    ));
    [parameter, buffer].map(Tensor::from_primitive::<Flex>)
}

/// The sum of the squares of a tensor's values.
///
/// # Panics
///
/// If the tensor is not on the plain `flex` device.
#[must_use]
pub fn sum_of_squares<const D: usize>(tensor: Tensor<D>) -> f64 {
    let tensor = contiguous(primitive(tensor));
    crate::sum_of_squares(values(&tensor))
}
