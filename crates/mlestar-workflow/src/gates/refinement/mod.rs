//! The gate of stage 6. Every figure is recomputed from the predictions of both models, the answers of the short trainings,
//! the log of the trials and the record of the final training.

mod short_trainings;

use super::evaluation::analysis_of;
use super::implementation::{self, best_epoch, memory_of, time_of};
use super::reader::agree_whole;
use super::{ArtifactReader, Found, agree};
use crate::config::{Config, MetricName, final_metric_id};
use crate::page_headers::FINAL_REPORT;
use crate::stages::evaluation::{EvaluationResults, RESULTS};
use crate::stages::implementation::TrainingSummary;
use crate::stages::refinement::{
    ANALYSIS, COMPARISON, Choice, Comparison, FINAL_MODEL, FINALISTS, FinalModel,
    ImprovementAnalysis, OPTIMIZED, PREDICTIONS, REPORT, RETRAINING, Reason, STUDY, StudyArtifact,
    TRAINING, TRIALS, WEIGHTS, schedule, selection_optimism,
};
use crate::words::counted;
use crate::{RunFolder, Stage, metrics};
use burn::tensor::Device;
use mlestar_artifact::ContentHash;
use mlestar_eval::{McNemar, Predictions, accuracy, mcnemar};
use mlestar_gates::{Evidence, Measurement};
use mlestar_report::format;
use mlestar_train::checkpoint::TrainingIdentity;
use mlestar_train::{EpochRecord, checkpoint};
use mlestar_tune::{TrialState, report_of_log};
use short_trainings::ShortTrainings;

const STAGE: Stage = Stage::Refinement;

/// Measures the criterion `id` of stage 6; `None` where it has no such criterion.
pub(super) fn measure(
    id: &str,
    reader: &ArtifactReader<'_>,
    config: &Config,
) -> Option<Found<Measurement>> {
    Some(match id {
        "search_completed" => search_completed(reader, config),
        "final_model" => final_model(reader, config),
        "improvement" => improvement(reader, config),
        "final_primary_metric" => final_primary_metric(reader, config),
        "final_worst_class_recall" => final_worst_class_recall(reader, config),
        "final_training_time" => of_the_training(reader, time_of),
        "final_training_memory" => of_the_training(reader, memory_of),
        "final_analysis_complete" => final_analysis(reader),
        "strategies_documented" => strategies_documented(reader),
        _ => {
            let mut metrics = MetricName::ALL.into_iter();
            let metric = metrics.find(|metric| final_metric_id(*metric) == id)?;
            of_final_predictions(reader, config, metric)
        }
    })
}

fn search_completed(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    if !config.refinement.enabled {
        // Nothing was asked for, so nothing is missing.
        reader.path(STAGE, FINAL_MODEL)?;
        return Ok(Measurement::exact(1.0).noted("refinement.enabled is false"));
    }
    let study: StudyArtifact = reader.artifact(STAGE, STUDY)?;
    let report = &study.report;
    let log = reader.path(STAGE, TRIALS)?;
    let space = &config.refinement.space;
    let recomputed =
        report_of_log(space, report.trials.len(), &log).map_err(|error| unusable(TRIALS, error))?;
    if report.trials != recomputed.trials {
        return Err(unusable(
            STUDY,
            format!("its trials are not those of {TRIALS}"),
        ));
    }
    agree(
        RunFolder::display_name(STAGE, STUDY),
        "best",
        number_of(report.best),
        number_of(recomputed.best),
    )?;
    optimized_config(reader, config, report)?;
    let n_ended = report.trials.len() - report.count(TrialState::Failed);
    let n = config.refinement.trials.max(report.trials.len());
    Ok(Measurement::exact(n_ended as f64 / n as f64)
        .noted(format!("{n_ended} of {}", counted(n, "trial"))))
}

/// A trial's number as a figure; -1 where there is none.
fn number_of(trial: Option<u64>) -> f64 {
    trial.map_or(-1.0, |number| number as f64)
}

