//! The cost of predicting with a package, by scenario, format, precision and number of threads, each measured in a
//! process of its own.

mod columns;
mod page;
mod table;

use std::path::{Path, PathBuf};

use mlestar_artifact::{Artifact, write_artifact, write_atomically};
use mlestar_export::benchmark::{
    Candidate, ColdStart, Job, Measured, ModelMemory, Scenario, ServerOptions, StopRule,
};
use serde::{Deserialize, Serialize};

use crate::WorkflowError;
use crate::machine::MachineInfo;
pub use table::table;

/// The artifact.
pub const ARTIFACT: &str = "model_benchmark.json";
/// The page.
pub const PAGE: &str = "model_benchmark.html";

/// Processes that are started for a cold start.
const COLD_STARTS: usize = 7;
/// Waiting images that the server scenario answers together at most.
const MOST_TOGETHER: usize = 16;
/// Batches of the offline scenario.
const BATCH_SIZES: [usize; 4] = [1, 8, 32, 128];
/// The 99th percentile of a server cannot be known as well as that of one image: queues depend on chance.
const SERVER_HALF_WIDTH: f64 = 0.1;

/// Measures a package in a process of its own, so that memory, processor time and start are those of the model alone.
/// A library cannot start its own program again; the program that uses it can.
pub trait ModelMeasurer {
    /// Does `job` in a new process.
    ///
    /// # Errors
    /// [`WorkflowError::ModelProcess`] when the process fails, [`WorkflowError::Stopped`] when a stop was requested.
    fn measure(&self, job: &Job) -> Result<Measured, WorkflowError>;
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScenarioKind {
    /// New processes, up to their first answer.
    ColdStart,
    /// One image after the other.
    SingleStream,
    /// Several images at once.
    MultiStream,
    /// Poisson arrivals.
    Server,
    /// Batches.
    Offline,
}

impl ScenarioKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ColdStart,
        Self::SingleStream,
        Self::MultiStream,
        Self::Server,
        Self::Offline,
    ];

    /// Its name in commands and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::ColdStart => "cold-start",
            Self::SingleStream => "single-stream",
            Self::MultiStream => "multi-stream",
            Self::Server => "server",
            Self::Offline => "offline",
        }
    }
}

/// What `mlestar bench-model` was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelBenchmarkOptions {
    /// The scenarios, in order.
    pub scenarios: Vec<ScenarioKind>,
    /// How the model runs.
    pub candidates: Vec<Candidate>,
    /// Numbers of threads, each at least 1.
    pub threads: Vec<usize>,
    /// Seconds for one scenario of one configuration, above 0.
    pub seconds: f64,
    /// Images of a query of the multi-stream scenario, at least 1.
    pub images_per_query: usize,
    /// The limit of the server scenario, in milliseconds; without it, 10 ms, or five times the median latency of
    /// one image if that is more.
    pub limit_ms: Option<f64>,
    /// The rate of the server scenario; without it, the highest rate within the limit is searched.
    pub rate: Option<f64>,
    /// The seed of noise images and arrivals.
    pub seed: u64,
}

/// `model_benchmark.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelBenchmark {
    /// The folder of the package, as it was named.
    pub package: PathBuf,
    /// The machine.
    pub machine: MachineInfo,
    /// What was asked for.
    pub options: ModelBenchmarkOptions,
    /// Every configuration.
    pub rows: Vec<BenchmarkRow>,
}

impl Artifact for ModelBenchmark {
    const SCHEMA: &'static str = "mlestar.model_benchmark";
    const VERSION: u32 = 1;
}

/// One scenario of one configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchmarkRow {
    /// The scenario.
    pub scenario: ScenarioKind,
    /// How the model ran.
    pub candidate: Candidate,
    /// Threads that computed.
    pub threads: usize,
    /// What came out.
    pub outcome: Outcome,
}

/// The outcome of a configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The figures of one process.
    Measured(Box<Measured>),
    /// The figures of several processes that each gave one answer.
    Started(ColdStarts),
    /// Why there are none.
    Failed(String),
}

/// Several starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColdStarts {
    /// Each start, in order. The first may read the files from the disk.
    pub starts: Vec<ColdStart>,
    /// The memory of the last process, which predicted one image.
    pub memory: ModelMemory,
}

/// Measures `package` in every configuration. One that fails has the reason in its row, and the others are measured
/// all the same. `done` receives each row and how many there will be.
///
/// # Errors
/// [`WorkflowError::Usage`] for impossible options, [`WorkflowError::Stopped`] when a stop was requested.
pub fn run(
    package: &Path,
    options: ModelBenchmarkOptions,
    measurer: &dyn ModelMeasurer,
    done: &mut dyn FnMut(&BenchmarkRow, usize),
) -> Result<ModelBenchmark, WorkflowError> {
    options.check()?;
    let configurations = options.configurations();
    let mut rows = Vec::new();
    for &(scenario, candidate, threads) in &configurations {
        let job = options.job(package, scenario, candidate, threads);
        let outcome = match outcome(scenario, &job, measurer) {
            Err(error @ WorkflowError::Stopped { .. }) => return Err(error),
            Err(error) => Outcome::Failed(error.to_string()),
            Ok(outcome) => outcome,
        };
        let row = BenchmarkRow {
            scenario,
            candidate,
            threads,
            outcome,
        };
        done(&row, configurations.len());
        rows.push(row);
    }
    Ok(ModelBenchmark {
        package: package.to_owned(),
        machine: MachineInfo::detect(),
        options,
        rows,
    })
}

