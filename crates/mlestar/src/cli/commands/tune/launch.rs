//! The processes of a study as the tasks of a job array.

use super::arguments::SearchOptions;
use crate::cli::slurm::{OnStop, SlurmJob, Word, text_of};
use mlestar_workflow::WorkflowError;
use std::num::NonZeroU32;
use std::path::Path;

/// Submits a task for each process of the study in that folder.
pub(super) fn launch(options: &SearchOptions, folder: &Path) -> Result<(), WorkflowError> {
    let jobs = u32::try_from(options.jobs).ok().and_then(NonZeroU32::new);
    let jobs = jobs.ok_or_else(|| {
        WorkflowError::Usage(format!(
            "--jobs is {}, but must be 1 to {}",
            options.jobs,
            u32::MAX
        ))
    })?;
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
        jobs,
        arguments: &options.slurm,
    };
    job.launch(Some(&["tune", "status", &study]))
}
