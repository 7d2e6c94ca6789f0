//! The arguments of `splits`.

use crate::cli::arguments::ProjectOptions;
use crate::cli::slurm::SlurmArguments;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SplitsOptions {
    #[command(subcommand)]
    pub command: Option<SplitsCommand>,
    #[command(flatten)]
    pub begin: BeginOptions,
}

#[derive(Debug, Subcommand)]
pub enum SplitsCommand {
    /// Be one process that trains splits, until none is free
    ///
    /// This is what a cluster job runs. SIGTERM and Ctrl-C save the current training: another process goes on with it at once.
    /// Exit code 0 when no split is left for this process, 6 when it stopped earlier.
    Work(WorkOptions),
    /// Show the results so far: every split, mean, interval, standard deviation
    Status(StatusOptions),
}

#[derive(Debug, Args)]
pub struct BeginOptions {
    #[command(flatten)]
    pub project: ProjectOptions,
    /// The folder of the splits; a plain name stands for splits/NAME [default: splits/<project.name>]
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Splits, each with a training of its own, 2 to 1000 [default: 10, or as many as there were]
    #[arg(long, value_name = "N")]
    pub repeats: Option<u64>,
    /// Processes that work at the same time; they share the threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub jobs: usize,
    #[command(flatten)]
    pub slurm: SlurmArguments,
}

#[derive(Debug, Args)]
pub struct WorkOptions {
    /// The folder of the splits; a plain name stands for splits/NAME
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    // No doc comment: `[:N]` would be a link there.
    #[arg(
        long,
        help = "auto, cpu, cuda[:N] or wgpu[:N], of the kind that the splits began with [default: that kind]"
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
    /// The folder of the splits; a plain name stands for splits/NAME
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// One JSON document
    #[arg(long)]
    pub json: bool,
}
