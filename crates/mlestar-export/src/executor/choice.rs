//! Chooses the precision of an executor by measuring.

use std::time::{Duration, Instant};

use mlestar_eval::median;
use serde::{Deserialize, Serialize};

use super::{Executor, Precision};
use crate::error::ExportError;
use crate::frozen::FrozenModel;
use crate::int8_model::QuantizedModel;

/// Most images that are measured together: larger batches are computed in slices about as large.
const MOST_IMAGES: usize = 32;
/// Fewest measured runs of each candidate.
const LEAST_RUNS: usize = 3;

/// What to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChoiceOptions {
    /// Images in a call, at least 1.
    pub batch: usize,
    /// The precisions that may be chosen. `Int8` is left out without a quantised model, and so is one for which
    /// the processor has no instructions.
    pub precisions: Vec<Precision>,
    /// Time for measuring each precision, at least three runs.
    pub time: Duration,
}

impl Default for ChoiceOptions {
    /// One image, every precision, 5 milliseconds for each.
    fn default() -> Self {
        Self {
            batch: 1,
            precisions: Precision::ALL.to_vec(),
            time: Duration::from_millis(5),
        }
    }
}

/// The measured time of one precision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// The precision.
    pub precision: Precision,
    /// The images for which its algorithms are chosen: 1 or the batch.
    pub algorithms_for: usize,
    /// Median milliseconds of a run.
    pub median_ms: f64,
    /// Measured runs.
    pub n: usize,
}

/// A choice, and the measurements behind it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The fastest precision.
    pub precision: Precision,
    /// The images for which its algorithms are chosen.
    pub algorithms_for: usize,
    /// Images in a measured run.
    pub images: usize,
    /// All that was measured.
    pub timings: Vec<Timing>,
}

impl Executor {
    /// The fastest executor for a batch on this machine: measures the allowed precisions in turn, on grey images.
    ///
    /// In `f32` and bfloat16 a large batch has two candidates, because the algorithms for one image may be the faster
    /// ones.
    ///
    /// ```
    /// use mlestar_export::{ChoiceOptions, Executor, Precision};
    #[doc = include_str!("../doc_model.in")]
    /// let options = ChoiceOptions { precisions: vec![Precision::F32], ..ChoiceOptions::default() };
    /// let (executor, choice) = Executor::fastest(&model, None, &options)?;
    /// assert_eq!(executor.precision(), Precision::F32);
    /// assert!(choice.timings[0].n >= 3);
    /// # Ok::<(), mlestar_export::ExportError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ExportError::InvalidArgument`] if the batch is 0 or no allowed precision is left.
    pub fn fastest(
        model: &FrozenModel,
        quantized: Option<&QuantizedModel>,
        options: &ChoiceOptions,
    ) -> Result<(Self, Choice), ExportError> {
        if options.batch == 0 {
            return Err(ExportError::argument(
                "batch",
                "0 images, but at least 1 is needed",
            ));
        }
        let mut candidates = candidates(model, quantized, options)?;
        let images = options.batch.min(MOST_IMAGES);
        let pixels = vec![128; images * model.height() * model.width() * 3];
        let mut logits = vec![0.0; images * model.n_classes()];
        measure(&mut candidates, options.time, |executor| {
            executor.logits_into(&pixels, images, &mut logits)
        })?;
        let timings: Vec<Timing> = candidates.iter().map(Candidate::timing).collect();
        let fastest = (0..candidates.len())
            .min_by(|&a, &b| timings[a].median_ms.total_cmp(&timings[b].median_ms))
            .ok_or_else(|| {
                ExportError::argument(
                    "precisions",
                    format!(
                        "none of {:?} can be used: int8 needs a quantised model, and the processor needs \
                         instructions for it or for bf16; allow f32",
                        options.precisions
                    ),
                )
            })?;
        let choice = Choice {
            precision: timings[fastest].precision,
            algorithms_for: timings[fastest].algorithms_for,
            images,
            timings,
        };
        Ok((candidates.swap_remove(fastest).executor, choice))
    }
}

struct Candidate {
    executor: Executor,
    algorithms_for: usize,
    times_ms: Vec<f64>,
}

impl Candidate {
    fn timing(&self) -> Timing {
        Timing {
            precision: self.executor.precision(),
            algorithms_for: self.algorithms_for,
            median_ms: median(&self.times_ms).unwrap_or(f64::INFINITY),
            n: self.times_ms.len(),
        }
    }
}

fn candidates(
    model: &FrozenModel,
    quantized: Option<&QuantizedModel>,
    options: &ChoiceOptions,
) -> Result<Vec<Candidate>, ExportError> {
    let mut candidates = Vec::new();
    let mut batches = vec![1, options.batch];
    batches.dedup();
    for precision in Precision::ALL {
        if !options.precisions.contains(&precision) || !precision.is_native() {
            continue;
        }
        for &algorithms_for in &batches {
            let executor = match (precision, quantized) {
                // Its integer layers have one algorithm.
                (Precision::Int8, Some(model)) if algorithms_for == options.batch => {
                    Executor::quantized(model, algorithms_for)
                }
                (Precision::Int8, _) => continue,
                _ => Executor::with_precision(model, precision, algorithms_for)?,
            };
            candidates.push(Candidate {
                executor,
                algorithms_for,
                times_ms: Vec::new(),
            });
        }
    }
    Ok(candidates)
}

/// Runs the candidates in turn until each has had its time and its runs. The first run allocates memory and is not
/// counted.
fn measure(
    candidates: &mut [Candidate],
    time: Duration,
    mut run: impl FnMut(&Executor) -> Result<(), ExportError>,
) -> Result<(), ExportError> {
    for candidate in &*candidates {
        run(&candidate.executor)?;
    }
    let limit_ms = time.as_secs_f64() * 1e3;
    loop {
        let mut is_done = true;
        for candidate in &mut *candidates {
            let spent: f64 = candidate.times_ms.iter().sum();
            if candidate.times_ms.len() >= LEAST_RUNS && spent >= limit_ms {
                continue;
            }
            is_done = false;
            let start = Instant::now();
            run(&candidate.executor)?;
            candidate.times_ms.push(start.elapsed().as_secs_f64() * 1e3);
        }
        if is_done {
            return Ok(());
        }
    }
}
