//! What came out, and how it went.

use super::Study;
use super::trial_set::{shown, state};
use mlestar_report::charts::{
    self, IntermediateValues, TrialCurve, TrialPoint, TrialState, TrialsChart,
};
use mlestar_report::{Block, Callout, ChartFigure, Code, Definition, KeyFigure, Section, format};
use mlestar_tune::Direction;

/// The counts, the best trial with its settings, and how to go on.
pub(super) fn section(study: &Study<'_>) -> Section {
    let report = study.report;
    let count = |state| format::count(report.count(state) as u64);
    let mut figures = Vec::new();
    if let Some(best) = report.best_trial().filter(|_| study.objectives.len() == 1) {
        let value = best
            .value
            .map_or_else(|| format::MISSING.into(), |v| format::significant(v, 5));
        let name = format!("best {}", study.objectives[0].name);
        figures.push(KeyFigure::new(name, value).interval(format!("trial {}", best.number)));
    }
    if study.objectives.len() > 1 {
        let n = format::count(report.front.len() as u64);
        figures.push(KeyFigure::new("trials on the front", n));
    }
    figures.extend([
        KeyFigure::new("trials", format::count(report.trials.len() as u64)),
        KeyFigure::new("complete", count(mlestar_tune::TrialState::Complete)),
        KeyFigure::new("pruned", count(mlestar_tune::TrialState::Pruned)),
        KeyFigure::new("failed", count(mlestar_tune::TrialState::Failed)),
    ]);
    let mut section = Section::new("Result").block(figures);
    if report.stopped {
        section = section.block(Callout::warning(
            "The study was stopped",
            "Trials are missing. The page shows those that ended.",
        ));
    }
    if let Some(best) = report.best_trial() {
        let settings = best.parameters.iter();
        let settings: Vec<Definition> = settings
            .map(|(key, value)| Definition::new(key, shown(value)))
            .collect();
        section = section
            .block(Block::heading("Settings of the best trial"))
            .block(settings);
    }
    match study.about.command.as_str() {
        "" => section,
        command => section.block(Code::new(command).caption("Goes on with this study:")),
    }
}

/// The values of all trials, and of each trial over its steps.
pub(super) fn history(study: &Study<'_>) -> Section {
    let mut blocks: Vec<Block> = (0..study.objectives.len())
        .map(|index| ChartFigure::new(trials_chart(study, index)).into())
        .collect();
    let curves = curves(study);
    if curves.iter().any(|curve| !curve.points.is_empty()) {
        let chart = charts::intermediate_values(&IntermediateValues {
            title: "Values during the trials",
            value_label: study.reported(),
            step_label: study.step(),
            curves: &curves,
            best: study.report.best,
        });
        blocks.push(ChartFigure::new(chart).into());
    }
    Section::new("History").block(Block::columns(blocks))
}

/// The value of each trial over its number, with the best so far.
fn trials_chart(study: &Study<'_>, objective: usize) -> charts::Svg {
    let trials = &study.trials;
    let values = &trials.objectives[objective].values;
    let points: Vec<TrialPoint> = (0..trials.numbers.len())
        .map(|trial| TrialPoint {
            number: trials.numbers[trial],
            value: values[trial],
            state: trials.states[trial],
        })
        .collect();
    let first = points
        .iter()
        .find(|point| Some(point.number) == study.about.first_trial)
        .filter(|point| point.state == TrialState::Complete);
    let objective = &study.objectives[objective];
    charts::trials(&TrialsChart {
        title: "Trials",
        value_label: &objective.name,
        trials: &points,
        maximize: objective.direction == Direction::Maximize,
        first_value: first.map(|point| point.value),
    })
}

fn curves(study: &Study<'_>) -> Vec<TrialCurve> {
    let trials = study.report.trials.iter();
    let curve = |trial: &mlestar_tune::TrialRecord| TrialCurve {
        number: trial.number,
        state: state(trial.state),
        points: trial
            .intermediate
            .iter()
            .map(|reported| (reported.step as f64, reported.value))
            .collect(),
    };
    trials.map(curve).collect()
}
