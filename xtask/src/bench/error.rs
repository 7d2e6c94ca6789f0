//! Errors of a bench. A missing peer is no error.

use mlestar_gates::ExitCode;
use mlestar_kernels::KernelError;
use mlestar_workflow::WorkflowError;

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error("the report cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl BenchError {
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Workflow(error) => error.exit_code(),
            Self::Kernel(_) | Self::Json(_) => ExitCode::ProgramFailure,
        }
    }
}
