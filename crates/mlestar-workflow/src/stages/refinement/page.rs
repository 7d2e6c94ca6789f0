//! The page about a refinement.

use super::targets::{self, Target};
use super::{
    COMPARISON, Choice, Comparison, FINAL_MODEL, FINAL_REPORT, FinalModel, ImprovementAnalysis,
    OPTIMIZED, PREDICTIONS, TRIALS,
};
use crate::WorkflowError;
use crate::config::Config;
use crate::words::counted;
use mlestar_report::{
    Block, Callout, ChartFigure, Column, KeyFigure, Link, Page, Row, Section, Svg, Table, charts,
    format,
};
use mlestar_tune::{ParameterValue, StudyReport, TrialState};

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
    study: Option<&StudyReport>,
) -> Result<String, WorkflowError> {
    let mut page = outcome.page("Refinement").section(opportunities(analysis));
    if let Some(study) = study {
        page = page.section(search(study)?);
    }
    let mut links = vec![
        Link::new("Evaluation of the final model", FINAL_REPORT),
        Link::new(FINAL_MODEL, FINAL_MODEL),
        Link::new(COMPARISON, COMPARISON),
        Link::new(PREDICTIONS, PREDICTIONS),
    ];
    if study.is_some() {
        links.push(Link::new(OPTIMIZED, OPTIMIZED).note("for --config"));
        links.push(Link::new(TRIALS, TRIALS));
    }
    Ok(page.section(Section::new("Files").block(links)).render())
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
            ),
        ])
}

fn opportunities(analysis: &ImprovementAnalysis) -> Section {
    let mut table = Table::new("What the evaluation suggests")
        .column(Column::text("finding"))
        .column(Column::text("suggestion"))
        .column(Column::text("settings"));
    for opportunity in &analysis.opportunities {
        table = table.row(Row::new([
            opportunity.finding.clone(),
            opportunity.suggestion.clone(),
            opportunity.keys.join(", "),
        ]));
    }
    Section::new("Opportunities").block(table)
}

fn search(study: &StudyReport) -> Result<Section, WorkflowError> {
    // Trial 0 has the baseline's settings and the length of a trial, so it is what others compare with.
    let baseline = study.trials.first().and_then(last_value);
    let points: Vec<charts::TrialPoint> = study
        .trials
        .iter()
        .map(|trial| charts::TrialPoint {
            number: trial.number,
            value: last_value(trial).unwrap_or(f64::NAN),
            state: match trial.state {
                TrialState::Complete => charts::TrialState::Complete,
                TrialState::Pruned => charts::TrialState::Pruned,
                TrialState::Failed => charts::TrialState::Failed,
            },
        })
        .collect();
    let chart = charts::trials(&charts::TrialsChart {
        title: "Trials",
        value_label: "validation accuracy (fraction)",
        trials: &points,
        maximize: true,
        baseline,
    });
    let mut section = Section::new("Search")
        .intro(
            "Trial 0 has the baseline's settings. Trials may be shorter than the baseline's training, \
             so compare them with each other.",
        )
        .block(Block::columns(vec![
            ChartFigure::new(chart).into(),
            ChartFigure::new(settings(study)?)
                .caption("Lines that end far to the right are good trials. Follow them back to their settings.")
                .into(),
        ]));
    if let Some(importance) = &study.importance {
        let bars: Vec<charts::HorizontalBar> = importance
            .iter()
            .map(|(key, share)| charts::HorizontalBar {
                label: key,
                value: *share,
                interval: None,
                note: "",
            })
            .collect();
        let chart = charts::horizontal_bars(&charts::HorizontalBars {
            title: "Which settings mattered",
            value_label: "share of the variance (fraction)",
            bars: &bars,
            limit: None,
        })?;
        section = section.block(ChartFigure::new(chart));
    }
    Ok(section.block(trials(study)))
}

/// Every trial as a line through its settings to its result.
fn settings(study: &StudyReport) -> Result<Svg, WorkflowError> {
    let mut keys: Vec<&String> = study
        .trials
        .iter()
        .flat_map(|trial| trial.parameters.keys())
        .collect();
    keys.sort();
    keys.dedup();
    let of_key = |key: &String| -> Vec<String> {
        let values = study.trials.iter().map(|trial| trial.parameters.get(key));
        values
            .map(|value| value.map_or_else(|| format::MISSING.to_owned(), shown))
            .collect()
    };
    let columns: Vec<Vec<String>> = keys.iter().map(|key| of_key(key)).collect();
    let axes: Vec<charts::ParallelAxis<'_>> = keys
        .iter()
        .zip(&columns)
        .map(|(label, values)| charts::ParallelAxis { label, values })
        .collect();
    let numbers: Vec<u64> = study.trials.iter().map(|trial| trial.number).collect();
    let value = |trial| last_value(trial).unwrap_or(f64::NAN);
    let values: Vec<f64> = study.trials.iter().map(value).collect();
    Ok(charts::parallel_coordinates(
        &charts::ParallelCoordinates {
            title: "Settings of the trials",
            axes: &axes,
            value_label: "validation accuracy (fraction)",
            numbers: &numbers,
            values: &values,
        },
    )?)
}

/// The value of a setting with as many digits as a person reads.
fn shown(value: &ParameterValue) -> String {
    match value {
        ParameterValue::Float(value) => format::significant(*value, 4),
        value => value.to_string(),
    }
}

fn last_value(trial: &mlestar_tune::TrialRecord) -> Option<f64> {
    trial
        .value
        .or_else(|| trial.intermediate.last().map(|last| last.value))
}

fn trials(study: &StudyReport) -> Block {
    let mut table = Table::new("Every trial")
        .column(Column::number("trial", ""))
        .column(Column::text("state"))
        .column(Column::number("validation accuracy", "fraction"))
        .column(Column::text("settings"));
    for trial in &study.trials {
        let settings: Vec<String> = trial
            .parameters
            .iter()
            .map(|(key, value)| format!("{key} = {}", shown(value)))
            .collect();
        table = table.row(Row::new([
            trial.number.to_string(),
            match trial.state {
                TrialState::Complete => "complete".into(),
                TrialState::Pruned => "pruned".into(),
                TrialState::Failed => trial.message.clone().unwrap_or_else(|| "failed".into()),
            },
            format::optional(last_value(trial), 4),
            settings.join(", "),
        ]));
    }
    table.into()
}
