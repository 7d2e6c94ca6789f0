//! Every target of the task with the figures of both models.

use super::{Choice, Examined, FinalModel, RETRAINING, TRAINING};
use crate::config::{Config, MetricName, final_metric_id};
use crate::metrics::{self, worst_recall};
use crate::stages::implementation::{TIMING, TrainingSummary, TrainingTiming};
use crate::training::{MEMORY, TrainingMemory};
use crate::{Stage, StageContext, WorkflowError};
use mlestar_artifact::read_artifact;
use mlestar_eval::Predictions;
use mlestar_export::benchmark::{Images, StopRule, SystemClock, single_stream};
use mlestar_export::{FrozenModel, Predictor, onnx};
use mlestar_gates::{Criterion, Evidence, Limit, Measurement, judge};
use mlestar_model::{ImageClassifier, ModelSpec};
use mlestar_report::{Badge, Cell, Column, Row, Table};
use mlestar_train::checkpoint;
use std::path::PathBuf;

/// One target, and what both models reach.
pub(super) struct Target {
    name: String,
    criterion: Criterion,
    /// Whether the config switches the criterion off.
    is_off: bool,
    baseline: Option<Measurement>,
    chosen: Option<Measurement>,
}

/// The figures of one model that no gate has measured yet.
#[derive(Clone, Default)]
struct Costs {
    bytes: Option<Measurement>,
    latency: Option<Measurement>,
    seconds: Option<Measurement>,
    memory: Option<Measurement>,
}

/// Measures both models against every target: metrics from the predictions, size and latency of the model in its
/// exported form, time and memory from the records of the trainings.
pub(super) fn measure(
    context: &StageContext<'_>,
    baseline: &TrainingSummary,
    chosen: &FinalModel,
    examined: &Examined,
) -> Result<Vec<Target>, WorkflowError> {
    let config = context.config;
    let of_stage_4 = context.run.stage_folder(Stage::Implementation);
    let weights = of_stage_4.join("checkpoints/best/model.safetensors");
    let before = checkpoint::load_weights(&weights, &baseline.model, context.device)?;
    let costs_before = costs(context, &before, &baseline.model, chosen, &of_stage_4)?;
    let costs_after = match chosen.choice {
        Choice::Baseline => costs_before.clone(),
        Choice::Refined => {
            let folder = context.path(match chosen.retraining {
                Some(_) => RETRAINING,
                None => TRAINING,
            });
            costs(context, &examined.model, &chosen.model, chosen, &folder)?
        }
    };
    let mut targets = Targets {
        config,
        found: Vec::new(),
    };
    let confidence = config.evaluation.confidence;
    let metric =
        |metric, predictions: &Predictions| metrics::measure(metric, predictions, confidence).ok();
    for (name, id) in judged_metrics(config) {
        let figures = [
            metric(name, &examined.before),
            metric(name, &examined.after),
        ];
        targets.add(
            Stage::Refinement,
            id,
            &format!("{} on the test images", in_words(name)),
            figures,
        );
    }
    let worst = |predictions| worst_recall(predictions, &chosen.classes, confidence).ok();
    let figures = [worst(&examined.before), worst(&examined.after)];
    let name = "recall of the worst class on the test images";
    targets.add(Stage::Refinement, "final_worst_class_recall", name, figures);
    let figures = [
        chosen.baseline_validation_accuracy,
        chosen.validation_accuracy,
    ]
    .map(|accuracy| Some(Measurement::exact(accuracy)));
    let name = "validation accuracy, on which the model was chosen";
    targets.add(Stage::Implementation, "validation_accuracy", name, figures);
    let (a, b) = (costs_before, costs_after);
    for (stage, id, name, figures) in [
        (
            Stage::Deployment,
            "model_bytes",
            "size of the ONNX file",
            [a.bytes, b.bytes],
        ),
        (
            Stage::Deployment,
            "latency_p95",
            "latency of one image, 95th percentile",
            [a.latency, b.latency],
        ),
        (
            Stage::Refinement,
            "final_training_time",
            "training time",
            [a.seconds, b.seconds],
        ),
        (
            Stage::Refinement,
            "final_training_memory",
            "peak memory of the training",
            [a.memory, b.memory],
        ),
    ] {
        targets.add(stage, id, name, figures);
    }
    Ok(targets.found)
}

/// The metrics that have a target, with the ids of the criteria that judge them.
fn judged_metrics(config: &Config) -> Vec<(MetricName, &'static str)> {
    let primary = config.task.primary.name;
    let others = config.task.secondary.iter().map(|(metric, _)| metric);
    std::iter::once((primary, "final_primary_metric"))
        .chain(
            others
                .filter(|metric| *metric != primary)
                .map(|metric| (metric, final_metric_id(metric))),
        )
        .collect()
}

