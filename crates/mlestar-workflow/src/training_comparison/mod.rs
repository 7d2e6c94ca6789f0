//! Compares trainings: their accuracy over time, and their settings.
//!
//! Trainings with the same label form a group, such as one recipe with several seeds. A curve of another
//! tool can join as a CSV file.

mod curve;
mod differences;
mod page;

pub use curve::Curve;
pub use differences::Difference;

use crate::WorkflowError;
use mlestar_artifact::{Artifact, write_artifact, write_atomically};
use mlestar_eval::median;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The default accuracies to look for: the highest [`MOST_USUAL`] that any training reached.
pub const USUAL_LEVELS: [f64; 9] = [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.94, 0.96, 0.98];

/// How many of [`USUAL_LEVELS`] are looked for at most.
pub const MOST_USUAL: usize = 4;

/// `training_comparison.json`: a comparison of trainings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingComparison {
    /// Accuracies that were looked for, from low to high.
    pub levels: Vec<f64>,
    /// The groups, in the order in which their labels were first named.
    pub groups: Vec<Group>,
    /// Settings in which the trainings differ.
    pub differences: Vec<Difference>,
}

impl Artifact for TrainingComparison {
    const SCHEMA: &'static str = "mlestar.training_comparison";
    const VERSION: u32 = 1;
}

/// Trainings with the same label.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Their label.
    pub label: String,
    /// The trainings.
    pub trainings: Vec<ComparedTraining>,
    /// Mean of their best accuracies.
    pub mean_accuracy: f64,
    /// Standard error of that mean, `s / sqrt(n)`; absent with one training.
    pub standard_error: Option<f64>,
    /// For each level, the median over the trainings of the minutes until it was first reached; absent
    /// where half of them or more did not reach it.
    pub median_minutes: Vec<Option<f64>>,
}

/// One training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComparedTraining {
    /// Where its record is.
    pub path: PathBuf,
    /// Its seed, where that is known.
    pub seed: Option<u64>,
    /// Epochs that have ended, or points of a CSV file.
    pub points: usize,
    /// Minutes of training and validation.
    pub minutes: f64,
    /// The highest accuracy.
    pub best_accuracy: f64,
    /// Minutes until it was reached.
    pub best_after_minutes: f64,
    /// For each level, minutes until the end of the first epoch that reached it.
    pub minutes_to_level: Vec<Option<f64>>,
}

/// Compares curves; `levels` may be empty, for the default ones.
///
/// # Errors
/// [`WorkflowError::Usage`] without a curve, or for a level that is no fraction.
pub fn compare(curves: &[Curve], levels: &[f64]) -> Result<TrainingComparison, WorkflowError> {
    if curves.is_empty() {
        return Err(WorkflowError::Usage(
            "name at least one training to compare".into(),
        ));
    }
    if let Some(level) = levels.iter().find(|level| !(0.0..=1.0).contains(*level)) {
        return Err(WorkflowError::Usage(format!(
            "--reach {level} is not an accuracy: it must be 0 to 1, such as 0.9"
        )));
    }
    let best = curves.iter().map(|curve| curve.best().1);
    let best = best.fold(f64::NEG_INFINITY, f64::max);
    let mut levels: Vec<f64> = match levels.is_empty() {
        true => {
            let reached = USUAL_LEVELS.iter().rev().filter(|level| **level <= best);
            reached.take(MOST_USUAL).copied().collect()
        }
        false => levels.to_vec(),
    };
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    let mut labels: Vec<&str> = Vec::new();
    for curve in curves {
        if !labels.contains(&curve.label.as_str()) {
            labels.push(&curve.label);
        }
    }
    let groups = labels.iter().map(|label| {
        let members: Vec<&Curve> = curves.iter().filter(|c| c.label == *label).collect();
        group(label, &members, &levels)
    });
    Ok(TrainingComparison {
        groups: groups.collect(),
        differences: differences::between(curves),
        levels,
    })
}

fn group(label: &str, members: &[&Curve], levels: &[f64]) -> Group {
    let trainings: Vec<ComparedTraining> = members
        .iter()
        .map(|curve| {
            let (best_after_minutes, best_accuracy) = curve.best();
            ComparedTraining {
                path: curve.path.clone(),
                seed: curve.seed(),
                points: curve.minutes.len(),
                minutes: curve.minutes.last().copied().unwrap_or(0.0),
                best_accuracy,
                best_after_minutes,
                minutes_to_level: levels
                    .iter()
                    .map(|level| curve.minutes_to(*level))
                    .collect(),
            }
        })
        .collect();
    let n = trainings.len() as f64;
    let mean = trainings.iter().map(|t| t.best_accuracy).sum::<f64>() / n;
    let squares = trainings.iter().map(|t| (t.best_accuracy - mean).powi(2));
    let variance = squares.sum::<f64>() / (n - 1.0);
    let median_minutes = (0..levels.len()).map(|level| {
        let minutes: Vec<f64> = trainings
            .iter()
            .map(|training| training.minutes_to_level[level].unwrap_or(f64::INFINITY))
            .collect();
        median(&minutes).filter(|median| median.is_finite())
    });
    Group {
        label: label.to_owned(),
        median_minutes: median_minutes.collect(),
        mean_accuracy: mean,
        standard_error: (trainings.len() > 1).then(|| (variance / n).sqrt()),
        trainings,
    }
}

impl TrainingComparison {
    /// Writes `training_comparison.json` and `training_comparison.html` into `folder`; their paths. The
    /// curves are those that were compared.
    ///
    /// # Errors
    /// When a file cannot be written or the chart not be drawn.
    pub fn write(&self, curves: &[Curve], folder: &Path) -> Result<[PathBuf; 2], WorkflowError> {
        let json = folder.join("training_comparison.json");
        let html = folder.join("training_comparison.html");
        let page = page::render(self, curves)?;
        write_artifact(&json, self)?;
        write_atomically(&html, page.as_bytes())?;
        Ok([json, html])
    }
}

#[cfg(test)]
mod tests;
