//! The gate of stage 3. Resources are computed again from the architecture, checks from the figures
//! of the probe, and answers from the settings of the plan.

use super::reader::agree_whole;
use super::{ArtifactReader, Found, agree};
use crate::config::Config;
use crate::estimates::{ResourceFigures, n_held};
use crate::stages::action_planning::{
    ActionPlan, ArchitectureCheck, CHECK, PLAN, Settings, answer_all, check,
};
use crate::stages::situation_analysis::{self, SituationAnalysis};
use crate::stages::task_definition::{self, TaskSpec};
use crate::words::counted;
use crate::{RunFolder, Stage};
use mlestar_data::SplitName;
use mlestar_gates::Measurement;

const STAGE: Stage = Stage::ActionPlanning;

/// Measures the criterion `id` of stage 3; `None` where it has no such criterion.
pub(super) fn measure(
    id: &str,
    reader: &ArtifactReader<'_>,
    config: &Config,
) -> Option<Found<Measurement>> {
    Some(match id {
        "architecture_check" => architecture_check(reader, config),
        "parameters" => parameters(reader),
        "model_bytes" => model_bytes(reader),
        "training_memory_bytes" => training_memory(reader, config),
        "estimated_training_time_seconds" => training_time(reader),
        "flops_per_image" => flops(reader),
        "challenges_answered" => challenges_answered(reader),
        _ => return None,
    })
}

fn plan(reader: &ArtifactReader<'_>) -> Found<ActionPlan> {
    reader.artifact(STAGE, PLAN)
}

fn analysis(reader: &ArtifactReader<'_>) -> Found<SituationAnalysis> {
    reader.artifact(Stage::SituationAnalysis, situation_analysis::ARTIFACT)
}

fn agree_with(name: &str, what: &str, claimed: f64, recomputed: f64) -> Found<()> {
    agree(
        RunFolder::display_name(STAGE, name),
        what,
        claimed,
        recomputed,
    )
}

/// The needs of the planned model and training, computed again.
fn resources(plan: &ActionPlan, analysis: &SituationAnalysis, config: &Config) -> ResourceFigures {
    let found = &analysis.measurements;
    let n_train = found.n_pictures(SplitName::Train);
    ResourceFigures::of(
        &plan.architecture.model,
        &plan.training,
        &plan.teachers,
        n_train,
        n_held(&config.data, found.n_all(), &plan.architecture.model),
    )
}

fn architecture_check(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let plan = plan(reader)?;
    reader.made_with(STAGE, "training", PLAN, &plan.training)?;
    reader.made_with(STAGE, "augmentation", PLAN, &plan.augmentation)?;
    reader.made_with(STAGE, "model", PLAN, &plan.architecture.model.config())?;
    let needs = resources(&plan, &analysis(reader)?, config);
    let file = |name| RunFolder::display_name(STAGE, name);
    agree_whole(&file(PLAN), &plan.resources, &needs)?;
    let claimed: ArchitectureCheck = reader.artifact(STAGE, CHECK)?;
    let parameters = plan.architecture.model.summary().parameters;
    agree_with(
        CHECK,
        "parameters",
        claimed.figures.resources.parameters as f64,
        parameters as f64,
    )?;
    let rows = check(&claimed.figures);
    agree_whole(&file(CHECK), &claimed.checks, &rows)?;
    let n_passed = rows.iter().filter(|row| row.passed).count();
    let n_claimed = claimed.checks.iter().filter(|row| row.passed).count();
    agree_with(
        CHECK,
        "checks that passed",
        n_claimed as f64,
        n_passed as f64,
    )?;
    let all_passed = n_passed == rows.len();
    let flag = |holds: bool| if holds { 1.0 } else { 0.0 };
    agree_with(CHECK, "passed", flag(claimed.passed), flag(all_passed))?;
    let failed: Vec<String> = rows
        .iter()
        .filter(|row| !row.passed)
        .map(|row| format!("{}: {}", row.title, row.method))
        .collect();
    let note = match failed.is_empty() {
        true => format!("{} passed", counted(n_passed, "check")),
        false => format!("failed: {}", failed.join("; ")),
    };
    Ok(Measurement::flag(all_passed).noted(note))
}

