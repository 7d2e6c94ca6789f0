//! Errors of a bench. A missing peer is no error.

use mlestar_export::ExportError;
use mlestar_gates::ExitCode;
use mlestar_kernels::KernelError;
use mlestar_workflow::WorkflowError;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("{}: cannot be read: {source}; it must have a folder of images for each class", path.display())]
    Folder {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the report cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl BenchError {
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Workflow(error) => error.exit_code(),
            Self::Kernel(_) | Self::Export(_) | Self::Folder { .. } | Self::Json(_) => {
                ExitCode::ProgramFailure
            }
        }
    }
}
