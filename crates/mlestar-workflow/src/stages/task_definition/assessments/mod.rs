//! Compares every target, constraint and requirement with figures. Everything here is a function
//! of the specification and the figures, so that the gate can derive it again.

mod consistency;
mod constraints;
mod requirements;
mod targets;

pub(crate) use targets::{is_at_risk, is_realistic};

use super::artifact::{Assessment, ComparedFigure, Source, TaskSpec};
use super::figures::FeasibilityFigures;
use mlestar_eval::wilson;
use mlestar_gates::Unit;

/// All assessments: targets, constraints, requirements, consistency.
pub fn assess(spec: &TaskSpec, figures: &FeasibilityFigures) -> Vec<Assessment> {
    let mut all = targets::assess(spec, figures);
    all.extend(constraints::assess(spec, figures));
    all.extend(requirements::assess(spec, figures));
    all.extend(consistency::assess(spec));
    all
}

fn measured(what: &str, value: f64, unit: Unit, method: impl Into<String>) -> ComparedFigure {
    comparison(what, value, unit, Source::Measured, method)
}

fn computed(what: &str, value: f64, unit: Unit, method: impl Into<String>) -> ComparedFigure {
    comparison(what, value, unit, Source::Computed, method)
}

fn comparison(
    what: &str,
    value: f64,
    unit: Unit,
    source: Source,
    method: impl Into<String>,
) -> ComparedFigure {
    ComparedFigure {
        what: what.to_owned(),
        value,
        unit,
        source,
        method: method.into(),
    }
}

/// Half of the width of Wilson's interval around a proportion of `n`; 0.5, which is no knowledge at
/// all, without samples.
fn half_width(proportion: f64, n: usize, confidence: f64) -> f64 {
    let successes = (proportion.clamp(0.0, 1.0) * n as f64).round() as u64;
    wilson(successes, n as u64, confidence)
        .map_or(0.5, |interval| (interval.high - interval.low) / 2.0)
}

/// The smallest proportion of `n` whose whole interval is at or above `target`; `None` when even
/// all of them would not prove it.
fn smallest_proof(target: f64, n: usize, confidence: f64) -> Option<f64> {
    let proves = |successes: usize| {
        wilson(successes as u64, n as u64, confidence).is_ok_and(|interval| interval.low >= target)
    };
    if n == 0 || !proves(n) {
        return None;
    }
    // The lower end rises with the successes: find the first that proves it by halving.
    let (mut fails, mut holds) = (0, n);
    if proves(0) {
        return Some(0.0);
    }
    while holds - fails > 1 {
        let middle = fails + (holds - fails) / 2;
        if proves(middle) {
            holds = middle;
        } else {
            fails = middle;
        }
    }
    Some(holds as f64 / n as f64)
}

#[cfg(test)]
mod testing {
    use super::super::artifact::{InputSpec, TargetSpec};
    use super::super::figures::{DataFigures, SplitLeaks};
    use super::*;
    use crate::config::{MetricName, TaskConfig};
    use crate::estimates::{ResourceFigures, StepTiming, TrainingWork};

    pub(super) fn spec() -> TaskSpec {
        let task = TaskConfig::default();
        let target = |metric: MetricName, target| TargetSpec {
            metric,
            target,
            measured_on: "test".into(),
            definition: String::new(),
        };
        TaskSpec {
            problem_type: task.problem_type,
            target_variable: task.target_variable.clone(),
            classes: (0..10).map(|class| format!("class {class}")).collect(),
            input: InputSpec {
                height: 32,
                width: 32,
                channels: 3,
                values: "8 bit".into(),
            },
            primary: target(MetricName::Accuracy, 0.85),
            secondary: vec![target(MetricName::F1Weighted, 0.83)],
            constraints: task.constraints.clone(),
            quality: task.quality.clone(),
            confidence: 0.95,
        }
    }

    pub(super) fn figures() -> FeasibilityFigures {
        FeasibilityFigures {
            device: "cpu".into(),
            machine_memory_bytes: 16_000_000_000,
            data: DataFigures {
                n_train: 45_000,
                n_validation: 5_000,
                n_smallest_train_class: 4_500,
                test_class_counts: vec![1_000; 10],
                classes_without_validation: Vec::new(),
                classes_without_test: Vec::new(),
                simple_accuracy: Some(0.38),
                n_simple: 2_000,
                n_pictures: 60_000,
                n_suspected_mislabels: 120,
                label_neighbour_accuracy: Some(0.7),
                n_conflicting_duplicates: 0,
                n_leaked: SplitLeaks::default(),
            },
            resources: ResourceFigures {
                parameters: 2_786_506,
                trainable: 2_781_898,
                model_bytes: 11_165_000,
                flops_per_image: 200_000_000,
                inference_activation_bytes_per_image: 800_000,
                training_activation_bytes_per_image: 5_000_000,
                batch_size: 128,
                activation_bytes: 640_000_000,
                gradient_bytes: 11_146_024,
                optimizer_bytes: 22_292_048,
                copy_bytes: 11_165_000,
                teacher_bytes: 0,
                loader_bytes: 6_291_456,
                data_bytes: 184_320_000,
            },
            training_work: TrainingWork {
                mean_picture_area: 1.0,
                epochs: 10,
                n_train: 45_000,
                n_left_out: 0,
                steps_per_epoch: 352,
                validations: 10,
                n_validation: 5_000,
                n_features: 0,
            },
            search: None,
            has_prior_knowledge: false,
            timing: StepTiming {
                batch_size: 128,
                n_warm_up_steps: 2,
                step_seconds: vec![1.0, 1.1, 1.2],
                smallest_pictures: None,
                loader_images_per_second: 1_000.0,
                latency_ms: vec![7.0, 8.0, 9.0],
                prediction_seconds_per_image: 0.003,
                resident_bytes: 1_500_000_000,
            },
        }
    }

    /// The assessment with this id.
    pub(super) fn find(assessments: Vec<Assessment>, id: &str) -> Assessment {
        let mut found = assessments.into_iter().filter(|row| row.id == id);
        found.next().expect("the assessment exists")
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{figures, spec};
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_assessment_is_compared_with_figures_and_explains_itself() {
        let all = assess(&spec(), &figures());
        let ids: BTreeSet<_> = all.iter().map(|row| row.id.clone()).collect();
        assert_eq!(ids.len(), all.len(), "ids are unique");
        for row in &all {
            assert!(!row.comparisons.is_empty(), "{}", row.id);
            assert!(
                row.comparisons
                    .iter()
                    .all(|figure| figure.value.is_finite()),
                "{}",
                row.id
            );
            assert!(
                !row.reason.is_empty() && !row.recommendation.is_empty(),
                "{}",
                row.id
            );
        }
        assert_eq!(assess(&spec(), &figures()), all);
    }

    #[test]
    fn the_smallest_proof_is_the_first_whose_interval_clears_the_target() {
        let n = 2_000;
        let found = smallest_proof(0.95, n, 0.95).unwrap();
        let count = (found * n as f64).round() as u64;
        assert!(wilson(count, n as u64, 0.95).unwrap().low >= 0.95);
        assert!(wilson(count - 1, n as u64, 0.95).unwrap().low < 0.95);
        assert_eq!(smallest_proof(0.99, 20, 0.95), None);
        assert_eq!(smallest_proof(0.0, 20, 0.95), Some(0.0));
        assert_eq!(smallest_proof(0.5, 0, 0.95), None);
        assert_eq!(half_width(0.5, 0, 0.95), 0.5);
    }
}
