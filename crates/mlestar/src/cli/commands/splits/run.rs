//! `splits` itself: begins, or goes on, and starts the processes that train.

use super::arguments::BeginOptions;
use super::{launch, status};
use crate::cli::command_line::command_line;
use crate::cli::console::Console;
use crate::cli::workers::{Ended, Workers};
use crate::cli::{output, project, signals};
use mlestar_gates::ExitCode;
use mlestar_train::StopSignal;
use mlestar_workflow::config::Config;
use mlestar_workflow::repeated_splits::{self, SplitsFolder, SplitsRequest, SplitsSummary};
use mlestar_workflow::words::counted;
use mlestar_workflow::{Reporter, WorkflowError};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// Splits where nothing else is asked for.
const REPEATS: u64 = 10;
/// How often processes and results are looked at.
const LOOK: Duration = Duration::from_millis(200);

pub fn run(options: &BeginOptions) -> Result<ExitCode, WorkflowError> {
    check(options)?;
    let (folder, config) = splits_of(options)?;
    if options.slurm.dry_run {
        launch::launch(options, folder.root())?;
        return Ok(ExitCode::Pass);
    }
    let threads = project::set_threads(options.project.threads)?;
    let device = project::open_device(&options.project)?;
    let stop = signals::stop_signal();
    let mut console = Console::new();
    let before = match folder.has_begun() {
        true => Some(folder.read()?.splits),
        false => None,
    };
    let request = SplitsRequest {
        folder: &folder,
        config: &config,
        device_name: &device.choice.to_string(),
        splits: options.repeats.or(before).unwrap_or(REPEATS),
        stop: &stop,
    };
    repeated_splits::begin(&request, &mut console)?;
    let so_far = repeated_splits::status(&folder)?;
    console.headline(&format!(
        "{} of {} in {} on {}: {} done",
        counted(so_far.splits as usize, "split"),
        so_far.name,
        folder.root().display(),
        device.name,
        so_far.results.len()
    ));
    if !so_far.is_complete() && options.slurm.is_chosen() {
        launch::launch(options, folder.root())?;
        return Ok(ExitCode::Pass);
    }
    // Also where all have a result: the process that wrote the last one may have been killed before it wrote the summary.
    let jobs = options.jobs.min(so_far.splits as usize);
    let share = (threads / jobs).max(1);
    let workers = Workers::start(
        "splits",
        folder.root(),
        &device.choice.to_string(),
        jobs,
        share,
    )?;
    if let Some(failed) = follow(&folder, workers, &so_far, &stop, &mut console)? {
        return Ok(failed);
    }
    let summary = repeated_splits::status(&folder)?;
    Ok(conclude(&folder, &summary, stop.is_requested()))
}

fn check(options: &BeginOptions) -> Result<(), WorkflowError> {
    let most = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .max(64);
    let refuse = |message: String| Err(WorkflowError::Usage(message));
    match options.jobs {
        _ if options.project.run.is_some() => {
            refuse("--run names the folder of a run; that of splits is named with --folder".into())
        }
        jobs if jobs > 0 && options.slurm.is_chosen() => Ok(()),
        jobs if !(1..=most).contains(&jobs) => {
            refuse(format!("--jobs is {jobs}, but must be 1 to {most}"))
        }
        _ => Ok(()),
    }
}

/// The folder and the config. Splits that have begun and are named without a config keep theirs.
fn splits_of(options: &BeginOptions) -> Result<(SplitsFolder, Config), WorkflowError> {
    let project = &options.project;
    let named = options.folder.as_deref().map(project::splits_path);
    let names_project =
        project.config.is_some() || project.data.is_some() || project.weights.is_some();
    if let Some(folder) = named.clone().map(SplitsFolder::new)
        && folder.has_begun()
        && !names_project
    {
        let recorded = folder.read()?.config()?;
        let config = recorded.with_overrides(&project::own_settings(project)?)?;
        return Ok((folder, config));
    }
    let config = project::open(project)?.config;
    let root = named.unwrap_or_else(|| Path::new("splits").join(&config.project.name));
    Ok((SplitsFolder::new(root), config))
}

/// Shows results as they come, until all processes have ended. Returns the exit code if one of them failed.
fn follow(
    folder: &SplitsFolder,
    mut workers: Workers,
    before: &SplitsSummary,
    stop: &StopSignal,
    console: &mut Console,
) -> Result<Option<ExitCode>, WorkflowError> {
    let mut shown: BTreeSet<u64> = before.results.iter().map(|result| result.split).collect();
    let mut failed = None;
    let mut is_stopping = false;
    let mut n_seen = 0;
    loop {
        if !is_stopping && (stop.is_requested() || failed.is_some()) {
            is_stopping = true;
            workers.ask_to_stop();
        }
        for end in workers.look(is_stopping)? {
            if let Ended::Failed(code, said) = end {
                console.headline(&format!("error: a process ended: {said}"));
                failed = Some(code);
            }
        }
        // Also after the last process has ended: it may have written a result since.
        let is_last = workers.is_empty();
        let n_results = folder.n_results();
        if n_results != n_seen {
            n_seen = n_results;
            let now = repeated_splits::status(folder)?;
            for result in &now.results {
                if shown.insert(result.split) {
                    workers.got_further();
                    console.headline(&result.in_words());
                }
            }
            console.progress("splits", now.results.len() as u64, now.splits);
        }
        if is_last {
            return Ok(failed);
        }
        std::thread::sleep(LOOK);
    }
}

fn conclude(folder: &SplitsFolder, summary: &SplitsSummary, is_stopped: bool) -> ExitCode {
    status::print(summary);
    if !summary.is_complete() {
        let command = command_line(output::name(), std::env::args().skip(1));
        match is_stopped {
            true => eprintln!("stopped; what was done is saved. To go on: {command}"),
            false => {
                eprintln!("other processes train the splits that are left. To go on: {command}")
            }
        }
        return ExitCode::Stopped;
    }
    println!("page: {}", folder.page_path().display());
    match summary.n_failed() {
        0 => ExitCode::Pass,
        _ => ExitCode::ProgramFailure,
    }
}
