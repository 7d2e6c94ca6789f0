//! The arguments of commands that can run on Slurm.

use super::time_limit::TimeLimit;
use clap::{Args, ValueEnum};
use std::num::NonZeroU32;

/// Where the work runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Launcher {
    /// As the tasks of a job array
    Slurm,
}

/// What the tasks need from the cluster.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "On a cluster")]
pub struct SlurmArguments {
    /// Submit the work as a job array instead of doing it here: docs/cluster.md
    #[arg(long, value_enum)]
    pub launcher: Option<Launcher>,
    /// The partition [default: the cluster's]
    #[arg(long, value_name = "P", requires = "launcher")]
    pub partition: Option<String>,
    /// Time limit of a task [default: the partition's]
    #[arg(long, value_name = "HH:MM:SS", requires = "launcher")]
    pub time: Option<TimeLimit>,
    /// Processor cores of a task, and its threads
    #[arg(long, value_name = "N", requires = "launcher")]
    pub cpus: Option<NonZeroU32>,
    /// Memory of a task, such as 16G
    #[arg(long, value_name = "M", requires = "launcher", value_parser = memory)]
    pub mem: Option<String>,
    /// GPUs of a task
    #[arg(long, value_name = "N", requires = "launcher")]
    pub gpus: Option<NonZeroU32>,
    /// Any other option of sbatch: --sbatch-option=--account=x (may be repeated)
    #[arg(long, value_name = "OPTION", requires = "launcher", allow_hyphen_values = true, value_parser = sbatch_option)]
    pub sbatch_option: Vec<String>,
    /// Print the batch script and submit nothing
    #[arg(long, requires = "launcher")]
    pub dry_run: bool,
}

impl SlurmArguments {
    /// Whether the work goes to the cluster.
    pub fn is_chosen(&self) -> bool {
        self.launcher.is_some()
    }

    /// Threads for the cores that a task asks for.
    pub fn threads(&self) -> Option<usize> {
        self.cpus.map(|cpus| cpus.get() as usize)
    }
}

fn memory(text: &str) -> Result<String, String> {
    let digits = text.trim_end_matches(['K', 'M', 'G', 'T']);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    match is_number && text.len() - digits.len() <= 1 {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is no memory, such as 16G or 900M")),
    }
}

fn sbatch_option(text: &str) -> Result<String, String> {
    if !text.starts_with('-') {
        return Err(format!(
            "{text:?} is no option of sbatch, such as --account=x"
        ));
    }
    match text.contains(['\n', '\r', '\0']) {
        true => Err(format!(
            "{text:?} has a line break; give each option its own --sbatch-option"
        )),
        false => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_options_are_checked() {
        for text in ["16G", "900M", "4000"] {
            assert_eq!(memory(text).unwrap(), text);
        }
        for text in ["", "G", "16GB", "-1", "1.5G", "16G\n#SBATCH --uid=0"] {
            assert!(memory(text).is_err(), "{text:?}");
        }
        assert!(sbatch_option("--account=my project").is_ok());
        assert!(sbatch_option("account").is_err());
        assert!(sbatch_option("--a\n--b").is_err());
    }
}
