//! bfloat16 without special instructions. The upper half of an `f32` is a bfloat16, so a pair becomes two `f32`
//! by a shift and a mask.

use super::Simd;

/// Maximum number of lanes in a vector.
pub(super) const MOST: usize = 16;

/// Rounds to the nearest bfloat16, ties to even.
#[inline(always)]
fn round(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        // Cutting off the lower half could turn a NaN into an infinity.
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

/// The cell of a pair.
#[inline(always)]
pub(crate) fn pack(first: f32, second: f32) -> f32 {
    f32::from_bits(u32::from(round(first)) | u32::from(round(second)) << 16)
}

/// The pair of a cell.
#[inline(always)]
fn unpack(cell: f32) -> [f32; 2] {
    let bits = cell.to_bits();
    [
        f32::from_bits(bits << 16),
        f32::from_bits(bits & 0xffff_0000),
    ]
}

#[inline(always)]
pub(super) fn lanes<S: Simd>(simd: S, vector: S::Vector) -> [f32; MOST] {
    let mut lanes = [0.0; MOST];
    // SAFETY: no vector has more lanes.
    unsafe { simd.store(lanes.as_mut_ptr(), vector) };
    lanes
}

#[inline(always)]
pub(super) fn vector<S: Simd>(simd: S, lanes: [f32; MOST]) -> S::Vector {
    // SAFETY: no vector has more lanes.
    unsafe { simd.load(lanes.as_ptr()) }
}

/// See [`Simd::pack_pairs`].
#[inline(always)]
pub(super) fn pack_pairs<S: Simd>(simd: S, first: S::Vector, second: S::Vector) -> S::Vector {
    let (first, second) = (lanes(simd, first), lanes(simd, second));
    let mut cells = [0.0; MOST];
    for lane in 0..S::LANES {
        cells[lane] = pack(first[lane], second[lane]);
    }
    vector(simd, cells)
}

/// See [`Simd::store_rounded`].
///
/// # Safety
///
/// `LANES` values of 16 bits must be writable at `target`.
#[inline(always)]
pub(super) unsafe fn store_rounded<S: Simd>(simd: S, target: *mut u16, vector: S::Vector) {
    let lanes = lanes(simd, vector);
    for lane in 0..S::LANES {
        // SAFETY: the caller's promise.
        unsafe { target.add(lane).write_unaligned(round(lanes[lane])) };
    }
}

/// See [`Simd::load_rounded`].
///
/// # Safety
///
/// `LANES` values of 16 bits must be readable at `source`.
#[inline(always)]
pub(super) unsafe fn load_rounded<S: Simd>(simd: S, source: *const u16) -> S::Vector {
    let mut values = [0.0; MOST];
    for lane in 0..S::LANES {
        // SAFETY: the caller's promise.
        let bits = unsafe { source.add(lane).read_unaligned() };
        values[lane] = f32::from_bits(u32::from(bits) << 16);
    }
    vector(simd, values)
}

/// See [`Simd::mul_add_pairs`].
#[inline(always)]
pub(super) fn mul_add_pairs<S: Simd>(
    simd: S,
    a: S::Vector,
    b: S::Vector,
    c: S::Vector,
) -> S::Vector {
    let (a, b) = (lanes(simd, a), lanes(simd, b));
    let [mut a0, mut a1, mut b0, mut b1] = [[0.0; MOST]; 4];
    for lane in 0..S::LANES {
        [a0[lane], a1[lane]] = unpack(a[lane]);
        [b0[lane], b1[lane]] = unpack(b[lane]);
    }
    let first = simd.mul_add(vector(simd, a0), vector(simd, b0), c);
    simd.mul_add(vector(simd, a1), vector(simd, b1), first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_the_nearest_and_to_even() {
        // 1 and the next bfloat16, 1 + 2^-7.
        let step = 1.0_f32 / 128.0;
        for (value, expected) in [
            (0.0, 0.0),
            (-0.0, -0.0),
            (1.0, 1.0),
            (1.0 + 0.49 * step, 1.0),
            (1.0 + 0.5 * step, 1.0),
            (1.0 + 0.51 * step, 1.0 + step),
            (1.0 + 1.5 * step, 1.0 + 2.0 * step),
            (-3.0, -3.0),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
        ] {
            let [first, second] = unpack(pack(value, 2.0));
            assert_eq!(first.to_bits(), expected.to_bits(), "{value}: {first}");
            assert_eq!(second, 2.0);
        }
    }

    #[test]
    fn nan_stays_nan() {
        for bits in [0x7f80_0001, 0x7fff_ffff, 0xff80_0001, 0xffff_ffff] {
            let [first, second] = unpack(pack(f32::from_bits(bits), f32::from_bits(bits)));
            assert!(first.is_nan() && second.is_nan(), "{bits:x}");
        }
    }
}
