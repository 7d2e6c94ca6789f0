//! Every `unsafe` block here calls an intrinsic of AVX2 and FMA, or of AVX-512F, and where the type's parameter
//! says so of their extensions. Only `detect` creates a value of the type, after it has checked that the
//! processor has them. Loads and stores also rely on the promise of
//! their caller.

use std::{arch::x86_64::*, mem::transmute};

use super::{
    Operation, Simd,
    amx::{self, MatrixUnit},
    bfloat16, bytes,
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

/// No instructions beyond the basic ones of a type.
pub(crate) const PLAIN: u8 = 0;
/// Also those for bfloat16.
pub(crate) const BFLOAT16: u8 = 1;
/// Also those for sums of four products of bytes (VNNI).
pub(crate) const BYTES: u8 = 2;

/// 8 lanes; AVX2 and FMA, and with [`BYTES`] AVX-VNNI.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2<const ALSO: u8>(());

impl<const ALSO: u8> Avx2<ALSO> {
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let has_more = ALSO != BYTES || is_x86_feature_detected!("avxvnni");
        (has && has_more).then_some(Self(()))
    }
}

impl<const ALSO: u8> Simd for Avx2<ALSO> {
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
    fn at_most(self, value: __m256, limit: __m256) -> __m256 {
        // SAFETY: see the module. Of NaN and another value, `min` gives the second one.
        unsafe { _mm256_min_ps(limit, value) }
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
    unsafe fn load_rounded(self, source: *const u16) -> __m256 {
        // SAFETY: see the module; the caller vouches for 8 readable values.
        unsafe {
            let halves = _mm256_cvtepu16_epi32(_mm_loadu_si128(source.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(halves))
        }
    }

    #[inline(always)]
    unsafe fn store_rounded(self, target: *mut u16, vector: __m256) {
        // SAFETY: see the module; the caller vouches for 8 writable values.
        unsafe {
            let bits = _mm256_castps_si256(vector);
            let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
            let half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
            let rounded = _mm256_castsi256_ps(_mm256_add_epi32(bits, half));
            // Cutting off the lower half could turn a NaN into an infinity.
            let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x40_0000));
            let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(vector, vector);
            let rounded = _mm256_blendv_ps(rounded, _mm256_castsi256_ps(quiet), nan);
            let halves = _mm256_srli_epi32::<16>(_mm256_castps_si256(rounded));
            let low = _mm256_castsi256_si128(halves);
            let packed = _mm_packus_epi32(low, _mm256_extracti128_si256::<1>(halves));
            _mm_storeu_si128(target.cast(), packed);
        }
    }

    #[inline(always)]
    fn mul_add_quads(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see the module.
        unsafe {
            let [a, b, c] = [
                _mm256_castps_si256(a),
                _mm256_castps_si256(b),
                _mm256_castps_si256(c),
            ];
            if ALSO == BYTES {
                return _mm256_castsi256_ps(_mm256_dpbusd_avx_epi32(c, a, b));
            }
            // `vpmaddubsw` would add two products in 16 bits and saturate. So bytes become 16 bits first, those
            // at even positions and those at odd ones, and products are added in 32 bits.
            let even = _mm256_madd_epi16(
                _mm256_and_si256(a, _mm256_set1_epi16(0xff)),
                _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(b)),
            );
            let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(a), _mm256_srai_epi16::<8>(b));
            _mm256_castsi256_ps(_mm256_add_epi32(c, _mm256_add_epi32(even, odd)))
        }
    }

    #[inline(always)]
    fn integers_to_f32(self, value: __m256) -> __m256 {
        // SAFETY: see the module.
        unsafe { _mm256_cvtepi32_ps(_mm256_castps_si256(value)) }
    }

    #[inline(always)]
    unsafe fn load_bytes(self, source: *const u8) -> __m256 {
        // SAFETY: see the module; the caller vouches for 8 readable bytes.
        unsafe { _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(source.cast()))) }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, target: *mut u8, vector: __m256) {
        // SAFETY: see the module; the caller vouches for 8 writable bytes.
        unsafe {
            let whole = _mm256_cvtps_epi32(vector);
            let low = _mm256_castsi256_si128(whole);
            let short = _mm_packus_epi32(low, _mm256_extracti128_si256::<1>(whole));
            _mm_storel_epi64(target.cast(), _mm_packus_epi16(short, short));
        }
    }

    #[inline(always)]
    fn clamp(self, value: __m256, low: __m256, high: __m256) -> __m256 {
        // SAFETY: see the module. Of NaN and another value, `max` gives the second one.
        unsafe { _mm256_min_ps(_mm256_max_ps(value, low), high) }
    }

    #[inline(always)]
    fn vectorize<O: Operation>(self, operation: O) -> O::Output {
        #[target_feature(enable = "avx2,fma")]
        fn inner<O: Operation>(simd: Avx2<PLAIN>, operation: O) -> O::Output {
            operation.run(simd)
        }
        #[target_feature(enable = "avx2,fma,avxvnni")]
        fn inner_bytes<O: Operation>(simd: Avx2<BYTES>, operation: O) -> O::Output {
            operation.run(simd)
        }
        // SAFETY: see the module.
        unsafe {
            match ALSO {
                BYTES => inner_bytes(Avx2(()), operation),
                _ => inner(Avx2(()), operation),
            }
        }
    }
}

