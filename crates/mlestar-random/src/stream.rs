//! A stream of draws for one purpose.

use crate::philox::philox4x32;

/// The random draws that belong to one (seed, purpose, epoch, index).
///
/// Streams with different keys are independent; equal keys give equal draws on every machine, operating system
/// and thread. A stream holds 2^34 bytes before it repeats, far more than any single choice needs.
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
    /// The stream of `purpose` (a short, stable name such as `"augmentation"`) for `index` in `epoch`. Pass 0
    /// if a purpose has no epoch or index.
    pub fn new(seed: u64, purpose: &str, epoch: u64, index: u64) -> Self {
        // The high half of the epoch is part of the key, so that no two epochs share a counter.
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

    /// A number from the gamma distribution with the given shape and scale 1; NaN unless `shape` is
    /// above 0 and finite. For tiny shapes most draws are too small for an `f64` and come out as 0.
    ///
    /// G. Marsaglia and W. W. Tsang, "A Simple Method for Generating Gamma Variables", 2000.
    pub fn gamma(&mut self, shape: f64) -> f64 {
        self.ln_gamma(shape).exp()
    }

    /// A number in `[0, 1]` from the beta distribution; NaN unless both parameters are above 0 and
    /// finite.
    ///
    /// It is a ratio of two draws of the gamma distribution, computed from their logarithms, so that small
    /// parameters, whose draws are close to 0 and 1, do not give 0 / 0.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        let ln_odds = self.ln_gamma(a) - self.ln_gamma(b);
        1.0 / (1.0 + (-ln_odds).exp())
    }

    /// The logarithm of a draw of the gamma distribution.
    fn ln_gamma(&mut self, shape: f64) -> f64 {
        if !(shape > 0.0 && shape.is_finite()) {
            return f64::NAN;
        }
        if shape < 1.0 {
            // With u uniform, gamma(shape + 1) * u^(1 / shape) has the distribution of gamma(shape).
            let ln_uniform = (1.0 - self.uniform()).ln();
            return self.ln_gamma(shape + 1.0) + ln_uniform / shape;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let z = self.normal();
            let root = 1.0 + c * z;
            if root <= 0.0 {
                continue;
            }
            let v = root * root * root;
            let ln_uniform = (1.0 - self.uniform()).ln();
            if ln_uniform < 0.5 * z * z + d * (1.0 - v + v.ln()) {
                return d.ln() + v.ln();
            }
        }
    }

    /// True with probability `p`: never for `p <= 0` or NaN, always for `p >= 1`.
    pub fn bernoulli(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Shuffles `items` into a uniformly random order (Fisher and Yates).
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

    /// Mean and variance of a gamma variable are its shape.
    #[test]
    fn moments_of_gamma_are_right() {
        for shape in [0.2, 0.5, 1.0, 3.0, 40.0] {
            let mut stream = Stream::new(12, "gamma", 0, 0);
            let n = 200_000;
            let draws: Vec<f64> = (0..n).map(|_| stream.gamma(shape)).collect();
            let n = f64::from(n);
            let mean = draws.iter().sum::<f64>() / n;
            let variance = draws.iter().map(|x| (x - shape).powi(2)).sum::<f64>() / n;
            // Five standard errors each; the fourth central moment is 3 shape^2 + 6 shape.
            assert!(
                (mean - shape).abs() < 5.0 * (shape / n).sqrt(),
                "{shape}: {mean}"
            );
            let error = ((2.0 * shape * shape + 6.0 * shape) / n).sqrt();
            assert!(
                (variance - shape).abs() < 5.0 * error,
                "{shape}: {variance}"
            );
        }
    }

    /// Largest distance of the share of draws up to `x` from `distribution(x)`, times the root of their
    /// number.
    fn kolmogorov(mut draws: Vec<f64>, distribution: impl Fn(f64) -> f64) -> f64 {
        draws.sort_by(f64::total_cmp);
        let n = draws.len() as f64;
        let distance = |(index, &x): (usize, &f64)| {
            let expected = distribution(x);
            let (below, up_to) = (index as f64 / n, (index + 1) as f64 / n);
            (expected - below).abs().max((expected - up_to).abs())
        };
        draws.iter().enumerate().map(distance).fold(0.0, f64::max) * n.sqrt()
    }

    /// Against distributions with a closed form: uniform, arcsine, `x^2 (3 - 2 x)` and `x^a`.
    #[test]
    fn beta_has_its_distribution() {
        let check = |a: f64, b: f64, distribution: &dyn Fn(f64) -> f64| {
            let mut stream = Stream::new(13, "beta", 0, 0);
            let draws: Vec<f64> = (0..20_000).map(|_| stream.beta(a, b)).collect();
            assert!(draws.iter().all(|x| (0.0..=1.0).contains(x)));
            // Exceeded by one sample in a hundred thousand.
            let distance = kolmogorov(draws, distribution);
            assert!(distance < 2.47, "{a} {b}: {distance}");
        };
        check(1.0, 1.0, &|x| x);
        check(0.5, 0.5, &|x| x.sqrt().asin() * std::f64::consts::FRAC_2_PI);
        check(2.0, 2.0, &|x| x * x * (3.0 - 2.0 * x));
        check(0.3, 1.0, &|x| x.powf(0.3));
        check(1.0, 7.0, &|x| 1.0 - (1.0 - x).powi(7));
    }

    /// The variance of beta(a, a) is 1 / (8 a + 4).
    #[test]
    fn beta_of_small_and_large_parameters_stays_in_range() {
        for a in [1e-300, 1e-3, 0.2, 5.0, 1e6, 1e300] {
            let mut stream = Stream::new(14, "beta ends", 0, 0);
            let n = 20_000;
            let draws: Vec<f64> = (0..n).map(|_| stream.beta(a, a)).collect();
            assert!(draws.iter().all(|x| (0.0..=1.0).contains(x)), "{a}");
            let n = f64::from(n);
            let variance = 1.0 / (8.0 * a + 4.0);
            let mean = draws.iter().sum::<f64>() / n;
            assert!(
                (mean - 0.5).abs() <= 5.0 * (variance / n).sqrt() + 1e-9,
                "{a}: {mean}"
            );
            let found = draws.iter().map(|x| (x - 0.5).powi(2)).sum::<f64>() / n;
            assert!(
                (found - variance).abs() < 0.1 * variance + 1e-9,
                "{a}: {found}"
            );
        }
    }

    #[test]
    fn parameters_without_a_distribution_give_nan() {
        let mut stream = Stream::new(15, "nan", 0, 0);
        for shape in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(stream.gamma(shape).is_nan());
            assert!(stream.beta(shape, 1.0).is_nan() && stream.beta(1.0, shape).is_nan());
        }
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
