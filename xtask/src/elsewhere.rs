//! Commands of `mlestar` that this program leaves out, so that a clone does not compile their libraries for everyone:
//! they are built and run when they are asked for.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// The commands.
const COMMANDS: [&str; 1] = ["serve"];

/// What the help says about them.
pub const HELP: &str = "Compiled when first used:\n  serve  Serve a trained model over HTTP";

/// Runs the command of this process if it is one of those, unless `known` has it.
pub fn run(known: &clap::Command) -> Option<ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let name = arguments.first()?.to_str()?;
    let is_elsewhere = COMMANDS.contains(&name) && known.find_subcommand(name).is_none();
    is_elsewhere.then(|| forward(command(&arguments)))
}

fn command(arguments: &[OsString]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["run", "-q", "-p", "mlestar", "--locked", "--"])
        .args(arguments);
    command
}

/// Takes the place of this process, so that signals reach the command.
#[cfg(unix)]
fn forward(mut command: Command) -> ExitCode {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    eprintln!("error: cargo cannot be run: {error}");
    ExitCode::FAILURE
}

#[cfg(not(unix))]
fn forward(mut command: Command) -> ExitCode {
    match command.status() {
        Ok(status) => match status.code().and_then(|code| u8::try_from(code).ok()) {
            Some(code) => code.into(),
            None => ExitCode::FAILURE,
        },
        Err(error) => {
            eprintln!("error: cargo cannot be run: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_handed_on_unchanged() {
        let arguments = ["serve", "my run", "--help"].map(OsString::from);
        let command = command(&arguments);
        let handed: Vec<_> = command.get_args().collect();
        assert_eq!(handed[handed.len() - 3..], ["serve", "my run", "--help"]);
        assert!(COMMANDS.iter().all(|name| HELP.contains(name)));
    }
}
