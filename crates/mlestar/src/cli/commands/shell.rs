//! `completions` and `man`: what a shell and `man` know of the commands.

use crate::cli::arguments::CompletionsOptions;
use crate::cli::{COMMANDS, output};
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;

pub fn completions(options: &CompletionsOptions) -> Result<ExitCode, WorkflowError> {
    let mut command = COMMANDS.get().cloned().unwrap_or_default();
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, output::name(), &mut script);
    output::write_raw(&script);
    Ok(ExitCode::Pass)
}

pub fn man() -> Result<ExitCode, WorkflowError> {
    let command = COMMANDS.get().cloned().unwrap_or_default();
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(|error| WorkflowError::Usage(format!("the page cannot be made: {error}")))?;
    output::write_raw(&page);
    Ok(ExitCode::Pass)
}
