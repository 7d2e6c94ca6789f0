use super::{Operation, Simd};

/// `N` lanes in plain Rust. Multiplication and addition round separately: without the instruction
/// for it, rounding once costs a function call a lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable<const N: usize>;

impl<const N: usize> Portable<N> {
    #[inline(always)]
    fn zip(a: [f32; N], b: [f32; N], f: impl Fn(f32, f32) -> f32) -> [f32; N] {
        std::array::from_fn(|lane| f(a[lane], b[lane]))
    }
}

impl<const N: usize> Simd for Portable<N> {
    const LANES: usize = N;
    const TILE_VECTORS: usize = 2;

    type Vector = [f32; N];

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; N] {
        [value; N]
    }

    #[inline(always)]
    unsafe fn load(self, source: *const f32) -> [f32; N] {
        // SAFETY: the caller vouches for `N` readable values.
        unsafe { source.cast::<[f32; N]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn store(self, target: *mut f32, vector: [f32; N]) {
        // SAFETY: the caller vouches for `N` writable values.
        unsafe { target.cast::<[f32; N]>().write_unaligned(vector) }
    }

    #[inline(always)]
    fn add(self, a: [f32; N], b: [f32; N]) -> [f32; N] {
        Self::zip(a, b, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, a: [f32; N], b: [f32; N]) -> [f32; N] {
        Self::zip(a, b, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, a: [f32; N], b: [f32; N]) -> [f32; N] {
        Self::zip(a, b, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, a: [f32; N], b: [f32; N]) -> [f32; N] {
        Self::zip(a, b, |a, b| a / b)
    }

    #[inline(always)]
    fn sqrt(self, a: [f32; N]) -> [f32; N] {
        a.map(f32::sqrt)
    }

    #[inline(always)]
    fn mul_add(self, a: [f32; N], b: [f32; N], c: [f32; N]) -> [f32; N] {
        self.add(self.mul(a, b), c)
    }

    #[inline(always)]
    fn neg_mul_add(self, a: [f32; N], b: [f32; N], c: [f32; N]) -> [f32; N] {
        self.sub(c, self.mul(a, b))
    }

    #[inline(always)]
    fn gate(self, gate: [f32; N], value: [f32; N]) -> [f32; N] {
        Self::zip(
            gate,
            value,
            |gate, value| {
                if gate <= 0.0 { 0.0 } else { value }
            },
        )
    }

    #[inline(always)]
    fn at_most(self, value: [f32; N], limit: [f32; N]) -> [f32; N] {
        Self::zip(
            value,
            limit,
            |value, limit| {
                if value > limit { limit } else { value }
            },
        )
    }

    #[inline(always)]
    fn scale_by_power_of_two(self, value: [f32; N], exponent: [f32; N]) -> [f32; N] {
        Self::zip(value, exponent, |value, exponent| {
            value * f32::from_bits(((exponent as i32 + 127) << 23) as u32)
        })
    }

    #[inline(always)]
    fn vectorize<O: Operation>(self, operation: O) -> O::Output {
        operation.run(self)
    }
}
