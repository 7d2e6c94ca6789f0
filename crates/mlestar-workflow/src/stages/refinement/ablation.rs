//! The ablation: every proposal alone, as long as a trial, beside the config's own settings.

use super::short_training::{ShortTraining, ShortTrainings};
use super::{
    Ablation, AblationLine, AblationOutcome, CostEstimate, EstimateQuality, ImprovementAnalysis,
    MeasuredChange,
};
use crate::trial_training::TrialFailure;
use crate::{StageContext, WorkflowError};
use mlestar_eval::mcnemar;
use mlestar_tune::{Decision, Parameters, TrialError};

/// What proposed the line with all that helped, and its name.
const COMBINATION: [&str; 2] = ["combination", "all that helped"];

/// Trains the config's own settings and the most promising proposals, within `refinement.proposals`; then all that helped,
/// together.
pub(super) fn run(
    context: &mut StageContext<'_>,
    trainings: &mut ShortTrainings,
    analysis: &ImprovementAnalysis,
) -> Result<Ablation, WorkflowError> {
    let mut ablation = Ablation {
        base: None,
        accuracy: None,
        lines: Vec::new(),
        start: None,
        estimates: None,
    };
    let n_most = context.config.refinement.proposals;
    let Ok(base) = train(context, trainings, "own settings", &Parameters::new())? else {
        // A search may still find settings that can be trained.
        return Ok(ablation);
    };
    ablation.base = Some(base.key.clone());
    ablation.accuracy = Some(base.accuracy);
    for (finding, proposal) in analysis.proposals().into_iter().take(n_most) {
        let outcome = outcome(
            context,
            trainings,
            &proposal.name,
            &proposal.settings,
            &base,
        )?;
        ablation.lines.push(AblationLine {
            name: proposal.name.clone(),
            finding: finding.to_owned(),
            settings: proposal.settings.clone(),
            gain: Some(proposal.gain),
            cost: proposal.cost,
            outcome,
        });
    }
    if let Some((settings, cost)) = all_that_helped(&ablation.lines) {
        let [finding, name] = COMBINATION;
        let outcome = outcome(context, trainings, name, &settings, &base)?;
        ablation.lines.push(AblationLine {
            name: name.into(),
            finding: finding.into(),
            settings,
            gain: None,
            cost,
            outcome,
        });
    }
    ablation.start = best_line(&ablation.lines);
    ablation.estimates = quality(&ablation.lines);
    Ok(ablation)
}

/// Trains with some settings changed. The inner error says why the settings do not work.
pub(super) fn train(
    context: &mut StageContext<'_>,
    trainings: &mut ShortTrainings,
    label: &str,
    settings: &Parameters,
) -> Result<Result<ShortTraining, String>, WorkflowError> {
    let seed = context.config.seed;
    train_with_seed(context, trainings, label, settings, seed)
}

/// As [`train`], with another seed.
pub(super) fn train_with_seed(
    context: &mut StageContext<'_>,
    trainings: &mut ShortTrainings,
    label: &str,
    settings: &Parameters,
    seed: u64,
) -> Result<Result<ShortTraining, String>, WorkflowError> {
    let config = context.config.with_parameters(settings)?;
    let go_on = &mut |_, _| Decision::Continue;
    match trainings.train(context, label, &config, seed, go_on) {
        Ok(training) => Ok(Ok(training)),
        Err(TrialFailure::Program(error)) => Err(error),
        Err(TrialFailure::Trial(TrialError::Failed(message))) => Ok(Err(message)),
        // Nothing prunes here.
        Err(TrialFailure::Trial(_)) => Err(WorkflowError::Interrupted {
            stage: context.stage,
        }),
    }
}

fn outcome(
    context: &mut StageContext<'_>,
    trainings: &mut ShortTrainings,
    name: &str,
    settings: &Parameters,
    base: &ShortTraining,
) -> Result<AblationOutcome, WorkflowError> {
    let confidence = context.config.evaluation.confidence;
    match train(context, trainings, name, settings)? {
        Ok(changed) => Ok(AblationOutcome::Measured(compare(
            base, &changed, confidence,
        )?)),
        Err(message) => Ok(AblationOutcome::Failed { message }),
    }
}

/// A training beside that of the config's own settings.
///
/// # Errors
/// When the trainings have answers for different numbers of images.
pub(crate) fn compare(
    base: &ShortTraining,
    changed: &ShortTraining,
    confidence: f64,
) -> Result<MeasuredChange, WorkflowError> {
    let answers = |training: &ShortTraining| training.answers().unwrap_or_default();
    Ok(MeasuredChange {
        training: changed.key.clone(),
        paired: mcnemar(&answers(base), &answers(changed), confidence)?,
        time: changed.seconds / base.seconds.max(f64::MIN_POSITIVE),
        size: changed.parameters as f64 / base.parameters.max(1) as f64,
    })
}

