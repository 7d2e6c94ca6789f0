//! The page about a refinement.

mod ablation;
mod finalists;

use super::targets::{self, Target};
use super::{
    ABLATION, COMPARISON, Choice, Comparison, FINAL_MODEL, FINAL_REPORT, FINALISTS, FinalModel,
    ImprovementAnalysis, OPTIMIZED, Opportunity, PREDICTIONS, REPORT, STUDY, STUDY_REPORT, Search,
    TRAININGS, TRIALS,
};
use crate::WorkflowError;
use crate::config::Config;
use crate::study_page::{self, StudyAbout, StudyObjective};
use crate::words::counted;
use mlestar_report::{
    Block, Callout, Column, Definition, KeyFigure, Link, Page, Row, Section, Table, format,
};
use mlestar_tune::{Direction, StudyReport, TrialRecord, TrialState};

/// The facts that both pages of this stage are written from.
pub(super) struct Outcome<'a> {
    pub(super) config: &'a Config,
    pub(super) chosen: &'a FinalModel,
    pub(super) comparison: &'a Comparison,
    pub(super) targets: &'a [Target],
}

impl Outcome<'_> {
    /// Which model ships and why, and every target with both models' figures.
    pub(super) fn sections(&self) -> [Section; 2] {
        let chosen = self.chosen;
        let title = match chosen.choice {
            Choice::Baseline => "The final model is the baseline",
            Choice::Refined => "The final model is the refined one",
        };
        let mut targets =
            Section::new("Targets").block(Callout::info(title, chosen.reason.describe()));
        if let Some(text) = chosen.unequal_lengths() {
            targets = targets.block(Callout::warning("Trainings of different length", text));
        }
        if let Some(retraining) = &chosen.retraining {
            targets = targets.block(Callout::info(
                "Trained again with validation images",
                format!(
                    "The weights are from a training of {} on {}: the training images and four fifths of the validation \
                     images. Part of any gain may come from the images, not from the settings. On the {} that it did not \
                     learn from its accuracy is {}.",
                    counted(retraining.epochs_run, "epoch"),
                    counted(retraining.images, "image"),
                    counted(retraining.held_out, "validation image"),
                    format::fraction(retraining.held_out_accuracy),
                ),
            ));
        }
        targets = targets.block(targets::table(self.targets, chosen.choice));
        [targets, comparison(chosen, self.comparison)]
    }

    /// A page with what is true of both.
    pub(super) fn page(&self, title: &str) -> Page {
        let choice = match self.chosen.choice {
            Choice::Baseline => "baseline",
            Choice::Refined => "refined",
        };
        let page = Page::new(title)
            .project("MLE-Star")
            .subtitle(&self.config.project.name)
            .fact("chosen", choice)
            .fact("model", self.chosen.weights.short());
        self.sections().into_iter().fold(page, Page::section)
    }
}

pub(super) fn render(
    outcome: &Outcome<'_>,
    analysis: &ImprovementAnalysis,
    search: Option<&Search>,
) -> String {
    let mut page = outcome.page("Refinement").section(opportunities(analysis));
    if let Some(found) = search {
        page = page
            .section(ablation::section(&found.ablation))
            .section(search_in_short(&found.study));
        if let Some(finalists) = &found.finalists {
            page = page.section(finalists::section(finalists));
        }
    }
    let mut links = vec![
        Link::new("Evaluation of the final model", FINAL_REPORT),
        Link::new(FINAL_MODEL, FINAL_MODEL),
        Link::new(COMPARISON, COMPARISON),
        Link::new(PREDICTIONS, PREDICTIONS),
    ];
    if search.is_some() {
        links.push(Link::new(ABLATION, ABLATION).note("what each proposal brought"));
        links.push(Link::new(FINALISTS, FINALISTS));
        links.push(Link::new(TRAININGS, TRAININGS).note("a line a short training"));
        links.push(Link::new(OPTIMIZED, OPTIMIZED).note("for --config"));
        links.push(Link::new(TRIALS, TRIALS));
        links.push(Link::new(STUDY_REPORT, STUDY_REPORT).note("the search"));
    }
    page.section(Section::new("Files").block(links)).render()
}