/// The optimized config must be this config with the chosen settings.
fn optimized_config(
    reader: &ArtifactReader<'_>,
    config: &Config,
    report: &mlestar_tune::StudyReport,
) -> Found<()> {
    let path = reader.path(STAGE, OPTIMIZED)?;
    let optimized = Config::load(&path, &[]).map_err(|error| unusable(OPTIMIZED, error))?;
    let trainings = ShortTrainings::read(reader)?;
    let ablation = short_trainings::ablation(reader, config, &trainings)?;
    let settings = short_trainings::chosen_settings(reader, config, &trainings, &ablation, report)?;
    let expected = config
        .with_parameters(&settings)
        .map_err(|error| unusable(FINALISTS, error))?;
    let settings = |config: &Config| {
        serde_json::json!({
            "model": config.model,
            "augmentation": config.augmentation,
            "training": config.training,
        })
    };
    agree_whole(
        &RunFolder::display_name(STAGE, OPTIMIZED),
        &settings(&optimized),
        &settings(&expected),
    )
}

/// Checks that the weights are the chosen ones, that they fit the network, and that what is said of their training
/// matches its record.
fn final_model(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let chosen: FinalModel = reader.artifact(STAGE, FINAL_MODEL)?;
    let baseline: TrainingSummary =
        reader.artifact(Stage::Implementation, implementation::SUMMARY)?;
    let weights = reader.path(STAGE, WEIGHTS)?;
    let (stage, name) = match chosen.choice {
        Choice::Refined if chosen.retraining.is_some() => (
            STAGE,
            format!("{RETRAINING}/checkpoints/best/model.safetensors"),
        ),
        Choice::Baseline => (
            Stage::Implementation,
            "checkpoints/best/model.safetensors".to_owned(),
        ),
        Choice::Refined => (
            STAGE,
            format!("{TRAINING}/checkpoints/best/model.safetensors"),
        ),
    };
    let source = reader.path(stage, &name)?;
    for path in [&weights, &source] {
        let found = ContentHash::of_file(path).map_err(|error| unusable(WEIGHTS, error))?;
        if found != chosen.weights {
            return Err(Box::new(Evidence::Altered {
                file: RunFolder::display_name(STAGE, WEIGHTS),
                recorded: chosen.weights.short().into(),
                found: found.short().into(),
            }));
        }
    }
    checkpoint::load_weights(&weights, &chosen.model, &Device::flex())
        .map_err(|error| unusable(WEIGHTS, error))?;
    settings_of_the_training(reader, &chosen, stage, &name)?;
    final_training(reader, &chosen, &baseline)?;
    optimism(reader, config, &chosen)?;
    let was_searched = match reader.files_under(STAGE, STUDY) {
        Ok(_) => true,
        Err(evidence) if matches!(*evidence, Evidence::Missing { .. }) => false,
        Err(evidence) => return Err(evidence),
    };
    let problem = problem_of(&chosen, &baseline, was_searched);
    Ok(Measurement::flag(problem.is_none())
        .noted(problem.unwrap_or_else(|| chosen.reason.describe().into())))
}

/// Checks by how much the choice of settings raised the validation accuracy.
fn optimism(reader: &ArtifactReader<'_>, config: &Config, chosen: &FinalModel) -> Found<()> {
    let finalists = match reader.has_written(STAGE, FINALISTS) {
        true => {
            let trainings = ShortTrainings::read(reader)?;
            Some(short_trainings::finalists(reader, config, &trainings)?)
        }
        false => None,
    };
    let expected = match chosen.choice {
        Choice::Refined => selection_optimism(finalists.as_ref()),
        Choice::Baseline => None,
    };
    agree_whole(
        &RunFolder::display_name(STAGE, FINAL_MODEL),
        &serde_json::json!({ "selection_optimism": chosen.selection_optimism }),
        &serde_json::json!({ "selection_optimism": expected }),
    )
}

/// Checks that the network and the settings of the record match the checkpoint that the weights are from.
fn settings_of_the_training(
    reader: &ArtifactReader<'_>,
    chosen: &FinalModel,
    stage: Stage,
    weights: &str,
) -> Found<()> {
    let folder = weights.trim_end_matches("/model.safetensors");
    let path = reader.path(stage, &format!("{folder}/checkpoint.json"))?;
    let record = checkpoint::read_record(path.parent().unwrap_or(&path))
        .map_err(|error| unusable(FINAL_MODEL, error))?;
    let claimed = TrainingIdentity {
        seed: chosen.seed,
        model: serde_json::to_value(&chosen.model).unwrap_or_default(),
        training: match chosen.retraining {
            Some(_) => schedule(chosen),
            None => chosen.training.clone(),
        },
        normalization: chosen.normalization,
        ..record.identity.clone()
    };
    match claimed.differences(&record.identity).first() {
        None => Ok(()),
        Some(difference) => {
            let name = RunFolder::display_name(stage, folder);
            let reason = format!("it belongs to another training than {name}: {difference}");
            Err(unusable(FINAL_MODEL, reason))
        }
    }
}

