//! The distribution of a buffer's values.

use rayon::prelude::*;

/// Bins of a histogram, all of the same width.
pub(super) const BINS: usize = 4096;
/// Values in one task.
const PIECE: usize = 1 << 16;

/// How often values occur between the smallest and the largest one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Histogram {
    /// The smallest value, or 0 if that is smaller.
    pub low: f32,
    /// The largest value, or 0 if that is larger.
    pub high: f32,
    /// Values in each bin from `low` to `high`.
    pub counts: Vec<u64>,
    /// Values that are exactly 0, such as a ReLU leaves behind. They are counted in their bin too.
    pub zeros: u64,
}

impl Histogram {
    /// An empty histogram. The range must be finite and contain 0.
    pub(super) fn new(low: f32, high: f32) -> Self {
        Self {
            low,
            high,
            counts: vec![0; BINS],
            zeros: 0,
        }
    }

    /// Counts `values`, which must lie in the range.
    pub(super) fn add(&mut self, values: &[f32]) {
        let (low, per_value) = (self.low, BINS as f32 / (self.high - self.low));
        if !per_value.is_finite() {
            // A range without width: all values are 0.
            self.counts[0] += values.len() as u64;
            self.zeros += values.len() as u64;
            return;
        }
        let pieces = values.par_chunks(PIECE).map(|values| {
            let (mut counts, mut zeros) = (vec![0_u32; BINS], 0_u64);
            for &value in values {
                let bin = ((value - low) * per_value) as usize;
                counts[bin.min(BINS - 1)] += 1;
                zeros += u64::from(value == 0.0);
            }
            (counts, zeros)
        });
        for (counts, zeros) in pieces.collect::<Vec<_>>() {
            for (sum, count) in self.counts.iter_mut().zip(counts) {
                *sum += u64::from(count);
            }
            self.zeros += zeros;
        }
    }

    /// Width of a bin.
    pub(super) fn width(&self) -> f64 {
        (f64::from(self.high) - f64::from(self.low)) / BINS as f64
    }

    /// Number of values.
    pub(super) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The bin that 0 falls into.
    pub(super) fn zero_bin(&self) -> usize {
        let bin = f64::from(-self.low) / self.width();
        // Without a width this is NaN, and the first bin holds all zeros.
        (bin as usize).min(BINS - 1)
    }
}
