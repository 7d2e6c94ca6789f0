//! When a measurement is long enough.

use serde::{Deserialize, Serialize};

use super::quantile::{CONFIDENCE, quantile, quantile_interval};

/// How long a scenario measures.
///
/// It ends when it has the least number and the least time, and then as soon as its figure is stable, or at the most
/// number or the most time. The figure is stable when
///
/// - half the width of its interval (95 %) is at most [`StopRule::relative_half_width`] of it, and
/// - the medians of the first and the second half of the measurement differ by at most as much.
///
/// The second condition finds what the interval cannot see: a machine that becomes slower or faster meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StopRule {
    /// Unmeasured queries at the beginning.
    pub warm_up: usize,
    /// The quantile of the latency that must be stable, above 0 and below 1; throughput has a mean instead.
    pub quantile: f64,
    /// The largest half-width, as a fraction of the figure.
    pub relative_half_width: f64,
    /// Measured queries at least, at least 1.
    pub min_n: usize,
    /// Measured queries at most.
    pub max_n: usize,
    /// Measured seconds at least.
    pub min_seconds: f64,
    /// Measured seconds at most, once there are [`StopRule::min_n`] queries.
    pub max_seconds: f64,
}

impl StopRule {
    /// At most `seconds`: 10 to a million queries after 20 unmeasured ones, until `quantile` is known to 2 %.
    #[must_use]
    pub fn within(seconds: f64, quantile: f64) -> Self {
        Self {
            warm_up: 20,
            quantile,
            relative_half_width: 0.02,
            min_n: 10,
            max_n: 1_000_000,
            min_seconds: 0.25 * seconds,
            max_seconds: seconds,
        }
    }

    /// Exactly `n` queries (at least 1) after 20 unmeasured ones, stable or not.
    #[must_use]
    pub fn of_n(n: usize) -> Self {
        let n = n.max(1);
        Self {
            min_n: n,
            max_n: n,
            min_seconds: 0.0,
            ..Self::within(0.0, 0.95)
        }
    }

    /// What makes a rule unusable; `None` if nothing does.
    pub(super) fn problem(&self) -> Option<String> {
        let seconds = [self.min_seconds, self.max_seconds];
        if !(self.quantile > 0.0 && self.quantile < 1.0) {
            Some(format!(
                "the quantile is {}, but must be above 0 and below 1",
                self.quantile
            ))
        } else if self.min_n == 0 || self.max_n < self.min_n {
            Some(format!(
                "the numbers of queries are {} to {}, but must be at least 1 and in order",
                self.min_n, self.max_n
            ))
        } else if seconds.iter().any(|time| !time.is_finite() || *time < 0.0) {
            Some(format!(
                "the times are {seconds:?} s, but must be at least 0"
            ))
        } else {
            None
        }
    }

    /// Whether a measurement with `n` queries in `seconds` may end if its figure is stable.
    pub(super) fn may_end(&self, n: usize, seconds: f64) -> bool {
        n >= self.min_n && seconds >= self.min_seconds
    }

    /// Whether it ends in any case.
    pub(super) fn must_end(&self, n: usize, seconds: f64) -> bool {
        n >= self.min_n && (n >= self.max_n || seconds >= self.max_seconds)
    }

    /// The stability of latencies, in the order in which they were measured.
    pub(super) fn stability(&self, times: &[f64]) -> Stability {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        let interval = quantile_interval(&sorted, self.quantile, CONFIDENCE);
        let value = quantile(&sorted, self.quantile);
        let half_width = interval.map(|[low, high]| 0.5 * (high - low) / value);
        Stability::judge(half_width, drift(times), self.relative_half_width)
    }
}

/// Whether a figure is stable, and what speaks for it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Stability {
    /// Whether both are within the rule.
    pub is_stable: bool,
    /// Half the width of the figure's interval, as a fraction of the figure; absent if there were too few queries.
    pub relative_half_width: Option<f64>,
    /// The difference of the medians of both halves of the measurement, as a fraction of the median.
    pub drift: Option<f64>,
}

impl Stability {
    pub(super) fn judge(half_width: Option<f64>, drift: Option<f64>, limit: f64) -> Self {
        let is_within = |value: Option<f64>| value.is_some_and(|value| value <= limit);
        Self {
            is_stable: is_within(half_width) && is_within(drift),
            relative_half_width: half_width,
            drift,
        }
    }
}

/// The difference of the medians of both halves, as a fraction of the median of all; `None` for fewer than two
/// values.
pub(super) fn drift(times: &[f64]) -> Option<f64> {
    if times.len() < 2 {
        return None;
    }
    let median = |times: &[f64]| {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        quantile(&sorted, 0.5)
    };
    let (first, second) = times.split_at(times.len() / 2);
    Some((median(second) - median(first)).abs() / median(times))
}

/// When to look next: the number of queries grows by a tenth, because a look sorts all of them.
pub(super) fn next_look(n: usize) -> usize {
    n + (n / 10).max(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> StopRule {
        StopRule {
            min_n: 4,
            max_n: 100,
            min_seconds: 1.0,
            max_seconds: 10.0,
            ..StopRule::within(10.0, 0.5)
        }
    }

    #[test]
    fn equal_times_are_stable_and_few_ones_are_not() {
        let stability = rule().stability(&[2.0; 20]);
        assert_eq!(
            stability,
            Stability {
                is_stable: true,
                relative_half_width: Some(0.0),
                drift: Some(0.0)
            }
        );
        assert!(
            !rule().stability(&[2.0; 5]).is_stable,
            "no interval of a median"
        );
        assert_eq!(drift(&[1.0]), None);
    }

    #[test]
    fn a_machine_that_slows_down_is_not_stable() {
        let times: Vec<f64> = (0..1000).map(|i| if i < 500 { 1.0 } else { 1.1 }).collect();
        let stability = rule().stability(&times);
        assert!(!stability.is_stable);
        assert!((stability.drift.unwrap() - 0.1 / 1.05).abs() < 1e-9);
    }

    #[test]
    fn the_numbers_and_times_bound_a_measurement() {
        let rule = rule();
        assert!(!rule.may_end(3, 5.0) && !rule.may_end(50, 0.5) && rule.may_end(4, 1.0));
        assert!(rule.must_end(100, 0.1) && rule.must_end(4, 10.0));
        assert!(!rule.must_end(3, 100.0), "the least number comes first");
        let problem = |rule: StopRule| rule.problem().unwrap_or_default();
        assert!(
            problem(StopRule {
                quantile: 1.0,
                ..rule
            })
            .contains("quantile is 1")
        );
        assert!(problem(StopRule { min_n: 0, ..rule }).contains("0 to 100"));
        assert!(
            problem(StopRule {
                max_seconds: f64::NAN,
                ..rule
            })
            .contains("NaN")
        );
        assert_eq!(problem(rule), "");
    }
}
