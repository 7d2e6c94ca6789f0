//! Histograms of values.

use std::sync::LazyLock;

use mlestar_artifact::protobuf::Message;

/// Counts of values in buckets of exponential width, like TensorFlow's histograms: the limits are 0 and plus
/// and minus 1e-12, 1.1e-12, 1.21e-12 and so on up to 1e20.
///
/// Values that are not finite are counted separately; they are in no bucket and no other figure.
///
/// ```
/// use mlestar_train::tensorboard::HistogramSummary;
///
/// let weights = [0.5_f32, -0.25, 0.5, f32::NAN];
/// let histogram = HistogramSummary::of(weights);
/// assert_eq!((histogram.n(), histogram.n_not_finite()), (3, 1));
/// assert_eq!((histogram.min(), histogram.max(), histogram.sum()), (-0.25, 0.5, 0.75));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSummary {
    /// One count per limit in [`LIMITS`].
    counts: Vec<u64>,
    n: u64,
    n_not_finite: u64,
    min: f64,
    max: f64,
    sum: f64,
    sum_squares: f64,
}

/// Upper ends of the buckets (excluded), ascending.
static LIMITS: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let mut positive = Vec::new();
    let mut limit = 1e-12;
    while limit < 1e20 {
        positive.push(limit);
        limit *= 1.1;
    }
    positive.push(f64::MAX);
    let negative = positive.iter().rev().map(|limit| -limit);
    negative
        .chain([0.0])
        .chain(positive.iter().copied())
        .collect()
});

impl Default for HistogramSummary {
    fn default() -> Self {
        Self {
            counts: vec![0; LIMITS.len()],
            n: 0,
            n_not_finite: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            sum: 0.0,
            sum_squares: 0.0,
        }
    }
}

impl HistogramSummary {
    /// An empty histogram.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The histogram of `values`, in one pass.
    #[must_use]
    pub fn of<V: Into<f64>>(values: impl IntoIterator<Item = V>) -> Self {
        let mut histogram = Self::new();
        for value in values {
            histogram.add(value.into());
        }
        histogram
    }

    /// Adds one value.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            self.n_not_finite += 1;
            return;
        }
        let bucket = LIMITS.partition_point(|&limit| limit <= value);
        // The largest f64 itself is at the last limit.
        self.counts[bucket.min(LIMITS.len() - 1)] += 1;
        self.n += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sum += value;
        self.sum_squares += value * value;
    }

    /// The number of finite values.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// The number of values that are NaN or infinite.
    #[must_use]
    pub fn n_not_finite(&self) -> u64 {
        self.n_not_finite
    }

    /// The lowest finite value; 0 if there is none.
    #[must_use]
    pub fn min(&self) -> f64 {
        if self.n == 0 { 0.0 } else { self.min }
    }

    /// The highest finite value; 0 if there is none.
    #[must_use]
    pub fn max(&self) -> f64 {
        if self.n == 0 { 0.0 } else { self.max }
    }

    /// The sum of the finite values.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The sum of the squares of the finite values.
    #[must_use]
    pub fn sum_squares(&self) -> f64 {
        self.sum_squares
    }

    /// Upper limit and count of each bucket, ascending; neighbouring empty buckets are merged. There is always
    /// at least one bucket.
    #[must_use]
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let mut buckets: Vec<(f64, u64)> = Vec::new();
        for (&limit, &count) in LIMITS.iter().zip(&self.counts) {
            match buckets.last_mut() {
                Some((last, 0)) if count == 0 => *last = limit,
                _ => buckets.push((limit, count)),
            }
        }
        buckets
    }
}

