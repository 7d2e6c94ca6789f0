//! Artifacts of stage 7 besides the package.

use crate::machine::MachineInfo;
use mlestar_artifact::Artifact;
use mlestar_export::benchmark::Benchmark;
use mlestar_export::parity::Parity;
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
    /// The figures.
    pub benchmark: Benchmark,
    /// What a program that serves the package needs.
    pub memory: DeployedMemory,
}

/// The memory that serving the package takes, without the rest of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedMemory {
    /// Images of the largest batch that was predicted.
    pub batch_size: usize,
    /// The computed memory of the weights, the buffers between the layers and such a batch.
    pub computed_bytes: u64,
    /// The largest growth of the process's resident memory, from before the package was opened until it was measured;
    /// absent where the system does not report it. Memory that the process held in reserve is not counted.
    pub growth_bytes: Option<u64>,
}

impl DeployedMemory {
    /// The larger of the computed and the measured memory.
    pub fn bytes(&self) -> u64 {
        self.growth_bytes.unwrap_or(0).max(self.computed_bytes)
    }
}

impl Artifact for BenchmarkArtifact {
    const SCHEMA: &'static str = "mlestar.benchmark";
    const VERSION: u32 = 2;
}
