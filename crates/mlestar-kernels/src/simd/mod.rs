//! Vectors of `f32`, as wide as the processor supports.
//!
//! A kernel is an [`Operation`] written once over [`Simd`]. [`Level::run`] compiles and runs it with the
//! instructions of a level, which is chosen at run time, so that one binary serves every processor.

#[cfg(target_arch = "x86_64")]
mod amx;
mod bfloat16;
pub(crate) mod blocks;
mod bytes;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(not(target_arch = "x86_64"))]
mod no_matrix_unit;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
pub(crate) use amx::MatrixUnit;
pub(crate) use bfloat16::pack as pack_pair;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) use no_matrix_unit::MatrixUnit;
pub(crate) use portable::Portable;
#[cfg(all(test, target_arch = "x86_64"))]
pub(crate) use x86::{Avx2, Avx512};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{BFLOAT16, BYTES, PLAIN};

/// Code that runs at any vector width.
pub(crate) trait Operation {
    type Output;

    /// Must be `#[inline(always)]`: only then is it compiled with the instructions of `S`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// A set of vector instructions. A value of such a type exists only if the processor has them.
pub(crate) trait Simd: Copy + Send + Sync {
    /// Values in a vector; a power of two, at most 16.
    const LANES: usize;
    /// Vectors in a row of a matrix tile (see `matrix`): 2, or 4 if vectors are short and there are many
    /// registers.
    const TILE_VECTORS: usize;

    type Vector: Copy;

    fn splat(self, value: f32) -> Self::Vector;

    /// # Safety
    ///
    /// `LANES` values must be readable at `source`.
    unsafe fn load(self, source: *const f32) -> Self::Vector;

    /// # Safety
    ///
    /// `LANES` values must be writable at `target`.
    unsafe fn store(self, target: *mut f32, vector: Self::Vector);

    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sub(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn div(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    fn sqrt(self, a: Self::Vector) -> Self::Vector;
    /// `a * b + c`, rounded once if the processor supports it.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `c - a * b`, rounded once if the processor supports it.
    fn neg_mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `value` in lanes where `gate` is above 0 or NaN, 0 in the others.
    fn gate(self, gate: Self::Vector, value: Self::Vector) -> Self::Vector;
    /// The smaller of both; a NaN of `value` stays.
    fn at_most(self, value: Self::Vector, limit: Self::Vector) -> Self::Vector;
    /// `value * 2^exponent`, for integer exponents from -126 to 127.
    fn scale_by_power_of_two(self, value: Self::Vector, exponent: Self::Vector) -> Self::Vector;

    /// Negative lanes become 0; NaN stays NaN.
    #[inline(always)]
    fn relu(self, value: Self::Vector) -> Self::Vector {
        self.gate(value, value)
    }

    /// Cells of two bfloat16 (see `matrix::Pairs`): the rounded values of `first` and `second`.
    #[inline(always)]
    fn pack_pairs(self, first: Self::Vector, second: Self::Vector) -> Self::Vector {
        bfloat16::pack_pairs(self, first, second)
    }

    /// Stores the values as consecutive bfloat16.
    ///
    /// # Safety
    ///
    /// `LANES` values of 16 bits must be writable at `target`.
    #[inline(always)]
    unsafe fn store_rounded(self, target: *mut u16, vector: Self::Vector) {
        // SAFETY: the caller's promise.
        unsafe { bfloat16::store_rounded(self, target, vector) }
    }

    /// `c` plus both products of the pairs in the cells of `a` and `b`. How often that is rounded, and whether
    /// subnormal values count as 0, depends on the processor.
    #[inline(always)]
    fn mul_add_pairs(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        bfloat16::mul_add_pairs(self, a, b, c)
    }

    /// The values of consecutive bfloat16.
    ///
    /// # Safety
    ///
    /// `LANES` values of 16 bits must be readable at `source`.
    #[inline(always)]
    unsafe fn load_rounded(self, source: *const u16) -> Self::Vector {
        // SAFETY: the caller's promise.
        unsafe { bfloat16::load_rounded(self, source) }
    }

    /// `c` plus the four products of the bytes in the cells of `a`, without sign, and of `b`, with sign. The lanes
    /// of `c` and of the sums are the bits of `i32`. Sums are exact, or wrap around.
    #[inline(always)]
    fn mul_add_quads(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector {
        bytes::mul_add_quads(self, a, b, c)
    }

    /// The nearest `f32` of lanes that are the bits of `i32`.
    #[inline(always)]
    fn integers_to_f32(self, value: Self::Vector) -> Self::Vector {
        bytes::integers_to_f32(self, value)
    }

    /// The values of consecutive bytes.
    ///
    /// # Safety
    ///
    /// `LANES` bytes must be readable at `source`.
    #[inline(always)]
    unsafe fn load_bytes(self, source: *const u8) -> Self::Vector {
        // SAFETY: the caller's promise.
        unsafe { bytes::load(self, source) }
    }

    /// Stores whole numbers from 0 to 255 as consecutive bytes.
    ///
    /// # Safety
    ///
    /// `LANES` bytes must be writable at `target`.
    #[inline(always)]
    unsafe fn store_bytes(self, target: *mut u8, vector: Self::Vector) {
        // SAFETY: the caller's promise.
        unsafe { bytes::store(self, target, vector) }
    }

    /// `value`, but at least `low` and at most `high`; NaN becomes `low`.
    #[inline(always)]
    fn clamp(self, value: Self::Vector, low: Self::Vector, high: Self::Vector) -> Self::Vector {
        bytes::clamp(self, value, low, high)
    }

    /// The matrix unit of this thread (see `matrix::block`), if there is one.
    #[inline(always)]
    fn matrix_unit(self) -> Option<MatrixUnit> {
        None
    }

    /// Transposes 16 rows of 16 cells.
    ///
    /// # Safety
    ///
    /// All cells must be readable at `source` and writable at `target`, which must not overlap.
    #[inline(always)]
    unsafe fn transpose(self, source: *const f32, target: *mut f32) {
        for row in 0..blocks::TILE {
            for column in 0..blocks::TILE {
                // SAFETY: the caller's promise.
                unsafe {
                    *target.add(column * blocks::TILE + row) =
                        *source.add(row * blocks::TILE + column)
                };
            }
        }
    }

    /// Runs `operation` compiled with these instructions.
    fn vectorize<O: Operation>(self, operation: O) -> O::Output;
}

/// The vector instructions that the kernels use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// Like [`Avx512`](Self::Avx512), with products of bfloat16 in the matrix unit: AMX (x86-64, on Linux).
    Amx,
    /// 16 lanes: AVX-512F (x86-64).
    Avx512,
    /// 8 lanes: AVX2 and FMA (x86-64).
    Avx2,
    /// 4 lanes: NEON (64-bit Arm).
    Neon,
    /// Plain Rust, for every processor, vectorised by the compiler.
    Portable,
}

impl Level {
    /// Environment variable that selects a level below the best one: `amx`, `avx512`, `avx2`, `neon` or
    /// `portable`.
    pub const VARIABLE: &'static str = "MLESTAR_SIMD";

    /// The level that the kernels use: the best one of this processor, unless [`Level::VARIABLE`] names a lower
    /// one. Unknown or unavailable names are ignored.
    #[must_use]
    pub fn current() -> Self {
        static CURRENT: OnceLock<Level> = OnceLock::new();
        *CURRENT.get_or_init(|| {
            let name = std::env::var(Self::VARIABLE).unwrap_or_default();
            Self::choose(&name, &Self::available())
        })
    }

    /// The level of that name, otherwise the first available one.
    fn choose(name: &str, available: &[Self]) -> Self {
        let named = available.iter().find(|level| level.name() == name);
        *named.or(available.first()).unwrap_or(&Self::Portable)
    }

    /// Every level that this processor has, best first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let all = [
            Self::Amx,
            Self::Avx512,
            Self::Avx2,
            Self::Neon,
            Self::Portable,
        ];
        all.into_iter()
            .filter(|level| level.is_available())
            .collect()
    }

