//! The program `mlestar-serve`: the command `mlestar serve` without the rest, for containers.

use clap::Parser;
use mlestar_serve::ServeError;
use mlestar_serve::cli::{ServeArguments, run};
use std::process::ExitCode;

/// Serve a package over HTTP: Open Inference Protocol, image files, a page, metrics
#[derive(Debug, Parser)]
#[command(name = "mlestar-serve", version)]
struct Program {
    #[command(flatten)]
    arguments: ServeArguments,
}

fn main() -> ExitCode {
    match run(&Program::parse().arguments) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            match error {
                ServeError::Setting { .. } => ExitCode::from(2),
                ServeError::NoPackage { .. } => ExitCode::from(3),
                _ => ExitCode::FAILURE,
            }
        }
    }
}
