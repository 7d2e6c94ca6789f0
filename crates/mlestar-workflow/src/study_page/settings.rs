//! The settings of the trials beside their values.

use super::Study;
use crate::WorkflowError;
use mlestar_report::charts::{self, ParallelCoordinates, SliceChart};
use mlestar_report::{Block, ChartFigure, Section};

/// Parallel coordinates for each objective, and a slice for each parameter and objective.
pub(super) fn section(study: &Study<'_>) -> Result<Section, WorkflowError> {
    let trials = &study.trials;
    let n = study.objectives.len();
    let mut parallel: Vec<Block> = Vec::new();
    let mut slices: Vec<Block> = Vec::new();
    for objective in 0..n {
        let name = &study.objectives[objective].name;
        let chart = charts::parallel_coordinates(&ParallelCoordinates {
            title: &format!("Settings and {name}"),
            trials,
            objective,
        })?;
        parallel.push(ChartFigure::new(chart).into());
    }
    for (setting, described) in trials.settings.iter().enumerate() {
        for objective in 0..n {
            let chart = charts::slice(&SliceChart {
                title: &described.label,
                trials,
                setting,
                objective,
            })?;
            slices.push(ChartFigure::new(chart).into());
        }
    }
    Ok(Section::new("Settings")
        .intro("Each line is a complete trial. Below, the same trials by one setting at a time, in the order of importance.")
        .block(Block::columns(parallel))
        .block(Block::columns(slices)))
}
