//! The command line: `mlestar run`, `mlestar status` and the rest. Another program may include [`Command`] among its
//! commands and hand it to [`execute`].

// First, since its macros replace std's in everything after it.
#[macro_use]
mod output;

mod arguments;
mod colour;
mod command_line;
mod commands;
mod console;
mod gauges;
mod own_program;
mod packages;
mod project;
mod signals;
mod slurm;
mod weights;
mod weights_folder;
mod workers;
mod wrap;

use clap::Parser;
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;
use std::sync::OnceLock;

pub use arguments::Command;
pub use command_line::command_line;
pub use output::{write_err, write_out};
pub use project::set_threads;

/// The whole command line of the running program, for `help`.
static COMMANDS: OnceLock<clap::Command> = OnceLock::new();

/// Parses the arguments of this process, executes the command, prints errors and returns the exit code. `name` is the
/// name of the program, such as `mlestar`; messages name its commands with it.
pub fn main<A: Parser>(
    name: &'static str,
    execute: impl FnOnce(A) -> Result<ExitCode, WorkflowError>,
) -> std::process::ExitCode {
    output::set_name(name);
    COMMANDS.get_or_init(A::command);
    let arguments = match A::try_parse() {
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

/// Executes one command.
///
/// # Errors
/// Any failure of the command. An unmet gate is not one; it only sets the exit code.
pub fn execute(command: Command) -> Result<ExitCode, WorkflowError> {
    match command {
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
        Command::BenchModel(options) => commands::bench_model::run(&options),
        Command::Predict(options) => commands::predict::run(&options),
        Command::Tune(options) => commands::tune::run(&options),
        Command::Splits(options) => commands::splits::run(&options),
        Command::Package(command) => commands::package::run(&command),
        #[cfg(feature = "serve")]
        Command::Serve(options) => Ok(commands::serve::run(&options)),
        Command::Subset(options) => commands::subset::run(&options),
        Command::Config(options) => commands::config::run(&options),
        Command::Init(options) => commands::init::run(&options),
        Command::Runs(options) => commands::runs::run(&options),
        Command::Completions(options) => commands::shell::completions(&options),
        Command::Man => commands::shell::man(),
        Command::Help(options) => commands::help::run(&options),
    }
}
