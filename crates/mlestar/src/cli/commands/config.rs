//! `config`.

use crate::cli::arguments::ProjectOptions;
use crate::cli::project;
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;

pub fn run(options: &ProjectOptions) -> Result<ExitCode, WorkflowError> {
    let project = project::open(options)?;
    print!("{}", project.config.to_toml()?);
    Ok(ExitCode::Pass)
}
