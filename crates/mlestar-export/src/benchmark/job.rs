//! One measurement of one package, as a process of its own does it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use mlestar_artifact::read_artifact;
use serde::{Deserialize, Serialize};

use super::candidate::Candidate;
use super::clock::SystemClock;
use super::images::{ImageSource, Images};
use super::model::MeasuredModel;
use super::multi_stream::multi_stream;
use super::offline::{OfflineResult, offline};
use super::process::{peak_memory_bytes, resident_memory_bytes, restart_peak_memory};
use super::rule::StopRule;
use super::server::{ServerOptions, ServerResult, server};
use super::single_stream::single_stream;
use super::stream::StreamResult;
use crate::error::ExportError;
use crate::package::{MANIFEST_FILE, Manifest};

/// What to measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "scenario", rename_all = "snake_case")]
pub enum Scenario {
    /// One image after the other.
    SingleStream {
        /// How long.
        rule: StopRule,
    },
    /// Several images at once, one query after the other.
    MultiStream {
        /// Images of a query.
        images_per_query: usize,
        /// How long.
        rule: StopRule,
    },
    /// Random arrivals.
    Server(ServerOptions),
    /// Images per second in batches.
    Offline {
        /// Images of a batch.
        batch_sizes: Vec<usize>,
        /// How long, for each size.
        rule: StopRule,
    },
}

impl Scenario {
    /// The largest number of images that it predicts at once.
    fn most_images(&self) -> usize {
        match self {
            Self::SingleStream { .. } => 1,
            Self::MultiStream {
                images_per_query, ..
            } => *images_per_query,
            Self::Server(options) => options.max_batch,
            Self::Offline { batch_sizes, .. } => batch_sizes.iter().copied().max().unwrap_or(1),
        }
    }

    fn run(
        &self,
        model: &dyn MeasuredModel,
        images: &Images,
    ) -> Result<ScenarioResult, ExportError> {
        let clock = SystemClock::start();
        Ok(match self {
            Self::SingleStream { rule } => {
                ScenarioResult::SingleStream(single_stream(model, images, rule, &clock)?)
            }
            Self::MultiStream {
                images_per_query: n,
                rule,
            } => ScenarioResult::MultiStream(multi_stream(model, images, *n, rule, &clock)?),
            Self::Server(options) => {
                ScenarioResult::Server(server(model, images, options, &clock)?)
            }
            Self::Offline { batch_sizes, rule } => {
                ScenarioResult::Offline(offline(model, images, batch_sizes, rule, &clock)?)
            }
        })
    }
}

/// The result of a [`Scenario`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "scenario", rename_all = "snake_case")]
pub enum ScenarioResult {
    /// Of [`Scenario::SingleStream`].
    SingleStream(StreamResult),
    /// Of [`Scenario::MultiStream`].
    MultiStream(StreamResult),
    /// Of [`Scenario::Server`].
    Server(ServerResult),
    /// Of [`Scenario::Offline`].
    Offline(OfflineResult),
}

/// A package, how to run it, and what to measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The folder of the package.
    pub package: PathBuf,
    /// How to run its model.
    pub candidate: Candidate,
    /// Threads that compute. [`Job::run`] uses those of the current rayon pool; a process of its own makes a pool of
    /// this size first.
    pub threads: usize,
    /// The seed of noise images.
    pub seed: u64,
    /// What to measure, in this order. Without any, only the cold start and the memory for one image.
    pub scenarios: Vec<Scenario>,
}

/// Whose process measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasuringProcess {
    /// A process that did nothing else: its memory and processor time are those of the model.
    Own,
    /// A process that did other work before, such as training.
    Shared,
}

impl MeasuringProcess {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "in a process of its own",
            Self::Shared => "in the process that trained",
        }
    }
}

/// The way to the first answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ColdStart {
    /// Preparing the images for the measurement, in milliseconds; no part of the other times.
    pub images_ms: f64,
    /// From the start of the process to the first answer, in milliseconds; absent unless the process is the model's
    /// own and another one looked on.
    pub process_to_answer_ms: Option<f64>,
    /// Opening the package: reading, checking, and laying out the weights, in milliseconds.
    pub open_ms: f64,
    /// From opening the package to the first answer, in milliseconds.
    pub open_to_answer_ms: f64,
}

