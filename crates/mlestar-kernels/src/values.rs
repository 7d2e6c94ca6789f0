//! Values between the layers of a network, as `f32` or in fewer bits.

use std::ops::Range;

use rayon::prelude::*;

use crate::{
    KernelError, Level,
    error::check_length,
    memory::{cast, check},
    simd::{Operation, Simd},
};

/// How bytes stand for values: `(byte - zero_point) * scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ByteScale {
    /// The value of one step, finite and above 0.
    pub scale: f32,
    /// The byte that stands for 0.
    pub zero_point: u8,
}

/// Values to read.
#[derive(Debug, Clone, Copy)]
pub enum Values<'a> {
    /// `f32`.
    F32(&'a [f32]),
    /// The bits of bfloat16, the upper halves of `f32`.
    Bfloat16(&'a [u16]),
    /// Bytes with their meaning.
    Bytes(&'a [u8], ByteScale),
}

/// Values to write. Rounding is to the nearest, ties to even; bytes saturate.
#[derive(Debug)]
pub enum ValuesMut<'a> {
    /// `f32`.
    F32(&'a mut [f32]),
    /// The bits of bfloat16, the upper halves of `f32`.
    Bfloat16(&'a mut [u16]),
    /// Bytes with their meaning.
    Bytes(&'a mut [u8], ByteScale),
}

impl Values<'_> {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::Bfloat16(values) => values.len(),
            Self::Bytes(values, _) => values.len(),
        }
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn check_length(&self, what: &'static str, len: usize) -> Result<(), KernelError> {
        match self {
            Self::F32(values) => check_length(what, values, len),
            Self::Bfloat16(values) => check_length(what, values, len),
            Self::Bytes(values, _) => check_length(what, values, len),
        }
    }

    /// For reading at any position.
    pub(crate) fn source(&self) -> Source {
        let address = match *self {
            Self::F32(values) => Address::F32(values.as_ptr().cast_mut()),
            Self::Bfloat16(values) => Address::Bfloat16(values.as_ptr().cast_mut()),
            Self::Bytes(values, scale) => Address::Bytes(values.as_ptr().cast_mut(), scale),
        };
        Source(address, self.len())
    }
}

impl ValuesMut<'_> {
    /// The same values, to read.
    #[must_use]
    pub fn as_values(&self) -> Values<'_> {
        match self {
            Self::F32(values) => Values::F32(values),
            Self::Bfloat16(values) => Values::Bfloat16(values),
            Self::Bytes(values, scale) => Values::Bytes(values, *scale),
        }
    }

    /// For writing at any position.
    pub(crate) fn target(&mut self) -> Target {
        let len = self.as_values().len();
        let address = match self {
            Self::F32(values) => Address::F32(values.as_mut_ptr()),
            Self::Bfloat16(values) => Address::Bfloat16(values.as_mut_ptr()),
            Self::Bytes(values, scale) => Address::Bytes(values.as_mut_ptr(), *scale),
        };
        Target(address, len)
    }
}

#[derive(Debug, Clone, Copy)]
enum Address {
    F32(*mut f32),
    Bfloat16(*mut u16),
    Bytes(*mut u8, ByteScale),
}

/// Values that threads read, each at its own positions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source(Address, usize);

/// Values that threads write, each at its own positions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target(Address, usize);

// SAFETY: code that dereferences the addresses ensures that they are readable.
unsafe impl Send for Source {}
// SAFETY: as above.
unsafe impl Sync for Source {}
// SAFETY: code that dereferences the addresses ensures that no two threads write the same position.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

impl Source {
    /// A vector of values.
    ///
    /// # Safety
    ///
    /// The values must exist, and nobody may write them.
    #[inline(always)]
    pub(crate) unsafe fn load<S: Simd>(self, simd: S, index: usize) -> S::Vector {
        check(index + S::LANES <= self.1);
        // SAFETY: the caller's promise.
        unsafe {
            match self.0 {
                Address::F32(values) => simd.load(values.wrapping_add(index)),
                Address::Bfloat16(values) => simd.load_rounded(values.wrapping_add(index)),
                Address::Bytes(values, scale) => {
                    let bytes = simd.load_bytes(values.wrapping_add(index));
                    let steps = simd.sub(bytes, simd.splat(f32::from(scale.zero_point)));
                    simd.mul(steps, simd.splat(scale.scale))
                }
            }
        }
    }

    /// The values themselves if they are `f32`.
    ///
    /// # Safety
    ///
    /// As for [`load`](Self::load), for as long as the slice is used.
    pub(crate) unsafe fn as_f32<'a>(self) -> Option<&'a [f32]> {
        match self.0 {
            // SAFETY: the caller's promise.
            Address::F32(values) => Some(unsafe { std::slice::from_raw_parts(values, self.1) }),
            Address::Bfloat16(_) | Address::Bytes(..) => None,
        }
    }

