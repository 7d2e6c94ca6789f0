//! The `mlestar` command.

use clap::Parser;
use mlestar::cli::{self, Command};

/// From a folder of images to a measured, deployable model, in seven stages.
///
/// Exit codes: 0 all gates pass, 1 the program failed, 2 wrong usage or config, 3 an artifact is
/// missing or stale, 4 a gate is not met, 5 a gate is inconclusive, 6 a signal stopped it; the same command resumes it.
#[derive(Debug, Parser)]
#[command(name = "mlestar", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> std::process::ExitCode {
    cli::main("mlestar", |arguments: Arguments| {
        cli::execute(arguments.command)
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
