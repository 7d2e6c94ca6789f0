//! The command line as a user runs it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // a panic is how a test fails

mod chain;
mod command_line;
mod data;
mod exit_codes;
mod kill;
mod lr_find;
mod predict;
mod project_file;
mod shortcuts;
#[cfg(unix)]
mod signals;
mod training;

use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned()
}
