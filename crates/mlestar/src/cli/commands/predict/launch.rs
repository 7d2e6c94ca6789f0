//! Shards as the tasks of a job array.

use crate::cli::arguments::{PredictFormat, PredictOptions};
use crate::cli::packages::package_of;
use crate::cli::slurm::{OnStop, SlurmJob, Word};
use mlestar_workflow::WorkflowError;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// Submits a task per shard. Each writes a file of its own into the folder that `--output` names.
pub(super) fn launch(options: &PredictOptions) -> Result<(), WorkflowError> {
    let usage = |text: &str| WorkflowError::Usage(text.into());
    let folder = options.output.as_deref().ok_or_else(|| {
        usage("--launcher needs --output DIR, the folder for the rows of the shards")
    })?;
    if folder.is_file() {
        return Err(WorkflowError::Usage(format!(
            "--output {} is a file; with --launcher it names a folder",
            folder.display()
        )));
    }
    if options.inputs.iter().any(|path| path == Path::new("-")) {
        return Err(usage(
            "the tasks of a job have no standard input: name files and folders instead of -",
        ));
    }
    let jobs = options.jobs.unwrap_or(NonZeroU32::MIN);
    // What is missing is said here, not in the log of a task.
    package_of(&options.model)?;
    let job = SlurmJob {
        name: format!("predict {}", options.model.display()),
        folder,
        command: command(options, folder, jobs)?,
        on_stop: OnStop::BeginsAnew,
        jobs,
        arguments: &options.slurm,
    };
    job.launch(None)
}

/// The words after the program's name.
fn command(
    options: &PredictOptions,
    folder: &Path,
    n: NonZeroU32,
) -> Result<Vec<Word>, WorkflowError> {
    let (format, extension) = match options.format {
        PredictFormat::Table => ("table", "txt"),
        PredictFormat::Json => ("json", "jsonl"),
        PredictFormat::Csv => ("csv", "csv"),
    };
    let text = |path: &PathBuf| crate::cli::slurm::text_of(path).map(Word::Text);
    let part = crate::cli::slurm::text_of(&folder.join("shard-"))?;
    let threads = options.threads.or(options.slurm.threads());
    let mut words: Vec<Word> = vec![
        "predict".into(),
        "--format".into(),
        format.into(),
        "--top".into(),
    ];
    words.push(Word::Text(options.top.to_string()));
    if let Some(threads) = threads {
        words.extend(["--threads".into(), Word::Text(threads.to_string())]);
    }
    words.extend(["--shard".into(), Word::Task(String::new(), format!("/{n}"))]);
    words.extend([
        "--output".into(),
        Word::Task(part, format!("-of-{n}.{extension}")),
    ]);
    words.extend(["--".into(), text(&options.model)?]);
    for input in &options.inputs {
        words.push(text(input)?);
    }
    Ok(words)
}
