//! A learning rate for the project, found by a sweep before any stage runs.

mod page;

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;
use mlestar_artifact::{Artifact, write_artifact, write_atomically};
use mlestar_data::ImageSplits;
use mlestar_data::describe::describe;
use mlestar_train::lr_find::{LrFindOutcome, SweepPoint, find_learning_rate};
use mlestar_train::lr_find::{Suggestions, SweepEnd};
use mlestar_train::{OptimizerKind, StopSignal};
use serde::{Deserialize, Serialize};

pub use mlestar_train::lr_find::LrFindOptions;

use crate::config::Config;
use crate::{Reporter, RunFolder, WorkflowError};
use crate::{context, training};

/// The artifact, in the run folder.
pub const ARTIFACT: &str = "lr_find.json";
/// The page, in the run folder.
pub const PAGE: &str = "lr_find.html";
/// The key of the config that the result is for.
pub const KEY: &str = "training.optimizer.learning_rate";

/// What to sweep, where, and with which settings.
pub struct LrFindJob<'a> {
    /// The checked config: its data, model, augmentation, training and seed.
    pub config: &'a Config,
    /// The run's folder, which receives [`ARTIFACT`] and [`PAGE`].
    pub run: &'a RunFolder,
    /// The device that computes.
    pub device: &'a Device,
    /// Worker threads for loading and augmenting images.
    pub threads: usize,
    /// Which rates, and how many steps.
    pub options: LrFindOptions,
    /// Asks the sweep to stop early.
    pub stop: &'a StopSignal,
}

/// `lr_find.json`: what a sweep found, and with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LrFind {
    /// The project's name.
    pub project: String,
    /// The seed of every random choice.
    pub seed: u64,
    /// The update rule.
    pub optimizer: OptimizerKind,
    /// Images per step.
    pub batch_size: usize,
    /// Trainable values.
    pub parameters: u64,
    /// Which rates, and how many steps.
    pub options: LrFindOptions,
    /// Why the sweep ended.
    pub ended: SweepEnd,
    /// The learning rate to start with, with two significant digits; none when nothing was learned.
    pub suggested: Option<f64>,
    /// The rate that each rule suggests.
    pub suggestions: Suggestions,
    /// The loss of predicting the same for every image; learning starts below it. None where there are teachers.
    pub guessing: Option<f64>,
    /// The learning rate of the config, for comparison.
    pub configured: f64,
    /// Every step.
    pub points: Vec<SweepPoint>,
}

impl Artifact for LrFind {
    const SCHEMA: &'static str = "mlestar.lr_find";
    const VERSION: u32 = 2;
}

impl LrFind {
    /// Why there is no suggestion, and what to do.
    pub fn why_none(&self) -> String {
        let below = match self.guessing {
            Some(guessing) => format!("clearly below that of guessing, {guessing:.3}"),
            None => "clearly below the first loss".into(),
        };
        format!(
            "Nothing was learned in this sweep: no part of it had a mean loss {below}. Sweep over more \
            steps or other rates (--steps, --lowest, --highest), and check whether the labels and the model \
            fit the images."
        )
    }

    /// The lines to put into the config; none without a suggestion.
    pub fn config_lines(&self) -> Option<String> {
        let rate = self.suggested?;
        Some(format!("[training.optimizer]\nlearning_rate = {rate:?}"))
    }
}

/// Sweeps and writes [`ARTIFACT`] and [`PAGE`]. The artifacts of the stages stay as they are, and the test images are
/// not used.
///
/// # Errors
/// When the data cannot be read, an option is out of range, the device fails, or the run folder cannot
/// be written; [`WorkflowError::Stopped`] when the stop was requested.
pub fn run(job: &LrFindJob<'_>, reporter: &mut dyn Reporter) -> Result<LrFind, WorkflowError> {
    job.options.check()?;
    let _lock = job.run.lock()?;
    let config = job.config;
    let ImageSplits { train, .. } = context::load_data(config, job.stop, reporter)?.splits;
    let normalization = context::normalization(&config.data, &describe(&train))?;
    let train = Arc::new(train);
    let model = config
        .model
        .check(train.n_classes(), train.height(), train.width())?;
    let (device, threads) = (job.device, job.threads);
    let setup = training::setup(config, &model, normalization, &train, device, threads)?;
    let parameters = model.summary().parameters;
    let total = job.options.steps as u64;
    let mut observer = |point: &SweepPoint| {
        reporter.progress("learning-rate sweep", point.step as u64, total);
    };
    let outcome = find_learning_rate(setup, &job.options, job.stop, &mut observer)?;
    if outcome.ended == SweepEnd::Interrupted {
        return Err(WorkflowError::Stopped {
            doing: "finding a learning rate",
        });
    }
    let found = found(job, parameters, outcome);
    write_artifact(&path(job.run, ARTIFACT), &found)?;
    let html = page::render(&found)?;
    write_atomically(&path(job.run, PAGE), html.as_bytes())?;
    Ok(found)
}

/// One of the files in the run folder.
pub fn path(run: &RunFolder, name: &str) -> PathBuf {
    run.root().join(name)
}

fn found(job: &LrFindJob<'_>, parameters: u64, outcome: LrFindOutcome) -> LrFind {
    let training = &job.config.training;
    LrFind {
        project: job.config.project.name.clone(),
        seed: job.config.seed,
        optimizer: training.optimizer.kind,
        batch_size: training.batch_size,
        parameters,
        options: job.options,
        ended: outcome.ended,
        suggested: outcome.suggestions.suggested().map(two_digits),
        suggestions: outcome.suggestions,
        guessing: outcome.guessing,
        configured: training.optimizer.learning_rate,
        points: outcome.points,
    }
}

/// More digits than two would claim more than a sweep can tell.
fn two_digits(rate: f64) -> f64 {
    format!("{rate:.1e}").parse().unwrap_or(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggestion_has_two_digits_and_reads_back() {
        for (rate, expected) in [
            (0.003_162, "0.0032"),
            (1.26e-6, "1.3e-6"),
            (0.999, "1.0"),
            (10.0, "10.0"),
        ] {
            assert_eq!(format!("{:?}", two_digits(rate)), expected);
            let line: toml::Table = format!("rate = {:?}", two_digits(rate)).parse().unwrap();
            assert_eq!(line["rate"].as_float(), Some(two_digits(rate)));
        }
    }
}
