//! Every `unsafe` block here calls an intrinsic of AVX2 and FMA, or of AVX-512F. Only `detect` creates a value
//! of the type, after it has checked that the processor has them. Loads and stores also rely on the promise of
//! their caller.

use std::{arch::x86_64::*, mem::transmute};

use super::{
    Operation, Simd,
    amx::{self, MatrixUnit},
    bfloat16,
};

/// The order in pairs of the values of two consecutive vectors of 32.
const INTERLEAVED: [i16; 32] = {
    let mut order = [0; 32];
    let mut lane = 0;
    while lane < 16 {
        order[2 * lane] = lane as i16;
        order[2 * lane + 1] = lane as i16 + 16;
        lane += 1;
    }
    order
};

/// 8 lanes; AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        has.then_some(Self(()))
    }
}

impl Simd for Avx2 {
    const LANES: usize = 8;
    const TILE_VECTORS: usize = 2;

    type Vector = __m256;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        // SAFETY: see the module.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> __m256 {
        // SAFETY: see the module; the caller vouches for 8 readable values.
        unsafe { _mm256_loadu_ps(source) }
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut f32, vector: __m256) {
        // SAFETY: see the module; the caller vouches for 8 writable values.
        unsafe { _mm256_storeu_ps(target, vector) }
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the module.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the module.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the module.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the module.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        // SAFETY: see the module.
        unsafe { _mm256_sqrt_ps(a) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see the module.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn neg_mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see the module.
        unsafe { _mm256_fnmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn gate(self, gate: __m256, value: __m256) -> __m256 {
        // SAFETY: see the module.
        unsafe {
            let closed = _mm256_cmp_ps::<_CMP_LE_OQ>(gate, _mm256_setzero_ps());
            _mm256_andnot_ps(closed, value)
        }
    }

    #[inline(always)]
    fn scale_by_power_of_two(self, value: __m256, exponent: __m256) -> __m256 {
        // SAFETY: see the module.
        unsafe {
            let biased = _mm256_add_epi32(_mm256_cvtps_epi32(exponent), _mm256_set1_epi32(127));
            let power = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased));
            _mm256_mul_ps(value, power)
        }
    }

    #[inline(always)]
    fn vectorize<O: Operation>(self, operation: O) -> O::Output {
        #[target_feature(enable = "avx2,fma")]
        fn inner<O: Operation>(simd: Avx2, operation: O) -> O::Output {
            operation.run(simd)
        }
        // SAFETY: see the module.
        unsafe { inner(self, operation) }
    }
}

/// 16 lanes; AVX-512F, and with `BFLOAT16` its instructions for bfloat16.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512<const BFLOAT16: bool> {
    /// Whether the matrix unit computes products of blocks.
    has_matrix_unit: bool,
}

impl<const BFLOAT16: bool> Avx512<BFLOAT16> {
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        // Every AVX-512 processor has AVX2 and FMA; checking costs nothing.
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        let has_bfloat16 =
            || is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512bw");
        (has && (!BFLOAT16 || has_bfloat16())).then_some(Self {
            has_matrix_unit: false,
        })
    }

    /// Like [`detect`](Self::detect), with a matrix unit as well.
    #[inline]
    pub(crate) fn detect_with_matrix_unit() -> Option<Self> {
        (Self::detect().is_some() && amx::is_available()).then_some(Self {
            has_matrix_unit: true,
        })
    }
}

impl<const BFLOAT16: bool> Simd for Avx512<BFLOAT16> {
    const LANES: usize = 16;
    const TILE_VECTORS: usize = 2;

    type Vector = __m512;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: see the module.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> __m512 {
        // SAFETY: see the module; the caller vouches for 16 readable values.
        unsafe { _mm512_loadu_ps(source) }
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut f32, vector: __m512) {
        // SAFETY: see the module; the caller vouches for 16 writable values.
        unsafe { _mm512_storeu_ps(target, vector) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the module.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the module.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the module.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the module.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        // SAFETY: see the module.
        unsafe { _mm512_sqrt_ps(a) }
    }

    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see the module.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn neg_mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see the module.
        unsafe { _mm512_fnmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn gate(self, gate: __m512, value: __m512) -> __m512 {
        // SAFETY: see the module.
        unsafe {
            // Not less or equal: above, or NaN.
            let open = _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(gate, _mm512_setzero_ps());
            _mm512_maskz_mov_ps(open, value)
        }
    }

    #[inline(always)]
    fn scale_by_power_of_two(self, value: __m512, exponent: __m512) -> __m512 {
        // SAFETY: see the module.
        unsafe { _mm512_scalef_ps(value, exponent) }
    }

    #[inline(always)]
    fn pack_pairs(self, first: __m512, second: __m512) -> __m512 {
        if !BFLOAT16 {
            return bfloat16::pack_pairs(self, first, second);
        }
        // SAFETY: see the module.
        unsafe {
            // The rounded values of `first`, then those of `second`.
            let rounded: __m512i = transmute(_mm512_cvtne2ps_pbh(second, first));
            let order = _mm512_loadu_epi16(INTERLEAVED.as_ptr());
            _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, rounded))
        }
    }

