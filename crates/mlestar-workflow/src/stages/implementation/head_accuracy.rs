//! The accuracy of the head of a pretrained network over repeated splits, beside that of the single validation split.

use crate::{StageContext, WorkflowError};
use mlestar_artifact::{Artifact, write_artifact};
use mlestar_data::ImageSet;
use mlestar_eval::{EvalError, HeldOut, Interval, ResampledAccuracy, resampled_accuracy, wilson};
use mlestar_model::ImageClassifier;
use mlestar_train::{
    EpochRecord, HeadCrossValidation, HeadImages, TrainingSetup, cross_validate_head,
};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;

/// The file of this artifact.
pub(crate) const HEAD_ACCURACY: &str = "head_accuracy.json";

/// `head_accuracy.json`: how accurate the last layer is that fine-tuning begins with, over repeated splits of training and
/// validation images, and on the validation split alone. No test image is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadAccuracy {
    /// Training and validation images together.
    pub images: usize,
    /// Groups of images that belong together and are in one part; absent if nothing says which do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<usize>,
    /// Cross-validations, each with other parts.
    pub repeats: usize,
    /// Images in each part that was held out, of each cross-validation.
    pub held_out: Vec<u64>,
    /// Those that the head recognised which was fitted to the other parts.
    pub correct: Vec<u64>,
    /// What follows from them.
    pub over_splits: ResampledAccuracy,
    /// The head of the training, on the validation split.
    pub single_split: SingleSplit,
    /// Half the width of the interval that a single split as large as the validation split has at the mean accuracy of all
    /// splits: how far one such split varies.
    pub single_split_varies_by: f64,
}

/// The accuracy of the training's head on the validation images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SingleSplit {
    /// Validation images.
    pub images: usize,
    /// Accuracy of the head on them, before more layers learn.
    pub accuracy: f64,
    /// Wilson's interval.
    pub interval: Interval,
}

impl Artifact for HeadAccuracy {
    const SCHEMA: &'static str = "mlestar.head_accuracy";
    const VERSION: u32 = 1;
}

impl HeadAccuracy {
    /// The figures that follow from a cross-validation, and from the accuracy of the training's head on the `images` of the
    /// validation split.
    pub(crate) fn of(
        found: &HeadCrossValidation,
        (accuracy, images): (f64, usize),
        confidence: f64,
    ) -> Result<Self, EvalError> {
        let over_splits = resampled_accuracy(&found.held_out, found.images as u64, confidence)?;
        let of_one_split = |accuracy: f64| {
            let correct = (accuracy * images as f64).round() as u64;
            wilson(correct.min(images as u64), images as u64, confidence)
        };
        Ok(Self {
            images: found.images,
            groups: found.groups,
            repeats: found.repeats,
            held_out: found.held_out.iter().map(|part| part.samples).collect(),
            correct: found.held_out.iter().map(|part| part.correct).collect(),
            over_splits,
            single_split: SingleSplit {
                images,
                accuracy,
                interval: of_one_split(accuracy)?,
            },
            single_split_varies_by: 0.5 * of_one_split(over_splits.mean)?.width(),
        })
    }

    /// The parts that were held out.
    pub(crate) fn cross_validation(&self) -> HeadCrossValidation {
        let parts = self.held_out.iter().zip(&self.correct);
        HeadCrossValidation {
            images: self.images,
            groups: self.groups,
            repeats: self.repeats,
            held_out: parts
                .map(|(samples, correct)| HeldOut {
                    samples: *samples,
                    correct: *correct,
                })
                .collect(),
        }
    }

    /// In one sentence.
    pub(crate) fn in_words(&self) -> String {
        let [low, high] = self.over_splits.interval.ends();
        format!(
            "the head over {} splits of {} images: accuracy {:.4} [{low:.3}, {high:.3}]; a single split of {} images varies \
             by ± {:.3}",
            self.held_out.len(),
            self.images,
            self.over_splits.mean,
            self.single_split.images,
            self.single_split_varies_by
        )
    }
}

/// The epoch that fitted the head, and its accuracy on the validation images.
pub(crate) fn accuracy_of_head(history: &[EpochRecord]) -> Option<f64> {
    let epoch = history.iter().find(|epoch| epoch.head.is_some())?;
    epoch.validation_accuracy
}

/// Measures the head over repeated splits where [`repeats_for`](crate::config::EvaluationConfig::repeats_for) asks for it,
/// reports the result and writes it. An earlier result that does not apply any more is removed.
pub(super) fn measure(
    context: &mut StageContext<'_>,
    setup: &TrainingSetup<'_, ImageClassifier>,
    validation: &ImageSet,
    history: &[EpochRecord],
) -> Result<Option<HeadAccuracy>, WorkflowError> {
    let path = context.path(HEAD_ACCURACY);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(WorkflowError::RunFolder {
                path,
                source: error,
            });
        }
        _ => {}
    }
    let config = context.config;
    let sizes = [setup.train.len(), validation.len(), validation.n_classes()];
    let repeats = match config.training.overfit_batches {
        0 => config.evaluation.repeats_for(sizes),
        _ => 0,
    };
    // Without an epoch that fits the head there is nothing to compare with.
    let (Some(accuracy), 1..) = (accuracy_of_head(history), repeats) else {
        return Ok(None);
    };
    let reporter = &mut *context.reporter;
    let mut progress = |done: usize, total: usize| {
        reporter.progress("repeated splits of the head", done as u64, total as u64);
    };
    let images = HeadImages {
        validation,
        repeats,
    };
    let found = cross_validate_head(setup, images, context.stop, &mut progress)?;
    let Some(found) = found else {
        return Err(WorkflowError::Interrupted {
            stage: context.stage,
        });
    };
    if found.held_out.is_empty() {
        context.reporter.note(
            "all training and validation images belong to one group, so that none can be held out: no repeated splits",
        );
        return Ok(None);
    }
    let single = (accuracy, validation.len());
    let found = HeadAccuracy::of(&found, single, config.evaluation.confidence)?;
    write_artifact(&path, &found)?;
    context.reporter.note(&found.in_words());
    Ok(Some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(correct: &[u64]) -> HeadCrossValidation {
        HeadCrossValidation {
            images: 50,
            groups: None,
            repeats: 1,
            held_out: correct
                .iter()
                .map(|correct| HeldOut {
                    samples: 10,
                    correct: *correct,
                })
                .collect(),
        }
    }

    #[test]
    fn the_sentence_says_how_far_a_single_split_varies() {
        let found = HeadAccuracy::of(&found(&[9, 10, 8, 9, 10]), (0.9, 10), 0.95).unwrap();
        assert_eq!(
            found.in_words(),
            "the head over 5 splits of 50 images: accuracy 0.9200 [0.764, 1.000]; a single split of 10 images varies by ± 0.193"
        );
        assert_eq!(found.cross_validation(), self::found(&[9, 10, 8, 9, 10]));
    }

    #[test]
    fn parts_that_all_agree_still_have_an_interval() {
        let found = HeadAccuracy::of(&found(&[10; 5]), (1.0, 10), 0.95).unwrap();
        assert_eq!(found.over_splits.deviation, 0.0);
        assert!(found.over_splits.interval.width() > 0.05);
        assert!(found.single_split_varies_by > 0.1);
    }
}
