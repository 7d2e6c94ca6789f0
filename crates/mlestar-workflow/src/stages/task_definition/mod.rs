//! Stage 2: the targets, as numbers, and whether they can be reached.
//!
//! Leaves the specification of the task and a report that compares each target and constraint with
//! a measurement or a computed bound. The assessments are a function of the specification and the
//! raw figures, both in the artifacts, so that the gate can derive them again.

mod artifact;
mod assessments;
mod figures;
mod page;
mod spec;

pub use artifact::{
    Assessment, ComparedFigure, Feasibility, FeasibilityReport, FeasibilitySummary, InputSpec,
    Source, Subject, TargetSpec, TaskSpec,
};
pub use assessments::assess;
pub(crate) use assessments::{is_at_risk, is_realistic};
pub use figures::{DataFigures, FeasibilityFigures, RunSeconds, SearchWork, SplitLeaks};

use crate::estimates::{ResourceFigures, n_held, probe};
use crate::stages::situation_analysis::{self, SituationAnalysis};
use crate::words::counted;
use crate::{Stage, StageContext, WorkflowError};
use mlestar_artifact::write_artifact;
use mlestar_data::SplitName;
use mlestar_gates::Unit;

/// The specification.
pub const SPEC: &str = "task_spec.json";
/// The report.
pub const REPORT: &str = "feasibility_report.json";
/// The page.
pub const PAGE: &str = "feasibility_report.html";

/// What the console shows: the estimated time of the trainings, and every demand that is not feasible.
fn statements(report: &FeasibilityReport) -> Vec<String> {
    let figures = &report.figures;
    let seconds = figures.run_seconds(figures.timing.median_step_seconds());
    let text = |value: f64| Unit::Seconds.format(value);
    let mut notes = vec![match &figures.search {
        None => format!(
            "estimated on {}: training {}; no search (refinement.enabled = false)",
            figures.device,
            text(seconds.training)
        ),
        Some(search) => format!(
            "estimated on {}: training {}, search, {} as long as a trial: {}, final training {}: {} in all; early \
            stopping and pruned trials make it less",
            figures.device,
            text(seconds.training),
            counted(search.n_short(), "training"),
            text(seconds.search),
            text(seconds.final_training),
            text(seconds.total())
        ),
    }];
    let in_doubt = report
        .assessments
        .iter()
        .filter(|row| row.verdict != Feasibility::Feasible);
    notes.extend(
        in_doubt.map(|row| format!("{}: {}: {}", row.verdict.as_str(), row.title, row.reason)),
    );
    notes
}

/// Runs the stage.
///
/// # Errors
/// When the artifacts of stage 1 are missing, the model does not fit the images, the device fails, or the run folder
/// cannot be written.
pub fn run(context: &mut StageContext<'_>) -> Result<(), WorkflowError> {
    let analysis: SituationAnalysis =
        context.upstream(Stage::SituationAnalysis, situation_analysis::ARTIFACT)?;
    let found = &analysis.measurements;
    let spec = spec::specify(context.config, found);
    write_artifact(&context.path(SPEC), &spec)?;
    let model = context
        .config
        .model
        .check(found.classes.len(), found.height, found.width)?;
    let probe = probe(context, &model, analysis.normalization)?;
    let n_train = found.n_pictures(SplitName::Train);
    let training = &context.config.training;
    let teachers = training.teacher_networks()?;
    let n_held = n_held(&context.config.data, found.n_all(), &model);
    let resources = ResourceFigures::of(&model, training, &teachers, n_train, n_held);
    let figures = figures::collect(context, &analysis, resources, probe.timing);
    let assessments = assess(&spec, &figures);
    let report = FeasibilityReport {
        summary: FeasibilitySummary::of(&assessments),
        assessments,
        figures,
    };
    write_artifact(&context.path(REPORT), &report)?;
    context.write_text(PAGE, &page::render(&spec, &report))?;
    for note in statements(&report) {
        context.reporter.note(&note);
    }
    context.reporter.note(&format!(
        "{} feasible, {} doubtful, {} infeasible, {} not measurable",
        report.summary.n_feasible,
        report.summary.n_doubtful,
        report.summary.n_infeasible,
        report.summary.n_not_measurable
    ));
    Ok(())
}
