//! Stage 3: the architecture and the training strategy, which challenge each choice answers, and
//! proof that the model works and fits before hours are spent on it.

#[cfg(test)]
mod advice_tests;
mod answers;
mod artifact;
mod checks;
mod larger_size;
mod page;
#[cfg(test)]
mod pipeline_tests;
mod plan;
mod receptive_field;
mod strategy;
#[cfg(test)]
pub(crate) mod testing;

pub(crate) use answers::{Settings, answer_all};
pub use artifact::{
    ActionPlan, ArchitectureCheck, ArchitectureFigures, ArchitecturePlan, ChallengeAnswer,
    CheckRow, LargerSize, PlanChoice, PlanSummary, TaskLimits,
};
pub(crate) use checks::check;

use crate::estimates::{StepProbe, probe};
use crate::stages::situation_analysis::{self, Measurements, SituationAnalysis};
use crate::stages::task_definition::{self, TaskSpec};
use crate::{Stage, StageContext, WorkflowError};
use mlestar_artifact::write_artifact;
use mlestar_gates::Unit;
use mlestar_model::ModelSpec;

/// The plan.
pub const PLAN: &str = "action_plan.json";
/// The architecture check.
pub const CHECK: &str = "architecture_check.json";
/// The page.
pub const PAGE: &str = "action_plan.html";

/// Runs the stage.
///
/// # Errors
/// When the artifacts of stages 1 and 2 are missing, the model does not fit the images, the device fails, or the run
/// folder cannot be written.
pub fn run(context: &mut StageContext<'_>) -> Result<(), WorkflowError> {
    let analysis: SituationAnalysis =
        context.upstream(Stage::SituationAnalysis, situation_analysis::ARTIFACT)?;
    let task: TaskSpec = context.upstream(Stage::TaskDefinition, task_definition::SPEC)?;
    let found = &analysis.measurements;
    let model = context
        .config
        .model
        .check(found.classes.len(), found.height, found.width)?;
    let teachers = context.config.training.teacher_networks()?;
    let plan = plan::plan(context.config, &model, teachers, &analysis, &task);
    write_artifact(&context.path(PLAN), &plan)?;
    let probe = probe(context, &model, analysis.normalization)?;
    let figures = figures(context, &plan, &task, probe);
    let checks = check(&figures);
    let check = ArchitectureCheck {
        passed: checks.iter().all(|row| row.passed),
        checks,
        larger_size: larger_size::find(context.config, &model, found, &plan.teachers, &figures),
        figures,
        layers: ModelSpec::summary(&model).layers,
    };
    write_artifact(&context.path(CHECK), &check)?;
    let larger = check.larger_size.as_ref();
    let larger = larger.map(|larger| larger_size_in_words(larger, found));
    context.write_text(PAGE, &page::render(&plan, &check, larger))?;
    if let Some(larger) = &check.larger_size {
        context.reporter.note(&larger_size_in_words(larger, found));
    }
    if plan.training_work.is_left_out_much() {
        context.reporter.note(&format!(
            "warning: every epoch leaves out {} of {} training images, its last incomplete batch (training.batch_size \
             = {}); the plan names a size that leaves out fewer",
            plan.training_work.n_left_out, plan.training_work.n_train, plan.training.batch_size
        ));
    }
    let timing = &check.figures.timing;
    context.reporter.note(&format!(
        "{} of {} challenges answered; {} of {} checks passed; training steps process {:.0} images/s, the \
        loader alone delivers {:.0}",
        plan.summary.n_answered,
        plan.summary.n_challenges,
        check.checks.iter().filter(|row| row.passed).count(),
        check.checks.len(),
        timing.step_images_per_second(),
        timing.loader_images_per_second
    ));
    Ok(())
}

/// The benefit and the cost of a larger image size.
fn larger_size_in_words(larger: &LargerSize, found: &Measurements) -> String {
    let [height, width] = larger.image_size;
    format!(
        "the files have more detail than the {} x {} pixels in use: data.image_size = [{height}, {width}] \
        keeps every limit, with {:.2} billion operations per image, about {} of training and {} per prediction",
        found.height,
        found.width,
        larger.flops_per_image as f64 / 1e9,
        Unit::Seconds.format(larger.estimated_training_seconds),
        Unit::Milliseconds.format(larger.estimated_latency_ms)
    )
}

fn figures(
    context: &StageContext<'_>,
    plan: &ActionPlan,
    task: &TaskSpec,
    probe: StepProbe,
) -> ArchitectureFigures {
    let timing = probe.timing;
    ArchitectureFigures {
        device: context.device_name.to_owned(),
        n_classes: task.classes.len(),
        batch_size: timing.batch_size,
        output_shape: probe.output_shape,
        n_not_finite_logits: probe.n_not_finite_logits,
        has_given_weights: context.config.training.initial_weights.is_some(),
        has_teachers: context.config.training.teaching().is_some(),
        losses: probe
            .losses
            .into_iter()
            .map(|loss| Some(loss).filter(|loss| loss.is_finite()))
            .collect(),
        gradients: probe.gradients,
        resources: plan.resources.clone(),
        training_work: plan.training_work,
        estimated_training_seconds: timing
            .training_seconds(timing.median_step_seconds(), &plan.training_work),
        timing,
        limits: TaskLimits {
            model_bytes: task.constraints.model_bytes_max,
            memory_bytes: task.constraints.memory_bytes_max,
            training_seconds: task.constraints.training_time_seconds_max,
            latency_ms: task.constraints.inference_latency_ms_max,
        },
    }
}
