//! `tune status`.

use super::arguments::StatusOptions;
use super::table;
use crate::cli::project;
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;
use mlestar_workflow::tuning::{self, StudyFolder, StudyStatus};

pub fn run(options: &StatusOptions) -> Result<ExitCode, WorkflowError> {
    let folder = StudyFolder::new(project::study_path(&options.study));
    let status = tuning::status(&folder)?;
    match options.json {
        true => {
            let text = serde_json::to_string_pretty(&status);
            println!("{}", text.unwrap_or_default());
        }
        false => print(&status),
    }
    Ok(ExitCode::Pass)
}

fn print(status: &StudyStatus) {
    println!("study {} in {}", status.name, status.folder.display());
    for row in &status.trials {
        println!("{}", table::finished(status, row));
    }
    for row in status.running.iter().chain(&status.waiting) {
        println!("{}", table::unfinished(status, row));
    }
    print_summary(status);
}

/// How many trials there are of each kind, the best, and which parameters matter.
pub fn print_summary(status: &StudyStatus) {
    println!("{}", table::counts(status));
    println!("{}", table::best(status));
    if let Some(importance) = &status.importance {
        let mut shares: Vec<(&String, &f64)> = importance.iter().collect();
        shares.sort_by(|a, b| b.1.total_cmp(a.1));
        let shares = shares
            .iter()
            .map(|(key, share)| format!("{key} {:.0} %", 100.0 * **share));
        println!("what matters: {}", shares.collect::<Vec<_>>().join(", "));
    }
}
