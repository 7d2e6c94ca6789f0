//! Slurm: one command as the tasks of a job array.
//!
//! A [`SlurmJob`] says what the tasks run and where their log belongs; [`SlurmArguments`] say what they need from the
//! cluster. [`SlurmJob::launch`] writes the batch script, hands it to `sbatch` and records the number of the job.

mod arguments;
mod quoting;
mod script;
mod submission;
mod time_limit;

pub use arguments::SlurmArguments;
pub use quoting::text_of;
pub use submission::Submission;

use crate::cli::command_line::command_line;
use mlestar_artifact::write_atomically;
use mlestar_data::readers::name::shown;
use mlestar_workflow::WorkflowError;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// The folder for script, record and logs, inside the folder of the work.
const FOLDER: &str = "slurm";
/// The batch script.
const SCRIPT_FILE: &str = "job.sbatch";

/// A word of the command that each task runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// The same for each task.
    Text(String),
    /// With the number of the task between the two texts: from 1, and with zeros in front, so that names sort.
    Task(String, String),
}

impl From<&str> for Word {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// The number of tasks that `--jobs` asks for.
///
/// # Errors
/// None, or more than an array can number.
pub fn tasks(jobs: usize) -> Result<NonZeroU32, WorkflowError> {
    let tasks = u32::try_from(jobs).ok().and_then(NonZeroU32::new);
    tasks.ok_or_else(|| {
        WorkflowError::Usage(format!("--jobs is {jobs}, but must be 1 to {}", u32::MAX))
    })
}

/// What a task does when it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStop {
    /// It saves its work and ends with [`ExitCode::Stopped`](mlestar_gates::ExitCode::Stopped); started again, it
    /// continues. So it hears of its time limit before, and is put into the queue again.
    Continues,
    /// It ends without a result; started again, it begins anew. A time limit ends it for good.
    BeginsAnew,
}

/// An array of tasks that run the same command.
#[derive(Debug, Clone)]
pub struct SlurmJob<'a> {
    /// Shown by `squeue`.
    pub name: String,
    /// Where the work lies, on a file system that every node has; `slurm/` in it gets script, record and logs.
    pub folder: &'a Path,
    /// The words after the program's name.
    pub command: Vec<Word>,
    pub on_stop: OnStop,
    /// Tasks of the array.
    pub jobs: NonZeroU32,
    pub arguments: &'a SlurmArguments,
}

impl SlurmJob<'_> {
    /// Submits the job and prints how to follow it; `follow` is the command for that, if there is one. With `--dry-run`
    /// it prints the script and writes nothing.
    ///
    /// # Errors
    /// Names that a batch script cannot hold; a folder that cannot be written; no `sbatch`, or its refusal.
    pub fn launch(&self, follow: Option<&[&str]>) -> Result<(), WorkflowError> {
        let text = self.script()?;
        if self.arguments.dry_run {
            super::output::write_raw(text.as_bytes());
            return Ok(());
        }
        let submission = self.submit(&text)?;
        let Submission { job, jobs, .. } = &submission;
        println!(
            "submitted job {job}: {jobs} tasks; logs in {}",
            shown(&self.slurm_folder()?)
        );
        if let Some(words) = follow {
            let words = words.iter().map(|word| (*word).to_owned());
            println!("  {}", command_line("mlestar", words));
        }
        println!("  {}", submission.squeue());
        Ok(())
    }

    /// Writes the script, submits it and records the job.
    fn submit(&self, text: &str) -> Result<Submission, WorkflowError> {
        let folder = self.slurm_folder()?;
        std::fs::create_dir_all(&folder).map_err(|error| {
            WorkflowError::Usage(format!(
                "the folder {} cannot be made: {error}",
                folder.display()
            ))
        })?;
        let script = folder.join(SCRIPT_FILE);
        write_atomically(&script, text.as_bytes())?;
        let submission = submission::submit(&script, self.jobs.get())?;
        submission.record(self.folder)?;
        Ok(submission)
    }

    /// Absolute, because a task may begin in another folder.
    fn slurm_folder(&self) -> Result<PathBuf, WorkflowError> {
        let folder = self.folder.join(FOLDER);
        std::path::absolute(&folder).map_err(|error| {
            WorkflowError::Usage(format!(
                "the folder {} has no path: {error}",
                folder.display()
            ))
        })
    }
}
