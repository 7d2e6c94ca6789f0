//! `tune`: a search by several processes.

mod arguments;
mod best;
mod launch;
mod report;
mod search;
mod status;
mod table;
mod work;

pub use arguments::TuneOptions;

use arguments::TuneCommand;
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;

pub fn run(options: &TuneOptions) -> Result<ExitCode, WorkflowError> {
    match &options.command {
        Some(TuneCommand::Work(options)) => work::run(options),
        Some(TuneCommand::Status(options)) => status::run(options),
        Some(TuneCommand::Best(options)) => best::run(options),
        Some(TuneCommand::Report(options)) => report::run(options),
        None => search::run(&options.search),
    }
}
