//! The choice of settings: the best of the ablation and the search, trained with several seeds beside the config's own.

use super::ablation::{train, train_with_seed};
use super::short_training::{ShortTraining, ShortTrainings};
use super::{Ablation, Finalist, Finalists, SeedFigures};
use crate::{StageContext, WorkflowError};
use mlestar_eval::{SelectedScore, bootstrap, selected_score};
use mlestar_random::Stream;
use mlestar_tune::{Parameters, StudyReport, TrialState};
use std::collections::BTreeSet;

/// Resamples of the correction and of the intervals.
const RESAMPLES: usize = 1_000;

/// Settings that were tried.
struct Tried {
    name: String,
    settings: Parameters,
    training: ShortTraining,
}

/// Trains the config's own settings and those that were better, at most `refinement.finalists`, with `refinement.seeds`
/// seeds each, and chooses the best mean. `None` where the config's own settings cannot be trained, so there is nothing to
/// compare with.
pub(super) fn run(
    context: &mut StageContext<'_>,
    trainings: &mut ShortTrainings,
    ablation: &Ablation,
    study: &StudyReport,
) -> Result<Option<Finalists>, WorkflowError> {
    let Ok(own) = train(context, trainings, "own settings", &Parameters::new())? else {
        return Ok(None);
    };
    let own = Tried {
        name: "own settings".into(),
        settings: Parameters::new(),
        training: own,
    };
    let tried = tried(context, trainings, ablation, study)?;
    let all: Vec<&ShortTraining> = std::iter::once(&own)
        .chain(&tried)
        .map(|tried| &tried.training)
        .collect();
    let selection = selection(&all, context.config.seed)?;
    let keys = all.iter().map(|training| training.key.clone()).collect();
    let mut better: Vec<Tried> = tried
        .into_iter()
        .filter(|tried| tried.training.accuracy > own.training.accuracy)
        .collect();
    // Stable: of equal ones the first stays first.
    better.sort_by(|a, b| b.training.accuracy.total_cmp(&a.training.accuracy));
    better.truncate(context.config.refinement.finalists);
    let seeds = match better.is_empty() {
        true => Vec::new(),
        false => seeds(context.config.seed, context.config.refinement.seeds),
    };
    let Some(own_trained) = of_every_seed(context, trainings, &own, &seeds)? else {
        return Ok(None);
    };
    let confidence = context.config.evaluation.confidence;
    let mut candidates = Vec::new();
    for tried in std::iter::once(own).chain(better) {
        // Settings that one seed cannot train are no candidate.
        if let Some(trained) = of_every_seed(context, trainings, &tried, &seeds)? {
            let keys = trained.iter().map(|training| training.key.clone());
            candidates.push(Finalist {
                name: tried.name,
                settings: tried.settings,
                training: tried.training.key,
                trainings: keys.take(seeds.len()).collect(),
                figures: figures(&own_trained, &trained, confidence)?,
            });
        }
    }
    Ok(Some(Finalists {
        chosen: best(&candidates),
        seeds,
        tried: keys,
        candidates,
        selection,
    }))
}

/// Every change and every complete trial, each with its training.
fn tried(
    context: &mut StageContext<'_>,
    trainings: &ShortTrainings,
    ablation: &Ablation,
    study: &StudyReport,
) -> Result<Vec<Tried>, WorkflowError> {
    let start = ablation.start_settings();
    let changes = ablation
        .lines
        .iter()
        .filter(|line| line.measured().is_some());
    let changes = changes.map(|line| (line.name.clone(), line.settings.clone()));
    let complete = study
        .trials
        .iter()
        .filter(|trial| trial.state == TrialState::Complete);
    let trials = complete.map(|trial| {
        let mut settings = start.clone();
        settings.extend(trial.parameters.clone());
        (format!("trial {}", trial.number), settings)
    });
    let mut known = BTreeSet::from([trainings.key(context.config, context.config.seed)?]);
    let mut tried = Vec::new();
    for (name, settings) in changes.chain(trials) {
        let config = context.config.with_parameters(&settings)?;
        let key = trainings.key(&config, config.seed)?;
        // A trial whose log outlived the training's line is left out.
        if let Some(training) = trainings.find(&key).filter(|_| known.insert(key.clone())) {
            tried.push(Tried {
                name,
                settings,
                training: training.clone(),
            });
        }
    }
    Ok(tried)
}