/// `Summary.Value { tag, histo: HistogramProto { .. } }`.
pub(super) fn value(tag: &str, histogram: &HistogramSummary) -> Message {
    let (limits, counts): (Vec<f64>, Vec<f64>) = histogram
        .buckets()
        .into_iter()
        .map(|(limit, count)| (limit, count as f64))
        .unzip();
    let proto = Message::new()
        .double(1, histogram.min())
        .double(2, histogram.max())
        .double(3, histogram.n() as f64)
        .double(4, histogram.sum())
        .double(5, histogram.sum_squares())
        .doubles(6, &limits)
        .doubles(7, &counts);
    Message::new().bytes(1, tag).message(5, &proto)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Encoded by hand from the message definition: one value, in the bucket between the limits 1e-12 * 1.1^n
    /// on both sides of 1, and the empty ones beside it.
    #[test]
    fn a_histogram_has_these_bytes() {
        let mut above = 1e-12;
        while above <= 1.0 {
            above *= 1.1;
        }
        let below = LIMITS[LIMITS.iter().position(|&limit| limit == above).unwrap() - 1];
        assert!(below <= 1.0);
        let le =
            |values: &[f64]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let doubles = le(&[1.0]);
        let mut proto = Vec::new();
        for tag in [0x09, 0x11, 0x19, 0x21, 0x29] {
            proto.push(tag); // min, max, num, sum, sum_squares
            proto.extend(&doubles);
        }
        proto.extend([0x32, 24]); // bucket_limit
        proto.extend(le(&[below, above, f64::MAX]));
        proto.extend([0x3a, 24]); // bucket
        proto.extend(le(&[0.0, 1.0, 0.0]));
        let expected = [&[0x0a, 1, b'w', 0x2a, proto.len() as u8][..], &proto].concat();
        assert_eq!(
            value("w", &HistogramSummary::of([1.0])).into_bytes(),
            expected
        );
    }

    #[test]
    fn values_on_a_limit_belong_to_the_bucket_above() {
        let found = HistogramSummary::of([0.0, -1e-12]).buckets();
        let counted: Vec<_> = found.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [&(0.0, 1), &(1e-12, 1)]);
    }

    #[test]
    fn what_is_not_finite_is_counted_apart() {
        let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        let histogram = HistogramSummary::of(values);
        assert_eq!((histogram.n(), histogram.n_not_finite()), (0, 3));
        assert_eq!(
            (histogram.min(), histogram.max(), histogram.sum()),
            (0.0, 0.0, 0.0)
        );
        assert_eq!(histogram.buckets(), [(f64::MAX, 0)]);
    }

    #[test]
    fn the_largest_numbers_have_a_bucket() {
        let histogram = HistogramSummary::of([f64::MAX, f64::MIN, f64::from(f32::MAX)]);
        let counts: u64 = histogram.buckets().iter().map(|(_, count)| count).sum();
        assert_eq!(counts, 3);
    }

    proptest! {
        #[test]
        fn every_finite_value_is_in_one_bucket(
            values in proptest::collection::vec(any::<f32>(), 0..200),
        ) {
            let histogram = HistogramSummary::of(values.iter().copied());
            let finite: Vec<f64> = values.iter().filter(|v| v.is_finite()).map(|&v| v.into()).collect();
            prop_assert_eq!(histogram.n(), finite.len() as u64);
            prop_assert_eq!(histogram.n() + histogram.n_not_finite(), values.len() as u64);
            let mut below = f64::NEG_INFINITY;
            let mut total = 0;
            for (limit, count) in histogram.buckets() {
                prop_assert!(below < limit);
                let inside = finite.iter().filter(|&&v| v >= below && v < limit).count();
                prop_assert_eq!(count, inside as u64);
                below = limit;
                total += count;
            }
            prop_assert_eq!(total, histogram.n());
            prop_assert!(finite.iter().all(|v| (histogram.min()..=histogram.max()).contains(v)));
        }

        #[test]
        fn sums_are_those_of_the_values(values in proptest::collection::vec(-1e3_f64..1e3, 1..50)) {
            let histogram = HistogramSummary::of(values.iter().copied());
            prop_assert_eq!(histogram.sum(), values.iter().sum::<f64>());
            prop_assert_eq!(histogram.sum_squares(), values.iter().map(|v| v * v).sum::<f64>());
        }
    }
}
