//! `summary.html`: one self-contained page about a run.

mod answer;

use crate::config::Config;
use crate::manifest::RunManifest;
use crate::page_headers::{FINAL_REPORT, main_page};
use crate::run_info::RunInfo;
use crate::stages::deployment::BenchmarkArtifact;
use crate::stages::evaluation::{Drawings, EvaluationResults, RESULTS};
use crate::stages::implementation::{TIMING, TrainingSummary, TrainingTiming};
use crate::stages::refinement::{COMPARISON, Comparison, FINAL_MODEL, FinalModel, TRAINING};
use crate::stages::situation_analysis::SituationAnalysis;
use crate::{RunFolder, Stage, WorkflowError};
use mlestar_artifact::{Artifact, read_artifact, read_json_lines, write_atomically};
use mlestar_gates::{RunVerdict, StageVerdict};
use mlestar_report::{
    Badge, Block, ChartFigure, Definition, KeyFigure, Link, Page, Section, StageStep, charts,
    format,
};
use mlestar_train::EpochRecord;
use mlestar_train::analysis::METRICS_FILE;
use std::path::Path;

/// Writes `summary.html` into the run folder.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(
    config: &Config,
    verdict: &RunVerdict,
    run: &RunFolder,
    manifest: &RunManifest,
) -> Result<(), WorkflowError> {
    write_to(&run.summary_path(), config, verdict, run, manifest)
}

/// Writes the page to `path`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_to(
    path: &Path,
    config: &Config,
    verdict: &RunVerdict,
    run: &RunFolder,
    manifest: &RunManifest,
) -> Result<(), WorkflowError> {
    let html = render(config, verdict, run, manifest)?;
    Ok(write_atomically(path, html.as_bytes())?)
}

fn render(
    config: &Config,
    verdict: &RunVerdict,
    run: &RunFolder,
    manifest: &RunManifest,
) -> Result<String, WorkflowError> {
    let mut page = Page::new(&config.project.name)
        .project("MLE-Star")
        .subtitle(&config.project.description)
        .badge(Badge::from(verdict.status()));
    page = page
        .section(answer::section(verdict, run, manifest, accuracies(run)))
        .section(overview(run, manifest, verdict));
    if let Some(section) = data(run) {
        page = page.section(section);
    }
    if let Some(section) = training(run)? {
        page = page.section(section);
    }
    if let Some(section) = evaluation(run)? {
        page = page.section(section);
    }
    page = page.section(
        Section::new("Gates")
            .intro("Computed from the artifacts when this page was written.")
            .block(verdict.stages.clone()),
    );
    page = page.section(files(run, manifest));
    if let Ok(info) = read_artifact::<RunInfo>(&run.run_info_path()) {
        page = page.section(made_with(info));
    }
    Ok(page.render())
}

/// What is needed to get the same result again.
fn made_with(info: RunInfo) -> Section {
    Section::new("Made with").block(vec![
        Definition::new("seed", info.seed.to_string()),
        Definition::new("device", info.device),
        Definition::new("machine", info.machine.cpu_model),
        Definition::new("code", info.code_version),
    ])
}

/// An artifact of a stage. An altered file is still shown: the gates report it.
fn read<A: Artifact>(run: &RunFolder, stage: Stage, name: &str) -> Option<A> {
    read_artifact(&run.artifact(stage, name)).ok()
}

fn overview(run: &RunFolder, manifest: &RunManifest, verdict: &RunVerdict) -> Section {
    let steps: Vec<StageStep> = Stage::ALL
        .iter()
        .zip(&verdict.stages)
        .map(|(stage, verdict)| step(*stage, verdict, manifest))
        .collect();
    Section::new("Overview")
        .block(steps)
        .block(key_figures(run))
}