/// The memory of the process that predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelMemory {
    /// Images of the largest batch that was predicted.
    pub batch_size: usize,
    /// Resident memory before the package was opened, in bytes; absent where the system does not report it.
    pub baseline_bytes: Option<u64>,
    /// The largest resident memory from then on, in bytes; absent where the system does not report it.
    pub peak_bytes: Option<u64>,
    /// The computed memory of the weights, the buffers between the layers and such a batch, in bytes; absent if the
    /// model cannot tell.
    pub computed_bytes: Option<u64>,
}

impl ModelMemory {
    /// What opening and predicting added, in bytes.
    #[must_use]
    pub fn growth_bytes(&self) -> Option<u64> {
        Some(self.peak_bytes?.saturating_sub(self.baseline_bytes?))
    }
}

/// The result of a [`Job`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// How the model ran.
    pub candidate: Candidate,
    /// Threads that computed.
    pub threads: usize,
    /// Whose process measured.
    pub process: MeasuringProcess,
    /// Where the images came from.
    pub images: ImageSource,
    /// How many different ones there were.
    pub n_images: usize,
    /// The way to the first answer.
    pub cold_start: ColdStart,
    /// The memory.
    pub memory: ModelMemory,
    /// One result for each scenario of the job, in its order.
    pub results: Vec<ScenarioResult>,
}

impl Job {
    /// Opens the package and measures, in this process and with the threads of the current rayon pool.
    /// `first_answer` is called once, right after the first image was predicted.
    ///
    /// ```
    /// # use std::collections::BTreeMap;
    /// use mlestar_export::benchmark::{Candidate, Job, MeasuringProcess, Scenario, ScenarioResult, StopRule};
    /// # use mlestar_export::{Preparation, package};
    #[doc = include_str!("../doc_model.in")]
    /// # let folder = tempfile::tempdir()?;
    /// # let dir = folder.path();
    /// # package::write_package(dir, &model, &Preparation::new(2, 2), &package::Contents::default())?;
    /// let job = Job {
    ///     package: dir.to_owned(),
    ///     candidate: Candidate::SafetensorsF32,
    ///     threads: 1,
    ///     seed: 0,
    ///     scenarios: vec![Scenario::SingleStream { rule: StopRule::within(0.01, 0.9) }],
    /// };
    /// let measured = job.run(MeasuringProcess::Shared, &mut || {})?;
    /// let [ScenarioResult::SingleStream(result)] = &measured.results[..] else { unreachable!() };
    /// assert!(result.latency.n >= 10 && measured.cold_start.open_ms > 0.0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the package cannot be opened, a golden image cannot be read, or a scenario is impossible.
    pub fn run(
        &self,
        process: MeasuringProcess,
        first_answer: &mut dyn FnMut(),
    ) -> Result<Measured, ExportError> {
        let begin = Instant::now();
        let images = images_of(&self.package, self.seed)?;
        let images_ms = milliseconds(begin);
        // Images that were decoded have left a peak behind.
        let is_new_peak = restart_peak_memory();
        let baseline_bytes = resident_memory_bytes();
        let begin = Instant::now();
        let model = self.candidate.open(&self.package)?;
        let open_ms = milliseconds(begin);
        model.answer(images.batches(1)?.take(1), 1)?;
        let open_to_answer_ms = milliseconds(begin);
        first_answer();
        let results = self
            .scenarios
            .iter()
            .map(|scenario| scenario.run(&*model, &images))
            .collect::<Result<_, _>>()?;
        let batch_size = self
            .scenarios
            .iter()
            .map(Scenario::most_images)
            .max()
            .unwrap_or(1);
        let is_of_model = is_new_peak || process == MeasuringProcess::Own;
        Ok(Measured {
            candidate: self.candidate,
            threads: rayon::current_num_threads(),
            process,
            images: images.source(),
            n_images: images.n(),
            cold_start: ColdStart {
                images_ms,
                process_to_answer_ms: None,
                open_ms,
                open_to_answer_ms,
            },
            memory: ModelMemory {
                batch_size,
                baseline_bytes,
                peak_bytes: peak_memory_bytes().filter(|_| is_of_model),
                computed_bytes: model.memory_bytes(batch_size),
            },
            results,
        })
    }
}

fn images_of(package: &Path, seed: u64) -> Result<Images, ExportError> {
    let manifest: Manifest = read_artifact(&package.join(MANIFEST_FILE))?;
    Images::of_package(package, &manifest.preparation, seed)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
