//! The step of Lion in one pass over parameter, gradient and momentum, in place.

use rayon::prelude::*;

use crate::{
    KernelError, Level,
    error::check_length,
    memory::Shared,
    optimizer::PIECE_VALUES,
    simd::{Operation, Portable, Simd},
};

/// Coefficients of one step of Lion (Chen et al. 2023, <https://arxiv.org/abs/2302.06675>).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LionStep {
    /// Learning rate: how far every value moves.
    pub rate: f64,
    /// Weight of the momentum in the direction of the step, 0-1.
    pub beta1: f64,
    /// Decay of the momentum, 0-1.
    pub beta2: f64,
    /// Weight decay, which shrinks the parameter directly.
    pub weight_decay: f64,
}

/// Updates `parameter` and `momentum`. Gradients are first multiplied by `gradient_scale`.
///
/// A value moves by the sign of `beta1 * momentum + (1 - beta1) * gradient`; if that is 0 or NaN, it only
/// decays.
///
/// # Errors
///
/// [`KernelError::Length`] if the slices differ in length.
///
/// ```
/// use mlestar_kernels::{LionStep, lion_step};
///
/// let step = LionStep { rate: 0.5, beta1: 0.9, beta2: 0.99, weight_decay: 0.0 };
/// let (mut parameter, mut momentum) = ([1.0, 1.0, 1.0], [0.0; 3]);
/// lion_step(&step, 1.0, &[7.0, -0.001, 0.0], &mut parameter, &mut momentum)?;
/// assert_eq!(parameter, [0.5, 1.5, 1.0]);
/// # Ok::<(), mlestar_kernels::KernelError>(())
/// ```
pub fn lion_step(
    step: &LionStep,
    gradient_scale: f32,
    gradient: &[f32],
    parameter: &mut [f32],
    momentum: &mut [f32],
) -> Result<(), KernelError> {
    let len = parameter.len();
    check_length("gradient", gradient, len)?;
    check_length("momentum", momentum, len)?;
    let level = Level::current();
    let coefficients = Coefficients {
        scale: gradient_scale,
        shrink: (1.0 - step.rate * step.weight_decay) as f32,
        rate: step.rate as f32,
        beta1: step.beta1 as f32,
        fresh1: (1.0 - step.beta1) as f32,
        beta2: step.beta2 as f32,
        fresh2: (1.0 - step.beta2) as f32,
    };
    gradient
        .par_chunks(PIECE_VALUES)
        .zip(parameter.par_chunks_mut(PIECE_VALUES))
        .zip(momentum.par_chunks_mut(PIECE_VALUES))
        .for_each(|((gradient, parameter), momentum)| {
            level.run(Lion {
                coefficients,
                gradient,
                parameter,
                momentum,
            });
        });
    Ok(())
}

#[derive(Clone, Copy)]
struct Coefficients {
    scale: f32,
    /// The parameter's factor.
    shrink: f32,
    rate: f32,
    beta1: f32,
    fresh1: f32,
    beta2: f32,
    fresh2: f32,
}

struct Lion<'a> {
    coefficients: Coefficients,
    gradient: &'a [f32],
    parameter: &'a mut [f32],
    momentum: &'a mut [f32],
}

impl Operation for Lion<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let len = self.parameter.len();
        let whole = len / S::LANES * S::LANES;
        let places = [self.parameter, self.momentum].map(Shared::new);
        for at in (0..whole).step_by(S::LANES) {
            // SAFETY: all three slices have the same length, and the vector ends within them.
            unsafe { lanes(simd, &self.coefficients, self.gradient, places, at) };
        }
        for at in whole..len {
            // SAFETY: as above, for a vector of one value.
            unsafe { lanes(Portable::<1>, &self.coefficients, self.gradient, places, at) };
        }
    }
}

/// # Safety
///
/// There must be `LANES` values at `at` of the gradient and at each place.
#[inline(always)]
unsafe fn lanes<S: Simd>(
    simd: S,
    c: &Coefficients,
    gradient: &[f32],
    [parameter, momentum]: [Shared; 2],
    at: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let value = simd.load(parameter.at(at));
        let moved = simd.load(momentum.at(at));
        let gradient = simd.mul(simd.load(gradient.as_ptr().add(at)), simd.splat(c.scale));
        let direction = simd.mul(moved, simd.splat(c.beta1));
        let direction = simd.mul_add(gradient, simd.splat(c.fresh1), direction);
        let opposite = simd.sub(simd.splat(0.0), direction);
        // NaN passes both gates, and the two rates cancel.
        let up = simd.gate(opposite, simd.splat(c.rate));
        let down = simd.gate(direction, simd.splat(c.rate));
        let step = simd.sub(up, down);
        simd.store(
            parameter.at(at),
            simd.mul_add(value, simd.splat(c.shrink), step),
        );
        let kept = simd.mul(moved, simd.splat(c.beta2));
        simd.store(
            momentum.at(at),
            simd.mul_add(gradient, simd.splat(c.fresh2), kept),
        );
    }
}
