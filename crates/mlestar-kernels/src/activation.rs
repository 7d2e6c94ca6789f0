//! Activations: functions at the end of a layer.

use rayon::prelude::*;

use crate::{
    Level,
    memory::Shared,
    simd::{Operation, Simd},
};

/// The function applied to each value of a layer's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `max(0, x)`; NaN stays.
    Relu,
    /// `min(max(0, x), 6)`; NaN stays. It bounds the range that 8 bits must cover (Howard et al. 2017,
    /// <https://arxiv.org/abs/1704.04861>).
    Relu6,
    /// `x / (1 + exp(-x))`, also called swish (Ramachandran et al. 2017, <https://arxiv.org/abs/1710.05941>):
    /// smooth, and slightly negative for negative x.
    Silu,
}

impl Activation {
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(self, simd: S, x: S::Vector) -> S::Vector {
        match self {
            Self::Relu => simd.relu(x),
            Self::Relu6 => simd.at_most(simd.relu(x), simd.splat(MOST_OF_RELU6)),
            Self::Silu => {
                let SigmoidParts {
                    positive,
                    denominator,
                    ..
                } = SigmoidParts::of(simd, x);
                simd.div(simd.gate(positive, x), denominator)
            }
        }
    }

    /// The gradient of the input, given the input `x` and the gradient of the output.
    #[inline(always)]
    pub(crate) fn pull_back<S: Simd>(
        self,
        simd: S,
        x: S::Vector,
        gradient: S::Vector,
    ) -> S::Vector {
        match self {
            Self::Relu => simd.gate(x, gradient),
            Self::Relu6 => {
                let below = simd.sub(simd.splat(MOST_OF_RELU6), x);
                simd.gate(x, simd.gate(below, gradient))
            }
            Self::Silu => {
                // s + x s (1 - s) = s (1 + x e s), with s = 1 / (1 + e)
                let parts = SigmoidParts::of(simd, x);
                let one = simd.splat(1.0);
                let s = simd.div(simd.gate(parts.positive, one), parts.denominator);
                let slope = simd.mul(s, simd.mul_add(parts.within, simd.mul(parts.e, s), one));
                simd.mul(gradient, slope)
            }
        }
    }
}

/// The largest result of [`Activation::Relu6`].
const MOST_OF_RELU6: f32 = 6.0;

/// Beyond this, in either direction, a sigmoid counts as 0 or 1: `exp(LARGEST)` and its inverse are normal
/// numbers.
const LARGEST: f32 = 87.0;

/// The parts of `1 / (1 + exp(-x))` and its slope.
struct SigmoidParts<V> {
    /// Above 0 if the sigmoid is above 0.
    positive: V,
    /// `x`, or 0 if the sigmoid counts as 0 or 1.
    within: V,
    /// `exp(-x)`; 1 if the sigmoid counts as 0, 0 if it counts as 1.
    e: V,
    /// `1 + e`.
    denominator: V,
}

impl<V: Copy> SigmoidParts<V> {
    #[inline(always)]
    fn of<S: Simd<Vector = V>>(simd: S, x: V) -> Self {
        let largest = simd.splat(LARGEST);
        let positive = simd.add(x, largest);
        let below_one = simd.sub(largest, x);
        let within = simd.gate(below_one, simd.gate(positive, x));
        let e = simd.gate(below_one, exp_of_negated(simd, within));
        Self {
            positive,
            within,
            e,
            denominator: simd.add(e, simd.splat(1.0)),
        }
    }
}

/// `exp(-x)` of values between -[`LARGEST`] and [`LARGEST`]: the nearest power of two, times a polynomial for
/// the rest (Cephes, `expf`, <https://www.netlib.org/cephes/>).
#[inline(always)]
fn exp_of_negated<S: Simd>(simd: S, x: S::Vector) -> S::Vector {
    // Adding and subtracting this number rounds to an integer.
    let round = simd.splat(12_582_912.0);
    let scaled = simd.mul_add(x, simd.splat(-std::f32::consts::LOG2_E), round);
    let power = simd.sub(scaled, round);
    // ln 2 in two parts; the product of the first part and the power is exact.
    let rest = simd.mul_add(power, simd.splat(0.693_359_4), x);
    let rest = simd.mul_add(power, simd.splat(-2.121_944_4e-4), rest);
    // For -rest: the signs of Cephes' coefficients alternate.
    let mut sum = simd.splat(-1.987_569_1e-4);
    for coefficient in [
        1.398_2e-3,
        -8.333_452e-3,
        4.166_579_6e-2,
        -1.666_666_5e-1,
        0.5,
        -1.0,
        1.0,
    ] {
        sum = simd.mul_add(sum, rest, simd.splat(coefficient));
    }
    simd.scale_by_power_of_two(sum, power)
}

/// Values in the widest vector.
const WIDEST: usize = 16;

/// Values per task.
const PIECE_VALUES: usize = 16 << 10;

/// Replaces each of `values` by its activation.
///
/// ```
/// use mlestar_kernels::{Activation, activate};
///
/// let mut values = [-1.0, 0.0, 2.0];
/// activate(Activation::Silu, &mut values);
/// assert!((values[0] + 0.268_941).abs() < 1e-6 && values[1] == 0.0);
/// assert!((values[2] - 1.761_594).abs() < 1e-6);
/// ```
pub fn activate(activation: Activation, values: &mut [f32]) {
    let level = Level::current();
    values
        .par_chunks_mut(PIECE_VALUES)
        .for_each(|values| level.run(Activate { activation, values }));
}

struct Activate<'a> {
    activation: Activation,
    values: &'a mut [f32],
}

