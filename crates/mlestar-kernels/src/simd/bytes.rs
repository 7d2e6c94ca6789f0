//! Products and conversions of bytes in plain Rust, four bytes in a cell of 32 bits.

use super::{
    Simd,
    bfloat16::{MOST, lanes, vector},
};

/// See [`Simd::mul_add_quads`].
#[inline(always)]
pub(super) fn mul_add_quads<S: Simd>(
    simd: S,
    a: S::Vector,
    b: S::Vector,
    c: S::Vector,
) -> S::Vector {
    let (a, b, mut sums) = (lanes(simd, a), lanes(simd, b), lanes(simd, c));
    for lane in 0..S::LANES {
        let mut sum = sums[lane].to_bits() as i32;
        let (a, b) = (a[lane].to_bits(), b[lane].to_bits());
        for byte in 0..4 {
            let (a, b) = ((a >> (8 * byte)) as u8, (b >> (8 * byte)) as i8);
            sum = sum.wrapping_add(i32::from(a) * i32::from(b));
        }
        sums[lane] = f32::from_bits(sum as u32);
    }
    vector(simd, sums)
}

/// See [`Simd::integers_to_f32`].
#[inline(always)]
pub(super) fn integers_to_f32<S: Simd>(simd: S, value: S::Vector) -> S::Vector {
    let mut values = lanes(simd, value);
    for value in &mut values[..S::LANES] {
        *value = value.to_bits() as i32 as f32;
    }
    vector(simd, values)
}

/// See [`Simd::load_bytes`].
///
/// # Safety
///
/// `LANES` bytes must be readable at `source`.
#[inline(always)]
pub(super) unsafe fn load<S: Simd>(simd: S, source: *const u8) -> S::Vector {
    let mut values = [0.0; MOST];
    for lane in 0..S::LANES {
        // SAFETY: the caller's promise.
        values[lane] = f32::from(unsafe { *source.add(lane) });
    }
    vector(simd, values)
}

/// See [`Simd::store_bytes`].
///
/// # Safety
///
/// `LANES` bytes must be writable at `target`.
#[inline(always)]
pub(super) unsafe fn store<S: Simd>(simd: S, target: *mut u8, vector: S::Vector) {
    let values = lanes(simd, vector);
    for lane in 0..S::LANES {
        // SAFETY: the caller's promise.
        unsafe { *target.add(lane) = values[lane] as u8 };
    }
}

/// See [`Simd::clamp`].
#[inline(always)]
pub(super) fn clamp<S: Simd>(
    simd: S,
    value: S::Vector,
    low: S::Vector,
    high: S::Vector,
) -> S::Vector {
    let (mut values, low, high) = (lanes(simd, value), lanes(simd, low), lanes(simd, high));
    for lane in 0..S::LANES {
        let value = if values[lane] > low[lane] {
            values[lane]
        } else {
            low[lane]
        };
        values[lane] = if value < high[lane] {
            value
        } else {
            high[lane]
        };
    }
    vector(simd, values)
}
