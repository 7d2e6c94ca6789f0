//! `subset`.

use crate::cli::arguments::SubsetOptions;
use crate::cli::{project, signals};
use mlestar_data::subset::write_subset_until;
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;

pub fn run(options: &SubsetOptions) -> Result<ExitCode, WorkflowError> {
    let config = project::open(&options.project)?.config;
    let stop = signals::stop_signal().flag();
    let report = write_subset_until(
        &config.data,
        options.size,
        config.seed,
        &options.output,
        &stop,
    )?;
    println!(
        "{} training, {} validation and {} test images in {}",
        report.n_train,
        report.n_validation,
        report.n_test,
        options.output.display()
    );
    Ok(ExitCode::Pass)
}