fn step(stage: Stage, verdict: &StageVerdict, manifest: &RunManifest) -> StageStep {
    let badge = match manifest.complete_stage(stage) {
        Some(_) => Badge::from(verdict.status()),
        None => Badge::neutral("not run"),
    };
    let step = StageStep::new(stage.number(), stage.title(), badge);
    match main_page(stage, manifest) {
        Some(page) => step.href(format!("{}/{page}", stage.folder())),
        None => step,
    }
}

/// How good the final model is and what the refinement gained; the baseline's figures before there is a final model.
fn accuracies(run: &RunFolder) -> Vec<KeyFigure> {
    let mut figures = Vec::new();
    if let Some(results) = read::<EvaluationResults>(run, Stage::Refinement, RESULTS) {
        figures.push(accuracy("test accuracy, final model", &results));
    }
    if let Some(comparison) = read::<Comparison>(run, Stage::Refinement, COMPARISON) {
        let paired = &comparison.paired;
        figures.push(
            KeyFigure::new(
                "gain over the baseline",
                format::fraction(paired.difference),
            )
            .interval(format::interval(
                paired.interval.low,
                paired.interval.high,
                4,
            )),
        );
    }
    if figures.is_empty()
        && let Some(results) = read::<EvaluationResults>(run, Stage::Evaluation, RESULTS)
    {
        figures.push(accuracy("test accuracy, baseline", &results));
    }
    figures
}

/// Further cards.
fn key_figures(run: &RunFolder) -> Vec<KeyFigure> {
    let mut figures = Vec::new();
    let refined = read::<EvaluationResults>(run, Stage::Refinement, RESULTS).is_some();
    if refined && let Some(results) = read::<EvaluationResults>(run, Stage::Evaluation, RESULTS) {
        figures.push(accuracy("test accuracy, baseline", &results));
    }
    if let Some(chosen) = read::<FinalModel>(run, Stage::Refinement, FINAL_MODEL) {
        figures.push(KeyFigure::new(
            "parameters",
            format::count(chosen.parameters),
        ));
    }
    for (label, stage, name) in [
        (
            "training time, baseline",
            Stage::Implementation,
            TIMING.to_owned(),
        ),
        (
            "training time, final training",
            Stage::Refinement,
            format!("{TRAINING}/{TIMING}"),
        ),
    ] {
        if let Some(timing) = read::<TrainingTiming>(run, stage, &name) {
            figures.push(KeyFigure::new(
                label,
                format::seconds(timing.total_seconds()),
            ));
        }
    }
    if let Some(measured) = read::<BenchmarkArtifact>(run, Stage::Deployment, "benchmark.json") {
        figures.push(KeyFigure::new(
            "latency of one image, median",
            format::milliseconds(measured.latency.p50.ms),
        ));
    }
    figures
}

fn accuracy(label: &str, results: &EvaluationResults) -> KeyFigure {
    let accuracy = &results.summary.accuracy;
    let interval = format::interval(accuracy.interval.low, accuracy.interval.high, 4);
    KeyFigure::new(label, format::fraction(accuracy.value)).interval(interval)
}

fn data(run: &RunFolder) -> Option<Section> {
    let analysis: SituationAnalysis =
        read(run, Stage::SituationAnalysis, "situation_analysis.json")?;
    let challenges = analysis
        .challenges
        .iter()
        .map(|challenge| format!("{}: {}", challenge.title, challenge.statement));
    let section = Section::new("What is hard about the data");
    Some(match analysis.challenges.is_empty() {
        true => section.block(Block::paragraph("No detector found a challenge.")),
        false => section.block(Block::list(challenges)),
    })
}

