//! `bench` as a user runs it, and the rules that the repository keeps.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // a panic is how a test fails

mod architecture;
mod bench;
mod config_keys;
mod modules;
mod repository;
mod without_burn;

use std::path::{Path, PathBuf};

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}
