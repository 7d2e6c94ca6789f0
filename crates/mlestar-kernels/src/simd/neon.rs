//! Every 64-bit Arm processor that Rust's targets name has NEON, so the intrinsics can be called anywhere.
//! Loads and stores rely on the promise of their caller.

use std::arch::aarch64::*;

use super::{Operation, Simd};

/// 4 lanes; NEON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Neon(());

impl Neon {
    #[inline]
    pub(crate) fn new() -> Self {
        Self(())
    }
}

impl Simd for Neon {
    const LANES: usize = 4;
    // 24 sums, 4 weights and a value take 29 of the 32 registers.
    const TILE_VECTORS: usize = 4;

    type Vector = float32x4_t;

    #[inline(always)]
    fn splat(self, value: f32) -> float32x4_t {
        // SAFETY: see the module.
        unsafe { vdupq_n_f32(value) }
    }

    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> float32x4_t {
        // SAFETY: the caller vouches for 4 readable values.
        unsafe { vld1q_f32(source) }
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut f32, vector: float32x4_t) {
        // SAFETY: the caller vouches for 4 writable values.
        unsafe { vst1q_f32(target, vector) }
    }

    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see the module.
        unsafe { vaddq_f32(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see the module.
        unsafe { vsubq_f32(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see the module.
        unsafe { vmulq_f32(a, b) }
    }

    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        // SAFETY: see the module.
        unsafe { vdivq_f32(a, b) }
    }

    #[inline(always)]
    fn sqrt(self, a: float32x4_t) -> float32x4_t {
        // SAFETY: see the module.
        unsafe { vsqrtq_f32(a) }
    }

    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: see the module.
        unsafe { vfmaq_f32(c, a, b) }
    }

    #[inline(always)]
    fn neg_mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        // SAFETY: see the module.
        unsafe { vfmsq_f32(c, a, b) }
    }

    #[inline(always)]
    fn gate(self, gate: float32x4_t, value: float32x4_t) -> float32x4_t {
        // SAFETY: see the module.
        unsafe {
            let closed = vcleq_f32(gate, vdupq_n_f32(0.0));
            vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(value), closed))
        }
    }

    #[inline(always)]
    fn at_most(self, value: float32x4_t, limit: float32x4_t) -> float32x4_t {
        // SAFETY: see the module. Of NaN and another value, `min` gives NaN.
        unsafe { vminq_f32(value, limit) }
    }

    #[inline(always)]
    fn scale_by_power_of_two(self, value: float32x4_t, exponent: float32x4_t) -> float32x4_t {
        // SAFETY: see the module.
        unsafe {
            let biased = vaddq_s32(vcvtq_s32_f32(exponent), vdupq_n_s32(127));
            vmulq_f32(value, vreinterpretq_f32_s32(vshlq_n_s32::<23>(biased)))
        }
    }

    #[inline(always)]
    fn vectorize<O: Operation>(self, operation: O) -> O::Output {
        operation.run(self)
    }
}
