//! `summary`.

use super::validate::tell_pages;
use crate::cli::arguments::SummaryOptions;
use crate::cli::project;
use mlestar_data::Reread;
use mlestar_gates::ExitCode;
use mlestar_workflow::manifest::RunManifest;
use mlestar_workflow::validation::ValidationReport;
use mlestar_workflow::{Stage, WorkflowError, summary};

pub fn run(options: &SummaryOptions) -> Result<ExitCode, WorkflowError> {
    let project = project::open_run(&options.project)?;
    let manifest = RunManifest::read(&project.run)?;
    let path = match &options.output {
        Some(path) => path.clone(),
        None => project.run.summary_path(),
    };
    let surroundings = project::surroundings(&options.project, &project, Reread::Changed)?;
    let judged = ValidationReport::judge(&Stage::ALL, &surroundings, &project.run, &manifest);
    summary::write_to(
        &path,
        &surroundings.config,
        &judged.verdict,
        &project.run,
        &manifest,
    )?;
    tell_pages(&project, &judged);
    println!("{}", path.display());
    Ok(ExitCode::Pass)
}
