//! Adam and AdamW, as in PyTorch.

use burn::tensor::Tensor;
use mlestar_kernels::{AdamStep, backend as kernels};

use super::{Change, Moments};

pub(super) fn by_kernel(
    step: &AdamStep,
    scale: f32,
    change: Change,
    known: Option<Moments>,
) -> (Tensor<1>, Option<Moments>) {
    let moments = match known {
        Some(Moments {
            first,
            second: Some(second),
        }) => [first, second],
        _ => [change.zeros(), change.zeros()],
    };
    let Change {
        parameter,
        gradient,
    } = change;
    let [parameter, first, second] = kernels::adam_step(step, scale, gradient, parameter, moments);
    let second = Some(second);
    (parameter, Some(Moments { first, second }))
}

pub(super) fn by_burn(
    step: &AdamStep,
    change: Change,
    known: Option<Moments>,
) -> (Tensor<1>, Option<Moments>) {
    let &AdamStep {
        rate,
        beta1,
        beta2,
        epsilon,
        weight_decay,
        ..
    } = step;
    let Change {
        mut parameter,
        mut gradient,
    } = change;
    if weight_decay != 0.0 {
        if step.decoupled {
            parameter = parameter.mul_scalar(1.0 - rate * weight_decay);
        } else {
            gradient = gradient + parameter.clone().mul_scalar(weight_decay);
        }
    }
    let square = gradient.clone().square().mul_scalar(1.0 - beta2);
    let fresh = gradient.mul_scalar(1.0 - beta1);
    let (first, second) = match known {
        Some(Moments {
            first,
            second: Some(second),
        }) => (
            first.mul_scalar(beta1) + fresh,
            second.mul_scalar(beta2) + square,
        ),
        _ => (fresh, square),
    };
    let exponent = step.step as f64;
    let correction1 = 1.0 - beta1.powf(exponent);
    let correction2 = (1.0 - beta2.powf(exponent)).sqrt();
    let denominator = second
        .clone()
        .sqrt()
        .div_scalar(correction2)
        .add_scalar(epsilon);
    let update = first.clone().mul_scalar(rate / correction1) / denominator;
    let second = Some(second);
    (parameter - update, Some(Moments { first, second }))
}
