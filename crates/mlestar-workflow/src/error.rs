//! What can go wrong in a workflow, and the exit code that says so.

use crate::config::ConfigError;
use crate::device::DeviceError;
use crate::{Stage, UnknownStage};
use mlestar_artifact::ArtifactError;
use mlestar_data::DataError;
use mlestar_eval::EvalError;
use mlestar_export::ExportError;
use mlestar_gates::ExitCode;
use mlestar_model::ModelError;
use mlestar_report::ReportError;
use mlestar_train::TrainError;
use mlestar_tune::TuneError;
use std::io;
use std::path::PathBuf;

/// A failure of a workflow. A gate that is not met is no failure: it is a verdict.
#[derive(Debug, thiserror::Error)]
pub enum WorkflowError {
    /// The config is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A word names no stage.
    #[error(transparent)]
    UnknownStage(#[from] UnknownStage),
    /// The command makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The data cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model cannot be built.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Training failed.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The search failed.
    #[error(transparent)]
    Tune(#[from] TuneError),
    /// The export failed.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// A metric cannot be computed.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// A chart or page cannot be drawn.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A file cannot be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A file in which a run keeps its state is damaged.
    #[error("{source}. {remedy}")]
    DamagedRun {
        /// Which file, and what is wrong with it.
        source: ArtifactError,
        /// What to do.
        remedy: &'static str,
    },
    /// There is no package where one was looked for.
    #[error("there is no package in {path}; name a run that stage 7 has finished (`mlestar run`), or the folder of a package", path = path.display())]
    NoPackage {
        /// The folder that was named.
        path: PathBuf,
    },
    /// There is no run where one is to be looked at.
    #[error("there is no run in {path}; `mlestar run` makes one, and --run names another folder", path = path.display())]
    NoRun {
        /// The run's folder.
        path: PathBuf,
    },
    /// The run folder cannot be used.
    #[error("cannot use the run folder {path}: {source}; choose another with --run", path = path.display())]
    RunFolder {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another process writes the run folder.
    #[error(
        "the run folder {path} is in use by another process; wait for it, or choose another with --run",
        path = path.display()
    )]
    RunLocked {
        /// The folder.
        path: PathBuf,
    },
    /// A stage needs what an earlier one has not left.
    #[error("stage {stage} needs {needs}; {reason}. Run `mlestar run --to {before}` first", before = stage.number() - 1)]
    MissingInput {
        /// The stage that cannot run.
        stage: Stage,
        /// What it needs.
        needs: String,
        /// Why it cannot have it.
        reason: String,
    },
    /// No run was begun in the folder of one that is to go on.
    #[error(
        "{path} holds no run to go on with; leave out --resume to begin one, or name another folder with --run",
        path = path.display()
    )]
    NothingToResume {
        /// The run's folder.
        path: PathBuf,
    },
    /// A stage that was cut off would have to begin anew.
    #[error(
        "stage {stage} was cut off and cannot go on: {changed}. Undo that, or leave out --resume to begin the stage anew"
    )]
    CannotResume {
        /// The stage.
        stage: Stage,
        /// What it depends on and has changed.
        changed: String,
    },
    /// There is no record of a training where one was named.
    #[error(
        "{path} holds no training with an epoch that has ended and been validated; name a run's folder, a folder with \
         metrics.jsonl, or a CSV file (seconds,accuracy)",
        path = path.display()
    )]
    NoTraining {
        /// What was named.
        path: PathBuf,
    },
    /// A request to stop, such as Ctrl-C, in work that leaves nothing half done.
    #[error("stopped while {doing}; nothing was written")]
    Stopped {
        /// What was being done.
        doing: &'static str,
    },
    /// A request to stop, such as Ctrl-C. What was done is saved.
    #[error("stopped during stage {stage}; what was done is saved. Go on with the same command")]
    Interrupted {
        /// The stage that was running.
        stage: Stage,
    },
}

impl WorkflowError {
    /// The error with what to do about it, where a file is damaged or another program's.
    pub(crate) fn of_run_file(source: ArtifactError, remedy: &'static str) -> Self {
        match source {
            ArtifactError::Invalid { .. } | ArtifactError::WrongSchema { .. } => {
                Self::DamagedRun { source, remedy }
            }
            other => other.into(),
        }
    }

    /// The exit code of a program that ends with this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_)
            | Self::Device(_)
            | Self::UnknownStage(_)
            | Self::Usage(_)
            | Self::Train(TrainError::InitialWeights { .. } | TrainError::Teacher { .. })
            | Self::CannotResume { .. } => ExitCode::Usage,
            Self::MissingInput { .. }
            | Self::NothingToResume { .. }
            | Self::NoRun { .. }
            | Self::NoPackage { .. }
            | Self::NoTraining { .. } => ExitCode::MissingArtifact,
            Self::Artifact(error) if error.is_missing() => ExitCode::MissingArtifact,
            Self::Stopped { .. }
            | Self::Interrupted { .. }
            | Self::Data(DataError::Stopped { .. }) => ExitCode::Stopped,
            _ => ExitCode::ProgramFailure,
        }
    }
}
