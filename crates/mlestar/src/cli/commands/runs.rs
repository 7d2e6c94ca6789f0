//! `runs`.

use crate::cli::arguments::{ProjectOptions, RunsOptions};
use crate::cli::colour::{self, Stream};
use crate::cli::project;
use mlestar_artifact::read_artifact;
use mlestar_data::Reread;
use mlestar_data::readers::name::shown;
use mlestar_gates::ExitCode;
use mlestar_workflow::manifest::RunManifest;
use mlestar_workflow::stages::evaluation::{EvaluationResults, RESULTS};
use mlestar_workflow::validation::ValidationReport;
use mlestar_workflow::{RunFolder, Stage, WorkflowError};
use std::fs;
use std::path::{Path, PathBuf};

pub fn run(options: &RunsOptions) -> Result<ExitCode, WorkflowError> {
    let folders = runs_in(&options.folder)?;
    if folders.is_empty() {
        println!(
            "{} holds no run; `mlestar run` makes one",
            shown(&options.folder)
        );
        return Ok(ExitCode::Pass);
    }
    let rows: Vec<[String; 4]> = folders.iter().map(|folder| row(folder)).collect();
    let head = ["run", "verdict", "stages", "test accuracy"].map(str::to_owned);
    let width = |column: usize| {
        let cells = rows
            .iter()
            .chain([&head])
            .map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let [name, verdict, stages] = [width(0), width(1), width(2)];
    for row in [&head].into_iter().chain(&rows) {
        let [a, b, c, d] = row;
        let b = colour::verdict(&format!("{b:<verdict$}"), Stream::Out);
        println!(
            "{}",
            format!("{a:<name$}  {b}  {c:<stages$}  {d}").trim_end()
        );
    }
    Ok(ExitCode::Pass)
}

/// The folders inside `folder` that hold runs, by name.
fn runs_in(folder: &Path) -> Result<Vec<PathBuf>, WorkflowError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(WorkflowError::Usage(format!(
                "{} cannot be read: {error}",
                shown(folder)
            )));
        }
    };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut runs: Vec<PathBuf> = paths
        .filter(|path| RunFolder::new(path).manifest_path().is_file())
        .collect();
    runs.sort();
    Ok(runs)
}

/// Name, current verdict, stages that have finished, and the accuracy of the final model.
fn row(folder: &Path) -> [String; 4] {
    let name = folder
        .file_name()
        .map(|name| shown(Path::new(name)))
        .unwrap_or_default();
    match judged(folder) {
        Ok([verdict, stages, accuracy]) => [name, verdict, stages, accuracy],
        Err(error) => [name, "unreadable".into(), String::new(), error.to_string()],
    }
}

fn judged(folder: &Path) -> Result<[String; 3], WorkflowError> {
    let options = ProjectOptions {
        // A path of one part would be taken for a name.
        run: Some(std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())),
        device: "auto".into(),
        ..ProjectOptions::default()
    };
    let project = project::open_run(&options)?;
    let manifest = RunManifest::read(&project.run)?;
    let finished: Vec<Stage> = Stage::ALL
        .into_iter()
        .filter(|stage| manifest.complete_stage(*stage).is_some())
        .collect();
    let verdict = match finished.is_empty() {
        true => "-".to_owned(),
        false => {
            let surroundings = project::surroundings(&options, &project, Reread::Changed)?;
            let report = ValidationReport::judge(&finished, &surroundings, &project.run, &manifest);
            report.status.to_string()
        }
    };
    let accuracy = [Stage::Refinement, Stage::Evaluation]
        .into_iter()
        .find_map(|stage| {
            let results =
                read_artifact::<EvaluationResults>(&project.run.artifact(stage, RESULTS)).ok()?;
            let accuracy = results.summary.accuracy;
            Some(format!(
                "{:.4} [{:.4}, {:.4}]",
                accuracy.value, accuracy.interval.low, accuracy.interval.high
            ))
        });
    Ok([
        verdict,
        format!("{} of {}", finished.len(), Stage::ALL.len()),
        accuracy.unwrap_or_default(),
    ])
}
