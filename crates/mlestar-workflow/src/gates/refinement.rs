//! The gate of stage 6. Every figure is recomputed from the predictions of both models.

use super::evaluation::{metric_measurement, worst_recall};
use super::{ArtifactReader, Check, Found, agree};
use crate::config::Config;
use crate::stages::refinement::{Comparison, FinalModel, ImprovementAnalysis, StudyArtifact};
use crate::{RunFolder, Stage};
use mlestar_eval::{accuracy, mcnemar};
use mlestar_gates::{Evidence, Limit, Measurement, Unit};
use mlestar_tune::TrialState;

const STAGE: Stage = Stage::Refinement;
const PREDICTIONS: &str = "test_predictions.jsonl";

/// The checks of stage 6.
pub fn checks(config: &Config) -> Vec<Check> {
    vec![
        Check {
            id: "search_completed",
            title: "trials of the search that ended with a result",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(0.5),
            remedy: "Look at the failed trials in trials.jsonl; narrow refinement.space.",
            measure: search_completed,
        },
        Check {
            id: "improvement",
            title: "gain in test accuracy over the baseline",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(0.0),
            remedy: "More trials or a wider space (refinement.trials, refinement.space), a longer final \
                     training (refinement.final_epochs), or accept the baseline.",
            measure: improvement,
        },
        Check {
            id: "final_primary_metric",
            title: "primary metric of the final model on the test pictures",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(config.task.primary.target),
            remedy: "Train longer (refinement.final_epochs), search more, or use a larger model.",
            measure: final_primary_metric,
        },
        Check {
            id: "final_worst_class_recall",
            title: "recall of the final model's worst class",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(config.task.quality.per_class_recall_min),
            remedy: "More pictures of that class, or a check of its labels.",
            measure: final_worst_class_recall,
        },
        Check {
            id: "strategies_documented",
            title: "documented opportunities with evidence",
            unit: Unit::Count,
            limit: Limit::AtLeast(1.0),
            remedy: "Run the stage again: cargo xtask stage refinement --force.",
            measure: strategies_documented,
        },
    ]
}

fn search_completed(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    if !config.refinement.enabled {
        // Nothing was asked for, so nothing is missing; the improvement is judged all the same.
        reader.path(STAGE, "final/final_model.json")?;
        return Ok(Measurement::exact(1.0).noted("refinement.enabled is false"));
    }
    let study: StudyArtifact = reader.artifact(STAGE, "study.json")?;
    let n_ended = study
        .report
        .trials
        .iter()
        .filter(|trial| trial.state != TrialState::Failed)
        .count();
    let n = config.refinement.trials.max(study.report.trials.len());
    Ok(Measurement::exact(n_ended as f64 / n as f64).noted(format!("{n_ended} of {n} trials")))
}

fn improvement(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let before = reader.predictions(Stage::Evaluation, "predictions.jsonl")?;
    let after = reader.predictions(STAGE, PREDICTIONS)?;
    let comparison: Comparison = reader.artifact(STAGE, "comparison.json")?;
    let file = RunFolder::display_name(STAGE, "comparison.json");
    let paired = mcnemar(
        &before.correct(),
        &after.correct(),
        config.evaluation.confidence,
    )
    .map_err(|error| Box::new(Evidence::missing(file.clone(), error.to_string())))?;
    agree(
        file,
        "difference",
        comparison.paired.difference,
        paired.difference,
    )?;
    let note = format!(
        "paired over {} test pictures, p = {:.1e} (McNemar, exact)",
        after.len(),
        paired.p_value
    );
    let interval = [paired.interval.low, paired.interval.high];
    // "At least 0" must not be met by a model that is exactly as good as the baseline.
    let is_proven = paired.difference > 0.0 && interval[0] > 0.0;
    let interval = match is_proven {
        true => interval,
        false => [interval[0].min(-f64::MIN_POSITIVE), interval[1]],
    };
    Ok(Measurement::with_interval(paired.difference, interval).noted(note))
}

fn final_primary_metric(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let predictions = reader.predictions(STAGE, PREDICTIONS)?;
    let comparison: Comparison = reader.artifact(STAGE, "comparison.json")?;
    agree(
        RunFolder::display_name(STAGE, "comparison.json"),
        "accuracy_b",
        comparison.paired.accuracy_b,
        accuracy(&predictions),
    )?;
    let metric = config.task.primary.name;
    let measured = metric_measurement(metric, &predictions, config, STAGE, PREDICTIONS)?;
    let note = format!("{metric}, {}", measured.note);
    Ok(measured.noted(note))
}

fn final_worst_class_recall(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let predictions = reader.predictions(STAGE, PREDICTIONS)?;
    let chosen: FinalModel = reader.artifact(STAGE, "final/final_model.json")?;
    worst_recall(&predictions, &chosen.classes, config, STAGE, PREDICTIONS)
}

fn strategies_documented(reader: &ArtifactReader<'_>, _config: &Config) -> Found<Measurement> {
    let analysis: ImprovementAnalysis = reader.artifact(STAGE, "improvement_analysis.json")?;
    reader.path(STAGE, "refinement_report.html")?;
    let n = analysis
        .opportunities
        .iter()
        .filter(|opportunity| opportunity.evidence.is_finite() && !opportunity.keys.is_empty())
        .count();
    Ok(Measurement::exact(n as f64))
}