    /// The name of the level in [`Level::VARIABLE`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Amx => "amx",
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }

    fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx => x86::Avx512::<BFLOAT16>::detect_with_matrix_unit().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => x86::Avx512::<PLAIN>::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => x86::Avx2::<PLAIN>::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            Self::Portable => true,
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// Whether this level's products of bfloat16 use the processor's instructions for them (AVX-512 BF16).
    /// Otherwise they are slower than those of `f32`; the gain with them depends on the processor.
    #[must_use]
    pub fn has_bfloat16(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx | Self::Avx512 => x86::Avx512::<BFLOAT16>::detect().is_some(),
            _ => false,
        }
    }

    /// Whether this level's products of bytes use the processor's instructions for them (AVX-512 VNNI or
    /// AVX-VNNI). Otherwise they take about as long as those of `f32`, or longer.
    #[must_use]
    pub fn has_byte_products(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx | Self::Avx512 => x86::Avx512::<BYTES>::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => x86::Avx2::<BYTES>::detect().is_some(),
            _ => false,
        }
    }

    /// Whether this level's products of bfloat16 can use a matrix unit (AMX).
    #[must_use]
    pub fn has_matrix_unit(self) -> bool {
        self == Self::Amx && self.is_available()
    }

    /// Like [`run`](Self::run), for an operation with products of bfloat16; uses the processor's instructions
    /// for them if it has any.
    #[inline]
    pub(crate) fn run_with_bfloat16<O: Operation>(self, operation: O) -> O::Output {
        #[cfg(target_arch = "x86_64")]
        {
            let simd = match self {
                Self::Amx => x86::Avx512::<BFLOAT16>::detect_with_matrix_unit(),
                Self::Avx512 => x86::Avx512::<BFLOAT16>::detect(),
                _ => None,
            };
            if let Some(simd) = simd {
                return simd.vectorize(operation);
            }
        }
        self.run(operation)
    }

    /// Like [`run`](Self::run), for an operation with products of bytes; uses the processor's instructions for
    /// them if it has any.
    #[inline]
    pub(crate) fn run_with_bytes<O: Operation>(self, operation: O) -> O::Output {
        #[cfg(target_arch = "x86_64")]
        {
            if matches!(self, Self::Amx | Self::Avx512)
                && let Some(simd) = x86::Avx512::<BYTES>::detect()
            {
                return simd.vectorize(operation);
            }
            // Without VNNI, AVX-512F has no products of short integers, and AVX2 has.
            if matches!(self, Self::Amx | Self::Avx512 | Self::Avx2) {
                if let Some(simd) = x86::Avx2::<BYTES>::detect() {
                    return simd.vectorize(operation);
                }
                if let Some(simd) = x86::Avx2::<PLAIN>::detect() {
                    return simd.vectorize(operation);
                }
            }
            PORTABLE.vectorize(operation)
        }
        #[cfg(not(target_arch = "x86_64"))]
        self.run(operation)
    }

    /// Runs `operation` with the instructions of this level, or portably if they do not exist.
    #[inline]
    pub(crate) fn run<O: Operation>(self, operation: O) -> O::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx | Self::Avx512 => match x86::Avx512::<PLAIN>::detect() {
                Some(simd) => simd.vectorize(operation),
                None => PORTABLE.vectorize(operation),
            },
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => match x86::Avx2::<PLAIN>::detect() {
                Some(simd) => simd.vectorize(operation),
                None => PORTABLE.vectorize(operation),
            },
            #[cfg(target_arch = "aarch64")]
            Self::Neon => neon::Neon::new().vectorize(operation),
            _ => PORTABLE.vectorize(operation),
        }
    }
}

