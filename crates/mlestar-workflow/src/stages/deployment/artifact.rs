//! Artifacts of stage 7 besides the package.

use crate::machine::MachineInfo;
use mlestar_artifact::Artifact;
use mlestar_export::benchmark::{
    Candidate, ColdStart, ImageSource, Latency, Measured, MeasuringProcess, ModelMemory,
    ScenarioResult, Stability, Throughput,
};
use mlestar_export::package::PrecisionRecord;
use mlestar_export::parity::Parity;
use mlestar_export::quantize::QuantizationRecord;
use serde::{Deserialize, Serialize};

/// One line of `logits.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogitsRow {
    /// Where the image comes from.
    pub origin: String,
    /// The class scores of the trained network.
    pub trained: Vec<f32>,
    /// The class scores of the exported file.
    pub exported: Vec<f32>,
    /// The class scores in bfloat16.
    pub bf16: Vec<f32>,
    /// The class scores of the int8 file.
    pub int8: Vec<f32>,
}

/// `quantization.json`: how the int8 model was chosen on validation images, and how it and bfloat16 compare with `f32`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuantizationArtifact {
    /// The choice.
    pub choice: QuantizationRecord,
    /// The comparisons.
    pub precisions: Vec<PrecisionRecord>,
}

impl Artifact for QuantizationArtifact {
    const SCHEMA: &'static str = "mlestar.quantization";
    const VERSION: u32 = 1;
}

/// `parity.json`: the trained network compared with the exported file over the whole test split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParityArtifact {
    /// How many images were compared.
    pub pictures: usize,
    /// The comparison.
    pub parity: Parity,
}

impl Artifact for ParityArtifact {
    const SCHEMA: &'static str = "mlestar.parity";
    const VERSION: u32 = 1;
}

/// `benchmark.json`: speed, memory and CPU use of the package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BenchmarkArtifact {
    /// The machine that it was measured on.
    pub machine: MachineInfo,
    /// Whose process measured: one of its own, or that of the run.
    pub process: MeasuringProcess,
    /// How the model ran.
    pub candidate: Candidate,
    /// Threads that computed.
    pub threads: usize,
    /// What the images were.
    pub images: ImageSource,
    /// Latency of one image, one after the other.
    pub latency: Latency,
    /// Whether the 95th percentile is stable.
    pub latency_stability: Stability,
    /// Images per second by batch size.
    pub throughput: Vec<Throughput>,
    /// Cores in use during the throughput measurement; absent if it was too short for the clock of the system, or
    /// the system does not tell.
    pub cpu_cores: Option<f64>,
    /// The way to the first answer.
    pub cold_start: ColdStart,
    /// The memory of the process that measured.
    pub memory: ModelMemory,
}

impl BenchmarkArtifact {
    /// From a job with a single stream and then an offline scenario; `None` if the results are others.
    pub(super) fn of(machine: MachineInfo, measured: Measured) -> Option<Self> {
        let mut results = measured.results.into_iter();
        let (Some(ScenarioResult::SingleStream(single)), Some(ScenarioResult::Offline(offline))) =
            (results.next(), results.next())
        else {
            return None;
        };
        Some(Self {
            machine,
            process: measured.process,
            candidate: measured.candidate,
            threads: measured.threads,
            images: measured.images,
            latency: single.latency,
            latency_stability: single.stability,
            throughput: offline.throughput,
            cpu_cores: offline.cpu_cores,
            cold_start: measured.cold_start,
            memory: measured.memory,
        })
    }

    /// The memory that predicting takes, in bytes, never less than what is computed: the largest memory of a process
    /// of its own, or how much the process of the run grew.
    pub fn memory_bytes(&self) -> u64 {
        let measured = match self.process {
            MeasuringProcess::Own => self.memory.peak_bytes,
            MeasuringProcess::Shared => self.memory.growth_bytes(),
        };
        measured.max(self.memory.computed_bytes).unwrap_or(0)
    }
}

impl Artifact for BenchmarkArtifact {
    const SCHEMA: &'static str = "mlestar.benchmark";
    const VERSION: u32 = 3;
}
