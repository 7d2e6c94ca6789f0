//! `validation_report.json`: the verdicts of all gates.

use crate::freshness::Surroundings;
use crate::manifest::RunManifest;
use crate::{CODE_VERSION, RunFolder, Stage, WorkflowError, gates};
use mlestar_artifact::{Artifact, write_artifact};
use mlestar_gates::{ExitCode, RunVerdict, Status};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The verdicts of a run's gates, judged from the files in its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidationReport {
    /// The run's name.
    pub run: String,
    /// The code that judged.
    pub code_version: String,
    /// The worst status of all criteria.
    pub status: Status,
    /// The exit code that goes with it.
    pub exit_code: u8,
    /// Every stage, every criterion.
    pub verdict: RunVerdict,
}

impl Artifact for ValidationReport {
    const SCHEMA: &'static str = "mlestar.validation_report";
    const VERSION: u32 = 1;
}

impl ValidationReport {
    /// Judges the gates of `stages` now.
    pub fn judge(
        stages: &[Stage],
        surroundings: &Surroundings,
        run: &RunFolder,
        manifest: &RunManifest,
    ) -> Self {
        let verdict = gates::judge_stages(stages, surroundings, run, manifest);
        Self {
            run: run.name(),
            code_version: CODE_VERSION.into(),
            status: verdict.status(),
            exit_code: verdict.exit_code().code(),
            verdict,
        }
    }

    /// Writes the report into the run folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, run: &RunFolder) -> Result<(), WorkflowError> {
        self.write_to(&run.validation_report_path())
    }

    /// Writes the report to `path`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_to(&self, path: &Path) -> Result<(), WorkflowError> {
        Ok(write_artifact(path, self)?)
    }

    /// The exit code of a program that ends with this report.
    pub fn exit(&self) -> ExitCode {
        self.verdict.exit_code()
    }
}
