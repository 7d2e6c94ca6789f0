//! How well heads recognise images that they have not learnt from, over repeated splits of the images at hand.

use mlestar_data::{
    ImageSet,
    folds::{FoldsRequest, folds},
};
use mlestar_eval::HeldOut;
use mlestar_model::Network;
use rayon::prelude::*;

use super::{
    features::features,
    head::fit_head,
    logistic::{LinearHead, Samples},
};
use crate::{
    Loss, StopSignal, TrainError, TrainingSetup, device::catching_out_of_memory,
    initial::initial_model, loss::highest_class,
};

/// The images of a cross-validation, and how often it is repeated.
#[derive(Debug, Clone, Copy)]
pub struct HeadImages<'a> {
    /// The validation images; those of the training come from its setup.
    pub validation: &'a ImageSet,
    /// Repetitions, each with other parts; at least 1.
    pub repeats: usize,
}

/// A cross-validation of the head of a pretrained network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadCrossValidation {
    /// Training and validation images together.
    pub images: usize,
    /// Groups of images that belong together; `None` if nothing says which do.
    pub groups: Option<usize>,
    /// Repetitions.
    pub repeats: usize,
    /// What was held out and recognised: of each repetition, each of its parts.
    pub held_out: Vec<HeldOut>,
}

/// Parts of each repetition.
const FOLDS: usize = 5;

