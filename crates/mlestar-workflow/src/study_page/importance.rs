//! Which parameters mattered.

use super::Study;
use crate::WorkflowError;
use mlestar_report::charts::{self, HorizontalBar, HorizontalBars, Svg};
use mlestar_report::{Block, ChartFigure, Section, format};
use mlestar_tune::{Importances, MIN_TRIALS_FOR_IMPORTANCE};

/// A bar for each parameter and objective.
pub(super) fn section(study: &Study<'_>) -> Result<Section, WorkflowError> {
    let mut charts: Vec<Block> = Vec::new();
    for (objective, found) in study.objectives.iter().zip(&study.importances) {
        if let Some(found) = found {
            let chart = chart(&format!("Importance for {}", objective.name), found)?;
            let interactions = 1.0 - found.shares.values().sum::<f64>();
            let caption = format!(
                "Parameters acting together explain the other {:.0} %. Shuffled values, which cannot matter, explain up to {}.",
                100.0 * interactions.max(0.0),
                format::significant(found.chance, 2)
            );
            charts.push(ChartFigure::new(chart).caption(caption).into());
        }
    }
    let section = Section::new("Importance");
    Ok(match charts.is_empty() {
        true => section.block(Block::paragraph(format!(
            "Unknown: this takes {MIN_TRIALS_FOR_IMPORTANCE} complete trials with different values."
        ))),
        false => section
            .intro(
                "How much of the variance over the whole search space each parameter explains alone (functional ANOVA over a random \
                 forest).",
            )
            .block(Block::columns(charts)),
    })
}

/// The shares, largest first.
fn chart(title: &str, found: &Importances) -> Result<Svg, WorkflowError> {
    let mut shares: Vec<(&String, f64)> = found
        .shares
        .iter()
        .map(|(key, share)| (key, *share))
        .collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    let bars: Vec<HorizontalBar<'_>> = shares
        .iter()
        .map(|(label, value)| HorizontalBar {
            label,
            value: *value,
            interval: None,
            note: match *value <= found.chance {
                true => "no more than chance",
                false => "",
            },
        })
        .collect();
    Ok(charts::horizontal_bars(&HorizontalBars {
        title,
        value_label: "share of the variance (fraction)",
        bars: &bars,
        limit: None,
    })?)
}
