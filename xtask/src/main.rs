//! The command line inside a clone: every command of `mlestar`, and `bench`.

// First, because its macros replace std's in everything after it.
#[macro_use]
mod output;

mod bench;
mod elsewhere;

use clap::{Parser, Subcommand};
use mlestar::cli;

/// From a folder of images to a measured, deployable model, in seven stages.
///
/// Exit codes: 0 all gates pass, 1 the program failed, 2 wrong usage or config, 3 an artifact is
/// missing or stale, 4 a gate is not met, 5 a gate is inconclusive, 6 a signal stopped it; the same command resumes it.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", version, disable_help_subcommand = true, after_help = elsewhere::HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Mlestar(cli::Command),
    /// Measure speed: against PyTorch and ONNX Runtime, or against the machine
    Bench(bench::BenchOptions),
}

fn main() -> std::process::ExitCode {
    if let Some(code) = elsewhere::run(&<Arguments as clap::CommandFactory>::command()) {
        return code;
    }
    cli::main("cargo xtask", |arguments: Arguments| {
        match arguments.command {
            Command::Mlestar(command) => cli::execute(command),
            Command::Bench(options) => Ok(bench::run(&options)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
