//! Lion (Chen et al. 2023, <https://arxiv.org/abs/2302.06675>).

use burn::tensor::Tensor;
use mlestar_kernels::{LionStep, backend as kernels};

use super::{Change, Moments};

pub(super) fn by_kernel(
    step: &LionStep,
    scale: f32,
    change: Change,
    known: Option<Moments>,
) -> (Tensor<1>, Option<Moments>) {
    let momentum = known.map_or_else(|| change.zeros(), |moments| moments.first);
    let Change {
        parameter,
        gradient,
    } = change;
    let [parameter, momentum] = kernels::lion_step(step, scale, gradient, parameter, momentum);
    (parameter, Some(Moments::first(momentum)))
}

pub(super) fn by_burn(
    step: &LionStep,
    change: Change,
    known: Option<Moments>,
) -> (Tensor<1>, Option<Moments>) {
    let momentum = known.map_or_else(|| change.zeros(), |moments| moments.first);
    let Change {
        parameter,
        gradient,
    } = change;
    let kept = momentum.clone().mul_scalar(step.beta1);
    let direction = kept + gradient.clone().mul_scalar(1.0 - step.beta1);
    let parameter = parameter.mul_scalar(1.0 - step.rate * step.weight_decay)
        - direction.sign().mul_scalar(step.rate);
    let momentum = momentum.mul_scalar(step.beta2) + gradient.mul_scalar(1.0 - step.beta2);
    (parameter, Some(Moments::first(momentum)))
}
