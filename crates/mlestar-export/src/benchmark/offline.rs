//! MLPerf's offline scenario: all images are there, only the number per second matters.

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::images::Images;
use super::model::MeasuredModel;
use super::process::CpuTime;
use super::rule::{Stability, StopRule, drift, next_look};
use crate::error::ExportError;

/// Batch means of one measurement.
const GROUPS: usize = 10;
/// The 97.5th percentile of Student's distribution with 9 degrees of freedom.
const STUDENT_9: f64 = 2.262_157;

/// The result of an offline scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OfflineResult {
    /// Each batch size, in the order of the options.
    pub throughput: Vec<Throughput>,
    /// Cores in use; absent if it was too short for the clock of the system, or the system does not tell.
    pub cpu_cores: Option<f64>,
}

impl OfflineResult {
    /// The batch size with the most images per second.
    #[must_use]
    pub fn best(&self) -> Option<&Throughput> {
        let speed = |throughput: &&Throughput| throughput.images_per_second;
        self.throughput
            .iter()
            .max_by(|a, b| speed(a).total_cmp(&speed(b)))
    }
}

/// Speed with batches of one size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// Images in a batch.
    pub batch_size: usize,
    /// Measured batches.
    pub batches: usize,
    /// Elapsed time of all of them.
    pub seconds: f64,
    /// Images per second.
    pub images_per_second: f64,
    /// Its interval (95 %, from ten batch means); absent for fewer than ten batches.
    pub interval: Option<[f64; 2]>,
    /// Whether it is stable.
    pub stability: Stability,
}

/// Images per second in batches of each of `batch_sizes`. `rule` counts batches and applies to each size; its warm-up
/// is one batch, which allocates the memory, and its quantile is not used: the mean must be stable.
///
/// The interval is that of batch means: the batches are divided into ten equal groups in their order, and Student's
/// distribution gives the interval of the mean of the ten means (A. M. Law, "Simulation Modeling and Analysis", 2015,
/// section 9.5.3). Neighbouring batches may depend on each other; groups hardly do.
///
/// # Errors
///
/// Those of the model; [`ExportError::InvalidArgument`] for no batch size, one of 0, or an unusable rule.
pub fn offline(
    model: &dyn MeasuredModel,
    images: &Images,
    batch_sizes: &[usize],
    rule: &StopRule,
    clock: &dyn Clock,
) -> Result<OfflineResult, ExportError> {
    if batch_sizes.is_empty() {
        return Err(ExportError::argument("batch sizes", "there is none"));
    }
    if let Some(problem) = rule.problem() {
        return Err(ExportError::argument("stop rule", problem));
    }
    let cpu = CpuTime::start();
    let throughput = batch_sizes
        .iter()
        .map(|&batch_size| of_size(model, images, batch_size, rule, clock))
        .collect::<Result<_, _>>()?;
    Ok(OfflineResult {
        throughput,
        cpu_cores: cpu.cores(),
    })
}

fn of_size(
    model: &dyn MeasuredModel,
    images: &Images,
    batch_size: usize,
    rule: &StopRule,
    clock: &dyn Clock,
) -> Result<Throughput, ExportError> {
    let mut batches = images.batches(batch_size)?;
    model.answer(batches.take(batch_size), batch_size)?;
    let mut times = Vec::new();
    let mut look = rule.min_n;
    let start = clock.seconds();
    let mut begin = start;
    loop {
        model.answer(batches.take(batch_size), batch_size)?;
        let end = clock.seconds();
        times.push(end - begin);
        begin = end;
        let (n, seconds) = (times.len(), end - start);
        if rule.must_end(n, seconds) {
            break;
        }
        if n >= look && rule.may_end(n, seconds) {
            if stability(&times, rule).is_stable {
                break;
            }
            look = next_look(n);
            begin = clock.seconds();
        }
    }
    let seconds: f64 = times.iter().sum();
    let per_second = |mean_seconds: f64| batch_size as f64 / mean_seconds;
    let interval = mean_interval(&times);
    Ok(Throughput {
        batch_size,
        batches: times.len(),
        seconds,
        images_per_second: per_second(seconds / times.len() as f64),
        // A long time is a low speed. A lower end of 0 s or less would be no speed.
        interval: interval
            .filter(|[low, _]| *low > 0.0)
            .map(|[low, high]| [per_second(high), per_second(low)]),
        stability: stability(&times, rule),
    })
}

