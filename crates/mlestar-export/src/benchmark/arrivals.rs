//! When queries arrive at a server.

use mlestar_random::Stream;

/// Arrival times of a Poisson process, in seconds from its start, without end: the gaps are independent and have the
/// exponential distribution with mean `1 / rate`. Equal keys give equal times.
#[derive(Debug, Clone)]
pub struct Arrivals {
    stream: Stream,
    rate: f64,
    seconds: f64,
}

impl Arrivals {
    /// Arrivals at `rate` per second; `trial` tells the draws of one measurement from those of another.
    ///
    /// ```
    /// use mlestar_export::benchmark::Arrivals;
    /// let times: Vec<f64> = Arrivals::new(50.0, 7, 0).take(1000).collect();
    /// assert!(times.is_sorted());
    /// assert!((times[999] - 20.0).abs() < 3.0);
    /// ```
    #[must_use]
    pub fn new(rate: f64, seed: u64, trial: u64) -> Self {
        Self {
            stream: Stream::new(seed, "arrivals", trial, 0),
            rate,
            seconds: 0.0,
        }
    }
}

impl Iterator for Arrivals {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        // `1 - uniform` is above 0.
        self.seconds -= (1.0 - self.stream.uniform()).ln() / self.rate;
        Some(self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_exponential_and_their_mean_is_that_of_the_rate() {
        let (rate, n) = (200.0, 100_000);
        let times: Vec<f64> = Arrivals::new(rate, 3, 1).take(n).collect();
        let mut gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        // Five standard errors.
        assert!(
            (mean * rate - 1.0).abs() < 5.0 / (n as f64).sqrt(),
            "{mean}"
        );
        // Kolmogorov's distance from the exponential distribution, exceeded by one sample in a hundred thousand.
        gaps.sort_by(f64::total_cmp);
        let n = gaps.len() as f64;
        let distance = gaps.iter().enumerate().map(|(index, gap)| {
            let expected = 1.0 - (-rate * gap).exp();
            (expected - index as f64 / n)
                .abs()
                .max((expected - (index + 1) as f64 / n).abs())
        });
        let distance = distance.fold(0.0, f64::max) * n.sqrt();
        assert!(distance < 2.47, "{distance}");
    }

    /// The number of arrivals in a second has mean and variance `rate`.
    #[test]
    fn counts_have_the_poisson_distribution() {
        let (rate, seconds) = (20.0, 2000);
        let mut counts = vec![0.0; seconds];
        for time in Arrivals::new(rate, 4, 0).take_while(|time| *time < seconds as f64) {
            counts[time as usize] += 1.0;
        }
        let n = seconds as f64;
        let mean = counts.iter().sum::<f64>() / n;
        let variance = counts
            .iter()
            .map(|count| (count - mean).powi(2))
            .sum::<f64>()
            / n;
        assert!((mean - rate).abs() < 5.0 * (rate / n).sqrt(), "{mean}");
        // The variance of the sample variance is about (rate + 2 rate^2) / n.
        let error = ((rate + 2.0 * rate * rate) / n).sqrt();
        assert!((variance - rate).abs() < 5.0 * error, "{variance}");
    }

    #[test]
    fn equal_keys_give_equal_times_and_others_do_not() {
        let first = |seed, trial| Arrivals::new(1.0, seed, trial).next();
        assert_eq!(first(1, 0), first(1, 0));
        assert!(first(1, 0) != first(2, 0) && first(1, 0) != first(1, 1));
    }
}
