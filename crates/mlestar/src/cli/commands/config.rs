//! `config`.

use crate::cli::arguments::ProjectOptions;
use crate::cli::{output, project};
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;

pub fn run(options: &ProjectOptions) -> Result<ExitCode, WorkflowError> {
    let project = project::open(options)?;
    output::write_raw(project.config.to_toml()?.as_bytes());
    Ok(ExitCode::Pass)
}
