//! Stochastic gradient descent with momentum, as in PyTorch's `SGD`.

use burn::tensor::Tensor;
use mlestar_kernels::{SgdStep, backend as kernels};

use super::{Change, Moments};

pub(super) fn by_kernel(
    step: &SgdStep,
    scale: f32,
    change: Change,
    known: Option<Moments>,
) -> (Tensor<1>, Option<Moments>) {
    let step = SgdStep {
        first: known.is_none(),
        ..*step
    };
    let buffer = known.map_or_else(|| change.zeros(), |moments| moments.first);
    let Change {
        parameter,
        gradient,
    } = change;
    let [parameter, buffer] = kernels::sgd_step(&step, scale, gradient, parameter, buffer);
    // Gradient descent without momentum has no state.
    let moments = (step.momentum != 0.0).then(|| Moments::first(buffer));
    (parameter, moments)
}

pub(super) fn by_burn(
    step: &SgdStep,
    change: Change,
    known: Option<Moments>,
) -> (Tensor<1>, Option<Moments>) {
    let Change {
        parameter,
        mut gradient,
    } = change;
    if step.weight_decay != 0.0 {
        gradient = gradient + parameter.clone().mul_scalar(step.weight_decay);
    }
    let (direction, moments) = match step.momentum {
        0.0 => (gradient, None),
        momentum => {
            let buffer = match known {
                Some(moments) => moments.first.mul_scalar(momentum) + gradient.clone(),
                None => gradient.clone(),
            };
            let direction = match step.nesterov {
                true => gradient + buffer.clone().mul_scalar(momentum),
                false => buffer.clone(),
            };
            (direction, Some(Moments::first(buffer)))
        }
    };
    (parameter - direction.mul_scalar(step.rate), moments)
}