/// Seeds for the finalists, which chose none of them.
pub(crate) fn seeds(seed: u64, n: usize) -> Vec<u64> {
    // 0 to 2^63 - 1, as a config has it.
    let nth = |index| Stream::new(seed, "seed of a finalist", 0, index).next_u64() >> 1;
    (0..n as u64).map(nth).collect()
}

/// The trainings of some settings with every seed; `None` where one fails. Without seeds, the one that is known.
fn of_every_seed(
    context: &mut StageContext<'_>,
    trainings: &mut ShortTrainings,
    tried: &Tried,
    seeds: &[u64],
) -> Result<Option<Vec<ShortTraining>>, WorkflowError> {
    let mut trained = Vec::new();
    for (index, seed) in seeds.iter().enumerate() {
        let label = format!("{}, seed {} of {}", tried.name, index + 1, seeds.len());
        match train_with_seed(context, trainings, &label, &tried.settings, *seed)? {
            Ok(training) => trained.push(training),
            Err(_) => return Ok(None),
        }
    }
    if trained.is_empty() {
        trained.push(tried.training.clone());
    }
    Ok(Some(trained))
}

/// The figures of some settings from their trainings and those of the config's own settings, with the same seeds.
///
/// # Errors
/// When trainings have answers for different numbers of images.
pub(crate) fn figures(
    own: &[ShortTraining],
    trained: &[ShortTraining],
    confidence: f64,
) -> Result<SeedFigures, WorkflowError> {
    let (before, after) = (means(own), means(trained));
    let gains: Vec<f64> = after
        .iter()
        .zip(&before)
        .map(|(after, before)| after - before)
        .collect();
    let mean = |indices: &[usize]| {
        Some(indices.iter().map(|&index| gains[index]).sum::<f64>() / indices.len() as f64)
    };
    let accuracy = mean_accuracy(trained);
    Ok(SeedFigures {
        accuracy,
        difference: accuracy - mean_accuracy(own),
        interval: bootstrap(gains.len(), RESAMPLES, confidence, 0, mean)?,
    })
}

fn mean_accuracy(trained: &[ShortTraining]) -> f64 {
    let sum: f64 = trained.iter().map(|training| training.accuracy).sum();
    sum / trained.len().max(1) as f64
}

/// For each validation image the share of the trainings that answer right.
fn means(trained: &[ShortTraining]) -> Vec<f64> {
    let mut sums = Vec::new();
    for training in trained {
        let answers = training.answers().unwrap_or_default();
        sums.resize(answers.len(), 0.0);
        for (sum, right) in sums.iter_mut().zip(answers) {
            *sum += f64::from(u8::from(right)) / trained.len() as f64;
        }
    }
    sums
}

/// The candidate with the highest accuracy; the first of equal ones.
pub(crate) fn best(candidates: &[Finalist]) -> usize {
    let mut best = 0;
    for (index, candidate) in candidates.iter().enumerate() {
        if candidate.figures.accuracy > candidates[best].figures.accuracy {
            best = index;
        }
    }
    best
}

/// The best of all settings that were tried, corrected for having been chosen; `None` where only the config's own were.
///
/// # Errors
/// When trainings have answers for different numbers of images.
pub(crate) fn selection(
    all: &[&ShortTraining],
    seed: u64,
) -> Result<Option<SelectedScore>, WorkflowError> {
    if all.len() < 2 {
        return Ok(None);
    }
    let answers: Vec<Vec<bool>> = all
        .iter()
        .map(|training| training.answers().unwrap_or_default())
        .collect();
    Ok(Some(selected_score(&answers, RESAMPLES, seed)?))
}
