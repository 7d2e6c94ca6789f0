//! Queries one after the other: the next begins when the one before has its answer.

use serde::{Deserialize, Serialize};

use super::clock::Clock;
use super::images::Images;
use super::latency::Latency;
use super::model::MeasuredModel;
use super::process::CpuTime;
use super::rule::{Stability, StopRule, next_look};
use crate::error::ExportError;

/// The result of a single-stream or multi-stream scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamResult {
    /// Images of a query.
    pub images_per_query: usize,
    /// Latencies of the queries.
    pub latency: Latency,
    /// Images per second of the measured time.
    pub images_per_second: f64,
    /// Measured seconds.
    pub seconds: f64,
    /// Whether the quantile of the rule is stable.
    pub stability: Stability,
    /// Cores in use; absent if it was too short for the clock of the system, or the system does not tell.
    pub cpu_cores: Option<f64>,
}

/// Queries of `n` images one after the other, until `rule` ends them.
///
/// # Errors
///
/// Those of the model; [`ExportError::InvalidArgument`] for a query without images or an unusable rule.
pub(super) fn stream(
    model: &dyn MeasuredModel,
    images: &Images,
    n: usize,
    rule: &StopRule,
    clock: &dyn Clock,
) -> Result<StreamResult, ExportError> {
    let mut batches = images.batches(n)?;
    if let Some(problem) = rule.problem() {
        return Err(ExportError::argument("stop rule", problem));
    }
    for _ in 0..rule.warm_up {
        model.answer(batches.take(n), n)?;
    }
    let cpu = CpuTime::start();
    let start = clock.seconds();
    let mut times_ms = Vec::new();
    let mut look = rule.min_n;
    loop {
        let batch = batches.take(n);
        let begin = clock.seconds();
        model.answer(batch, n)?;
        let end = clock.seconds();
        times_ms.push((end - begin) * 1e3);
        let (n_done, seconds) = (times_ms.len(), end - start);
        if rule.must_end(n_done, seconds) {
            break;
        }
        if n_done >= look && rule.may_end(n_done, seconds) {
            if rule.stability(&times_ms).is_stable {
                break;
            }
            look = next_look(n_done);
        }
    }
    let seconds = clock.seconds() - start;
    let cpu_cores = cpu.cores();
    let latency = Latency::of(&times_ms, rule.warm_up)
        .ok_or_else(|| ExportError::argument("stop rule", "it measures no query"))?;
    Ok(StreamResult {
        images_per_query: n,
        images_per_second: (times_ms.len() * n) as f64 * 1e3 / times_ms.iter().sum::<f64>(),
        latency,
        seconds,
        stability: rule.stability(&times_ms),
        cpu_cores,
    })
}