/// 16 lanes; AVX-512F, with [`BFLOAT16`] also AVX-512 BF16, and with [`BYTES`] AVX-512 VNNI.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512<const ALSO: u8> {
    /// Whether the matrix unit computes products of blocks.
    has_matrix_unit: bool,
}

impl<const ALSO: u8> Avx512<ALSO> {
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        // Every AVX-512 processor has AVX2 and FMA; checking costs nothing.
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma");
        let has_more = match ALSO {
            BFLOAT16 => {
                is_x86_feature_detected!("avx512bf16") && is_x86_feature_detected!("avx512bw")
            }
            BYTES => is_x86_feature_detected!("avx512vnni"),
            _ => true,
        };
        (has && has_more).then_some(Self {
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

impl<const ALSO: u8> Simd for Avx512<ALSO> {
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
    fn at_most(self, value: __m512, limit: __m512) -> __m512 {
        // SAFETY: see the module. Of NaN and another value, `min` gives the second one.
        unsafe { _mm512_min_ps(limit, value) }
    }

    #[inline(always)]
    fn scale_by_power_of_two(self, value: __m512, exponent: __m512) -> __m512 {
        // SAFETY: see the module.
        unsafe { _mm512_scalef_ps(value, exponent) }
    }

    #[inline(always)]
    fn pack_pairs(self, first: __m512, second: __m512) -> __m512 {
        if ALSO != BFLOAT16 {
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
            if ALSO != BFLOAT16 {
                let bits = _mm512_castps_si512(vector);
                let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
                let half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
                let rounded = _mm512_add_epi32(bits, half);
                let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(vector, vector);
                // Cutting off the lower half could turn a NaN into an infinity.
                let quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x40_0000));
                let rounded = _mm512_mask_mov_epi32(rounded, nan, quiet);
                let halves = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded));
                return _mm256_storeu_si256(target.cast(), halves);
            }
            let rounded = transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(vector));
            _mm256_storeu_si256(target.cast(), rounded);
        }
    }

    #[inline(always)]
    fn mul_add_pairs(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        if ALSO != BFLOAT16 {
            return bfloat16::mul_add_pairs(self, a, b, c);
        }
        // SAFETY: see the module; cells are two bfloat16.
        unsafe {
            let [a, b] = [a, b].map(|cells| transmute::<__m512, __m512bh>(cells));
            _mm512_dpbf16_ps(c, a, b)
        }
    }

    #[inline(always)]
    unsafe fn load_rounded(self, source: *const u16) -> __m512 {
        // SAFETY: see the module; the caller vouches for 16 readable values.
        unsafe {
            let halves = _mm512_cvtepu16_epi32(_mm256_loadu_si256(source.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(halves))
        }
    }

    #[inline(always)]
    fn mul_add_quads(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        if ALSO != BYTES {
            return bytes::mul_add_quads(self, a, b, c);
        }
        // SAFETY: see the module.
        unsafe {
            let [a, b, c] = [
                _mm512_castps_si512(a),
                _mm512_castps_si512(b),
                _mm512_castps_si512(c),
            ];
            _mm512_castsi512_ps(_mm512_dpbusd_epi32(c, a, b))
        }
    }

    #[inline(always)]
    fn integers_to_f32(self, value: __m512) -> __m512 {
        // SAFETY: see the module.
        unsafe { _mm512_cvtepi32_ps(_mm512_castps_si512(value)) }
    }

    #[inline(always)]
    unsafe fn load_bytes(self, source: *const u8) -> __m512 {
        // SAFETY: see the module; the caller vouches for 16 readable bytes.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(source.cast()))) }
    }

    #[inline(always)]
    unsafe fn store_bytes(self, target: *mut u8, vector: __m512) {
        // SAFETY: see the module; the caller vouches for 16 writable bytes.
        unsafe {
            let whole = _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(vector));
            _mm_storeu_si128(target.cast(), whole);
        }
    }

    #[inline(always)]
    fn clamp(self, value: __m512, low: __m512, high: __m512) -> __m512 {
        // SAFETY: see the module. Of NaN and another value, `max` gives the second one.
        unsafe { _mm512_min_ps(_mm512_max_ps(value, low), high) }
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
        fn inner<O: Operation>(simd: Avx512<PLAIN>, operation: O) -> O::Output {
            operation.run(simd)
        }
        #[target_feature(enable = "avx512f,avx512bw,avx512bf16,avx2,fma")]
        fn inner_bfloat16<O: Operation>(simd: Avx512<BFLOAT16>, operation: O) -> O::Output {
            operation.run(simd)
        }
        #[target_feature(enable = "avx512f,avx512vnni,avx2,fma")]
        fn inner_bytes<O: Operation>(simd: Avx512<BYTES>, operation: O) -> O::Output {
            operation.run(simd)
        }
        // SAFETY: see the module.
        unsafe {
            let has_matrix_unit = self.has_matrix_unit;
            match ALSO {
                BFLOAT16 => inner_bfloat16(Avx512 { has_matrix_unit }, operation),
                BYTES => inner_bytes(Avx512 { has_matrix_unit }, operation),
                _ => inner(Avx512 { has_matrix_unit }, operation),
            }
        }
    }
}
