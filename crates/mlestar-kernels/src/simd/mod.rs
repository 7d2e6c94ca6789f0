//! Vectors of `f32`, as wide as the processor has them.
//!
//! A kernel is an [`Operation`] written once over [`Simd`]. [`Level::run`] compiles and runs it with
//! the instructions of a level; which one is chosen when the program runs, so that one binary serves
//! every processor.

#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::OnceLock;

pub(crate) use portable::Portable;

/// Code that runs at any vector width.
pub(crate) trait Operation {
    type Output;

    /// Must be `#[inline(always)]`: only then is it compiled with the instructions of `S`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// A set of vector instructions. A value of such a type exists only where the processor has them.
pub(crate) trait Simd: Copy + Send + Sync {
    /// Values in a vector; a power of two, at most 16.
    const LANES: usize;
    /// Vectors in a row of a matrix tile (see `matrix`): 2, or 4 where vectors are short and
    /// registers many.
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
    /// `a * b + c`, rounded once where the processor can.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `c - a * b`, rounded once where the processor can.
    fn neg_mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
    /// `value` in lanes where `gate` is above 0 or NaN, 0 in the others.
    fn gate(self, gate: Self::Vector, value: Self::Vector) -> Self::Vector;
    /// `value * 2^exponent`, for whole exponents of -126 to 127.
    fn scale_by_power_of_two(self, value: Self::Vector, exponent: Self::Vector) -> Self::Vector;

    /// Negative lanes become 0; NaN stays.
    #[inline(always)]
    fn relu(self, value: Self::Vector) -> Self::Vector {
        self.gate(value, value)
    }

    /// Runs `operation` compiled with these instructions.
    fn vectorize<O: Operation>(self, operation: O) -> O::Output;
}

/// Which vector instructions the kernels use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Level {
    /// 16 lanes: AVX-512F (x86-64).
    Avx512,
    /// 8 lanes: AVX2 and FMA (x86-64).
    Avx2,
    /// 4 lanes: NEON (64-bit Arm).
    Neon,
    /// Plain Rust, for every processor; the compiler makes of it what it can.
    Portable,
}

impl Level {
    /// Environment variable that picks a level below the best one: `avx512`, `avx2`, `neon` or
    /// `portable`.
    pub const VARIABLE: &'static str = "MLESTAR_SIMD";

    /// The level that the kernels use: the best that this processor has, unless
    /// [`Level::VARIABLE`] names a lower one. A name that is unknown or not to be had here is ignored.
    #[must_use]
    pub fn current() -> Self {
        static CURRENT: OnceLock<Level> = OnceLock::new();
        *CURRENT.get_or_init(|| {
            let name = std::env::var(Self::VARIABLE).unwrap_or_default();
            Self::choose(&name, &Self::available())
        })
    }

    /// The level of that name, or else the first of those that are there.
    fn choose(name: &str, available: &[Self]) -> Self {
        let named = available.iter().find(|level| level.name() == name);
        *named.or(available.first()).unwrap_or(&Self::Portable)
    }

    /// Every level that this processor has, the best first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let all = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];
        all.into_iter()
            .filter(|level| level.is_available())
            .collect()
    }

    /// The name that [`Level::VARIABLE`] takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }

    fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => x86::Avx512::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => x86::Avx2::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => true,
            Self::Portable => true,
            #[allow(unreachable_patterns)]
            _ => false,
        }
    }

    /// Runs `operation` with the instructions of this level, or portably where they do not exist.
    #[inline]
    pub(crate) fn run<O: Operation>(self, operation: O) -> O::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => match x86::Avx512::detect() {
                Some(simd) => simd.vectorize(operation),
                None => PORTABLE.vectorize(operation),
            },
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => match x86::Avx2::detect() {
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
        // Neither exists here: unknown, and not on this processor.
        assert_eq!(Level::choose("fastest", &available), Level::Avx2);
        assert_eq!(Level::choose("avx512", &available), Level::Avx2);
    }

    #[test]
    fn plain_rust_is_always_there_and_comes_last() {
        assert_eq!(Level::available().last(), Some(&Level::Portable));
    }
}
