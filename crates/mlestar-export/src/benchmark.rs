//! Measures the cost of predictions: latency, throughput, memory and processor use.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::ExportError;
use crate::predictor::Predictor;

/// What to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenchmarkOptions {
    /// Unmeasured predictions of one image at the beginning.
    pub warm_up: usize,
    /// Measured predictions of one image, at least 1.
    pub repetitions: usize,
    /// Batch sizes whose throughput is measured, each at least 1.
    pub batch_sizes: Vec<usize>,
    /// Minimum time for each batch size.
    pub time_per_batch_size: Duration,
}

impl Default for BenchmarkOptions {
    /// 20 and 200 single predictions; batches of 1, 8, 32 and 128 for half a second each.
    fn default() -> Self {
        Self {
            warm_up: 20,
            repetitions: 200,
            batch_sizes: vec![1, 8, 32, 128],
            time_per_batch_size: Duration::from_millis(500),
        }
    }
}

/// Result of [`benchmark`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Benchmark {
    /// Number of threads in the pool of the measurement.
    pub threads: usize,
    /// Time of [`Predictor::predict`] for one image.
    pub latency: Latency,
    /// Images per second for each batch size, in the order of the options.
    pub throughput: Vec<Throughput>,
    /// Processor time of this process divided by elapsed time, during the throughput measurement: 1 means one
    /// core. `None` if it cannot be read without a system library (other than Linux) or if the measurement was
    /// too short for the clock (under a second).
    pub cpu_cores_used: Option<f64>,
    /// Largest resident memory of this process since its start: `VmHWM` on Linux, `None` elsewhere.
    pub peak_memory_bytes: Option<u64>,
}

/// Times of single predictions, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Number of measured predictions.
    pub n: usize,
    /// Number of unmeasured predictions before them.
    pub warm_up: usize,
    /// Mean.
    pub mean_ms: f64,
    /// Median.
    pub median_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Shortest.
    pub min_ms: f64,
    /// Longest.
    pub max_ms: f64,
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
}

/// Measures `predictor` on `pictures` (whole images of the model's size, one after the other,
/// used in turn), with the threads of the current rayon pool.
///
/// ```
/// use std::time::Duration;
/// use mlestar_export::Predictor;
/// use mlestar_export::benchmark::{BenchmarkOptions, benchmark};
#[doc = include_str!("doc_model.in")]
/// let options = BenchmarkOptions {
///     warm_up: 1,
///     repetitions: 10,
///     batch_sizes: vec![4],
///     time_per_batch_size: Duration::from_millis(1),
/// };
/// let result = benchmark(&Predictor::new(model), &[128; 2 * 2 * 3], &options)?;
/// assert_eq!(result.latency.n, 10);
/// assert!(result.throughput[0].images_per_second > 0.0);
/// # Ok::<(), mlestar_export::ExportError>(())
/// ```
///
/// # Errors
///
/// [`ExportError::InvalidArgument`] if there is no image, an incomplete image, no repetition, or a batch size
/// of 0.
pub fn benchmark(
    predictor: &Predictor,
    pictures: &[u8],
    options: &BenchmarkOptions,
) -> Result<Benchmark, ExportError> {
    let picture_bytes = picture_bytes(predictor, pictures)?;
    if options.repetitions == 0 || options.batch_sizes.contains(&0) {
        let reason = "repetitions and batch sizes must be at least 1";
        return Err(ExportError::argument("benchmark options", reason));
    }
    let latency = summarize(
        &mut latencies_ms(predictor, pictures, options)?,
        options.warm_up,
    );
    let started = Instant::now();
    let cpu_before = cpu_seconds();
    let mut throughput = Vec::new();
    for &batch_size in &options.batch_sizes {
        let batch: Vec<u8> = pictures
            .iter()
            .copied()
            .cycle()
            .take(batch_size * picture_bytes)
            .collect();
        throughput.push(measure_throughput(predictor, &batch, batch_size, options)?);
    }
    let elapsed = started.elapsed().as_secs_f64();
    let cpu_cores_used = match (cpu_before, cpu_seconds()) {
        (Some(before), Some(after)) if elapsed >= 1.0 => Some((after - before) / elapsed),
        _ => None,
    };
    Ok(Benchmark {
        threads: rayon::current_num_threads(),
        latency,
        throughput,
        cpu_cores_used,
        peak_memory_bytes: peak_memory_bytes(),
    })
}

/// The times, in milliseconds and in order, of `options.repetitions` predictions of one image after
/// `options.warm_up` unmeasured ones.
///
/// # Errors
///
/// [`ExportError::InvalidArgument`] if there is no image, or an incomplete one.
pub fn latencies_ms(
    predictor: &Predictor,
    pictures: &[u8],
    options: &BenchmarkOptions,
) -> Result<Vec<f64>, ExportError> {
    let (height, width) = (predictor.model().height(), predictor.model().width());
    let picture_bytes = picture_bytes(predictor, pictures)?;
    let mut times_ms = Vec::with_capacity(options.repetitions);
    let pictures = pictures.chunks_exact(picture_bytes).cycle();
    for (index, picture) in pictures
        .take(options.warm_up + options.repetitions)
        .enumerate()
    {
        let start = Instant::now();
        let prediction = predictor.predict(picture, height, width)?;
        let elapsed = start.elapsed();
        std::hint::black_box(prediction);
        if index >= options.warm_up {
            times_ms.push(elapsed.as_secs_f64() * 1e3);
        }
    }
    Ok(times_ms)
}