/// Checks that the final model's record of its training matches the files of the training.
fn final_training(
    reader: &ArtifactReader<'_>,
    chosen: &FinalModel,
    baseline: &TrainingSummary,
) -> Found<()> {
    let mut figures = vec![
        (
            "baseline_validation_accuracy",
            chosen.baseline_validation_accuracy,
            baseline.validation_accuracy,
        ),
        (
            "baseline_epochs_run",
            chosen.baseline_epochs_run as f64,
            baseline.epochs_run as f64,
        ),
        (
            "parameters",
            chosen.parameters as f64,
            chosen.model.summary().parameters as f64,
        ),
        ("seed", chosen.seed as f64, baseline.seed as f64),
    ];
    let mut kept = (
        baseline.epochs_run,
        baseline.best_epoch,
        baseline.validation_accuracy,
    );
    if let Some(claimed) = &chosen.final_training {
        let epochs: Vec<EpochRecord> = reader.lines(STAGE, &format!("{TRAINING}/metrics.jsonl"))?;
        let best = best_epoch(&epochs);
        let accuracy = best.and_then(|best| best.validation_accuracy);
        let accuracy = accuracy.unwrap_or(0.0);
        let epoch = best.map_or(0, |best| best.epoch);
        figures.extend([
            (
                "final_training.epochs_run",
                claimed.epochs_run as f64,
                epochs.len() as f64,
            ),
            (
                "final_training.best_epoch",
                claimed.best_epoch as f64,
                epoch as f64,
            ),
            (
                "final_training.validation_accuracy",
                claimed.validation_accuracy,
                accuracy,
            ),
        ]);
        if chosen.choice == Choice::Refined {
            kept = (epochs.len(), epoch, accuracy);
        }
    }
    if let Some(claimed) = &chosen.retraining {
        let epochs: Vec<EpochRecord> =
            reader.lines(STAGE, &format!("{RETRAINING}/metrics.jsonl"))?;
        let last = epochs.last().and_then(|epoch| epoch.validation_accuracy);
        figures.extend([
            (
                "retraining.epochs_run",
                claimed.epochs_run as f64,
                epochs.len() as f64,
            ),
            (
                "retraining.held_out_accuracy",
                claimed.held_out_accuracy,
                last.unwrap_or(0.0),
            ),
        ]);
    }
    figures.extend([
        ("epochs_run", chosen.epochs_run as f64, kept.0 as f64),
        ("best_epoch", chosen.best_epoch as f64, kept.1 as f64),
        ("validation_accuracy", chosen.validation_accuracy, kept.2),
    ]);
    let file = RunFolder::display_name(STAGE, FINAL_MODEL);
    for (what, claimed, recomputed) in figures {
        agree(file.clone(), what, claimed, recomputed)?;
    }
    Ok(())
}

/// How the record of the final model contradicts itself or the baseline.
fn problem_of(
    chosen: &FinalModel,
    baseline: &TrainingSummary,
    was_searched: bool,
) -> Option<String> {
    let was_trained = chosen.final_training.is_some();
    let is_consistent = match chosen.reason {
        Reason::NotSearched => !was_searched && !was_trained,
        Reason::NothingBetterFound => was_searched && !was_trained,
        Reason::NoBetterWhenTrained | Reason::Better => was_searched && was_trained,
    };
    let is_refined = chosen.choice == Choice::Refined;
    if !is_consistent || is_refined != (chosen.reason == Reason::Better) {
        return Some("the reason for the choice contradicts the files of the stage".into());
    }
    if is_refined && chosen.validation_accuracy < chosen.baseline_validation_accuracy {
        return Some("the refined model is worse than the baseline on validation images".into());
    }
    if chosen.classes != baseline.classes || chosen.normalization != baseline.normalization {
        return Some("classes or normalization are not those of the training".into());
    }
    if !is_refined && chosen.model != baseline.model {
        return Some("the network is not the baseline's".into());
    }
    None
}

