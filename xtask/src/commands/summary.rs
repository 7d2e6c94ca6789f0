//! `summary`.

use crate::arguments::SummaryOptions;
use crate::project;
use mlestar_data::Reread;
use mlestar_gates::ExitCode;
use mlestar_workflow::manifest::Manifest;
use mlestar_workflow::{WorkflowError, summary};

pub fn run(options: &SummaryOptions) -> Result<ExitCode, WorkflowError> {
    let project = project::open(&options.project)?;
    if !project.run.manifest_path().is_file() {
        return Err(WorkflowError::Usage(format!(
            "there is no run in {}; `cargo xtask run` makes one",
            project.run.root().display()
        )));
    }
    let manifest = Manifest::read(&project.run)?;
    let path = match &options.output {
        Some(path) => path.clone(),
        None => project.run.summary_path(),
    };
    let surroundings = project::surroundings(&options.project, &project, Reread::Changed)?;
    summary::write_to(&path, &surroundings, &project.run, &manifest)?;
    println!("{}", path.display());
    Ok(ExitCode::Pass)
}
