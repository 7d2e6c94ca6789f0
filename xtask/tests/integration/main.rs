//! The command line as a user runs it, and the rules that the repository keeps.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // a panic is how a test fails

mod architecture;
mod bench;
mod chain;
mod command_line;
mod config_keys;
mod data;
mod exit_codes;
mod kill;
mod lr_find;
mod repository;
mod shortcuts;
#[cfg(unix)]
mod signals;
mod training;

use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}