fn in_words(metric: MetricName) -> &'static str {
    match metric {
        MetricName::Accuracy => "accuracy",
        MetricName::BalancedAccuracy => "balanced accuracy",
        MetricName::PrecisionWeighted => "weighted precision",
        MetricName::RecallWeighted => "weighted recall",
        MetricName::F1Weighted => "weighted F1",
    }
}

struct Targets<'a> {
    config: &'a Config,
    found: Vec<Target>,
}

impl Targets<'_> {
    /// Adds what the criterion `id` of `stage` demands; nothing where the stage has no such criterion.
    fn add(
        &mut self,
        stage: Stage,
        id: &str,
        name: &str,
        [baseline, chosen]: [Option<Measurement>; 2],
    ) {
        let mut criteria = self.config.criteria(stage).into_iter();
        let Some(criterion) = criteria.find(|criterion| criterion.id == id) else {
            return;
        };
        let limit = self.config.limit_of(&criterion, stage);
        self.found.push(Target {
            name: name.into(),
            criterion: Criterion {
                limit: limit.unwrap_or(criterion.limit),
                ..criterion
            },
            is_off: limit.is_none(),
            baseline,
            chosen,
        });
    }
}

/// The resources that a model takes, with the record of its training in `folder`.
fn costs(
    context: &StageContext<'_>,
    model: &ImageClassifier,
    spec: &ModelSpec,
    chosen: &FinalModel,
    folder: &std::path::Path,
) -> Result<Costs, WorkflowError> {
    let normalization = (chosen.normalization.mean, chosen.normalization.std);
    let frozen = FrozenModel::freeze(model, spec, normalization, &chosen.classes)?;
    let bytes = onnx::to_bytes(&frozen).len();
    let rule = StopRule::of_n(context.config.deployment.benchmark.latency_runs);
    let predictor = Predictor::new(frozen);
    let images = Images::noise(&predictor, chosen.seed);
    let measured = single_stream(&predictor, &images, &rule, &SystemClock::start())?;
    let file = |name: &str| -> PathBuf { folder.join(name) };
    let timing = read_artifact::<TrainingTiming>(&file(TIMING)).ok();
    let memory = read_artifact::<TrainingMemory>(&file(MEMORY)).ok();
    Ok(Costs {
        bytes: Some(Measurement::exact(bytes as f64)),
        latency: Some(Measurement::exact(measured.latency.p95.ms)),
        seconds: timing.map(|timing| Measurement::exact(timing.total_seconds())),
        memory: memory
            .and_then(|memory| memory.peak_bytes)
            .map(|bytes| Measurement::exact(bytes as f64)),
    })
}

/// The targets, the first section of a page. A baseline that was kept is shown once.
pub(super) fn table(targets: &[Target], choice: Choice) -> Table {
    let is_refined = choice == Choice::Refined;
    let mut table = Table::new("Every target")
        .column(Column::text("target"))
        .column(Column::text("final model"))
        .column(Column::text("limit"));
    if is_refined {
        table = table.column(Column::text("baseline"));
    }
    for target in targets {
        table = table.row(Row::new(target.cells(is_refined)));
    }
    table.note(
        "Judged like the gates: a figure whose interval straddles its limit is INCONCLUSIVE. Size and \
        latency are those of the model in its exported form; stage 7 measures the package itself.",
    )
}

impl Target {
    fn cells(&self, with_baseline: bool) -> Vec<Cell> {
        let unit = &self.criterion.unit;
        let limit = match (self.is_off, self.criterion.limit) {
            (true, _) => "not judged".to_owned(),
            (_, Limit::AtMost(limit)) => format!("at most {}", unit.format(limit)),
            (_, Limit::AtLeast(limit)) => format!("at least {}", unit.format(limit)),
            (_, Limit::Above(limit)) => format!("above {}", unit.format(limit)),
            (_, limit) => format!("{} {}", limit.name(), unit.format(limit.value())),
        };
        let mut cells = vec![
            Cell::from(&self.name),
            self.figure(self.chosen.as_ref()),
            limit.into(),
        ];
        if with_baseline {
            cells.push(self.figure(self.baseline.as_ref()));
        }
        cells
    }

    /// A figure with its interval and its verdict.
    fn figure(&self, measurement: Option<&Measurement>) -> Cell {
        let Some(measurement) = measurement else {
            return "not measured".into();
        };
        let unit = &self.criterion.unit;
        let mut text = unit.format(measurement.value);
        if let Some([low, high]) = measurement.interval {
            text += &format!(" [{}, {}]", unit.format(low), unit.format(high));
        }
        if self.is_off {
            return text.into();
        }
        let evidence = Evidence::measured(measurement.clone(), [""; 0]);
        let badge = Badge::from(judge(&self.criterion, evidence).status);
        Cell::Judged(text, badge)
    }
}
