//! Optimizer steps in one pass over parameter, gradient and moments, in place.
//!
//! The formulas and their order are PyTorch's. Coefficients are computed in f64, by the caller or here, and
//! rounded once.

use rayon::prelude::*;

use crate::{
    KernelError, Level,
    error::check_length,
    memory::Shared,
    simd::{Operation, Portable, Simd},
};

/// Values per task of a thread.
pub(crate) const PIECE_VALUES: usize = 32 << 10;

/// Coefficients of one step of Adam (Kingma and Ba 2015, <https://arxiv.org/abs/1412.6980>) or AdamW
/// (Loshchilov and Hutter 2019, <https://arxiv.org/abs/1711.05101>).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// Learning rate.
    pub rate: f64,
    /// Decay of the first moment, 0-1.
    pub beta1: f64,
    /// Decay of the second moment, 0-1.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Whether the decay shrinks the parameter directly (AdamW) or is added to its gradient (Adam).
    pub decoupled: bool,
    /// Number of this step, from 1.
    pub step: u64,
}

/// Coefficients of one step of stochastic gradient descent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    /// Learning rate.
    pub rate: f64,
    /// Decay of the momentum buffer, 0-1; with 0 there is none.
    pub momentum: f64,
    /// Whether to use Nesterov momentum.
    pub nesterov: bool,
    /// Weight decay, added to the gradient.
    pub weight_decay: f64,
    /// Whether this is the first step, which sets the momentum buffer to the gradient.
    pub first: bool,
}

/// Updates `parameter` and its moments. Gradients are first multiplied by `gradient_scale`.
///
/// # Errors
///
/// [`KernelError::Length`] if the slices differ in length.
///
/// ```
/// use mlestar_kernels::{AdamStep, adam_step};
///
/// let step = AdamStep {
///     rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0, decoupled: false,
///     step: 1,
/// };
/// let (mut parameter, mut first, mut second) = ([1.0], [0.0], [0.0]);
/// adam_step(&step, 1.0, &[3.0], &mut parameter, &mut first, &mut second)?;
/// // The first step is the learning rate, whatever the gradient.
/// assert!((parameter[0] - 0.9).abs() < 1e-6);
/// # Ok::<(), mlestar_kernels::KernelError>(())
/// ```
pub fn adam_step(
    step: &AdamStep,
    gradient_scale: f32,
    gradient: &[f32],
    parameter: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
) -> Result<(), KernelError> {
    let len = parameter.len();
    check_length("gradient", gradient, len)?;
    check_length("first moment", first, len)?;
    check_length("second moment", second, len)?;
    let level = Level::current();
    let coefficients = AdamCoefficients::new(step, gradient_scale);
    gradient
        .par_chunks(PIECE_VALUES)
        .zip(parameter.par_chunks_mut(PIECE_VALUES))
        .zip(first.par_chunks_mut(PIECE_VALUES))
        .zip(second.par_chunks_mut(PIECE_VALUES))
        .for_each(|(((gradient, parameter), first), second)| {
            level.run(Adam {
                coefficients,
                gradient,
                parameter,
                first,
                second,
            });
        });
    Ok(())
}

#[derive(Clone, Copy)]
struct AdamCoefficients {
    scale: f32,
    /// Of the parameter, added to the gradient.
    coupled: f32,
    /// The parameter's factor.
    shrink: f32,
    beta1: f32,
    fresh1: f32,
    beta2: f32,
    fresh2: f32,
    /// Of the first moment.
    rate: f32,
    /// Divides the root of the second moment.
    correction: f32,
    epsilon: f32,
}

impl AdamCoefficients {
    fn new(step: &AdamStep, gradient_scale: f32) -> Self {
        let decay = |applies: bool| if applies { step.weight_decay } else { 0.0 };
        let exponent = step.step as f64;
        Self {
            scale: gradient_scale,
            coupled: decay(!step.decoupled) as f32,
            shrink: (1.0 - step.rate * decay(step.decoupled)) as f32,
            beta1: step.beta1 as f32,
            fresh1: (1.0 - step.beta1) as f32,
            beta2: step.beta2 as f32,
            fresh2: (1.0 - step.beta2) as f32,
            rate: (step.rate / (1.0 - step.beta1.powf(exponent))) as f32,
            correction: (1.0 - step.beta2.powf(exponent)).sqrt() as f32,
            epsilon: step.epsilon as f32,
        }
    }
}

struct Adam<'a> {
    coefficients: AdamCoefficients,
    gradient: &'a [f32],
    parameter: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
}

impl Operation for Adam<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let len = self.parameter.len();
        let whole = len / S::LANES * S::LANES;
        let places = [self.parameter, self.first, self.second].map(Shared::new);
        for at in (0..whole).step_by(S::LANES) {
            // SAFETY: all four slices have the same length, and the vector ends within them.
            unsafe { adam_lanes(simd, &self.coefficients, self.gradient, places, at) };
        }
        for at in whole..len {
            // SAFETY: as above, for a vector of one value.
            unsafe { adam_lanes(Portable::<1>, &self.coefficients, self.gradient, places, at) };
        }
    }
}