    #[inline(always)]
    unsafe fn store_rounded(self, target: *mut u16, vector: __m512) {
        // SAFETY: see the module; the caller vouches for 16 writable values.
        unsafe {
            if !BFLOAT16 {
                return bfloat16::store_rounded(self, target, vector);
            }
            let rounded = transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(vector));
            _mm256_storeu_si256(target.cast(), rounded);
        }
    }

    #[inline(always)]
    fn mul_add_pairs(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        if !BFLOAT16 {
            return bfloat16::mul_add_pairs(self, a, b, c);
        }
        // SAFETY: see the module; cells are two bfloat16.
        unsafe {
            let [a, b] = [a, b].map(|cells| transmute::<__m512, __m512bh>(cells));
            _mm512_dpbf16_ps(c, a, b)
        }
    }

    #[inline(always)]
    fn matrix_unit(self) -> Option<MatrixUnit> {
        self.has_matrix_unit.then(MatrixUnit::new).flatten()
    }

    #[inline(always)]
    unsafe fn transpose(self, source: *const f32, target: *mut f32) {
        // SAFETY: see the module; the caller vouches for 16 rows of 16 cells at both places.
        unsafe {
            // No closures: they would not be compiled with these instructions.
            let mut rows = [_mm512_setzero_ps(); 16];
            for (index, row) in rows.iter_mut().enumerate() {
                *row = _mm512_loadu_ps(source.add(index * 16));
            }
            // Cells of pairs of rows, then pairs of those, within quarters of a vector.
            for pair in 0..8 {
                let (a, b) = (rows[2 * pair], rows[2 * pair + 1]);
                rows[2 * pair] = _mm512_unpacklo_ps(a, b);
                rows[2 * pair + 1] = _mm512_unpackhi_ps(a, b);
            }
            for four in (0..16).step_by(4) {
                let mut wide = [_mm512_setzero_pd(); 4];
                for (index, wide) in wide.iter_mut().enumerate() {
                    *wide = _mm512_castps_pd(rows[four + index]);
                }
                for half in 0..2 {
                    let (a, b) = (wide[half], wide[half + 2]);
                    rows[four + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                    rows[four + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
                }
            }
            // Now quarter `q` of row `four + column` holds four rows' cells of column `4 * q + column`.
            for column in 0..4 {
                let (a, b) = (rows[column], rows[4 + column]);
                let (c, d) = (rows[8 + column], rows[12 + column]);
                let even = [
                    _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b),
                    _mm512_shuffle_f32x4::<0b10_00_10_00>(c, d),
                ];
                let odd = [
                    _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b),
                    _mm512_shuffle_f32x4::<0b11_01_11_01>(c, d),
                ];
                for (quarter, [first, second]) in [(0, even), (1, odd)] {
                    let low = _mm512_shuffle_f32x4::<0b10_00_10_00>(first, second);
                    let high = _mm512_shuffle_f32x4::<0b11_01_11_01>(first, second);
                    _mm512_storeu_ps(target.add((4 * quarter + column) * 16), low);
                    _mm512_storeu_ps(target.add((4 * (quarter + 2) + column) * 16), high);
                }
            }
        }
    }

    #[inline(always)]
    fn vectorize<O: Operation>(self, operation: O) -> O::Output {
        #[target_feature(enable = "avx512f,avx2,fma")]
        fn inner<O: Operation>(simd: Avx512<false>, operation: O) -> O::Output {
            operation.run(simd)
        }
        #[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
        fn inner_bfloat16<O: Operation>(simd: Avx512<true>, operation: O) -> O::Output {
            operation.run(simd)
        }
        // SAFETY: see the module.
        unsafe {
            let has_matrix_unit = self.has_matrix_unit;
            match BFLOAT16 {
                true => inner_bfloat16(Avx512 { has_matrix_unit }, operation),
                false => inner(Avx512 { has_matrix_unit }, operation),
            }
        }
    }
}
