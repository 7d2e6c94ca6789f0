//! `tune report`.

use super::arguments::ReportOptions;
use crate::cli::command_line;
use crate::cli::project;
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;
use mlestar_workflow::tuning::{self, StudyFolder};

pub fn run(options: &ReportOptions) -> Result<ExitCode, WorkflowError> {
    let folder = StudyFolder::new(project::study_path(&options.study));
    let words = ["tune", "--study"].map(str::to_owned).into_iter();
    let study = folder.root().display().to_string();
    let path = tuning::report(&folder, &command_line("mlestar", words.chain([study])))?;
    println!("{}", path.display());
    Ok(ExitCode::Pass)
}
