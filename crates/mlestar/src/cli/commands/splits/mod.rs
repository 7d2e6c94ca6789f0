//! `splits`: the same training on several random splits, by several processes.

mod arguments;
mod launch;
mod run;
mod status;
mod work;

pub use arguments::SplitsOptions;

use arguments::SplitsCommand;
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;

pub fn run(options: &SplitsOptions) -> Result<ExitCode, WorkflowError> {
    match &options.command {
        None => run::run(&options.begin),
        Some(SplitsCommand::Work(options)) => work::run(options),
        Some(SplitsCommand::Status(options)) => status::run(options),
    }
}