/// Four lanes: every 64-bit processor has registers of that width.
const PORTABLE: Portable<4> = Portable;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_level_is_taken_and_else_the_best() {
        let available = [Level::Avx2, Level::Portable];
        assert_eq!(Level::choose("portable", &available), Level::Portable);
        assert_eq!(Level::choose("", &available), Level::Avx2);
        // Neither exists here: one is unknown, the other is not on this processor.
        assert_eq!(Level::choose("fastest", &available), Level::Avx2);
        assert_eq!(Level::choose("amx", &available), Level::Avx2);
        // Without the matrix unit, if there is one.
        let available = [Level::Amx, Level::Avx512, Level::Portable];
        assert_eq!(Level::choose("avx512", &available), Level::Avx512);
        assert_eq!(Level::choose("", &available), Level::Amx);
    }

    /// Pairs of values rounded in both ways, and the sums of their products.
    struct Bfloat16<'a> {
        first: &'a [f32; 16],
        second: &'a [f32; 16],
    }

    impl Operation for Bfloat16<'_> {
        type Output = ([u32; 16], [u16; 16], [f32; 16]);

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let (mut cells, mut rounded, mut sums) = ([0.0_f32; 16], [0; 16], [0.0; 16]);
            for lane in (0..16).step_by(S::LANES) {
                // SAFETY: 16 is a multiple of the lanes.
                unsafe {
                    let first = simd.load(self.first.as_ptr().add(lane));
                    let second = simd.load(self.second.as_ptr().add(lane));
                    let pairs = simd.pack_pairs(first, second);
                    simd.store(cells.as_mut_ptr().add(lane), pairs);
                    simd.store_rounded(rounded.as_mut_ptr().add(lane), first);
                    let sum = simd.mul_add_pairs(pairs, pairs, simd.splat(1.0));
                    simd.store(sums.as_mut_ptr().add(lane), sum);
                }
            }
            (cells.map(f32::to_bits), rounded, sums)
        }
    }

    #[test]
    fn every_level_rounds_to_bfloat16_alike_and_adds_both_products() {
        let mut stream = mlestar_random::Stream::new(1, "bfloat16", 0, 0);
        for _ in 0..1_000 {
            let [first, second] = [(); 2].map(|()| {
                std::array::from_fn(|_| {
                    (stream.normal() * 10_f64.powi(stream.below(9) as i32 - 4)) as f32
                })
            });
            let operation = || Bfloat16 {
                first: &first,
                second: &second,
            };
            let (cells, rounded, sums) = Portable::<1>.vectorize(operation());
            for lane in 0..16 {
                assert_eq!(cells[lane] as u16, rounded[lane]);
                let [a, b] = [first[lane], second[lane]].map(f64::from);
                let expected = 1.0 + a * a + b * b;
                let error = (f64::from(sums[lane]) - expected).abs();
                assert!(error < 0.01 * expected, "{a} {b}: {}", sums[lane]);
            }
            for level in Level::available() {
                for (found, found_rounded, found_sums) in
                    [level.run(operation()), level.run_with_bfloat16(operation())]
                {
                    assert_eq!(found, cells, "{level:?}");
                    assert_eq!(found_rounded, rounded, "{level:?}");
                    for (found, expected) in found_sums.into_iter().zip(sums) {
                        assert!((found - expected).abs() <= 1e-6 * expected, "{level:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn plain_rust_is_always_there_and_comes_last() {
        assert_eq!(Level::available().last(), Some(&Level::Portable));
    }
}
