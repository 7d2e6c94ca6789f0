//! `tune best`.

use super::arguments::BestOptions;
use super::table;
use crate::cli::project;
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;
use mlestar_workflow::tuning::{self, StudyFolder};

pub fn run(options: &BestOptions) -> Result<ExitCode, WorkflowError> {
    let folder = StudyFolder::new(project::study_path(&options.study));
    let best = tuning::best(&folder, options.trial)?;
    let status = &best.status;
    if !status.front.is_empty() {
        println!("trials that no other beats in all of the objectives:");
        for row in status
            .trials
            .iter()
            .filter(|row| status.front.contains(&row.number))
        {
            println!("{}", table::finished(status, row));
        }
    }
    println!(
        "trial {}: {}",
        best.trial.number,
        table::values(&status.objectives, &best.trial.values)
    );
    for (key, value) in &best.trial.parameters {
        println!("    {key} = {value}");
    }
    let path = folder.optimized_path();
    println!("mlestar run --config {}", path.display());
    Ok(ExitCode::Pass)
}