    /// The first `n` values of a vector.
    ///
    /// # Safety
    ///
    /// As for [`load`](Self::load), for these values.
    #[inline(always)]
    pub(crate) unsafe fn load_some<S: Simd>(self, simd: S, index: usize, n: usize) -> S::Vector {
        check(index + n <= self.1 && n <= MOST_LANES);
        // SAFETY: the caller's promise; no vector has more lanes than the copies.
        unsafe {
            match self.0 {
                Address::F32(values) => simd.load(copy(values.wrapping_add(index), n).as_ptr()),
                Address::Bfloat16(values) => {
                    simd.load_rounded(copy(values.wrapping_add(index), n).as_ptr())
                }
                Address::Bytes(values, scale) => {
                    let mut lanes = copy(values.wrapping_add(index), n);
                    Self(Address::Bytes(lanes.as_mut_ptr(), scale), MOST_LANES).load(simd, 0)
                }
            }
        }
    }
}

/// Values in the widest vector.
pub(crate) const MOST_LANES: usize = 16;

/// # Safety
///
/// `n` values must be readable at `from`, at most [`MOST_LANES`].
#[inline(always)]
unsafe fn copy<T: Copy + Default>(from: *const T, n: usize) -> [T; MOST_LANES] {
    let mut lanes = [T::default(); MOST_LANES];
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), n) };
    lanes
}

impl Target {
    /// Stores a vector of values.
    ///
    /// # Safety
    ///
    /// The positions must exist, and only the caller may use them.
    #[inline(always)]
    pub(crate) unsafe fn store<S: Simd>(self, simd: S, index: usize, values: S::Vector) {
        check(index + S::LANES <= self.1);
        // SAFETY: the caller's promise.
        unsafe {
            match self.0 {
                Address::F32(target) => simd.store(target.wrapping_add(index), values),
                Address::Bfloat16(target) => {
                    simd.store_rounded(target.wrapping_add(index), values);
                }
                Address::Bytes(target, scale) => {
                    simd.store_bytes(target.wrapping_add(index), quantize(simd, values, scale));
                }
            }
        }
    }

    /// Stores the first `n` values of a vector.
    ///
    /// # Safety
    ///
    /// As for [`store`](Self::store), for these values.
    #[inline(always)]
    pub(crate) unsafe fn store_some<S: Simd>(
        self,
        simd: S,
        index: usize,
        n: usize,
        values: S::Vector,
    ) {
        check(index + n <= self.1 && n <= S::LANES);
        // SAFETY: the caller's promise; no vector has more lanes than the copies.
        unsafe {
            match self.0 {
                Address::F32(target) => {
                    let mut lanes = [0.0_f32; MOST_LANES];
                    simd.store(lanes.as_mut_ptr(), values);
                    target
                        .wrapping_add(index)
                        .copy_from_nonoverlapping(lanes.as_ptr(), n);
                }
                Address::Bfloat16(target) => {
                    let mut lanes = [0_u16; MOST_LANES];
                    simd.store_rounded(lanes.as_mut_ptr(), values);
                    target
                        .wrapping_add(index)
                        .copy_from_nonoverlapping(lanes.as_ptr(), n);
                }
                Address::Bytes(target, scale) => {
                    let mut lanes = [0_u8; MOST_LANES];
                    simd.store_bytes(lanes.as_mut_ptr(), quantize(simd, values, scale));
                    target
                        .wrapping_add(index)
                        .copy_from_nonoverlapping(lanes.as_ptr(), n);
                }
            }
        }
    }

    /// The address of value `index` if values are `f32`. One past the end is allowed.
    #[inline(always)]
    pub(crate) fn f32_at(self, index: usize) -> Option<*mut f32> {
        check(index <= self.1);
        match self.0 {
            Address::F32(values) => Some(values.wrapping_add(index)),
            Address::Bfloat16(_) | Address::Bytes(..) => None,
        }
    }
}

/// The bytes that stand for values, as whole numbers.
#[inline(always)]
fn quantize<S: Simd>(simd: S, values: S::Vector, scale: ByteScale) -> S::Vector {
    // A sum with 1.5 * 2^23 has no bits for fractions, so the addition rounds to the nearest whole number, ties to
    // even, with any instructions.
    let no_fraction = simd.splat(12_582_912.0);
    let zero = f32::from(scale.zero_point);
    let steps = simd.div(values, simd.splat(scale.scale));
    let steps = simd.clamp(steps, simd.splat(-zero), simd.splat(255.0 - zero));
    let whole = simd.sub(simd.add(steps, no_fraction), no_fraction);
    simd.add(whole, simd.splat(zero))
}

/// The elements of stored values, and how to read them.
pub(crate) trait Stored: Copy + Send + Sync {
    /// Zeros, as many as there are in `zeros`.
    fn zeros(zeros: &[f32]) -> &[Self];

    /// # Safety
    ///
    /// A vector of elements must be readable at `source`.
    unsafe fn load<S: Simd>(simd: S, source: *const Self) -> S::Vector;