/// The learning curves of the baseline, and of the final training where there was one.
fn training(run: &RunFolder) -> Result<Option<Section>, WorkflowError> {
    let mut charts = Vec::new();
    if let Some(summary) =
        read::<TrainingSummary>(run, Stage::Implementation, "training_summary.json")
    {
        let path = run.artifact(Stage::Implementation, METRICS_FILE);
        charts.extend(learning(
            "Training of the baseline",
            &path,
            summary.best_epoch,
        )?);
    }
    let chosen = read::<FinalModel>(run, Stage::Refinement, FINAL_MODEL);
    if let Some(training) = chosen.and_then(|chosen| chosen.final_training) {
        let path = run.artifact(Stage::Refinement, TRAINING).join(METRICS_FILE);
        charts.extend(learning("Final training", &path, training.best_epoch)?);
    }
    let section = Section::new("Training");
    let charts: Vec<Block> = charts.into_iter().map(Block::from).collect();
    Ok((!charts.is_empty()).then(|| section.block(Block::columns(charts))))
}

/// The learning curves of a training's record; none where that cannot be read.
fn learning(
    title: &str,
    path: &Path,
    best_epoch: usize,
) -> Result<Option<ChartFigure>, WorkflowError> {
    let Ok(history) = read_json_lines::<EpochRecord>(path) else {
        return Ok(None);
    };
    let column = |field: fn(&EpochRecord) -> f64| history.iter().map(field).collect::<Vec<_>>();
    let validation =
        |field: fn(&EpochRecord) -> Option<f64>| history.iter().map(field).collect::<Vec<_>>();
    let chart = charts::learning_curves(&charts::LearningCurves {
        title,
        epochs: &column(|epoch| epoch.epoch as f64),
        train_loss: &column(|epoch| epoch.train_loss),
        validation_loss: &validation(|epoch| epoch.validation_loss),
        train_accuracy: &column(|epoch| epoch.train_accuracy),
        validation_accuracy: &validation(|epoch| epoch.validation_accuracy),
        best_epoch: Some(best_epoch as f64),
    })?;
    Ok(Some(ChartFigure::new(chart)))
}

/// The charts of the final model; before it is selected, those of the baseline.
fn evaluation(run: &RunFolder) -> Result<Option<Section>, WorkflowError> {
    let chosen =
        read::<FinalModel>(run, Stage::Refinement, FINAL_MODEL).zip(read::<EvaluationResults>(
            run,
            Stage::Refinement,
            RESULTS,
        ));
    let (title, intro, results) = match chosen {
        Some((chosen, results)) => (
            "Evaluation of the final model",
            chosen.reason.describe(),
            results,
        ),
        None => match read::<EvaluationResults>(run, Stage::Evaluation, RESULTS) {
            Some(results) => (
                "Evaluation of the baseline",
                "The final model has not been selected yet.",
                results,
            ),
            None => return Ok(None),
        },
    };
    let drawings = Drawings::of(&results)?;
    let charts = Block::columns(vec![
        ChartFigure::new(drawings.recall).into(),
        ChartFigure::new(drawings.confusion_fractions).into(),
    ]);
    Ok(Some(Section::new(title).intro(intro).block(charts)))
}

/// The pages of the stages and the files of the run.
fn files(run: &RunFolder, manifest: &RunManifest) -> Section {
    let mut links = Vec::new();
    for stage in Stage::ALL {
        if let Some(page) = main_page(stage, manifest) {
            let address = format!("{}/{page}", stage.folder());
            links.push(Link::new(stage.to_string(), address));
        }
        if stage == Stage::Refinement && read::<FinalModel>(run, stage, FINAL_MODEL).is_some() {
            let address = format!("{}/{FINAL_REPORT}", stage.folder());
            let note = "classes, curves and mistakes of the final model";
            links.push(Link::new("Evaluation of the final model", address).note(note));
        }
    }
    for (name, meaning) in [
        ("validation_report.json", "every verdict"),
        (
            "audit.jsonl",
            "everything that happened, with every reading of the test split",
        ),
        ("manifest.json", "content hashes of all inputs and outputs"),
        ("config.toml", "every setting"),
        (
            "training_analysis.html",
            "what the record of the baseline's training shows",
        ),
    ] {
        if run.root().join(name).is_file() {
            links.push(Link::new(name, name).note(meaning));
        }
    }
    Section::new("Files").block(links)
}
