//! `tune` itself: begins a study or goes on with it, and starts the processes that work on it.

use super::arguments::SearchOptions;
use super::{launch, status, table, work};
use crate::cli::command_line::command_line;
use crate::cli::console::{Console, clock};
use crate::cli::workers::{Ended, Workers};
use crate::cli::{output, project, signals};
use mlestar_gates::ExitCode;
use mlestar_train::StopSignal;
use mlestar_workflow::config::Config;
use mlestar_workflow::device::OpenDevice;
use mlestar_workflow::tuning::{
    self, BeginRequest, GoOnRequest, Source, StudyFolder, StudyStatus, read_parameters,
};
use mlestar_workflow::words::counted;
use mlestar_workflow::{Reporter, WorkflowError};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// How often processes and journal are looked at.
const LOOK: Duration = Duration::from_millis(100);

pub fn run(options: &SearchOptions) -> Result<ExitCode, WorkflowError> {
    check(options)?;
    let until = work::deadline(options.minutes)?;
    let (folder, config) = study_of(options)?;
    if options.slurm.dry_run {
        launch::launch(options, folder.root())?;
        return Ok(ExitCode::Pass);
    }
    let threads = project::set_threads(options.project.threads)?;
    let device = project::open_device(&options.project)?;
    let stop = signals::stop_signal();
    let mut console = Console::new();
    prepare(options, &folder, &config, &device, &stop, &mut console)?;
    let before = tuning::progress(&folder)?;
    if !before.is_complete && options.slurm.is_chosen() {
        launch::launch(options, folder.root())?;
        return Ok(ExitCode::Pass);
    }
    if !before.is_complete {
        let jobs = options.jobs;
        let share = (threads / jobs).max(1);
        console.headline(&format!(
            "{} with {} each",
            counted(jobs, "process"),
            counted(share, "thread")
        ));
        let name = device.choice.to_string();
        let workers = Workers::start("tune", folder.root(), &name, jobs, share)?;
        let search = Search {
            folder: &folder,
            shown: before.trials.iter().map(|row| row.number).collect(),
            n_before: before.trials.len(),
            reached: (0, 0),
            began: Instant::now(),
            console,
            workers,
        };
        if let Some(failed) = search.follow(&stop, until)? {
            return Ok(failed);
        }
    }
    Ok(conclude(&tuning::status(&folder)?))
}

fn check(options: &SearchOptions) -> Result<(), WorkflowError> {
    let most = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .max(64);
    let refuse = |message: String| Err(WorkflowError::Usage(message));
    match options.jobs {
        _ if options.project.run.is_some() => {
            refuse("--run names the folder of a run; that of a study is named with --study".into())
        }
        _ if options.slurm.is_chosen() && options.minutes.is_some() => refuse(
            "--minutes is for processes on this machine; the time limit of a task is --time".into(),
        ),
        jobs if jobs > 0 && options.slurm.is_chosen() => Ok(()),
        jobs if !(1..=most).contains(&jobs) => {
            refuse(format!("--jobs is {jobs}, but must be 1 to {most}"))
        }
        _ => Ok(()),
    }
}

/// The study's folder and the config. A study that exists and is named without a config keeps its own.
fn study_of(options: &SearchOptions) -> Result<(StudyFolder, Config), WorkflowError> {
    let mut project = options.project.clone();
    if let Some(trials) = options.trials {
        project.settings.push(format!("refinement.trials={trials}"));
    }
    let named = options.study.as_deref().map(project::study_path);
    let names_project =
        project.config.is_some() || project.data.is_some() || project.weights.is_some();
    if let Some(folder) = named.clone().map(StudyFolder::new)
        && folder.has_study()
        && !names_project
    {
        let recorded = folder.read()?.config()?;
        let config = recorded.with_overrides(&project::own_settings(&project)?)?;
        return Ok((folder, config));
    }
    let config = project::open(&project)?.config;
    let root = named.unwrap_or_else(|| Path::new("studies").join(&config.project.name));
    let folder = StudyFolder::new(root);
    if folder.has_study() && options.trials.is_none() {
        // `--trials` once is enough: the config need not say it, too.
        let trials = folder.read()?.config.refinement.trials;
        let set = mlestar_workflow::config::Override::parse(&format!(
            "refinement.trials={}",
            trials.max(config.refinement.trials)
        ))?;
        return Ok((folder, config.with_overrides(&[set])?));
    }
    Ok((folder, config))
}