/// # Safety
///
/// There must be `LANES` values at `at` of the gradient and at each place.
#[inline(always)]
unsafe fn adam_lanes<S: Simd>(
    simd: S,
    c: &AdamCoefficients,
    gradient: &[f32],
    [parameter, first, second]: [Shared; 3],
    at: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let value = simd.load(parameter.at(at));
        let gradient = simd.mul(simd.load(gradient.as_ptr().add(at)), simd.splat(c.scale));
        let gradient = simd.mul_add(simd.splat(c.coupled), value, gradient);
        let m = simd.mul(simd.load(first.at(at)), simd.splat(c.beta1));
        let m = simd.mul_add(gradient, simd.splat(c.fresh1), m);
        let v = simd.mul(simd.load(second.at(at)), simd.splat(c.beta2));
        let v = simd.mul_add(simd.mul(gradient, gradient), simd.splat(c.fresh2), v);
        let root = simd.div(simd.sqrt(v), simd.splat(c.correction));
        let step = simd.div(
            simd.mul(m, simd.splat(c.rate)),
            simd.add(root, simd.splat(c.epsilon)),
        );
        let value = simd.sub(simd.mul(value, simd.splat(c.shrink)), step);
        simd.store(parameter.at(at), value);
        simd.store(first.at(at), m);
        simd.store(second.at(at), v);
    }
}

/// Updates `parameter` and, with momentum, `buffer` (which may otherwise be empty). Gradients are first
/// multiplied by `gradient_scale`.
///
/// # Errors
///
/// [`KernelError::Length`] if the slices differ in length.
///
/// ```
/// use mlestar_kernels::{SgdStep, sgd_step};
///
/// let step = SgdStep { rate: 0.5, momentum: 0.0, nesterov: false, weight_decay: 0.0, first: true };
/// let mut parameter = [1.0];
/// sgd_step(&step, 1.0, &[3.0], &mut parameter, &mut [])?;
/// assert_eq!(parameter, [-0.5]);
/// # Ok::<(), mlestar_kernels::KernelError>(())
/// ```
pub fn sgd_step(
    step: &SgdStep,
    gradient_scale: f32,
    gradient: &[f32],
    parameter: &mut [f32],
    buffer: &mut [f32],
) -> Result<(), KernelError> {
    let len = parameter.len();
    check_length("gradient", gradient, len)?;
    let with_momentum = step.momentum != 0.0;
    if with_momentum {
        check_length("momentum buffer", buffer, len)?;
    }
    let level = Level::current();
    let pieces = gradient
        .par_chunks(PIECE_VALUES)
        .zip(parameter.par_chunks_mut(PIECE_VALUES));
    let run = |gradient: &[f32], parameter: &mut [f32], buffer: Option<&mut [f32]>| {
        level.run(Sgd {
            step: *step,
            scale: gradient_scale,
            gradient,
            parameter,
            buffer,
        });
    };
    match with_momentum {
        true => pieces
            .zip(buffer.par_chunks_mut(PIECE_VALUES))
            .for_each(|((gradient, parameter), buffer)| run(gradient, parameter, Some(buffer))),
        false => pieces.for_each(|(gradient, parameter)| run(gradient, parameter, None)),
    }
    Ok(())
}

struct Sgd<'a> {
    step: SgdStep,
    scale: f32,
    gradient: &'a [f32],
    parameter: &'a mut [f32],
    buffer: Option<&'a mut [f32]>,
}

impl Operation for Sgd<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let len = self.parameter.len();
        let whole = len / S::LANES * S::LANES;
        let parameter = Shared::new(self.parameter);
        let buffer = self.buffer.map(Shared::new);
        let (step, scale, gradient) = (self.step, self.scale, self.gradient);
        for at in (0..whole).step_by(S::LANES) {
            // SAFETY: all slices have the same length, and the vector ends within them.
            unsafe { sgd_lanes(simd, step, scale, gradient, parameter, buffer, at) };
        }
        for at in whole..len {
            // SAFETY: as above, for a vector of one value.
            unsafe { sgd_lanes(Portable::<1>, step, scale, gradient, parameter, buffer, at) };
        }
    }
}

/// # Safety
///
/// There must be `LANES` values at `at` of the gradient, the parameter and the buffer.
#[inline(always)]
unsafe fn sgd_lanes<S: Simd>(
    simd: S,
    step: SgdStep,
    scale: f32,
    gradient: &[f32],
    parameter: Shared,
    buffer: Option<Shared>,
    at: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let value = simd.load(parameter.at(at));
        let gradient = simd.mul(simd.load(gradient.as_ptr().add(at)), simd.splat(scale));
        let gradient = simd.mul_add(simd.splat(step.weight_decay as f32), value, gradient);
        let direction = match buffer {
            None => gradient,
            Some(buffer) => {
                let moved = match step.first {
                    true => gradient,
                    false => simd.mul_add(
                        simd.load(buffer.at(at)),
                        simd.splat(step.momentum as f32),
                        gradient,
                    ),
                };
                simd.store(buffer.at(at), moved);
                match step.nesterov {
                    true => simd.mul_add(moved, simd.splat(step.momentum as f32), gradient),
                    false => moved,
                }
            }
        };
        simd.store(
            parameter.at(at),
            simd.neg_mul_add(simd.splat(step.rate as f32), direction, value),
        );
    }
}
