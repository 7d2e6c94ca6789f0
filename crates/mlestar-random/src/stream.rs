//! A stream of draws for one purpose.

use crate::philox::philox4x32;

/// The random draws that belong to one (seed, purpose, epoch, index).
///
/// Streams with different keys are independent; equal keys give equal draws on every machine,
/// operating system and thread. A stream holds 2^34 bytes before it would repeat, far more than
/// any single choice needs.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    /// Words 2 and 3 of the counter; word 0 and 1 count blocks and carry the epoch.
    index: u64,
    epoch: u32,
    n_blocks: u32,
    block: [u32; 4],
    n_used: usize,
}

impl Stream {
    /// The stream of `purpose` (a short, stable name such as `"augmentation"`) for `index` in
    /// `epoch`. Where a purpose has no epoch or index, pass 0.
    pub fn new(seed: u64, purpose: &str, epoch: u64, index: u64) -> Self {
        // The high half of the epoch goes into the key, so that no two epochs share a counter.
        let key = mix(seed ^ mix(fnv1a(purpose.as_bytes()) ^ mix(epoch >> 32)));
        Self {
            key: [key as u32, (key >> 32) as u32],
            index,
            epoch: epoch as u32,
            n_blocks: 0,
            block: [0; 4],
            n_used: 4,
        }
    }

    /// The next 32 random bits.
    #[inline]
    pub fn next_u32(&mut self) -> u32 {
        if self.n_used == 4 {
            let counter = [
                self.n_blocks,
                self.epoch,
                self.index as u32,
                (self.index >> 32) as u32,
            ];
            self.block = philox4x32(counter, self.key);
            self.n_blocks = self.n_blocks.wrapping_add(1);
            self.n_used = 0;
        }
        let word = self.block[self.n_used];
        self.n_used += 1;
        word
    }

    /// The next 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let low = u64::from(self.next_u32());
        let high = u64::from(self.next_u32());
        high << 32 | low
    }

    /// A uniform number in `[0, 1)` with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// A uniform number in `[0, 1)` with 24 random bits.
    #[inline]
    pub fn uniform_f32(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / (1_u32 << 24) as f32)
    }

    /// A uniform number between `low` and `high`; `low` when the two are equal.
    #[inline]
    pub fn range_f32(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform_f32()
    }

    /// A uniform integer in `0..n`, without modulo bias; 0 when `n` is 0.
    ///
    /// D. Lemire, "Fast Random Integer Generation in an Interval", 2019.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        let mut product = u128::from(self.next_u64()) * u128::from(n);
        let rejected_below = n.wrapping_neg() % n;
        while (product as u64) < rejected_below {
            product = u128::from(self.next_u64()) * u128::from(n);
        }
        (product >> 64) as u64
    }

    /// A standard normal number (Box and Muller, 1958; the second of the pair is not kept).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// True with probability `p`: never for `p <= 0` or NaN, always for `p >= 1`.
    pub fn bernoulli(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Puts `items` into a uniformly random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

/// FNV-1a, 64 bits: turns a purpose's name into a number that is the same in every build.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The finaliser of SplitMix64: neighbouring seeds give unrelated keys.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn first_draws(mut stream: Stream) -> [u64; 4] {
        std::array::from_fn(|_| stream.next_u64())
    }

    #[test]
    fn each_part_of_the_key_changes_the_draws() {
        let base = first_draws(Stream::new(1, "a", 2, 3));
        for other in [
            Stream::new(2, "a", 2, 3),
            Stream::new(1, "b", 2, 3),
            Stream::new(1, "a", 3, 3),
            Stream::new(1, "a", 2, 4),
            Stream::new(1, "a", 2 + (1 << 32), 3),
            Stream::new(1, "a", 2, 3 + (1 << 32)),
        ] {
            assert_ne!(base, first_draws(other));
        }
        assert_eq!(base, first_draws(Stream::new(1, "a", 2, 3)));
    }

    #[test]
    fn moments_of_uniform_and_normal_are_right() {
        let mut stream = Stream::new(11, "moments", 0, 0);
        let n = 200_000;
        let (mut sum, mut normal_sum, mut normal_squares) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            sum += stream.uniform();
            let z = stream.normal();
            normal_sum += z;
            normal_squares += z * z;
        }
        let n = f64::from(n);
        // Five standard errors each.
        assert!((sum / n - 0.5).abs() < 5.0 * (1.0 / 12.0 / n).sqrt());
        assert!((normal_sum / n).abs() < 5.0 / n.sqrt());
        assert!((normal_squares / n - 1.0).abs() < 5.0 * (2.0 / n).sqrt());
    }

    #[test]
    fn below_is_uniform() {
        let mut counts = [0_u32; 7];
        let mut stream = Stream::new(5, "below", 0, 0);
        for _ in 0..70_000 {
            counts[stream.below(7) as usize] += 1;
        }
        let chi_squared: f64 = counts
            .iter()
            .map(|count| (f64::from(*count) - 10_000.0).powi(2) / 10_000.0)
            .sum();
        // The 99.99th percentile with 6 degrees of freedom is 27.86.
        assert!(chi_squared < 27.86, "{counts:?}");
        assert_eq!(stream.below(0), 0);
        assert_eq!(stream.below(1), 0);
    }

    #[test]
    fn bernoulli_is_exact_at_its_ends() {
        let mut stream = Stream::new(1, "ends", 0, 0);
        assert!((0..1000).all(|_| !stream.bernoulli(0.0) && stream.bernoulli(1.0)));
        assert!(!stream.bernoulli(f64::NAN));
    }

    proptest! {
        #[test]
        fn a_shuffle_is_a_permutation(seed: u64, n in 0_usize..200) {
            let mut items: Vec<usize> = (0..n).collect();
            Stream::new(seed, "shuffle", 0, 0).shuffle(&mut items);
            items.sort_unstable();
            prop_assert_eq!(items, (0..n).collect::<Vec<_>>());
        }

        #[test]
        fn draws_stay_in_range(seed: u64, n in 1_u64.., low in -1e3_f32..1e3, width in 0.0_f32..1e3) {
            let mut stream = Stream::new(seed, "range", 0, 0);
            prop_assert!(stream.below(n) < n);
            prop_assert!((0.0..1.0).contains(&stream.uniform()));
            prop_assert!((0.0..1.0).contains(&stream.uniform_f32()));
            let value = stream.range_f32(low, low + width);
            prop_assert!(value >= low && value <= low + width);
            prop_assert!(stream.normal().is_finite());
        }
    }
}
