//! The command line as a user runs it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // a panic is how a test fails

mod bench_model;
mod chain;
mod command_line;
mod data;
mod exit_codes;
mod kill;
mod lr_find;
mod mapped_images;
#[cfg(unix)]
mod pauses;
mod predict;
mod project_file;
mod shortcuts;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod slurm;
mod splits;
mod training;
mod tune;
mod weights;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned()
}

/// The program in `folder`.
fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mlestar"));
    command.args(arguments).current_dir(folder);
    command
}

/// Runs it; its exit code, standard output and standard error.
fn ended(mut command: Command) -> (i32, String, String) {
    texts(command.output().unwrap())
}

/// Exit code, standard output and standard error.
fn texts(output: Output) -> (i32, String, String) {
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}