/// Begins the study, or checks that it can go on.
fn prepare(
    options: &SearchOptions,
    folder: &StudyFolder,
    config: &Config,
    device: &OpenDevice,
    stop: &StopSignal,
    console: &mut Console,
) -> Result<(), WorkflowError> {
    let enqueue = match &options.enqueue {
        Some(file) => read_parameters(file, &config.refinement.space)?,
        None => Vec::new(),
    };
    if folder.has_study() {
        let request = GoOnRequest {
            folder,
            config,
            enqueue: &enqueue,
        };
        let n_new = tuning::go_on(&request)?;
        let status = tuning::progress(folder)?;
        console.headline(&format!(
            "study {} in {} goes on: {}",
            status.name,
            folder.root().display(),
            table::counts(&status)
        ));
        if n_new > 0 {
            console.note(&format!("{} to try next", counted(n_new, "set")));
        }
        return Ok(());
    }
    let source = match &options.from {
        Some(from) => Some(source(from)?),
        None => None,
    };
    let request = BeginRequest {
        folder,
        config,
        device_name: &device.choice.to_string(),
        enqueue,
        from: source.as_ref(),
        stop,
    };
    let copied = tuning::begin(request, console)?;
    console.headline(&format!(
        "study {} in {}: {} on {}",
        config.project.name,
        folder.root().display(),
        counted(config.refinement.trials, "trial"),
        device.name
    ));
    if source.is_some() {
        console.note(&format!(
            "{} taken over to learn from",
            counted(copied, "trial")
        ));
    }
    Ok(())
}

/// What `--from` names: a path, or a plain name in `studies`.
fn source(from: &str) -> Result<Source, WorkflowError> {
    let in_studies = project::study_path(Path::new(from));
    match in_studies
        .to_str()
        .filter(|_| !Path::new(from).exists() && in_studies.is_dir())
    {
        Some(path) => Source::find(path),
        None => Source::find(from),
    }
}

/// A study that is being worked on.
struct Search<'a> {
    folder: &'a StudyFolder,
    /// Numbers of the finished trials that were shown.
    shown: BTreeSet<u64>,
    n_before: usize,
    /// Finished trials, and the epochs of the running ones.
    reached: (usize, u64),
    began: Instant,
    console: Console,
    workers: Workers,
}

impl Search<'_> {
    /// Shows trials as they finish, until all processes have ended. Returns the exit code if one of them failed.
    fn follow(
        mut self,
        stop: &StopSignal,
        until: Option<Instant>,
    ) -> Result<Option<ExitCode>, WorkflowError> {
        let mut failed = None;
        let mut seen = None;
        let mut is_stopping = false;
        while !self.workers.is_empty() {
            let is_over = until.is_some_and(|until| Instant::now() >= until);
            if !is_stopping && (stop.is_requested() || is_over || failed.is_some()) {
                is_stopping = true;
                self.workers.ask_to_stop();
            }
            for end in self.workers.look(is_stopping)? {
                if let Ended::Failed(code, said) = end {
                    self.console
                        .headline(&format!("error: a process ended: {said}"));
                    failed = Some(code);
                }
            }
            let now = changed(self.folder);
            if now != seen {
                seen = now;
                self.show()?;
            }
            std::thread::sleep(LOOK);
        }
        self.show()?;
        Ok(failed)
    }

    fn show(&mut self) -> Result<(), WorkflowError> {
        let status = tuning::progress(self.folder)?;
        for row in &status.trials {
            if self.shown.insert(row.number) {
                let line = table::finished(&status, row);
                self.console
                    .headline(&format!("{line}  | {}", self.progress(&status)));
            }
        }
        let steps = status.running.iter().filter_map(|row| Some(row.last?.step));
        let reached = (status.trials.len(), steps.sum());
        if reached != self.reached {
            self.reached = reached;
            self.workers.got_further();
        }
        let done = status.trials.len() as u64;
        self.console.progress("trials", done, status.planned as u64);
        Ok(())
    }

    /// How far the study is, the best so far, the rate and the time left.
    fn progress(&self, status: &StudyStatus) -> String {
        let shown = self.shown.len();
        let seconds = self.began.elapsed().as_secs_f64();
        let rate = (shown - self.n_before) as f64 / seconds.max(1e-3);
        let left = status.planned.saturating_sub(shown) as f64 / rate.max(f64::MIN_POSITIVE);
        format!(
            "{shown}/{}, {}, {:.0} trials/h, {} left",
            status.planned,
            table::best(status),
            rate * 3600.0,
            clock(left)
        )
    }
}

/// Size and time of the journal: whether there is something new in it.
fn changed(folder: &StudyFolder) -> Option<(u64, SystemTime)> {
    let data = std::fs::metadata(folder.journal_path()).ok()?;
    Some((data.len(), data.modified().ok()?))
}

fn conclude(status: &StudyStatus) -> ExitCode {
    status::print_summary(status);
    if !status.is_complete {
        let command = command_line(output::name(), std::env::args().skip(1));
        eprintln!("stopped; what was done is saved. To go on: {command}");
        return ExitCode::Stopped;
    }
    if status.best.is_some() || !status.front.is_empty() {
        println!("mlestar tune best {}", status.folder.display());
    }
    ExitCode::Pass
}
