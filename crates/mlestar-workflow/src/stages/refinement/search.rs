//! The hyper-parameter search, judged on validation images.

use super::TRIALS;
use super::short_training::ShortTrainings;
use crate::config::Config;
use crate::trial_training::TrialFailure;
use crate::words::counted;
use crate::{StageContext, WorkflowError};
use mlestar_tune::{
    Parameters, StudyConfig, StudyEvent, StudyReport, Trial, TrialError, TuneError, carry_over,
    run_study,
};
use std::path::Path;

/// Runs the study of `[refinement]` from the settings of `start`, which are tried first. Finished trials of an interrupted
/// study are taken from its log. If the study is the same, so are the trials of the stage's last run: going from three
/// trials to five runs two.
pub(super) fn run(
    context: &mut StageContext<'_>,
    trainings: &mut ShortTrainings,
    start: &Config,
) -> Result<StudyReport, WorkflowError> {
    let log = context.path(TRIALS);
    let study = StudyConfig {
        objective: trainings.objective(start)?,
        ..start.refinement.study()
    };
    let enqueue = [start.baseline_parameters()];
    if !log.exists() && !context.force {
        take_over(context, &study, &log, &enqueue)?;
    }
    // The objective must distinguish a program error from a failed trial.
    let mut failure = None;
    let mut n_damaged = 0;
    let seed = start.seed;
    if is_of_another_study(&study, seed, &log, &enqueue) {
        // The evaluation changed, and with it the proposals and the settings to start from.
        std::fs::remove_file(&log).map_err(|source| WorkflowError::RunFolder {
            path: log.clone(),
            source,
        })?;
    }
    let report = run_study(
        &study,
        seed,
        &log,
        &enqueue,
        &mut |trial| {
            run_trial(context, trainings, start, trial).map_err(|error| match error {
                TrialFailure::Trial(error) => error,
                TrialFailure::Program(error) => {
                    failure = Some(error);
                    TrialError::Stopped
                }
            })
        },
        &mut |event| {
            if let StudyEvent::Damaged { lines } = event {
                n_damaged = *lines;
            }
        },
    )?;
    if let Some(error) = failure {
        return Err(error);
    }
    if n_damaged > 0 {
        context.reporter.note(&format!(
            "{} of {} could not be read; the trials were run again",
            counted(n_damaged, "line"),
            log.display()
        ));
    }
    context.check_stop()?;
    Ok(report)
}

/// Whether the log holds trials of another study. It is asked by going on for no trial at all.
fn is_of_another_study(study: &StudyConfig, seed: u64, log: &Path, enqueue: &[Parameters]) -> bool {
    let stop_at_once = &mut |_: &mut Trial<'_>| Err(TrialError::Stopped);
    let outcome = run_study(study, seed, log, enqueue, stop_at_once, &mut |_| {});
    matches!(outcome, Err(TuneError::ForeignLog { .. }))
}

/// Takes over the trials of the stage's last run, if they belong to this study.
fn take_over(
    context: &mut StageContext<'_>,
    study: &StudyConfig,
    log: &Path,
    enqueue: &[Parameters],
) -> Result<(), WorkflowError> {
    let previous = context.run.root().join(".previous");
    let previous = previous.join(context.stage.folder()).join(TRIALS);
    let n = carry_over(study, context.config.seed, &previous, log, enqueue)?;
    if n > 0 {
        context.reporter.note(&format!(
            "{} taken from the last search, which had the same settings, data and code",
            counted(n, "trial")
        ));
    }
    Ok(())
}

/// Trains with the trial's settings; its value is the best validation accuracy.
fn run_trial(
    context: &mut StageContext<'_>,
    trainings: &mut ShortTrainings,
    start: &Config,
    trial: &mut Trial<'_>,
) -> Result<f64, TrialFailure> {
    let config = start
        .with_parameters(trial.parameters())
        .map_err(TrialFailure::of_settings)?;
    let label = format!("trial {}", trial.number());
    let report = &mut |epoch, value| trial.report(epoch, value);
    let training = trainings.train(context, &label, &config, config.seed, report)?;
    Ok(training.accuracy)
}
