//! The transforms of Winograd's F(4x4, 3x3), one axis at a time.
//!
//! A convolution of 3 taps is a product of polynomials, computed from its values at 6 points (Lavin and Gray
//! 2015, <https://arxiv.org/abs/1509.09308>). The usual points 0, 1, -1, 2, -2 and infinity give large
//! coefficients that lose precision. With 0, `±√½`, `±√2` and infinity the squares are 1/2 and 2 and their
//! product is 1: the transforms cost the same, and the errors are at most half as large (measured in
//! `docs/kernels.md`).
//!
//! With `a = √½`, `b = √2`:
//!
//! ```text
//!        | 1  0 -5/2   0   1  0 |        |   1     0     0  |
//!        | 0 -√2  -2   a   1  0 |        | -2/3 -2a/3 -1/3 |         | 1   1     1    1    1   0 |
//! Bᵀ  =  | 0  √2  -2  -a   1  0 |   G =  | -2/3  2a/3 -1/3 |    Aᵀ = | 0   a    -a    b   -b   0 |
//!        | 0  -a -1/2  b   1  0 |        |  1/6   b/6   1/3 |         | 0  1/2   1/2   2    2   0 |
//!        | 0   a -1/2 -b   1  0 |        |  1/6  -b/6   1/3 |         | 0  a/2  -a/2  2b  -2b   1 |
//!        | 0   1   0 -5/2  0  1 |        |   0     0     1  |
//! ```

use crate::simd::Simd;

/// `√½`.
const A: f32 = std::f32::consts::FRAC_1_SQRT_2;
/// `√2`.
const B: f32 = std::f32::consts::SQRT_2;

/// `Bᵀ d`: 6 input values to 6 positions.
#[inline(always)]
pub(super) fn input<S: Simd>(simd: S, d: [S::Vector; 6]) -> [S::Vector; 6] {
    let [d0, d1, d2, d3, d4, d5] = d;
    let (half, two, more) = (simd.splat(0.5), simd.splat(2.0), simd.splat(2.5));
    let even_a = simd.neg_mul_add(two, d2, d4);
    let odd_a = simd.neg_mul_add(two, d1, d3);
    let even_b = simd.neg_mul_add(half, d2, d4);
    let odd_b = simd.neg_mul_add(half, d1, d3);
    let (a, b) = (simd.splat(A), simd.splat(B));
    [
        simd.neg_mul_add(more, d2, simd.add(d0, d4)),
        simd.mul_add(a, odd_a, even_a),
        simd.neg_mul_add(a, odd_a, even_a),
        simd.mul_add(b, odd_b, even_b),
        simd.neg_mul_add(b, odd_b, even_b),
        simd.neg_mul_add(more, d3, simd.add(d1, d5)),
    ]
}

/// `Aᵀ m`: 6 positions to 4 outputs.
#[inline(always)]
pub(super) fn output<S: Simd>(simd: S, m: [S::Vector; 6]) -> [S::Vector; 4] {
    let [m0, m1, m2, m3, m4, m5] = m;
    let (sum_a, diff_a) = (simd.add(m1, m2), simd.sub(m1, m2));
    let (sum_b, diff_b) = (simd.add(m3, m4), simd.sub(m3, m4));
    let (half, two) = (simd.splat(0.5), simd.splat(2.0));
    let odd_a = simd.mul(simd.splat(A), diff_a);
    let odd_b = simd.mul(simd.splat(B), diff_b);
    [
        simd.add(simd.add(m0, sum_a), sum_b),
        simd.add(odd_a, odd_b),
        simd.mul_add(two, sum_b, simd.mul(half, sum_a)),
        simd.mul_add(two, odd_b, simd.mul_add(half, odd_a, m5)),
    ]
}

/// `A y`: 4 output gradients to 6 positions.
#[inline(always)]
pub(super) fn output_gradient<S: Simd>(simd: S, y: [S::Vector; 4]) -> [S::Vector; 6] {
    let [y0, y1, y2, y3] = y;
    let (half, two) = (simd.splat(0.5), simd.splat(2.0));
    let even_a = simd.mul_add(half, y2, y0);
    let odd_a = simd.mul_add(half, y3, y1);
    let even_b = simd.mul_add(two, y2, y0);
    let odd_b = simd.mul_add(two, y3, y1);
    let (a, b) = (simd.splat(A), simd.splat(B));
    [
        y0,
        simd.mul_add(a, odd_a, even_a),
        simd.neg_mul_add(a, odd_a, even_a),
        simd.mul_add(b, odd_b, even_b),
        simd.neg_mul_add(b, odd_b, even_b),
        y3,
    ]
}

