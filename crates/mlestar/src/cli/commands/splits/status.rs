//! `splits status`.

use super::arguments::StatusOptions;
use crate::cli::project;
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;
use mlestar_workflow::repeated_splits::{self, SplitsFolder, SplitsSummary};

pub fn run(options: &StatusOptions) -> Result<ExitCode, WorkflowError> {
    let folder = SplitsFolder::new(project::splits_path(&options.folder));
    let summary = repeated_splits::status(&folder)?;
    match options.json {
        true => {
            let text = serde_json::to_string_pretty(&summary);
            println!("{}", text.unwrap_or_default());
        }
        false => print(&summary),
    }
    Ok(ExitCode::Pass)
}

/// The table, and what follows from it.
pub fn print(summary: &SplitsSummary) {
    for result in &summary.results {
        println!("{}", result.in_words());
    }
    println!("{}", summary.in_words());
}
