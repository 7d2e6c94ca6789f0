//! The processes of a study as the tasks of a job array.

use super::arguments::SearchOptions;
use crate::cli::slurm::{OnStop, SlurmJob, Word, tasks, text_of};
use mlestar_workflow::WorkflowError;
use std::path::Path;

/// Submits a task for each process of the study in that folder.
pub(super) fn launch(options: &SearchOptions, folder: &Path) -> Result<(), WorkflowError> {
    let study = text_of(folder)?;
    let mut command: Vec<Word> = vec!["tune".into(), "work".into()];
    if let Some(threads) = options.project.threads.or(options.slurm.threads()) {
        command.extend(["--threads".into(), Word::Text(threads.to_string())]);
    }
    command.extend(["--".into(), Word::Text(study.clone())]);
    let job = SlurmJob {
        name: format!("tune {study}"),
        folder,
        command,
        on_stop: OnStop::Continues,
        jobs: tasks(options.jobs)?,
        arguments: &options.slurm,
    };
    job.launch(Some(&["tune", "status", &study]))
}