fn parameters(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let plan = plan(reader)?;
    let summary = plan.architecture.model.summary();
    agree_with(
        PLAN,
        "parameters",
        plan.summary.parameters as f64,
        summary.parameters as f64,
    )?;
    Ok(Measurement::exact(summary.parameters as f64).noted("computed from the architecture"))
}

fn model_bytes(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let plan = plan(reader)?;
    let summary = plan.architecture.model.summary();
    let bytes = summary.weight_bytes as f64;
    agree_with(
        PLAN,
        "size of the weights",
        plan.resources.model_bytes as f64,
        bytes,
    )?;
    Ok(Measurement::exact(bytes).noted("all parameters in f32"))
}

fn training_memory(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let plan = plan(reader)?;
    let needs = resources(&plan, &analysis(reader)?, config);
    let bytes = needs.training_memory_bytes() as f64;
    agree_with(
        PLAN,
        "training memory",
        plan.resources.training_memory_bytes() as f64,
        bytes,
    )?;
    Ok(Measurement::exact(bytes).noted(format!(
        "batches of {}, dataset in memory; without the backend's workspace",
        needs.batch_size
    )))
}

fn training_time(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let plan = plan(reader)?;
    let claimed: ArchitectureCheck = reader.artifact(STAGE, CHECK)?;
    let timing = &claimed.figures.timing;
    let seconds = |step: f64| timing.training_seconds(step, &plan.training_work);
    let estimate = seconds(timing.median_step_seconds());
    let what = "estimated training time";
    agree_with(
        CHECK,
        what,
        claimed.figures.estimated_training_seconds,
        estimate,
    )?;
    let [shortest, longest] = timing.step_range_seconds();
    let interval = [seconds(shortest), seconds(longest)];
    Ok(
        Measurement::with_interval(estimate, interval).noted(format!(
            "{} on {}, shortest to longest",
            counted(timing.step_seconds.len(), "measured step"),
            claimed.figures.device
        )),
    )
}

fn flops(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let plan = plan(reader)?;
    let flops = plan.architecture.model.summary().flops_per_image as f64;
    agree_with(
        PLAN,
        "operations per image",
        plan.resources.flops_per_image as f64,
        flops,
    )?;
    Ok(Measurement::exact(flops).noted("computed from the architecture"))
}

fn challenges_answered(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let plan = plan(reader)?;
    let analysis = analysis(reader)?;
    let task: TaskSpec = reader.artifact(Stage::TaskDefinition, task_definition::SPEC)?;
    let settings = Settings {
        architecture: &plan.architecture,
        training: &plan.training,
        augmentation: &plan.augmentation,
        task: &task,
        measurements: &analysis.measurements,
    };
    let answers = answer_all(&analysis.challenges, &settings);
    let file = RunFolder::display_name(STAGE, PLAN);
    agree_whole(&file, &plan.answers, &answers)?;
    let n_answered = answers.iter().filter(|answer| answer.is_answered).count();
    agree_with(
        PLAN,
        "challenges",
        plan.summary.n_challenges as f64,
        answers.len() as f64,
    )?;
    agree_with(
        PLAN,
        "answered challenges",
        plan.summary.n_answered as f64,
        n_answered as f64,
    )?;
    let open: Vec<&str> = answers
        .iter()
        .filter(|answer| !answer.is_answered)
        .map(|answer| answer.challenge.as_str())
        .collect();
    let note = match open.is_empty() {
        true => format!("all {n_answered} challenges"),
        false => format!(
            "{n_answered} of {}; open: {}",
            answers.len(),
            open.join(", ")
        ),
    };
    // Without challenges there is nothing to answer.
    let fraction = match answers.len() {
        0 => 1.0,
        n => n_answered as f64 / n as f64,
    };
    Ok(Measurement::exact(fraction).noted(note))
}
