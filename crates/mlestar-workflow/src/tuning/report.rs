//! The page about a study.

use super::StudyFolder;
use crate::WorkflowError;
use crate::config::Objective;
use crate::study_page::{StudyAbout, StudyObjective, render};
use mlestar_artifact::write_atomically;
use mlestar_report::Link;
use mlestar_tune::shared::SharedStudy;
use std::path::PathBuf;

/// Writes `report.html`, the page about the trials so far, and returns its path. `command` goes on with the study.
///
/// # Errors
/// No study or a damaged one, or a folder that cannot be written.
pub fn report(folder: &StudyFolder, command: &str) -> Result<PathBuf, WorkflowError> {
    let file = folder.read()?;
    let overview = SharedStudy::overview(&folder.journal_path(), &file.name)?;
    let refinement = &file.config.refinement;
    let is_open = overview.report.trials.len() < overview.planned;
    let objectives = refinement.objectives.iter();
    let optimized = folder.optimized_path();
    let name_of = |path: &std::path::Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let mut links: Vec<Link> = [folder.study_path(), folder.journal_path()]
        .iter()
        .map(|path| Link::new(name_of(path), name_of(path)))
        .collect();
    if optimized.is_file() {
        links.push(Link::new(name_of(&optimized), name_of(&optimized)).note("for --config"));
    }
    let page = render(
        &overview.report,
        &StudyAbout {
            title: "Search".into(),
            subtitle: file.name.clone(),
            objectives: objectives
                .map(|objective| StudyObjective::new(label(*objective), objective.direction()))
                .collect(),
            space: refinement.space.clone(),
            step: "epoch".into(),
            reported: label(Objective::watched(&refinement.objectives)).into(),
            baseline: Some(0),
            folder: folder.root().display().to_string(),
            command: if is_open {
                command.to_owned()
            } else {
                String::new()
            },
            links,
        },
    )?;
    let path = folder.report_path();
    write_atomically(&path, page.as_bytes())?;
    Ok(path)
}

/// The name of an objective on the page, with its unit.
fn label(objective: Objective) -> &'static str {
    match objective {
        Objective::Accuracy => "validation accuracy (fraction)",
        Objective::Loss => "validation loss",
        Objective::TrainingTime => "training time (s)",
        Objective::Parameters => "parameters",
        Objective::Flops => "operations per image",
    }
}
