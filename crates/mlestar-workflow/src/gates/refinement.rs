//! The gate of stage 6. Every figure is recomputed from the predictions of both models.

use super::evaluation::{metric_measurement, worst_recall};
use super::{ArtifactReader, Check, Found, agree};
use crate::config::Config;
use crate::stages::refinement::{Comparison, FinalModel, ImprovementAnalysis, StudyArtifact};
use crate::{RunFolder, Stage};
use mlestar_eval::{McNemar, Predictions, accuracy, mcnemar};
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
            // A search that was asked for must find something better; without one the baseline is kept.
            limit: match config.refinement.enabled {
                true => Limit::Above(0.0),
                false => Limit::AtLeast(0.0),
            },
            remedy: "More trials or a wider space (refinement.trials, refinement.space), a longer final \
                     training (refinement.final_epochs), or accept the baseline: improvement = { at_least = 0.0 }, \
                     or -0.01 for a loss that does not matter.",
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
    Ok(gain(&before, &after, &paired))
}

/// The difference in accuracy: with an interval, unless both are the same model.
fn gain(before: &Predictions, after: &Predictions, paired: &McNemar) -> Measurement {
    if after == before {
        // No estimate: with every score of every picture the same, any other pictures give this difference too.
        return Measurement::exact(paired.difference)
            .noted("the answers are the baseline's, bit for bit: the same model");
    }
    let n = after.len();
    let p_value = paired.p_value;
    let interval = [paired.interval.low, paired.interval.high];
    Measurement::proportion(paired.difference, interval, n as u64).noted(format!(
        "paired over {n} test pictures, p = {p_value:.1e} (McNemar, exact)"
    ))
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

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_gates::{Status, judge};

    /// Answers for 200 pictures of two classes, the first `right` of which are right.
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
        let checks = checks(&Config::default());
        let check = checks.iter().find(|check| check.id == "improvement");
        let paired = mcnemar(&before.correct(), &after.correct(), 0.95).unwrap();
        let measurement = gain(before, after, &paired);
        let evidence = Evidence::measured(measurement, ["comparison.json"]);
        let verdict = judge(&check.unwrap().criterion(limit), evidence);
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
            let mut checks = checks(config).into_iter();
            checks
                .find(|check| check.id == "improvement")
                .unwrap()
                .limit
        };
        assert_eq!(limit(&Config::default()), Limit::Above(0.0));
        let unrefined = Config::parse("refinement.enabled = false", "project.toml", &[]).unwrap();
        assert_eq!(limit(&unrefined), Limit::AtLeast(0.0));
    }
}
