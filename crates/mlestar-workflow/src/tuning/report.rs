//! The page about a study.

use super::StudyFolder;
use super::folder::{JOURNAL, OPTIMIZED, STUDY};
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
    let objectives = refinement.objectives.iter();
    let mut links = vec![Link::new(STUDY, STUDY), Link::new(JOURNAL, JOURNAL)];
    if folder.optimized_path().is_file() {
        links.push(Link::new(OPTIMIZED, OPTIMIZED).note("for --config"));
    }
    let command = match overview.is_complete() {
        true => String::new(),
        false => command.to_owned(),
    };
    let page = render(
        &overview.report,
        &StudyAbout {
            title: "Search".into(),
            subtitle: file.name.clone(),
            objectives: objectives
                .map(|objective| StudyObjective::new(objective.label(), objective.direction()))
                .collect(),
            space: refinement.space.clone(),
            step: "epoch".into(),
            reported: Objective::watched(&refinement.objectives).label().into(),
            first_trial: Some(0),
            folder: folder.root().display().to_string(),
            command,
            links,
        },
    )?;
    let path = folder.report_path();
    write_atomically(&path, page.as_bytes())?;
    Ok(path)
}
