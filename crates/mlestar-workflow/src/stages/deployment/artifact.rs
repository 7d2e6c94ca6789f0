//! What stage 7 leaves behind, beside the package itself.

use crate::machine::MachineInfo;
use mlestar_artifact::Artifact;
use mlestar_export::benchmark::Benchmark;
use mlestar_export::parity::Parity;
use serde::{Deserialize, Serialize};

/// One line of `logits.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogitsRow {
    /// Where the picture comes from.
    pub origin: String,
    /// The class scores of the trained network.
    pub trained: Vec<f32>,
    /// The class scores of the exported file.
    pub exported: Vec<f32>,
}

/// `parity.json`: the trained network against the exported file over the whole test split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParityArtifact {
    /// How many pictures were compared.
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
    /// The figures.
    pub benchmark: Benchmark,
}

impl Artifact for BenchmarkArtifact {
    const SCHEMA: &'static str = "mlestar.benchmark";
    const VERSION: u32 = 1;
}
