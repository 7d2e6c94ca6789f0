//! The command line of MLE-Star in Rust: runs and chains the seven stages.

// First, since its macros replace std's in everything after it.
#[macro_use]
mod output;

mod arguments;
mod command_line;
mod commands;
mod console;
mod gauges;
mod project;
mod signals;

use arguments::{Arguments, Command};
use clap::Parser;
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;

fn main() -> std::process::ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = match error.use_stderr() {
                true => ExitCode::Usage,
                false => ExitCode::Pass,
            };
            // Nothing useful can be done when the terminal is gone.
            let _ = error.print();
            return code.code().into();
        }
    };
    signals::install();
    let code = execute(arguments).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        error.exit_code()
    });
    code.code().into()
}

fn execute(arguments: Arguments) -> Result<ExitCode, WorkflowError> {
    match arguments.command {
        Command::Run(options) => commands::run::run(&options),
        Command::Stage(options) => commands::run::stage(&options),
        Command::Status(options) => commands::status::status(&options),
        Command::Explain(options) => commands::status::explain(&options),
        Command::Validate(options) => commands::validate::run(&options),
        Command::Summary(options) => commands::summary::run(&options),
        Command::AnalyzeTraining(options) => commands::analyze_training::run(&options),
        Command::CompareTrainings(options) => commands::compare_trainings::run(&options),
        Command::Monitor(options) => commands::monitor::run(&options),
        Command::Doctor(options) => commands::doctor::run(&options),
        Command::Fetch(options) => commands::fetch::run(&options),
        Command::LrFind(options) => commands::lr_find::run(&options),
        Command::Subset(options) => commands::subset::run(&options),
        Command::Config(options) => commands::config::run(&options),
        Command::Bench(options) => Ok(commands::bench::run(&options)),
        Command::Help(options) => commands::help::run(&options),
    }
}