    fn value(self) -> f32;
}

impl Stored for f32 {
    #[inline(always)]
    fn zeros(zeros: &[f32]) -> &[f32] {
        zeros
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, source: *const f32) -> S::Vector {
        // SAFETY: the caller's promise.
        unsafe { simd.load(source) }
    }

    #[inline(always)]
    fn value(self) -> f32 {
        self
    }
}

/// bfloat16.
impl Stored for u16 {
    #[inline(always)]
    fn zeros(zeros: &[f32]) -> &[u16] {
        &cast(zeros)[..zeros.len()]
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, source: *const u16) -> S::Vector {
        // SAFETY: the caller's promise.
        unsafe { simd.load_rounded(source) }
    }

    #[inline(always)]
    fn value(self) -> f32 {
        f32::from_bits(u32::from(self) << 16)
    }
}

/// Converts values to another form.
///
/// # Errors
///
/// [`KernelError::Length`] if there are not as many values in both.
///
/// ```
/// use mlestar_kernels::{ByteScale, Values, ValuesMut, convert};
///
/// let scale = ByteScale { scale: 0.5, zero_point: 10 };
/// let mut bytes = [0; 4];
/// convert(Values::F32(&[0.0, 0.75, -9.0, 500.0]), ValuesMut::Bytes(&mut bytes, scale))?;
/// assert_eq!(bytes, [10, 12, 0, 255]);
/// # Ok::<(), mlestar_kernels::KernelError>(())
/// ```
pub fn convert(from: Values, mut to: ValuesMut) -> Result<(), KernelError> {
    let len = to.as_values().len();
    from.check_length("converted values", len)?;
    let (source, target) = (from.source(), to.target());
    let level = Level::current();
    (0..len.div_ceil(PIECE_VALUES))
        .into_par_iter()
        .for_each(|piece| {
            let first = piece * PIECE_VALUES;
            let range = first..len.min(first + PIECE_VALUES);
            level.run_with_bfloat16(Convert {
                source,
                target,
                range,
            });
        });
    Ok(())
}

/// Values per task.
const PIECE_VALUES: usize = 16 << 10;

struct Convert {
    source: Source,
    target: Target,
    range: Range<usize>,
}

impl Operation for Convert {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            source,
            target,
            range,
        } = self;
        let whole = range.start + range.len() / S::LANES * S::LANES;
        // SAFETY: both have these positions, and no other task writes them.
        unsafe {
            for index in (range.start..whole).step_by(S::LANES) {
                target.store(simd, index, source.load(simd, index));
            }
            let rest = range.end - whole;
            if rest > 0 {
                target.store_some(simd, whole, rest, source.load_some(simd, whole, rest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Portable;

    struct Quantize<'a>(&'a [f32], ByteScale, &'a mut [u8]);

    impl Operation for Quantize<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) {
            let Self(values, scale, bytes) = self;
            let target = ValuesMut::Bytes(bytes, scale).target();
            for index in (0..values.len()).step_by(S::LANES) {
                // SAFETY: 16 values are whole vectors of any level.
                unsafe { target.store(simd, index, simd.load(values.as_ptr().add(index))) };
            }
        }
    }

    /// Values at, just below and just above halves of steps, and those without a byte of their own.
    #[test]
    fn every_level_rounds_to_the_bytes_of_a_division() {
        let mut stream = mlestar_random::Stream::new(2, "scales", 0, 0);
        for _ in 0..2_000 {
            let scale = ByteScale {
                scale: (10.0_f64.powf(stream.normal()) as f32).max(1e-6),
                zero_point: stream.below(256) as u8,
            };
            let mut values = [0.0_f32; 16];
            for (index, value) in values.iter_mut().enumerate() {
                let step = stream.below(600) as f32 - 300.0 + 0.5;
                let half = step * scale.scale;
                *value = match index % 4 {
                    0 => half,
                    1 => f32::from_bits(half.to_bits() + 1),
                    2 => f32::from_bits(half.to_bits() - 1),
                    _ => stream.normal() as f32 * 60.0 * scale.scale,
                };
            }
            [values[3], values[7], values[11]] = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
            let expected = values.map(|value| {
                let zero = f32::from(scale.zero_point);
                let steps = (value / scale.scale).round_ties_even();
                // NaN has the lowest byte.
                (steps.max(-zero).min(255.0 - zero) + zero) as u8
            });
            let mut found = [1; 16];
            Portable::<1>.vectorize(Quantize(&values, scale, &mut found));
            assert_eq!(found, expected, "{scale:?} {values:?}");
            for level in Level::available() {
                let mut found = [1; 16];
                level.run_with_bytes(Quantize(&values, scale, &mut found));
                assert_eq!(found, expected, "{level:?} {scale:?} {values:?}");
                level.run(Quantize(&values, scale, &mut found));
                assert_eq!(found, expected, "{level:?} {scale:?} {values:?}");
            }
        }
    }
}
