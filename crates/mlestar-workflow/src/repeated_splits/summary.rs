//! `splits.json`: all results together.

use super::result::{SplitOutcome, SplitResult};
use super::{SplitsFolder, page};
use crate::WorkflowError;
use mlestar_artifact::{Artifact, write_artifact, write_atomically};
use mlestar_eval::{HeldOut, ResampledAccuracy, resampled_accuracy};
use serde::{Deserialize, Serialize};

/// `splits.json`: how accurate the training is over repeated splits of the images that are not test images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitsSummary {
    /// Name of the project.
    pub name: String,
    /// Splits in all.
    pub splits: u64,
    /// The splits with a result, by number.
    pub results: Vec<SplitResult>,
    /// Mean accuracy, standard deviation and interval over the splits with a result; absent for fewer than two, and where a
    /// training failed, because the mean of the others would be too high.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<ResampledAccuracy>,
}

impl Artifact for SplitsSummary {
    const SCHEMA: &'static str = "mlestar.splits";
    const VERSION: u32 = 1;
}

impl SplitsSummary {
    fn of(folder: &SplitsFolder) -> Result<Self, WorkflowError> {
        let file = folder.read()?;
        let mut results = Vec::new();
        for number in 1..=file.splits {
            results.extend(folder.result(number)?);
        }
        let confidence = file.config.evaluation.confidence;
        let measured: Option<Vec<HeldOut>> = results.iter().map(held_out).collect();
        let measured = measured.filter(|measured| measured.len() > 1);
        let n_images = results
            .first()
            .map(|split| split.train_images + split.validation_images);
        let accuracy = match (measured, n_images) {
            (Some(measured), Some(n)) => Some(resampled_accuracy(&measured, n, confidence)?),
            _ => None,
        };
        Ok(Self {
            name: file.name,
            splits: file.splits,
            results,
            accuracy,
        })
    }

    /// Whether every split has a result.
    pub fn is_complete(&self) -> bool {
        self.results.len() as u64 == self.splits
    }

    /// Splits whose training failed.
    pub fn n_failed(&self) -> usize {
        let failed = |result: &&SplitResult| matches!(result.outcome, SplitOutcome::Failed { .. });
        self.results.iter().filter(failed).count()
    }

    /// What follows from the results, in one sentence.
    pub fn in_words(&self) -> String {
        let done = match self.is_complete() {
            true => format!("{} splits", self.splits),
            false => format!("{} of {} splits so far", self.results.len(), self.splits),
        };
        match (&self.accuracy, self.n_failed()) {
            (Some(all), _) => {
                let [low, high] = all.interval.ends();
                format!(
                    "accuracy over {done}: mean {:.4}, {:.0} % interval {low:.4} to {high:.4}, standard deviation {:.4}",
                    all.mean,
                    100.0 * all.interval.confidence,
                    all.deviation
                )
            }
            (None, 0) => format!("{done}: no mean yet"),
            (None, failed) => format!("{done}, of which {failed} failed: no mean"),
        }
    }
}

fn held_out(result: &SplitResult) -> Option<HeldOut> {
    match result.outcome {
        SplitOutcome::Measured { correct, .. } => Some(HeldOut {
            samples: result.validation_images,
            correct,
        }),
        SplitOutcome::Failed { .. } => None,
    }
}

/// The results so far. Nothing is written.
///
/// # Errors
/// No splits, or damaged ones.
pub fn status(folder: &SplitsFolder) -> Result<SplitsSummary, WorkflowError> {
    SplitsSummary::of(folder)
}

/// Writes the summary and the page, if every split has a result. Returns whether that is so.
pub(super) fn conclude(folder: &SplitsFolder) -> Result<bool, WorkflowError> {
    let summary = SplitsSummary::of(folder)?;
    if summary.is_complete() {
        let page = page::render(&summary);
        write_artifact(&folder.summary_path(), &summary)?;
        write_atomically(&folder.page_path(), page.as_bytes())?;
    }
    Ok(summary.is_complete())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(split: u64, correct: Option<u64>) -> SplitResult {
        SplitResult {
            split,
            seed: split,
            train_images: 80,
            validation_images: 20,
            outcome: match correct {
                Some(correct) => SplitOutcome::Measured {
                    epoch: 1,
                    epochs: 2,
                    correct,
                    accuracy: correct as f64 / 20.0,
                    loss: None,
                },
                None => SplitOutcome::Failed {
                    reason: "diverged".into(),
                },
            },
            seconds: 1.0,
        }
    }

    fn summary(results: Vec<SplitResult>, accuracy: Option<ResampledAccuracy>) -> SplitsSummary {
        SplitsSummary {
            name: "test".into(),
            splits: 3,
            results,
            accuracy,
        }
    }

    #[test]
    fn a_failure_leaves_no_mean() {
        let results = vec![result(1, Some(18)), result(2, None), result(3, Some(17))];
        assert_eq!(
            results.iter().map(held_out).collect::<Option<Vec<_>>>(),
            None
        );
        let words = summary(results, None).in_words();
        assert_eq!(words, "3 splits, of which 1 failed: no mean");
    }

    #[test]
    fn the_sentence_holds_mean_interval_and_deviation() {
        let results = vec![result(1, Some(18)), result(2, Some(16))];
        let parts: Vec<HeldOut> = results.iter().filter_map(held_out).collect();
        let all = resampled_accuracy(&parts, 100, 0.95).unwrap();
        let words = summary(results, Some(all)).in_words();
        let start = "accuracy over 2 of 3 splits so far: mean 0.8500, 95 % interval ";
        assert!(words.starts_with(start), "{words}");
        assert!(words.ends_with("standard deviation 0.0707"), "{words}");
    }
}