fn comparison(chosen: &FinalModel, comparison: &Comparison) -> Section {
    let paired = &comparison.paired;
    let epochs = |run: usize| format!("{} of training", counted(run, "epoch"));
    Section::new("Comparison")
        .intro("Chosen on validation images; compared on the same test images, image by image.")
        .block(vec![
            KeyFigure::new(
                "test accuracy, baseline",
                format::fraction(paired.accuracy_a),
            )
            .interval(epochs(chosen.baseline_epochs_run)),
            KeyFigure::new(
                "test accuracy, final model",
                format::fraction(paired.accuracy_b),
            )
            .interval(epochs(chosen.epochs_run)),
            KeyFigure::new("difference", format::fraction(paired.difference)).interval(
                format::interval(paired.interval.low, paired.interval.high, 4),
            ),
            KeyFigure::new(
                "p-value (McNemar, exact)",
                format::probability(paired.p_value),
            ),
            KeyFigure::new("only the baseline is right", format::count(paired.only_a)),
            KeyFigure::new(
                "only the final model is right",
                format::count(paired.only_b),
            ),
            KeyFigure::new(
                "validation accuracy, baseline",
                format::fraction(chosen.baseline_validation_accuracy),
            ),
            KeyFigure::new(
                "validation accuracy, final training",
                match chosen.final_training {
                    Some(training) => format::fraction(training.validation_accuracy),
                    None => "not trained".into(),
                },
            )
            .interval(match chosen.selection_optimism {
                Some(optimism) => format!(
                    "{} without what choosing by it added ({})",
                    format::fraction(chosen.corrected_validation_accuracy()),
                    format::fraction(optimism)
                ),
                None => String::new(),
            }),
        ])
}

fn opportunities(analysis: &ImprovementAnalysis) -> Section {
    let mut table = Table::new("What the evaluation suggests")
        .column(Column::text("finding"))
        .column(Column::text("suggestion"))
        .column(Column::text("settings"))
        .column(Column::text("proposals, with the expected gain"));
    for opportunity in &analysis.opportunities {
        table = table.row(Row::new([
            opportunity.finding.clone(),
            opportunity.suggestion.clone(),
            opportunity.keys.join(", "),
            proposals(opportunity),
        ]));
    }
    Section::new("Opportunities").block(table)
}

fn proposals(opportunity: &Opportunity) -> String {
    let proposals = opportunity.proposals.iter();
    let proposals =
        proposals.map(|proposal| format!("{} {:+.3}", proposal.name, proposal.gain.expected));
    proposals.collect::<Vec<_>>().join(", ")
}

/// The search in a few figures. Its own page has everything else.
fn search_in_short(study: &StudyReport) -> Section {
    let count = |state| format::count(study.count(state) as u64);
    let value = |trial: Option<&TrialRecord>| match trial.and_then(|trial| trial.value) {
        Some(value) => format::fraction(value),
        None => format::MISSING.into(),
    };
    let best = study.best_trial();
    let settings = best.map(|best| best.parameters.iter());
    let settings: Vec<Definition> = settings
        .into_iter()
        .flatten()
        .map(|(key, value)| Definition::new(key, study_page::shown(value)))
        .collect();
    Section::new("Search")
        .intro(
            "Trial 0 has the settings that the search started from. Trials may be shorter than the baseline's training, so compare them with each other.",
        )
        .block(vec![
            KeyFigure::new("best validation accuracy", value(best))
                .interval(best.map_or_else(String::new, |best| format!("trial {}", best.number))),
            KeyFigure::new("validation accuracy of trial 0", value(study.trials.first())),
            KeyFigure::new("complete", count(TrialState::Complete)),
            KeyFigure::new("pruned", count(TrialState::Pruned)),
            KeyFigure::new("failed", count(TrialState::Failed)),
        ])
        .block(Block::heading("Settings of the best trial"))
        .block(settings)
        .block(vec![
            Link::new("Every trial, what mattered and what did not help", STUDY_REPORT),
        ])
}

/// The page about the search.
pub(super) fn study(config: &Config, search: &Search) -> Result<String, WorkflowError> {
    study_page::render(
        &search.study,
        &StudyAbout {
            title: "Search".into(),
            subtitle: config.project.name.clone(),
            objectives: vec![StudyObjective::new(
                "validation accuracy (fraction)",
                Direction::Maximize,
            )],
            space: config.refinement.space.clone(),
            step: "epoch".into(),
            first_trial: Some(0),
            links: vec![
                Link::new("Search and choice", REPORT),
                Link::new(TRIALS, TRIALS),
                Link::new(STUDY, STUDY),
                Link::new(OPTIMIZED, OPTIMIZED).note("for --config"),
            ],
            ..StudyAbout::default()
        },
    )
}
