//! Latencies in figures.

use serde::{Deserialize, Serialize};

use super::quantile::{CONFIDENCE, quantile, quantile_interval};

/// Latencies of queries, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Measured queries.
    pub n: usize,
    /// Unmeasured queries before them.
    pub warm_up: usize,
    /// Mean.
    pub mean_ms: f64,
    /// Shortest.
    pub min_ms: f64,
    /// Longest.
    pub max_ms: f64,
    /// Median.
    pub p50: Quantile,
    /// 90th percentile.
    pub p90: Quantile,
    /// 95th percentile.
    pub p95: Quantile,
    /// 99th percentile.
    pub p99: Quantile,
    /// 99.9th percentile; absent for fewer than 1,000 queries, of which none is expected above it.
    pub p99_9: Option<Quantile>,
}

/// A quantile of latencies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantile {
    /// The latency, in milliseconds.
    pub ms: f64,
    /// Its interval (95 %, by order statistics); absent if there are too few queries.
    pub interval_ms: Option<[f64; 2]>,
}

/// Queries of which one is expected above the 99.9th percentile.
const ENOUGH_FOR_THE_99_9TH: usize = 1000;

impl Latency {
    /// The figures of `times_ms`; `None` without any.
    #[must_use]
    pub fn of(times_ms: &[f64], warm_up: usize) -> Option<Self> {
        let mut sorted = times_ms.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min_ms, max_ms) = (*sorted.first()?, *sorted.last()?);
        let n = sorted.len();
        let at = |fraction: f64| Quantile {
            ms: quantile(&sorted, fraction),
            interval_ms: quantile_interval(&sorted, fraction, CONFIDENCE),
        };
        Some(Self {
            n,
            warm_up,
            mean_ms: sorted.iter().sum::<f64>() / n as f64,
            min_ms,
            max_ms,
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p99_9: (n >= ENOUGH_FOR_THE_99_9TH).then(|| at(0.999)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_times() {
        let latency = Latency::of(&[4.0, 1.0, 3.0, 2.0, 10.0], 7).unwrap();
        assert_eq!((latency.n, latency.warm_up), (5, 7));
        assert_eq!(
            (latency.min_ms, latency.p50.ms, latency.max_ms),
            (1.0, 3.0, 10.0)
        );
        assert!((latency.p95.ms - 8.8).abs() < 1e-12);
        assert!((latency.mean_ms - 4.0).abs() < 1e-12);
        assert_eq!(latency.p50.interval_ms, None);
        assert!(latency.p99_9.is_none());
        assert!(Latency::of(&[], 0).is_none());
    }

    #[test]
    fn a_thousand_queries_have_every_quantile() {
        let times: Vec<f64> = (1..=1000).map(f64::from).collect();
        let latency = Latency::of(&times, 0).unwrap();
        assert_eq!(latency.p90.interval_ms, Some([881.0, 919.0]));
        assert!((latency.p99_9.unwrap().ms - 999.001).abs() < 1e-9);
    }
}
