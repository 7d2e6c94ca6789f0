//! What a run records about itself.

use crate::machine::MachineInfo;
use mlestar_artifact::Artifact;
use serde::{Deserialize, Serialize};

/// `run.json`: what was run, by which code, on which machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunInfo {
    /// The project's name.
    pub project: String,
    /// The seed of every random choice.
    pub seed: u64,
    /// The version of the code.
    pub code_version: String,
    /// The device that computes.
    pub device: String,
    /// Worker threads.
    pub threads: usize,
    /// The machine.
    pub machine: MachineInfo,
}

impl Artifact for RunInfo {
    const SCHEMA: &'static str = "mlestar.run";
    const VERSION: u32 = 1;
}
