//! The errors of a workflow, and their exit codes.

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

/// A failure of a workflow. An unmet gate is not a failure: it is a verdict.
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
    /// There is no package in the named folder.
    #[error("there is no package in {path}; name a run that stage 7 has finished (`mlestar run`), or the folder of a package", path = path.display())]
    NoPackage {
        /// The folder that was named.
        path: PathBuf,
    },
    /// There is no run in the named folder.
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
    /// A stage needs a file that an earlier stage has not written.
    #[error("stage {stage} needs {needs}; {reason}. Run `mlestar run --to {before}` first", before = stage.number() - 1)]
    MissingInput {
        /// The stage that cannot run.
        stage: Stage,
        /// What it needs.
        needs: String,
        /// Why it cannot have it.
        reason: String,
    },
    /// The folder holds no run to resume.
    #[error(
        "{path} holds no run to resume; leave out --resume to start one, or name another folder with --run",
        path = path.display()
    )]
    NothingToResume {
        /// The run's folder.
        path: PathBuf,
    },
    /// An interrupted stage would have to restart.
    #[error(
        "stage {stage} was interrupted and cannot resume: {changed}. Undo that, or leave out --resume to \
        restart the stage"
    )]
    CannotResume {
        /// The stage.
        stage: Stage,
        /// The inputs that have changed.
        changed: String,
    },
    /// There is no record of a training where one was named.
    #[error(
        "{path} holds no training with a finished and validated epoch; name a run's folder, a folder with \
         metrics.jsonl, or a CSV file (seconds,accuracy)",
        path = path.display()
    )]
    NoTraining {
        /// What was named.
        path: PathBuf,
    },
    /// The folder holds no study.
    #[error("there is no study in {path}; `mlestar tune` begins one", path = path.display())]
    NoStudy {
        /// The folder that was named.
        path: PathBuf,
    },
    /// The study folder cannot be used.
    #[error("cannot use the study folder {path}: {source}; choose another with --study", path = path.display())]
    StudyFolder {
        /// The folder, or a file in it.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// `study.toml` cannot be read.
    #[error("{path}: {problem}; restore the file, or begin another study with --study", path = path.display())]
    DamagedStudy {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A study goes on only with what decides the values of its trials.
    #[error(
        "the study in {path} began with something else: {changed}. Undo that, or begin another study with --study \
         (--from {path} lets it learn from this one)",
        path = path.display()
    )]
    OtherStudy {
        /// The study's folder.
        path: PathBuf,
        /// What differs.
        changed: String,
    },
    /// The folder holds no repeated splits.
    #[error("there are no repeated splits in {path}; `mlestar splits` begins them", path = path.display())]
    NoSplits {
        /// The folder that was named.
        path: PathBuf,
    },
    /// The folder of repeated splits cannot be used.
    #[error("cannot use the folder of splits {path}: {source}; choose another with --folder", path = path.display())]
    SplitsFolder {
        /// The folder, or a file in it.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// `splits.toml` cannot be read.
    #[error("{path}: {problem}; restore the file, or begin again with another --folder", path = path.display())]
    DamagedSplits {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Repeated splits go on only with what decides their trainings.
    #[error(
        "the splits in {path} began with something else: {changed}. Undo that, or begin again with another --folder",
        path = path.display()
    )]
    OtherSplits {
        /// The folder.
        path: PathBuf,
        /// What differs.
        changed: String,
    },
    /// The process that measures a model failed.
    #[error("the process that measures the model {reason}")]
    ModelProcess {
        /// What it did, and what to do.
        reason: String,
    },
    /// A request to stop, such as Ctrl-C, during work that writes nothing before its end.
    #[error("stopped while {doing}; nothing was written")]
    Stopped {
        /// What was being done.
        doing: &'static str,
    },
    /// A request to stop, such as Ctrl-C. The work so far is saved.
    #[error("stopped during stage {stage}; the work so far is saved. Resume with the same command")]
    Interrupted {
        /// The stage that was running.
        stage: Stage,
    },
}

impl WorkflowError {
    /// The error with a remedy, where a file is damaged or from another program.
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
            | Self::OtherStudy { .. }
            | Self::OtherSplits { .. }
            | Self::Tune(TuneError::BadEnqueued { .. })
            | Self::CannotResume { .. } => ExitCode::Usage,
            Self::MissingInput { .. }
            | Self::NothingToResume { .. }
            | Self::NoRun { .. }
            | Self::NoPackage { .. }
            | Self::NoStudy { .. }
            | Self::NoSplits { .. }
            | Self::NoTraining { .. } => ExitCode::MissingArtifact,
            Self::Artifact(error) if error.is_missing() => ExitCode::MissingArtifact,
            Self::Stopped { .. }
            | Self::Interrupted { .. }
            | Self::Data(DataError::Stopped { .. }) => ExitCode::Stopped,
            _ => ExitCode::ProgramFailure,
        }
    }
}
