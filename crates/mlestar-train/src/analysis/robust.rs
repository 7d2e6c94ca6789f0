//! Statistics that a few outliers do not change.

/// The median of the finite values; `None` if there are none.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    mlestar_eval::median(&finite)
}

/// The medians of `n_blocks` blocks of roughly equal length. Blocks without a finite value are left out.
pub(super) fn block_medians(values: &[f64], n_blocks: usize) -> Vec<f64> {
    let length = values.len().div_ceil(n_blocks.max(1)).max(1);
    values.chunks(length).filter_map(median).collect()
}

/// The highest median over one tenth of the values: the normal level where the values are highest.
pub(super) fn highest_level(values: &[f64]) -> Option<f64> {
    block_medians(values, 10).into_iter().max_by(f64::total_cmp)
}

/// The lowest of the finite values.
pub(super) fn lowest(values: &[f64]) -> Option<f64> {
    let finite = values.iter().copied().filter(|value| value.is_finite());
    finite.min_by(f64::total_cmp)
}

/// A value far above the values before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spike {
    /// Index of the first value that is too high.
    pub first: usize,
    /// Index of the highest value.
    pub peak: usize,
    /// The highest value.
    pub height: f64,
    /// The median of the values before the first.
    pub before: f64,
    /// After how many values the spike was over; `None` if it lasted longer than `WINDOW` values or until the
    /// end.
    pub recovered_after: Option<usize>,
}

/// The limits that make a value a spike.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpikeLimits {
    /// Above the median by this many standard deviations, estimated from the median absolute deviation.
    pub deviations: f64,
    /// Also above the median by at least this factor.
    pub factor: f64,
}

/// The window of values before a value that defines the normal level.
const WINDOW: usize = 100;
/// A window with fewer values is not used.
const FEWEST: usize = 20;
/// For normally distributed values, the standard deviation is this many times the median absolute deviation.
const MAD_TO_DEVIATION: f64 = 1.4826;

/// Finds values far above the median of those before them, on a logarithmic scale. Losses and norms vary by
/// factors, and on this scale the same limits fit the beginning and the end of a training. Values that are not
/// positive and finite are skipped.
pub(super) fn spikes(values: &[f64], limits: SpikeLimits) -> Vec<Spike> {
    let mut window = Window::default();
    let mut found: Vec<Spike> = Vec::new();
    let mut open: Option<Spike> = None;
    for (index, &value) in values.iter().enumerate() {
        if !(value.is_finite() && value > 0.0) {
            continue;
        }
        if let Some(spike) = &mut open {
            if value > spike.height {
                (spike.peak, spike.height) = (index, value);
            }
            let is_over = value < spike.before * limits.factor.sqrt();
            if is_over {
                spike.recovered_after = Some(index - spike.first);
            }
            let is_new_level = !is_over && index - spike.first >= WINDOW;
            if is_new_level {
                window = Window::default();
            }
            if is_over || is_new_level {
                found.extend(open.take());
            }
            // A spike does not enter the window, so it does not change the normal level.
            continue;
        }
        let log = value.ln();
        if window.is_far_above(log, limits) {
            open = Some(Spike {
                first: index,
                peak: index,
                height: value,
                before: window.median().exp(),
                recovered_after: None,
            });
        } else {
            window.push(log);
        }
    }
    found.extend(open);
    found
}

/// The last `WINDOW` values, in order of time and in order of size.
#[derive(Default)]
struct Window {
    by_time: std::collections::VecDeque<f64>,
    by_size: Vec<f64>,
}

impl Window {
    fn push(&mut self, value: f64) {
        if self.by_time.len() == WINDOW
            && let Some(oldest) = self.by_time.pop_front()
        {
            let at = self
                .by_size
                .partition_point(|other| other.total_cmp(&oldest).is_lt());
            self.by_size.remove(at);
        }
        self.by_time.push_back(value);
        let at = self
            .by_size
            .partition_point(|other| other.total_cmp(&value).is_lt());
        self.by_size.insert(at, value);
    }

    /// Requires at least one value.
    fn median(&self) -> f64 {
        let n = self.by_size.len();
        match n {
            0 => f64::NAN,
            _ => (self.by_size[(n - 1) / 2] + self.by_size[n / 2]) / 2.0,
        }
    }

    /// Whether `value` is far above the window.
    fn is_far_above(&self, value: f64, limits: SpikeLimits) -> bool {
        if self.by_size.len() < FEWEST {
            return false;
        }
        let middle = self.median();
        let excess = value - middle;
        if excess <= limits.factor.ln() {
            return false;
        }
        let distances: Vec<f64> = self.by_size.iter().map(|v| (v - middle).abs()).collect();
        let deviation = MAD_TO_DEVIATION * median(&distances).unwrap_or(0.0);
        excess > limits.deviations * deviation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SpikeLimits = SpikeLimits {
        deviations: 6.0,
        factor: 1.5,
    };

    #[test]
    fn medians_pass_over_what_is_not_finite() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[f64::NAN, f64::INFINITY]), None);
        assert_eq!(median(&[3.0, f64::NAN, 1.0]), Some(2.0));
        assert_eq!(median(&[3.0, 1.0, 100.0]), Some(3.0));
        assert_eq!(
            block_medians(&[1.0, 1.0, 2.0, 2.0, f64::NAN], 3),
            [1.0, 2.0]
        );
        assert!(block_medians(&[], 3).is_empty());
    }

    #[test]
    fn a_spike_has_its_peak_its_level_before_and_its_length() {
        let mut values = vec![1.0; 60];
        values[40] = 3.0;
        values[41] = 5.0;
        values[42] = 2.0;
        let found = spikes(&values, LIMITS);
        let expected = Spike {
            first: 40,
            peak: 41,
            height: 5.0,
            before: 1.0,
            recovered_after: Some(3),
        };
        assert_eq!(found, [expected]);
    }

    #[test]
    fn a_new_level_is_a_spike_that_does_not_end() {
        let mut values = vec![1.0; 300];
        values[100..].fill(4.0);
        let found = spikes(&values, LIMITS);
        assert_eq!((found[0].first, found[0].recovered_after), (100, None));
        values.truncate(110);
        assert_eq!(spikes(&values, LIMITS)[0].recovered_after, None);
    }

    #[test]
    fn few_values_and_falling_values_are_no_spikes() {
        assert!(spikes(&[1.0, 1.0, 50.0], LIMITS).is_empty());
        let falling: Vec<f64> = (0..500)
            .map(|step| 2.3 * (-0.01 * f64::from(step)).exp())
            .collect();
        assert!(spikes(&falling, LIMITS).is_empty());
    }
}
