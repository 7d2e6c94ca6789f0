//! Plausible inputs for the tests of this stage and of its gate.

use super::artifact::{ArchitectureFigures, TaskLimits};
use crate::config::{MetricName, TaskConfig};
use crate::estimates::{GradientFigure, ResourceFigures, StepTiming, TrainingWork};
use crate::stages::situation_analysis::{
    Challenge, Measurements, detect_all, troubled_measurements,
};
use crate::stages::task_definition::{InputSpec, TargetSpec, TaskSpec};
use mlestar_model::ModelConfig;
use mlestar_train::TrainingConfig;

pub(crate) fn measurements() -> Measurements {
    troubled_measurements()
}

pub(crate) fn challenges(measurements: &Measurements) -> Vec<Challenge> {
    detect_all(measurements)
}

pub(crate) fn task_spec() -> TaskSpec {
    let task = TaskConfig::default();
    TaskSpec {
        problem_type: task.problem_type,
        target_variable: task.target_variable.clone(),
        classes: ["cat", "dog", "ship", "tree"].map(String::from).to_vec(),
        input: InputSpec {
            height: 32,
            width: 32,
            channels: 3,
            values: "8 bit".into(),
        },
        primary: TargetSpec {
            metric: MetricName::Accuracy,
            target: 0.85,
            measured_on: "test".into(),
            definition: String::new(),
        },
        secondary: Vec::new(),
        constraints: task.constraints.clone(),
        quality: task.quality.clone(),
        confidence: 0.95,
    }
}

/// Figures of a sound, tiny model.
pub(crate) fn architecture_figures() -> ArchitectureFigures {
    let spec = ModelConfig::small().check(4, 32, 32).unwrap();
    let training = TrainingConfig::default();
    let resources = ResourceFigures::of(&spec, &training, &[], 1_000, 1_500);
    ArchitectureFigures {
        device: "cpu".into(),
        n_classes: 4,
        batch_size: 8,
        output_shape: [8, 4],
        n_not_finite_logits: 0,
        has_given_weights: false,
        has_teachers: false,
        losses: vec![Some(1.4), Some(1.3)],
        gradients: vec![GradientFigure {
            name: "w".into(),
            n_values: resources.trainable as usize,
            is_present: true,
            n_not_finite: 0,
            n_zero: 0,
            norm: 1.0,
        }],
        resources,
        training_work: TrainingWork::new(&training, 1_000, 100),
        timing: StepTiming {
            batch_size: 8,
            n_warm_up_steps: 2,
            step_seconds: vec![0.1; 3],
            smallest_pictures: None,
            loader_images_per_second: 1_000.0,
            latency_ms: vec![1.0; 3],
            prediction_seconds_per_image: 0.001,
            resident_bytes: 100_000_000,
        },
        estimated_training_seconds: 90.0,
        limits: TaskLimits {
            model_bytes: 50_000_000,
            memory_bytes: 8_000_000_000,
            training_seconds: 14_400.0,
            latency_ms: 100.0,
        },
    }
}
