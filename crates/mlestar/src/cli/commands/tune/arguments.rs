//! The arguments of `tune`.

use crate::cli::arguments::ProjectOptions;
use crate::cli::slurm::SlurmArguments;
use clap::{Args, Subcommand};
use std::num::NonZeroU64;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct TuneOptions {
    #[command(subcommand)]
    pub command: Option<TuneCommand>,
    #[command(flatten)]
    pub search: SearchOptions,
}

#[derive(Debug, Subcommand)]
pub enum TuneCommand {
    /// Be one process that works on a study, until nothing is left to do
    ///
    /// This is what a cluster job runs. SIGTERM and Ctrl-C save the current trial and hand it on: another process goes
    /// on with it at once. Exit code 0 when the study is complete, 6 when this process stopped earlier.
    Work(WorkOptions),
    /// Show the trials of a study: finished, running, waiting, the best, and why some failed
    Status(StatusOptions),
    /// Show the best parameters and write optimized.toml, a config for `run --config`
    Best(BestOptions),
    /// Write report.html: every trial, learning curves, what mattered and what did not help
    Report(ReportOptions),
}

#[derive(Debug, Args)]
pub struct SearchOptions {
    #[command(flatten)]
    pub project: ProjectOptions,
    /// The study's folder; a plain name stands for studies/NAME [default: studies/<project.name>]
    #[arg(long, value_name = "DIR")]
    pub study: Option<PathBuf>,
    /// Trials of the study (sets refinement.trials); a larger number extends a study
    #[arg(long, value_name = "N")]
    pub trials: Option<usize>,
    /// Processes that work at the same time; they share the threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub jobs: usize,
    /// Stop after this many minutes; the same command goes on
    #[arg(long, value_name = "M")]
    pub minutes: Option<f64>,
    /// Parameters to try first: a TOML file with an array of tables, trials, or one JSON object per line
    #[arg(long, value_name = "FILE")]
    pub enqueue: Option<PathBuf>,
    /// Learn from the trials of another study: its folder, or a journal (also Optuna's), JOURNAL#NAME if it has several
    #[arg(long, value_name = "STUDY")]
    pub from: Option<String>,
    #[command(flatten)]
    pub slurm: SlurmArguments,
}

#[derive(Debug, Args)]
pub struct WorkOptions {
    /// The study's folder; a plain name stands for studies/NAME
    #[arg(value_name = "DIR")]
    pub study: PathBuf,
    /// Stop after this many minutes: the current trial is saved and handed on
    #[arg(long, value_name = "M")]
    pub minutes: Option<f64>,
    /// Take over the trial of a process that has shown no sign of life for so many seconds
    #[arg(long, value_name = "SECONDS", default_value = "120")]
    pub patience: NonZeroU64,
    // No doc comment: `[:N]` would be a link there.
    #[arg(
        long,
        help = "auto, cpu, cuda[:N] or wgpu[:N], of the study's kind [default: the study's]"
    )]
    pub device: Option<String>,
    /// Threads [default: all cores]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Stop when standard input closes, as it does when the program that started this one ends
    #[arg(long, hide = true)]
    pub child: bool,
}

#[derive(Debug, Args)]
pub struct StatusOptions {
    /// The study's folder; a plain name stands for studies/NAME
    #[arg(value_name = "DIR")]
    pub study: PathBuf,
    /// One JSON document
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ReportOptions {
    /// The study's folder; a plain name stands for studies/NAME
    #[arg(value_name = "DIR")]
    pub study: PathBuf,
}

#[derive(Debug, Args)]
pub struct BestOptions {
    /// The study's folder; a plain name stands for studies/NAME
    #[arg(value_name = "DIR")]
    pub study: PathBuf,
    /// Another complete trial than the best, such as one of the front
    #[arg(long, value_name = "NUMBER")]
    pub trial: Option<u64>,
}