fn stability(times: &[f64], rule: &StopRule) -> Stability {
    let half_width = mean_interval(times).map(|[low, high]| (high - low) / (high + low));
    Stability::judge(half_width, drift(times), rule.relative_half_width)
}

/// The interval of the mean by ten batch means; the sizes of the groups differ by at most one.
fn mean_interval(times: &[f64]) -> Option<[f64; 2]> {
    let len = times.len();
    if len < GROUPS {
        return None;
    }
    let means: Vec<f64> = (0..GROUPS)
        .map(|group| {
            let group = &times[group * len / GROUPS..(group + 1) * len / GROUPS];
            group.iter().sum::<f64>() / group.len() as f64
        })
        .collect();
    let n = GROUPS as f64;
    let mean = means.iter().sum::<f64>() / n;
    let variance = means
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / (n - 1.0);
    let half_width = STUDENT_9 * (variance / n).sqrt();
    Some([mean - half_width, mean + half_width])
}

#[cfg(test)]
mod tests {
    use super::super::testing::FakeModel;
    use super::*;
    use mlestar_random::Stream;

    /// By NumPy and SciPy: means 1.5, 3.5, ... 19.5 of the pairs of 1 to 20; `t.interval(0.95, 9, 10.5, sem)`.
    #[test]
    fn the_interval_is_that_of_student() {
        let times: Vec<f64> = (1..=20).map(f64::from).collect();
        let [low, high] = mean_interval(&times).unwrap();
        assert!((low - 6.168_299).abs() < 1e-4, "{low}");
        assert!((high - 14.831_701).abs() < 1e-4, "{high}");
        assert_eq!(mean_interval(&times[..9]), None);
        // Every value counts, also of an uneven number: here the last ones are the long ones.
        let [low, high] = mean_interval(&[[1.0; 13].as_slice(), &[9.0; 4]].concat()).unwrap();
        assert!(low < 49.0 / 17.0 && 49.0 / 17.0 < high);
    }

    #[test]
    fn intervals_cover_the_mean_as_often_as_they_say() {
        let n_samples = 2000;
        let mut n_covered = 0;
        for sample in 0..n_samples {
            let mut stream = Stream::new(22, "batch means", 0, sample);
            let times: Vec<f64> = (0..200).map(|_| 5.0 + stream.normal()).collect();
            let [low, high] = mean_interval(&times).unwrap();
            n_covered += usize::from(low <= 5.0 && 5.0 <= high);
        }
        let covered = n_covered as f64 / n_samples as f64;
        // Four standard errors around 95 %.
        assert!((covered - 0.95).abs() < 0.0195, "{covered}");
    }

    #[test]
    fn larger_batches_spread_the_cost_of_a_query() {
        let fake = FakeModel::new(0.001).with_seconds_per_query(0.007);
        let rule = StopRule::within(1.0, 0.5);
        let result = offline(&fake, &fake.images(), &[1, 8, 64], &rule, fake.clock()).unwrap();
        for (found, expected) in result.throughput.iter().zip([125.0, 533.333, 901.408]) {
            assert!(
                (found.images_per_second - expected).abs() < 0.001,
                "{found:?}"
            );
            let [low, high] = found.interval.unwrap();
            assert!(
                low <= found.images_per_second + 1e-6 && found.images_per_second <= high + 1e-6
            );
            assert!(found.stability.is_stable);
        }
        assert_eq!(result.best().unwrap().batch_size, 64);
    }

    #[test]
    fn a_slow_model_is_measured_once_and_not_called_stable() {
        let fake = FakeModel::new(30.0);
        let rule = StopRule {
            min_n: 1,
            ..StopRule::within(1.0, 0.5)
        };
        let result = offline(&fake, &fake.images(), &[2], &rule, fake.clock()).unwrap();
        let throughput = &result.throughput[0];
        assert_eq!((throughput.batches, throughput.interval), (1, None));
        assert!(!throughput.stability.is_stable);
        assert!((throughput.images_per_second - 1.0 / 30.0).abs() < 1e-9);
        for sizes in [&[][..], &[4, 0]] {
            assert!(offline(&fake, &fake.images(), sizes, &rule, fake.clock()).is_err());
        }
    }
}
