//! Splits as the tasks of a job array.

use super::arguments::BeginOptions;
use crate::cli::slurm::{OnStop, SlurmJob, Word, tasks, text_of};
use mlestar_workflow::WorkflowError;
use std::path::Path;

/// Submits a task for each process.
pub(super) fn launch(options: &BeginOptions, folder: &Path) -> Result<(), WorkflowError> {
    let splits = text_of(folder)?;
    let mut command: Vec<Word> = vec!["splits".into(), "work".into()];
    if let Some(threads) = options.project.threads.or(options.slurm.threads()) {
        command.extend(["--threads".into(), Word::Text(threads.to_string())]);
    }
    command.extend(["--".into(), Word::Text(splits.clone())]);
    let job = SlurmJob {
        name: format!("splits {splits}"),
        folder,
        command,
        on_stop: OnStop::Continues,
        jobs: tasks(options.jobs)?,
        arguments: &options.slurm,
    };
    job.launch(Some(&["splits", "status", &splits]))
}