/// Five-fold cross-validation of the head that a [fine-tuning](crate::FinetuneConfig) begins with, over its training and
/// validation images together, repeated with other parts.
///
/// The pretrained network computes the features of all images once. For each part, a new head is fitted to the images of
/// the other four, its penalty included, and classifies those of the part. Parts are stratified by class, and images of one
/// [group](ImageSet::group) are in one part. The result depends on the seed and not on the number of threads.
/// [`resampled_accuracy`](mlestar_eval::resampled_accuracy) gives its mean and an interval.
///
/// `progress` is called with the number of images done and their total, where each repetition counts every image again. The
/// result is `None` if the stop signal was given.
///
/// # Errors
///
/// [`TrainError::InitialWeights`] if the file of initial weights does not fit; [`TrainError::NoFeatures`] if the network
/// gives no features; [`TrainError::NonFiniteLogits`] if they are not finite; or the device fails. Images of which all
/// belong to one group cannot be held out, and give no parts.
pub fn cross_validate_head<M: Network>(
    setup: &TrainingSetup<'_, M>,
    images: HeadImages<'_>,
    stop: &StopSignal,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Option<HeadCrossValidation>, TrainError> {
    let sets = [&*setup.train, images.validation];
    setup.check()?;
    setup.check_set("validation", images.validation)?;
    let labels: Vec<u32> = sets.iter().flat_map(|set| set.labels()).copied().collect();
    let n = labels.len();
    let total = n * (1 + images.repeats);
    let Some((values, width)) = features_of(setup, sets, stop, &mut |done| progress(done, total))?
    else {
        return Ok(None);
    };
    let groups = groups_of(sets);
    let n_classes = setup.train.n_classes();
    let class_weights = Loss::new(&setup.training, &labels, n_classes)?.class_weights();
    let samples = Samples {
        features: &values,
        width,
        labels: &labels,
        n_classes,
        class_weights: &class_weights,
        groups: groups.as_deref(),
    };
    let mut held_out = Vec::new();
    for repetition in 0..images.repeats {
        let Some(parts) = repeat(samples, setup.seed, repetition as u64, stop) else {
            return Ok(None);
        };
        held_out.extend(parts);
        progress(n * (2 + repetition), total);
    }
    let n_groups = groups.map(|mut groups| {
        groups.sort_unstable();
        groups.dedup();
        groups.len()
    });
    Ok(Some(HeadCrossValidation {
        images: n,
        groups: n_groups,
        repeats: images.repeats,
        held_out,
    }))
}

/// The group of each image of the sets, one after the other, if all of them have groups.
pub(crate) fn groups_of<const N: usize>(sets: [&ImageSet; N]) -> Option<Vec<u32>> {
    let of_set = |set| (0..ImageSet::len(set)).map(move |index| ImageSet::group(set, index));
    sets.into_iter().flat_map(of_set).collect()
}

/// Features of all images of the sets and their width; `None` after a stop signal.
fn features_of<M: Network>(
    setup: &TrainingSetup<'_, M>,
    sets: [&ImageSet; 2],
    stop: &StopSignal,
    progress: &mut dyn FnMut(usize),
) -> Result<Option<(Vec<f32>, usize)>, TrainError> {
    let device = setup.device.clone().without_autodiff();
    let file = setup.training.initial_weights.as_deref();
    let model = initial_model(&setup.network, file, &device)?.model;
    let (mut values, mut width) = (Vec::new(), 0);
    let mut before = 0;
    for (set, split) in sets.into_iter().zip(["training", "validation"]) {
        let of_set = catching_out_of_memory(|| {
            features(
                &model,
                set,
                &setup.normalization,
                setup.training.evaluation_batch_size,
                &device,
                &mut |done| {
                    progress(before + done);
                    !stop.is_requested()
                },
            )
        })?;
        let Some((of_set, columns)) = of_set else {
            return Ok(None);
        };
        if let Some(position) = of_set.iter().position(|value| !value.is_finite()) {
            return Err(TrainError::NonFiniteLogits {
                split,
                epoch: crate::FinetuneConfig::HEAD_EPOCH,
                index: position / columns,
            });
        }
        values.extend(of_set);
        width = columns;
        before += set.len();
    }
    Ok(Some((values, width)))
}

/// One cross-validation; `None` after a stop signal.
fn repeat(
    samples: Samples<'_>,
    seed: u64,
    repetition: u64,
    stop: &StopSignal,
) -> Option<Vec<HeldOut>> {
    let request = FoldsRequest {
        n_folds: FOLDS,
        seed,
        purpose: "cross-validation of the head",
        repetition,
    };
    let parts = folds(samples.labels, samples.groups, request);
    if parts.len() < 2 {
        return Some(Vec::new());
    }
    parts
        .par_iter()
        .map(|part| {
            let rest = (0..samples.labels.len()).filter(|row| part.binary_search(row).is_err());
            let head = head_of(samples, &rest.collect::<Vec<_>>(), seed, stop)?;
            let is_correct = |row: &&usize| {
                let logits = head.logits(samples.row(**row));
                highest_class(&logits) == samples.labels[**row] as usize
            };
            Some(HeldOut {
                samples: part.len() as u64,
                correct: part.iter().filter(is_correct).count() as u64,
            })
        })
        .collect()
}

/// A head fitted to some of the samples.
fn head_of(
    samples: Samples<'_>,
    rows: &[usize],
    seed: u64,
    stop: &StopSignal,
) -> Option<LinearHead> {
    let features: Vec<f32> = rows
        .iter()
        .flat_map(|row| samples.row(*row))
        .copied()
        .collect();
    let (labels, groups) = samples.kinds_of(rows);
    let part = Samples {
        features: &features,
        labels: &labels,
        groups: groups.as_deref(),
        ..samples
    };
    Some(fit_head(part, seed, &|| stop.is_requested())?.head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_random::Stream;

    /// Groups of five rows, all alike, with a label that says nothing about the next group.
    fn alike() -> (Vec<f32>, Vec<u32>, Vec<u32>) {
        let mut stream = Stream::new(5, "groups", 0, 0);
        let (mut features, mut labels, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        for group in 0..30_u32 {
            let row: Vec<f32> = (0..40).map(|_| stream.uniform() as f32 - 0.5).collect();
            for _ in 0..5 {
                features.extend(&row);
                labels.push(group % 2);
                groups.push(group);
            }
        }
        (features, labels, groups)
    }

    fn accuracy(parts: &[HeldOut]) -> f64 {
        let sum = |of: fn(&HeldOut) -> u64| parts.iter().map(of).sum::<u64>() as f64;
        sum(|part| part.correct) / sum(|part| part.samples)
    }

    #[test]
    fn rows_of_a_group_do_not_recognise_each_other() {
        let (features, labels, groups) = alike();
        let samples = Samples {
            features: &features,
            width: 40,
            labels: &labels,
            n_classes: 2,
            class_weights: &[],
            groups: None,
        };
        let stop = StopSignal::new();
        let apart = repeat(samples, 1, 0, &stop).unwrap();
        assert!(accuracy(&apart) > 0.95, "{apart:?}");
        let grouped = Samples {
            groups: Some(&groups),
            ..samples
        };
        let together = repeat(grouped, 1, 0, &stop).unwrap();
        assert!(accuracy(&together) < 0.75, "{together:?}");
        assert_eq!(together.len(), FOLDS);
        stop.request();
        assert_eq!(repeat(samples, 1, 0, &stop), None);
    }

    #[test]
    fn one_group_cannot_be_held_out() {
        let (features, labels, groups) = alike();
        let one = vec![0; groups.len()];
        let samples = Samples {
            features: &features,
            width: 40,
            labels: &labels,
            n_classes: 2,
            class_weights: &[],
            groups: Some(&one),
        };
        assert_eq!(repeat(samples, 1, 0, &StopSignal::new()), Some(Vec::new()));
    }
}
