//! `validate`.

use crate::arguments::ValidateOptions;
use crate::console::print_verdict;
use crate::project;
use mlestar_data::Reread;
use mlestar_gates::ExitCode;
use mlestar_workflow::manifest::Manifest;
use mlestar_workflow::validation::ValidationReport;
use mlestar_workflow::{Stage, WorkflowError};

pub fn run(options: &ValidateOptions) -> Result<ExitCode, WorkflowError> {
    let project = project::open(&options.project)?;
    let manifest = Manifest::read(&project.run)?;
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
    match &options.output {
        Some(path) => report.write_to(path)?,
        None if options.stage.is_none() && project.run.root().is_dir() => {
            report.write(&project.run)?;
        }
        None => {}
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