/// The settings of the lines that gained something, if they are two or more. Of two that set the same key the one that
/// gained more counts.
fn all_that_helped(lines: &[AblationLine]) -> Option<(Parameters, CostEstimate)> {
    let gain = |line: &AblationLine| line.measured().map_or(0.0, |found| found.paired.difference);
    let mut helped: Vec<&AblationLine> = lines.iter().filter(|line| gain(line) > 0.0).collect();
    helped.sort_by(|a, b| gain(b).total_cmp(&gain(a)));
    let mut together = Parameters::new();
    let mut cost = CostEstimate {
        time: 1.0,
        size: 1.0,
    };
    let mut n_joined = 0;
    for line in helped {
        if line.settings.keys().all(|key| !together.contains_key(key)) {
            together.extend(line.settings.clone());
            cost.time *= line.cost.time;
            cost.size *= line.cost.size;
            n_joined += 1;
        }
    }
    (n_joined > 1).then_some((together, cost))
}

/// The line that gained most, if any gained something; of equal ones the first.
pub(crate) fn best_line(lines: &[AblationLine]) -> Option<usize> {
    let mut best = None;
    let mut most = 0.0;
    for (index, line) in lines.iter().enumerate() {
        let gain = line.measured().map_or(0.0, |found| found.paired.difference);
        if gain > most {
            (best, most) = (Some(index), gain);
        }
    }
    best
}

/// Compares expected with measured gains.
pub(crate) fn quality(lines: &[AblationLine]) -> Option<EstimateQuality> {
    let both: Vec<_> = lines
        .iter()
        .filter_map(|line| Some((line.gain?, line.measured()?.paired.difference)))
        .collect();
    if both.is_empty() {
        return None;
    }
    let n = both.len() as f64;
    let off = both.iter().map(|(gain, found)| gain.expected - found);
    let (sum, distance) = off.fold((0.0, 0.0), |(sum, distance), off| {
        (sum + off, distance + off.abs())
    });
    let is_within =
        |(gain, found): &&(super::GainEstimate, f64)| gain.low <= *found && *found <= gain.high;
    let expected: Vec<f64> = both.iter().map(|(gain, _)| gain.expected).collect();
    let found: Vec<f64> = both.iter().map(|(_, found)| *found).collect();
    Some(EstimateQuality {
        measured: both.len(),
        within: both.iter().filter(is_within).count(),
        mean_error: distance / n,
        bias: sum / n,
        rank_correlation: mlestar_eval::rank_correlation(&expected, &found),
    })
}

#[cfg(test)]
mod tests {
    use super::super::GainEstimate;
    use super::*;
    use mlestar_artifact::ContentHash;
    use mlestar_eval::mcnemar_from_counts;
    use mlestar_tune::ParameterValue;

    /// A line that sets these keys, with a gain of so many of 100 images.
    fn line(keys: &[&str], expected: f64, gain: i64) -> AblationLine {
        let only = |right: bool| if right { gain.unsigned_abs() } else { 0 };
        let (only_a, only_b) = (only(gain < 0), only(gain > 0));
        let both = 100 - only_a - only_b;
        let value = ParameterValue::Float(expected);
        AblationLine {
            name: keys.join(" "),
            finding: "overfitting".into(),
            settings: keys
                .iter()
                .map(|key| ((*key).to_owned(), value.clone()))
                .collect(),
            gain: Some(GainEstimate {
                expected,
                low: expected - 0.02,
                high: expected + 0.02,
            }),
            cost: CostEstimate {
                time: 2.0,
                size: 1.0,
            },
            outcome: AblationOutcome::Measured(MeasuredChange {
                training: ContentHash::of_bytes(b"training"),
                paired: mcnemar_from_counts(both, only_a, only_b, 0, 0.95).unwrap(),
                time: 1.0,
                size: 1.0,
            }),
        }
    }

    #[test]
    fn what_helped_is_joined_and_the_better_of_two_that_collide_counts() {
        let lines = [
            line(&["a"], 0.1, 1),
            line(&["b"], 0.2, -3),
            line(&["a", "c"], 0.3, 5),
            line(&["d"], 0.4, 2),
        ];
        let (settings, cost) = all_that_helped(&lines).unwrap();
        let keys: Vec<&str> = settings.keys().map(String::as_str).collect();
        assert_eq!(keys, ["a", "c", "d"]);
        assert_eq!(settings["a"], ParameterValue::Float(0.3));
        assert_eq!((cost.time, cost.size), (4.0, 1.0));
        // One change alone has its line already.
        assert_eq!(all_that_helped(&lines[..2]), None);
        assert_eq!(best_line(&lines), Some(2));
        assert_eq!(best_line(&lines[1..2]), None);
    }

    #[test]
    fn estimates_are_judged_by_what_was_measured() {
        let lines = [
            line(&["a"], 0.05, 5),
            line(&["b"], 0.03, 4),
            line(&["c"], 0.10, -2),
        ];
        let quality = quality(&lines).unwrap();
        assert_eq!((quality.measured, quality.within), (3, 2));
        assert!(
            (quality.mean_error - 0.13 / 3.0).abs() < 1e-12,
            "{quality:?}"
        );
        assert!((quality.bias - 0.11 / 3.0).abs() < 1e-12, "{quality:?}");
        // Expected 2, 1, 3; measured 3, 2, 1.
        assert_eq!(quality.rank_correlation, Some(-0.5));
        let failed = AblationLine {
            outcome: AblationOutcome::Failed {
                message: "no".into(),
            },
            ..line(&["a"], 0.05, 5)
        };
        assert_eq!(super::quality(&[failed]), None);
    }
}
