//! Several objectives: the trials that no other one beats, and how much they dominate.

use super::Study;
use crate::WorkflowError;
use mlestar_report::charts::{self, ParetoChart};
use mlestar_report::{Block, ChartFigure, Column, KeyFigure, Row, Section, Table, format};
use mlestar_tune::{TrialState, hypervolume};

/// The exact volume of more objectives takes time exponential in their number.
const MOST_FOR_VOLUME: usize = 3;
/// Rows of the table of the front; the table of all trials has the rest.
const MOST_ROWS: usize = 50;

/// The front as a chart for each pair of objectives (the first with every other one), its volume and its trials.
pub(super) fn section(study: &Study<'_>) -> Result<Section, WorkflowError> {
    let front = &study.report.front;
    let mut charts: Vec<Block> = Vec::new();
    for other in 1..study.objectives.len() {
        let chart = charts::pareto_front(&ParetoChart {
            title: "Pareto front",
            trials: &study.trials,
            objectives: [0, other],
            front,
        })?;
        charts.push(ChartFigure::new(chart).into());
    }
    let mut section = Section::new("Pareto front")
        .intro("No trial beats one of the front in all objectives at once. To improve one objective further means to give up some of another.")
        .block(Block::columns(charts));
    if let Some(volume) = volume(study) {
        section = section.block(vec![volume]);
    }
    Ok(section.block(trials(study)))
}

/// What the front dominates, up to the worst value of each objective among the complete trials.
fn volume(study: &Study<'_>) -> Option<KeyFigure> {
    let n = study.objectives.len();
    let losses: Vec<Vec<f64>> = study
        .report
        .trials
        .iter()
        .filter(|trial| trial.state == TrialState::Complete && trial.values.len() == n)
        .map(|trial| study.losses(&trial.values))
        .filter(|losses| losses.iter().all(|loss| loss.is_finite()))
        .collect();
    let column = |at: usize| losses.iter().map(move |losses| losses[at]);
    let worst: Vec<f64> = (0..n)
        .map(|at| column(at).fold(f64::NEG_INFINITY, f64::max))
        .collect();
    let best: Vec<f64> = (0..n)
        .map(|at| column(at).fold(f64::INFINITY, f64::min))
        .collect();
    let box_volume: f64 = worst
        .iter()
        .zip(&best)
        .map(|(worst, best)| worst - best)
        .product();
    if losses.is_empty() || n > MOST_FOR_VOLUME || box_volume <= 0.0 {
        return None;
    }
    let front: Vec<Vec<f64>> = study
        .report
        .trials
        .iter()
        .filter(|trial| study.report.front.contains(&trial.number))
        .map(|trial| study.losses(&trial.values))
        .collect();
    let volume = hypervolume(&front, &worst);
    // Losses with their signs turned back.
    let reference: Vec<String> = study
        .losses(&worst)
        .iter()
        .zip(&study.objectives)
        .map(|(value, objective)| format!("{} {}", objective.name, format::significant(*value, 4)))
        .collect();
    Some(
        KeyFigure::new("hypervolume", format::significant(volume, 4)).interval(format!(
            "from {}, the worst values: {:.1} % of the box up to the best values",
            reference.join(", "),
            100.0 * volume / box_volume
        )),
    )
}

/// The trials of the front, by the first objective.
fn trials(study: &Study<'_>) -> Table {
    let mut table = Table::new("Trials of the front").column(Column::number("trial", ""));
    for objective in &study.objectives {
        table = table.column(Column::number(&objective.name, ""));
    }
    for setting in &study.trials.settings {
        table = table.column(Column::text(&setting.label));
    }
    let objectives = &study.trials.objectives;
    let mut front: Vec<usize> = (0..study.trials.numbers.len())
        .filter(|trial| study.report.front.contains(&study.trials.numbers[*trial]))
        .collect();
    front.sort_by(|a, b| objectives[0].values[*a].total_cmp(&objectives[0].values[*b]));
    if front.len() > MOST_ROWS {
        let every = front.len().div_ceil(MOST_ROWS);
        table = table.note(format!(
            "Every {every}th of {}.",
            crate::words::counted(front.len(), "trial")
        ));
        front = front.into_iter().step_by(every).collect();
    }
    for trial in front {
        let values = objectives
            .iter()
            .map(|objective| format::significant(objective.values[trial], 5));
        let settings = study
            .trials
            .settings
            .iter()
            .map(|setting| setting.shown(trial));
        let number = study.trials.numbers[trial].to_string();
        table = table.row(Row::new(
            std::iter::once(number).chain(values).chain(settings),
        ));
    }
    table
}