impl Operation for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let whole = self.values.len() / S::LANES * S::LANES;
        let values = Shared::new(self.values);
        // SAFETY: every vector lies within the values.
        unsafe {
            for at in (0..whole).step_by(S::LANES) {
                let value = self.activation.apply(simd, simd.load(values.at(at)));
                simd.store(values.at(at), value);
            }
        }
        // The rest uses the same instructions, so that a value's bits do not depend on its position.
        let rest = &mut self.values[whole..];
        let mut lanes = [0.0; WIDEST];
        lanes[..rest.len()].copy_from_slice(rest);
        // SAFETY: no vector is wider than `lanes`.
        unsafe {
            let value = self.activation.apply(simd, simd.load(lanes.as_ptr()));
            simd.store(lanes.as_mut_ptr(), value);
        }
        rest.copy_from_slice(&lanes[..rest.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The derivative at each value, computed by the function of the backward pass.
    struct Slopes<'a> {
        activation: Activation,
        values: &'a [f32],
    }

    impl Operation for Slopes<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Vec<f32> {
            let mut slopes = vec![0.0; self.values.len()];
            let chunks = self.values.chunks_exact(S::LANES);
            for (values, slopes) in chunks.zip(slopes.chunks_exact_mut(S::LANES)) {
                // SAFETY: both hold as many values as a vector has.
                unsafe {
                    let x = simd.load(values.as_ptr());
                    let slope = self.activation.pull_back(simd, x, simd.splat(1.0));
                    simd.store(slopes.as_mut_ptr(), slope);
                }
            }
            slopes
        }
    }

    fn values() -> Vec<f32> {
        // Many values near 0 and some at the limits, on both sides; a multiple of the widest vector.
        let near = (-2000..2000).map(|index| index as f32 * 0.005);
        let far = (-2200..2200).map(|index| index as f32 * 0.05 + 0.013);
        near.chain(far).collect()
    }

    #[test]
    fn silu_and_its_slope_agree_with_the_definition_at_every_level() {
        let values = values();
        for level in Level::available() {
            let mut outputs = values.clone();
            level.run(Activate {
                activation: Activation::Silu,
                values: &mut outputs,
            });
            let slopes = level.run(Slopes {
                activation: Activation::Silu,
                values: &values,
            });
            for ((&x, &output), &slope) in values.iter().zip(&outputs).zip(&slopes) {
                let x = f64::from(x);
                let s = 1.0 / (1.0 + (-x).exp());
                let limit = |expected: f64| 4e-7 * expected.abs() + 1e-35;
                assert!(
                    (f64::from(output) - x * s).abs() <= limit(x * s),
                    "{level:?}: silu({x}) = {output}, not {}",
                    x * s
                );
                // Two terms of opposite sign for negative x.
                let expected = s + x * s * (1.0 - s);
                let limit = 4e-7 * (s + (x * s * (1.0 - s)).abs()) + 1e-35;
                assert!(
                    (f64::from(slope) - expected).abs() <= limit,
                    "{level:?}: slope at {x} = {slope}, not {expected}"
                );
            }
        }
    }

    /// Its slope is 0 at both limits, as in PyTorch.
    #[test]
    fn relu6_and_its_slope_are_exact_at_every_level() {
        let mut all = values();
        all.truncate(all.len() - 16);
        let limits = [0.0, -0.0, 6.0, -6.0, f32::MAX, f32::MIN, f32::INFINITY];
        all.extend(limits);
        all.extend([f32::NEG_INFINITY, f32::NAN, 1e-30, -1e-30, 1e30]);
        all.extend([5.999_999_5, 6.000_000_5, 3.0, 1.0]);
        for level in Level::available() {
            let mut outputs = all.clone();
            level.run(Activate {
                activation: Activation::Relu6,
                values: &mut outputs,
            });
            let slopes = level.run(Slopes {
                activation: Activation::Relu6,
                values: &all,
            });
            for ((&x, &output), &slope) in all.iter().zip(&outputs).zip(&slopes) {
                if x.is_nan() {
                    assert!(output.is_nan() && slope == 1.0, "{level:?}");
                    continue;
                }
                assert_eq!(output, x.clamp(0.0, 6.0), "{level:?} {x}");
                let is_between = x > 0.0 && x < 6.0;
                assert_eq!(slope, f32::from(is_between), "{level:?} {x}");
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_where_a_value_stands() {
        for level in Level::available() {
            let activate = |values: &[f32]| {
                let mut values = values.to_vec();
                level.run(Activate {
                    activation: Activation::Silu,
                    values: &mut values,
                });
                values
            };
            let all = values();
            let expected = activate(&all);
            for start in 1..WIDEST {
                assert_eq!(activate(&all[start..]), expected[start..], "{level:?}");
                assert_eq!(activate(&all[..start]), expected[..start], "{level:?}");
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_as_by_the_definition() {
        for level in Level::available() {
            // As many as the widest vector, and one more for the rest.
            let mut values = [f32::NAN; 17];
            values[1] = f32::INFINITY;
            values[2] = -0.0;
            values[3] = -1e30;
            values[16] = 1e30;
            level.run(Activate {
                activation: Activation::Silu,
                values: &mut values,
            });
            assert!(values[0].is_nan() && values[4..16].iter().all(|value| value.is_nan()));
            assert_eq!(values[1..4], [f32::INFINITY, 0.0, 0.0]);
            assert_eq!(values[16], 1e30);

            let mut values = [0.0; WIDEST];
            values[..5].copy_from_slice(&[f32::INFINITY, 1e30, -1e30, f32::NEG_INFINITY, f32::NAN]);
            let slopes = level.run(Slopes {
                activation: Activation::Silu,
                values: &values,
            });
            assert_eq!(slopes[..4], [1.0, 1.0, 0.0, 0.0], "{level:?}");
            assert!(slopes[4].is_nan() && slopes[5] == 0.5);
        }
    }
}
