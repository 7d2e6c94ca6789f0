//! The page about a hyper-parameter study: one file that shows every trial, what mattered and what did not help.
//!
//! ```
//! use mlestar_tune::{Direction, ParameterSpace, SearchSpace, StudyConfig, StudyEvent, Trial, run_study};
//! use mlestar_workflow::study_page::{StudyAbout, StudyObjective, render};
//!
//! let space = SearchSpace::new([("rate".to_owned(), ParameterSpace::log_float(1e-4, 1e-1))]);
//! let config = StudyConfig { trials: 12, space, ..StudyConfig::default() };
//! let folder = tempfile::tempdir()?;
//! let mut objective = |trial: &mut Trial<'_>| Ok(-(trial.float("rate")?.log10() + 2.0).powi(2));
//! let mut ignore = |_: &StudyEvent<'_>| {};
//! let report = run_study(&config, 7, &folder.path().join("trials.jsonl"), &[], &mut objective, &mut ignore)?;
//!
//! let page = render(
//!     &report,
//!     &StudyAbout {
//!         title: "Learning rate".into(),
//!         objectives: vec![StudyObjective::new("score", Direction::Maximize)],
//!         space: config.space,
//!         ..StudyAbout::default()
//!     },
//! )?;
//! assert!(page.contains("What did not help"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod front;
mod importance;
mod overview;
mod settings;
mod table;
mod trial_set;
mod unhelpful;

pub(crate) use trial_set::shown;

use crate::WorkflowError;
use mlestar_report::charts::TrialSet;
use mlestar_report::{Link, Page, Section};
use mlestar_tune::{Direction, Importances, SearchSpace, StudyReport, importances};

/// What a page says about a study beside its trials.
#[derive(Clone, Debug, Default)]
pub struct StudyAbout {
    /// The name of the study.
    pub title: String,
    /// A line below it; may be empty.
    pub subtitle: String,
    /// The objectives, in the order of the trials' values. Missing ones get a number for a name and are maximised.
    pub objectives: Vec<StudyObjective>,
    /// The parameters that were searched. Others that trials have are shown without their ranges.
    pub space: SearchSpace,
    /// What trials report their values after, such as `epoch`; `step` where it is empty.
    pub step: String,
    /// What they report then; the first objective where it is empty.
    pub reported: String,
    /// The number of the first trial, with the settings that the study started from; the others are compared with it.
    pub first_trial: Option<u64>,
    /// The folder of the study; may be empty.
    pub folder: String,
    /// The command that goes on with the study; may be empty.
    pub command: String,
    /// Other files of the study.
    pub links: Vec<Link>,
}

/// One objective of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyObjective {
    /// Its name, with its unit.
    pub name: String,
    /// Whether higher or lower is better.
    pub direction: Direction,
}

impl StudyObjective {
    /// An objective of that name.
    pub fn new(name: impl Into<String>, direction: Direction) -> Self {
        Self {
            name: name.into(),
            direction,
        }
    }
}

/// A study, prepared for its page.
struct Study<'a> {
    report: &'a StudyReport,
    about: &'a StudyAbout,
    objectives: Vec<StudyObjective>,
    trials: TrialSet,
    /// For each objective.
    importances: Vec<Option<Importances>>,
}

impl Study<'_> {
    fn step(&self) -> &str {
        match self.about.step.as_str() {
            "" => "step",
            step => step,
        }
    }

    /// What trials report after each step.
    fn reported(&self) -> &str {
        match self.about.reported.as_str() {
            "" => &self.objectives[0].name,
            reported => reported,
        }
    }

    /// The values of the objectives with the signs turned so that lower is better, and back.
    fn losses(&self, values: &[f64]) -> Vec<f64> {
        let turned = |(value, objective): (&f64, &StudyObjective)| match objective.direction {
            Direction::Maximize => -value,
            Direction::Minimize => *value,
        };
        values.iter().zip(&self.objectives).map(turned).collect()
    }

    /// The numbers of the trials that stand out: the best one, or the front.
    fn best(&self) -> Vec<u64> {
        match self.objectives.len() {
            1 => self.report.best.into_iter().collect(),
            _ => self.report.front.clone(),
        }
    }
}

/// The page of a study as one HTML file, for any number of trials: charts of very many thin them out and say so, the table has all.
///
/// # Errors
/// [`WorkflowError::Report`] if there are more than 400 parameters, or a front of more than 2,000 trials.
pub fn render(report: &StudyReport, about: &StudyAbout) -> Result<String, WorkflowError> {
    let study = prepare(report, about);
    let mut page = Page::new(&about.title)
        .project("MLE-Star")
        .subtitle(&about.subtitle);
    if !about.folder.is_empty() {
        page = page.fact("folder", &about.folder);
    }
    for objective in &study.objectives {
        let aim = match objective.direction {
            Direction::Maximize => "higher is better",
            Direction::Minimize => "lower is better",
        };
        page = page.fact(&objective.name, aim);
    }
    page = page
        .section(overview::section(&study))
        .section(overview::history(&study));
    if study.objectives.len() > 1 {
        page = page.section(front::section(&study)?);
    }
    page = page
        .section(settings::section(&study)?)
        .section(importance::section(&study)?)
        .section(unhelpful::section(&study))
        .section(table::section(&study));
    if !about.links.is_empty() {
        page = page.section(Section::new("Files").block(about.links.clone()));
    }
    Ok(page.render())
}

fn prepare<'a>(report: &'a StudyReport, about: &'a StudyAbout) -> Study<'a> {
    let n_values = report.trials.iter().map(|trial| trial.values.len());
    let n = n_values
        .max()
        .unwrap_or(0)
        .max(about.objectives.len())
        .max(1);
    let mut objectives = about.objectives.clone();
    for index in objectives.len()..n {
        let name = match n {
            1 => "value".to_owned(),
            _ => format!("objective {}", index + 1),
        };
        objectives.push(StudyObjective::new(name, Direction::Maximize));
    }
    let importances: Vec<Option<Importances>> = (0..n)
        .map(|index| importances(&about.space, &report.trials, index))
        .collect();
    Study {
        trials: trial_set::of(report, &about.space, &objectives, &importances),
        report,
        about,
        objectives,
        importances,
    }
}

#[cfg(test)]
mod tests;