/// Bytes of one image of the model; an error if `pictures` does not hold whole images.
fn picture_bytes(predictor: &Predictor, pictures: &[u8]) -> Result<usize, ExportError> {
    let (height, width) = (predictor.model().height(), predictor.model().width());
    let picture_bytes = height * width * 3;
    if pictures.is_empty() || !pictures.len().is_multiple_of(picture_bytes) {
        let reason = format!("{} bytes, images have {picture_bytes} each", pictures.len());
        return Err(ExportError::argument("pictures", reason));
    }
    Ok(picture_bytes)
}

/// `times_ms` has at least one value.
fn summarize(times_ms: &mut [f64], warm_up: usize) -> Latency {
    times_ms.sort_by(f64::total_cmp);
    let n = times_ms.len();
    Latency {
        n,
        warm_up,
        mean_ms: times_ms.iter().sum::<f64>() / n as f64,
        median_ms: percentile(times_ms, 0.5),
        p95_ms: percentile(times_ms, 0.95),
        p99_ms: percentile(times_ms, 0.99),
        min_ms: percentile(times_ms, 0.0),
        max_ms: percentile(times_ms, 1.0),
    }
}

/// Linear interpolation between the two nearest of the sorted values, as NumPy's default.
fn percentile(sorted: &[f64], fraction: f64) -> f64 {
    let position = fraction * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64)
}

fn measure_throughput(
    predictor: &Predictor,
    batch: &[u8],
    batch_size: usize,
    options: &BenchmarkOptions,
) -> Result<Throughput, ExportError> {
    let (height, width) = (predictor.model().height(), predictor.model().width());
    // The first batch of a size allocates its memory.
    std::hint::black_box(predictor.predict_batch(batch, batch_size, height, width)?);
    let start = Instant::now();
    let mut batches = 0;
    while batches == 0 || start.elapsed() < options.time_per_batch_size {
        std::hint::black_box(predictor.predict_batch(batch, batch_size, height, width)?);
        batches += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    Ok(Throughput {
        batch_size,
        batches,
        seconds,
        images_per_second: (batches * batch_size) as f64 / seconds,
    })
}

/// Processor time that all threads of this process have used, in user and kernel mode.
#[cfg(target_os = "linux")]
fn cpu_seconds() -> Option<f64> {
    // The kernel reports in units of USER_HZ, which is 100 on every architecture that Rust supports.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the program's name, may contain spaces; it ends with the last parenthesis. After it,
    // `utime` and `stime` (fields 14 and 15 of proc(5)) are at positions 11 and 12.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let user: f64 = times.next()?.parse().ok()?;
    let system: f64 = times.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(not(target_os = "linux"))]
fn cpu_seconds() -> Option<f64> {
    None
}

/// The largest resident memory of this process since its start, in bytes; `None` if there is no
/// `/proc/self/status` (systems other than Linux).
///
/// ```
/// assert!(mlestar_export::benchmark::peak_memory_bytes().is_none_or(|bytes| bytes > 100_000));
/// ```
#[must_use]
pub fn peak_memory_bytes() -> Option<u64> {
    peak_in(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The value of a line such as `VmHWM:     1234 kB`.
fn peak_in(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_found() {
        let status = "Name:\tname\nVmPeak:\t  900 kB\nVmHWM:\t  123 kB\nVmRSS:\t 100 kB\n";
        assert_eq!(peak_in(status), Some(123 * 1024));
        for status in ["", "VmHWM:", "VmHWM: many kB", "VmHWM: 12", "VmRSS: 1 kB"] {
            assert_eq!(peak_in(status), None, "{status}");
        }
    }

    #[test]
    fn percentiles_are_those_of_numpy() {
        let mut times = vec![4.0, 1.0, 3.0, 2.0, 10.0];
        let latency = summarize(&mut times, 7);
        assert_eq!((latency.n, latency.warm_up), (5, 7));
        assert_eq!(
            (latency.min_ms, latency.median_ms, latency.max_ms),
            (1.0, 3.0, 10.0)
        );
        assert!((latency.p95_ms - 8.8).abs() < 1e-12);
        assert!((latency.mean_ms - 4.0).abs() < 1e-12);
        assert_eq!(summarize(&mut [2.5], 0).p99_ms, 2.5);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_gives_processor_time_and_memory() {
        assert!(cpu_seconds().unwrap() >= 0.0);
        assert!(peak_memory_bytes().unwrap() > 1 << 20);
    }
}