/// A figure of the training that gave the final model: that of this stage, or that of stage 4.
fn of_the_training(
    reader: &ArtifactReader<'_>,
    figure: fn(&ArtifactReader<'_>, Stage, &str) -> Found<Measurement>,
) -> Found<Measurement> {
    let chosen: FinalModel = reader.artifact(STAGE, FINAL_MODEL)?;
    if chosen.retraining.is_some() {
        return figure(reader, STAGE, &format!("{RETRAINING}/"));
    }
    if chosen.final_training.is_some() {
        return figure(reader, STAGE, &format!("{TRAINING}/"));
    }
    let measured = figure(reader, Stage::Implementation, "")?;
    let note = format!(
        "{}; of the baseline, nothing was trained again",
        measured.note
    );
    Ok(measured.noted(note))
}

fn improvement(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let before = reader.predictions(Stage::Evaluation, "predictions.jsonl")?;
    let after = reader.predictions(STAGE, PREDICTIONS)?;
    let comparison: Comparison = reader.artifact(STAGE, COMPARISON)?;
    let file = RunFolder::display_name(STAGE, COMPARISON);
    let paired = mcnemar(
        &before.correct(),
        &after.correct(),
        config.evaluation.confidence,
    )
    .map_err(|error| Box::new(Evidence::missing(file.clone(), error.to_string())))?;
    let claimed = &comparison.paired;
    for (what, claimed, recomputed) in [
        ("difference", claimed.difference, paired.difference),
        ("accuracy_a", claimed.accuracy_a, paired.accuracy_a),
        ("accuracy_b", claimed.accuracy_b, paired.accuracy_b),
        ("p_value", claimed.p_value, paired.p_value),
        ("interval.low", claimed.interval.low, paired.interval.low),
        ("interval.high", claimed.interval.high, paired.interval.high),
        (
            "interval.confidence",
            claimed.interval.confidence,
            paired.interval.confidence,
        ),
        ("both", claimed.both as f64, paired.both as f64),
        ("only_a", claimed.only_a as f64, paired.only_a as f64),
        ("only_b", claimed.only_b as f64, paired.only_b as f64),
        ("neither", claimed.neither as f64, paired.neither as f64),
    ] {
        agree(file.clone(), what, claimed, recomputed)?;
    }
    let chosen: FinalModel = reader.artifact(STAGE, FINAL_MODEL)?;
    if comparison.choice != chosen.choice {
        return Err(unusable(
            COMPARISON,
            format!("it belongs to another choice than {FINAL_MODEL}"),
        ));
    }
    Ok(gain(&before, &after, &paired))
}

/// The difference in accuracy: with an interval, unless both are the same model.
fn gain(before: &Predictions, after: &Predictions, paired: &McNemar) -> Measurement {
    if after == before {
        // Exact: when all scores of all images are the same, any other images give the same difference.
        return Measurement::exact(paired.difference)
            .noted("the predictions equal the baseline's, bit for bit: the same model");
    }
    let n = after.len();
    let p_value = format::probability(paired.p_value);
    let interval = [paired.interval.low, paired.interval.high];
    Measurement::proportion(paired.difference, interval, n as u64).noted(format!(
        "paired over {}, p-value {p_value} (McNemar, exact)",
        counted(n, "test image")
    ))
}

fn final_primary_metric(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let predictions = reader.predictions(STAGE, PREDICTIONS)?;
    let comparison: Comparison = reader.artifact(STAGE, COMPARISON)?;
    agree(
        RunFolder::display_name(STAGE, COMPARISON),
        "accuracy_b",
        comparison.paired.accuracy_b,
        accuracy(&predictions),
    )?;
    let metric = config.task.primary.name;
    let measured = measured(metric, &predictions, config)?;
    let note = format!("{metric}, {}", measured.note);
    Ok(measured.noted(note))
}

fn of_final_predictions(
    reader: &ArtifactReader<'_>,
    config: &Config,
    metric: MetricName,
) -> Found<Measurement> {
    let predictions = reader.predictions(STAGE, PREDICTIONS)?;
    measured(metric, &predictions, config)
}

fn measured(metric: MetricName, predictions: &Predictions, config: &Config) -> Found<Measurement> {
    metrics::measure(metric, predictions, config.evaluation.confidence)
        .map_err(|error| unusable(PREDICTIONS, error))
}

/// Checks that the final model's evaluation is of these weights and follows from the predictions.
fn final_analysis(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let measured = analysis_of(reader, STAGE, PREDICTIONS, FINAL_REPORT)?;
    let chosen: FinalModel = reader.artifact(STAGE, FINAL_MODEL)?;
    let results: EvaluationResults = reader.artifact(STAGE, RESULTS)?;
    if results.model != chosen.weights {
        let reason = format!("it belongs to other weights than {FINAL_MODEL}");
        return Err(unusable(RESULTS, reason));
    }
    if results.summary.classes != chosen.classes {
        let reason = format!("its classes are not those of {FINAL_MODEL}");
        return Err(unusable(RESULTS, reason));
    }
    Ok(measured)
}

fn final_worst_class_recall(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let predictions = reader.predictions(STAGE, PREDICTIONS)?;
    let chosen: FinalModel = reader.artifact(STAGE, FINAL_MODEL)?;
    metrics::worst_recall(&predictions, &chosen.classes, config.evaluation.confidence)
        .map_err(|error| unusable(PREDICTIONS, error))
}

fn strategies_documented(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let analysis: ImprovementAnalysis = reader.artifact(STAGE, ANALYSIS)?;
    reader.path(STAGE, REPORT)?;
    let n = analysis
        .opportunities
        .iter()
        .filter(|opportunity| opportunity.evidence.is_finite() && !opportunity.keys.is_empty())
        .count();
    Ok(Measurement::exact(n as f64))
}

fn unusable(name: &str, error: impl ToString) -> Box<Evidence> {
    let file = RunFolder::display_name(STAGE, name);
    Box::new(Evidence::missing(file, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_gates::{Criterion, Limit, Status};

    /// Answers for 200 images of two classes, the first `right` of which are right.
    fn predictions(right: usize, confidence: f64) -> Predictions {
        let probabilities = (0..200)
            .flat_map(|index| match index < right {
                true => [confidence, 1.0 - confidence],
                false => [1.0 - confidence, confidence],
            })
            .collect();
        Predictions::new(vec![0; 200], probabilities, 2).unwrap()
    }

    fn verdict(limit: Limit, before: &Predictions, after: &Predictions) -> (Status, String) {
        let mut criteria = Config::default().criteria(STAGE).into_iter();
        let criterion = criteria.find(|criterion| criterion.id == "improvement");
        let criterion = Criterion {
            limit,
            ..criterion.unwrap()
        };
        let paired = mcnemar(&before.correct(), &after.correct(), 0.95).unwrap();
        let measurement = gain(before, after, &paired);
        let verdict = criterion.judge(measurement);
        (verdict.status, verdict.message)
    }

    #[test]
    fn a_kept_baseline_is_no_worse_and_not_better() {
        let baseline = predictions(150, 0.9);
        let (status, message) = verdict(Limit::Above(0.0), &baseline, &baseline);
        assert_eq!(status, Status::Fail);
        insta::assert_snapshot!(message, @"gain in test accuracy over the baseline 0.0000 is exactly on the limit 0, which it must be above");
        let (status, message) = verdict(Limit::AtLeast(0.0), &baseline, &baseline);
        assert_eq!(status, Status::Pass);
        insta::assert_snapshot!(message, @"gain in test accuracy over the baseline 0.0000 is exactly on the limit 0");
    }

    #[test]
    fn another_model_that_is_as_accurate_proves_nothing() {
        let (baseline, other) = (predictions(150, 0.9), predictions(150, 0.8));
        for limit in [Limit::Above(0.0), Limit::AtLeast(0.0)] {
            assert_eq!(verdict(limit, &baseline, &other).0, Status::Inconclusive);
        }
        let margin = Limit::AtLeast(-0.1);
        assert_eq!(verdict(margin, &baseline, &other).0, Status::Pass);
    }

    #[test]
    fn a_better_model_is_better_and_a_worse_one_fails_both() {
        let (low, high) = (predictions(100, 0.9), predictions(180, 0.9));
        for limit in [Limit::Above(0.0), Limit::AtLeast(0.0)] {
            assert_eq!(verdict(limit, &low, &high).0, Status::Pass);
            assert_eq!(verdict(limit, &high, &low).0, Status::Fail);
        }
    }

    #[test]
    fn without_a_search_the_baseline_need_not_be_beaten() {
        let limit = |config: &Config| {
            let mut criteria = config.criteria(STAGE).into_iter();
            criteria
                .find(|criterion| criterion.id == "improvement")
                .unwrap()
                .limit
        };
        assert_eq!(limit(&Config::default()), Limit::Above(0.0));
        let unrefined = Config::parse("refinement.enabled = false", "project.toml", &[]).unwrap();
        assert_eq!(limit(&unrefined), Limit::AtLeast(0.0));
    }
}
