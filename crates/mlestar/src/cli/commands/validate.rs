//! `validate`.

use crate::cli::arguments::ValidateOptions;
use crate::cli::console::print_verdict;
use crate::cli::project::{self, Project};
use mlestar_data::Reread;
use mlestar_gates::ExitCode;
use mlestar_workflow::manifest::RunManifest;
use mlestar_workflow::stages::deployment::record_verdicts;
use mlestar_workflow::validation::ValidationReport;
use mlestar_workflow::{Stage, WorkflowError, page_headers};

pub fn run(options: &ValidateOptions) -> Result<ExitCode, WorkflowError> {
    let project = project::open_run(&options.project)?;
    let manifest = RunManifest::read(&project.run)?;
    let stages = match options.stage {
        Some(stage) => vec![stage],
        None => Stage::ALL.to_vec(),
    };
    let reread = match options.full {
        true => Reread::All,
        false => Reread::Changed,
    };
    let surroundings = project::surroundings(&options.project, &project, reread)?;
    let report = ValidationReport::judge(&stages, &surroundings, &project.run, &manifest);
    for (stage, verdict) in stages.iter().zip(&report.verdict.stages) {
        print_verdict(*stage, verdict);
    }
    if let Some(path) = &options.output {
        report.write_to(path)?;
    } else if options.stage.is_none()
        && let Err(error) = report.write(&project.run)
    {
        // The verdict itself follows below.
        eprintln!("warning: {error}");
    }
    if options.stage.is_none() {
        tell_pages(&project, &report);
    }
    let counts = report.verdict.counts();
    println!(
        "{} of {} criteria pass; {} fail, {} inconclusive, {} stale, {} missing",
        counts.pass,
        counts.total(),
        counts.fail,
        counts.inconclusive,
        counts.stale,
        counts.missing
    );
    Ok(report.exit())
}

/// Updates the verdicts in the pages and the package of the run, unless another process is writing the run or the
/// folder is read-only.
pub(super) fn tell_pages(project: &Project, report: &ValidationReport) {
    let run = &project.run;
    let tell = || {
        let _lock = run.lock()?;
        let mut manifest = RunManifest::read(run)?;
        record_verdicts(run, &mut manifest, &report.verdict)?;
        page_headers::refresh(run, &manifest, &report.verdict)
    };
    if let Err(error) = tell() {
        eprintln!("warning: the headers of the stages' pages were not updated: {error}");
    }
}
