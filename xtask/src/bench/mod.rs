//! `bench`: how fast this machine runs the reference network, and how fast it could; a package in every format.

mod arguments;
mod date;
mod error;
mod formats;
mod hardware;
mod kernel_work;
mod layers;
mod ours;
mod peaks;
mod peer_jobs;
mod peer_output;
mod peers;
mod peers_table;
mod report;
mod roofline;
mod roofline_table;
mod timing;

use arguments::BenchCommand;
pub use arguments::BenchOptions;
use mlestar_gates::ExitCode;

pub fn run(options: &BenchOptions) -> ExitCode {
    let result = match &options.command {
        BenchCommand::Peers(options) => peers::run(options),
        BenchCommand::Roofline(options) => roofline::run(options),
        BenchCommand::Formats(options) => formats::run(options),
    };
    match result {
        Ok(()) => ExitCode::Pass,
        Err(error) => {
            eprintln!("error: {error}");
            error.exit_code()
        }
    }
}

/// Warning of a build with debug assertions, before and beside its figures.
const DEBUG_WARNING: &str = "built with debug assertions, which slow our own code; for figures run \
                             `cargo run --release -p xtask -- bench ...`";

fn warn_of_debug_assertions() {
    if cfg!(debug_assertions) {
        eprintln!("warning: {DEBUG_WARNING}");
    }
}
