//! Without the outermost values.

use crate::quantize::histogram::Histogram;

/// The range beyond each end of which lies `1 - share` of the values, within the resolution of the histogram; an end
/// at 0 stays there.
pub(super) fn range(histogram: &Histogram, share: f64) -> [f32; 2] {
    let beyond = (1.0 - share) * histogram.total() as f64;
    let width = histogram.width();
    let bins = || histogram.counts.iter().copied();
    let low = f64::from(histogram.low) + width * bins_within(bins(), beyond);
    let high = f64::from(histogram.high) - width * bins_within(bins().rev(), beyond);
    [low.min(0.0) as f32, high.max(0.0) as f32]
}

/// How many bins, counted from an end, hold `n` values; within a bin the values count as evenly spread.
fn bins_within(counts: impl Iterator<Item = u64>, n: f64) -> f64 {
    let mut before = 0.0;
    for (index, count) in counts.enumerate() {
        let count = count as f64;
        if before + count > n {
            return index as f64 + (n - before) / count;
        }
        before += count;
    }
    0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_values_are_left_out_as_asked_for() {
        let values: Vec<f32> = (0..=10_000).map(|value| value as f32 / 100.0).collect();
        let mut histogram = Histogram::new(0.0, 100.0);
        histogram.add(&values);
        let [low, high] = range(&histogram, 0.99);
        assert_eq!(low, 0.0);
        assert!((high - 99.0).abs() < 0.05, "{high}");
        assert_eq!(range(&histogram, 1.0), [0.0, 100.0]);

        let both: Vec<f32> = values.iter().map(|value| value - 50.0).collect();
        let mut histogram = Histogram::new(-50.0, 50.0);
        histogram.add(&both);
        let [low, high] = range(&histogram, 0.9);
        assert!(
            (low + 40.0).abs() < 0.05 && (high - 40.0).abs() < 0.05,
            "{low} {high}"
        );
    }

    #[test]
    fn an_end_never_crosses_zero() {
        let mut histogram = Histogram::new(-1.0, 9.0);
        histogram.add(&[-1.0, 8.0, 8.0, 8.5, 9.0]);
        assert_eq!(range(&histogram, 0.6)[0], 0.0);
    }
}