/// `G g`: 3 taps to 6 positions.
#[inline(always)]
pub(super) fn filter<S: Simd>(simd: S, g: [S::Vector; 3]) -> [S::Vector; 6] {
    let [g0, g1, g2] = g;
    let even_a = simd.mul_add(simd.splat(0.5), g2, g0);
    let even_b = simd.mul_add(simd.splat(2.0), g2, g0);
    let even_a = simd.mul(simd.splat(-2.0 / 3.0), even_a);
    let odd_a = simd.mul(simd.splat(-2.0 / 3.0 * A), g1);
    let even_b = simd.mul(simd.splat(1.0 / 6.0), even_b);
    let odd_b = simd.mul(simd.splat(1.0 / 6.0 * B), g1);
    [
        g0,
        simd.add(even_a, odd_a),
        simd.sub(even_a, odd_a),
        simd.add(even_b, odd_b),
        simd.sub(even_b, odd_b),
        g2,
    ]
}

/// `Gᵀ u`: 6 positions to the gradients of 3 taps.
#[inline(always)]
pub(super) fn filter_gradient<S: Simd>(simd: S, u: [S::Vector; 6]) -> [S::Vector; 3] {
    let [u0, u1, u2, u3, u4, u5] = u;
    let sum_a = simd.mul(simd.splat(-2.0 / 3.0), simd.add(u1, u2));
    let sum_b = simd.mul(simd.splat(1.0 / 6.0), simd.add(u3, u4));
    let diff_a = simd.mul(simd.splat(-2.0 / 3.0 * A), simd.sub(u1, u2));
    let diff_b = simd.mul(simd.splat(1.0 / 6.0 * B), simd.sub(u3, u4));
    [
        simd.add(u0, simd.add(sum_a, sum_b)),
        simd.add(diff_a, diff_b),
        simd.mul_add(
            simd.splat(2.0),
            sum_b,
            simd.mul_add(simd.splat(0.5), sum_a, u5),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Portable;
    use mlestar_random::Stream;

    fn random<const N: usize>(stream: &mut Stream) -> [[f32; 1]; N] {
        std::array::from_fn(|_| [stream.normal() as f32])
    }

    /// y[i] = sum over taps of d[i + tap] * g[tap], computed at the six positions.
    #[test]
    fn the_transforms_compute_a_convolution() {
        let simd = Portable::<1>;
        let mut stream = Stream::new(1, "winograd", 0, 0);
        for _ in 0..100 {
            let (d, g) = (random::<6>(&mut stream), random::<3>(&mut stream));
            let (v, u) = (input(simd, d), filter(simd, g));
            let y = output(simd, std::array::from_fn(|p| simd.mul(v[p], u[p])));
            for (i, [found]) in y.into_iter().enumerate() {
                let expected: f32 = (0..3).map(|tap| d[i + tap][0] * g[tap][0]).sum();
                assert!((found - expected).abs() < 1e-5, "{i}: {found} {expected}");
            }
        }
    }

    /// dg[tap] = sum over outputs of d[i + tap] * dy[i].
    #[test]
    fn the_transposed_transforms_compute_its_gradient() {
        let simd = Portable::<1>;
        let mut stream = Stream::new(2, "winograd", 0, 0);
        for _ in 0..100 {
            let (d, dy) = (random::<6>(&mut stream), random::<4>(&mut stream));
            let (v, m) = (input(simd, d), output_gradient(simd, dy));
            let dg = filter_gradient(simd, std::array::from_fn(|p| simd.mul(v[p], m[p])));
            for (tap, [found]) in dg.into_iter().enumerate() {
                let expected: f32 = (0..4).map(|i| d[i + tap][0] * dy[i][0]).sum();
                assert!((found - expected).abs() < 1e-5, "{tap}: {found} {expected}");
            }
        }
    }
}