fn outcome(
    scenario: ScenarioKind,
    job: &Job,
    measurer: &dyn ModelMeasurer,
) -> Result<Outcome, WorkflowError> {
    if scenario != ScenarioKind::ColdStart {
        return Ok(Outcome::Measured(Box::new(measurer.measure(job)?)));
    }
    let mut measured = measurer.measure(job)?;
    let mut starts = vec![measured.cold_start];
    while starts.len() < COLD_STARTS {
        measured = measurer.measure(job)?;
        starts.push(measured.cold_start);
    }
    Ok(Outcome::Started(ColdStarts {
        starts,
        memory: measured.memory,
    }))
}

impl ModelBenchmarkOptions {
    fn check(&self) -> Result<(), WorkflowError> {
        let usage = |text: String| Err(WorkflowError::Usage(text));
        if let Some(threads) = self.threads.iter().find(|n| !(1..=1024).contains(*n)) {
            return usage(format!("--threads has {threads}, but must be 1 to 1024"));
        }
        if !(1..=4096).contains(&self.images_per_query) {
            let n = self.images_per_query;
            return usage(format!("--images-per-query is {n}, but must be 1 to 4096"));
        }
        for (name, value) in [
            ("--seconds", Some(self.seconds)),
            ("--limit-ms", self.limit_ms),
            ("--rate", self.rate),
        ] {
            match value {
                Some(value) if !(value > 0.0 && value <= 1e6) => {
                    return usage(format!(
                        "{name} is {value}, but must be above 0, at most 1e6"
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Scenarios first, so that what is compared was measured shortly after each other.
    fn configurations(&self) -> Vec<(ScenarioKind, Candidate, usize)> {
        let mut all = Vec::new();
        for &scenario in &self.scenarios {
            for &candidate in &self.candidates {
                all.extend(self.threads.iter().map(|&n| (scenario, candidate, n)));
            }
        }
        all
    }

    fn job(
        &self,
        package: &Path,
        scenario: ScenarioKind,
        candidate: Candidate,
        threads: usize,
    ) -> Job {
        let seconds = self.seconds;
        // The quantiles are those that MLPerf asks for.
        let scenario = match scenario {
            ScenarioKind::ColdStart => None,
            ScenarioKind::SingleStream => Some(Scenario::SingleStream {
                rule: StopRule::within(seconds, 0.9),
            }),
            ScenarioKind::MultiStream => Some(Scenario::MultiStream {
                images_per_query: self.images_per_query,
                rule: StopRule::within(seconds, 0.99),
            }),
            ScenarioKind::Server => Some(Scenario::Server(ServerOptions {
                rate: self.rate,
                limit_ms: self.limit_ms,
                max_batch: MOST_TOGETHER,
                seed: self.seed,
                rule: StopRule {
                    relative_half_width: SERVER_HALF_WIDTH,
                    ..StopRule::within(seconds, 0.99)
                },
            })),
            ScenarioKind::Offline => Some(Scenario::Offline {
                batch_sizes: BATCH_SIZES.to_vec(),
                rule: StopRule {
                    min_n: 1,
                    ..StopRule::within(seconds / BATCH_SIZES.len() as f64, 0.5)
                },
            }),
        };
        Job {
            package: package.to_owned(),
            candidate,
            threads,
            seed: self.seed,
            scenarios: scenario.into_iter().collect(),
        }
    }
}

impl ModelBenchmark {
    /// Writes [`ARTIFACT`] and [`PAGE`] into `folder`, which is made if it does not exist; returns their paths.
    ///
    /// # Errors
    /// When they cannot be written or the page cannot be drawn.
    pub fn write(&self, folder: &Path) -> Result<[PathBuf; 2], WorkflowError> {
        let page = page::render(self)?;
        let paths = [folder.join(ARTIFACT), folder.join(PAGE)];
        write_artifact(&paths[0], self)?;
        write_atomically(&paths[1], page.as_bytes())?;
        Ok(paths)
    }

    /// How many configurations have no figures.
    pub fn n_failed(&self) -> usize {
        let failed = |row: &&BenchmarkRow| matches!(row.outcome, Outcome::Failed(_));
        self.rows.iter().filter(failed).count()
    }

    /// The rows of one scenario; none if it was not asked for.
    fn rows_of(&self, scenario: ScenarioKind) -> Vec<&BenchmarkRow> {
        let is_of = |row: &&BenchmarkRow| row.scenario == scenario;
        self.rows.iter().filter(is_of).collect()
    }

    /// What the images were, in words; none if nothing was measured.
    fn images(&self) -> Option<&'static str> {
        self.rows.iter().find_map(|row| match &row.outcome {
            Outcome::Measured(measured) => Some(measured.images.name()),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests;
