//! Validation images that join the training images.

use crate::WorkflowError;
use mlestar_data::ImageSet;
use mlestar_data::folds::{FoldsRequest, folds};
use std::sync::Arc;

/// One part in so many of the validation images stays out: stage 7 fits the temperature and the limit of confidence to it,
/// and chooses the precisions by it.
const PARTS: usize = 5;

/// The training images with four fifths of the validation images, and the last fifth. Groups stay whole.
pub(crate) fn with_validation(
    train: &Arc<ImageSet>,
    validation: &Arc<ImageSet>,
    seed: u64,
) -> Result<(Arc<ImageSet>, Arc<ImageSet>), WorkflowError> {
    let groups: Option<Vec<u32>> = (0..validation.len())
        .map(|index| validation.group(index))
        .collect();
    let request = FoldsRequest {
        n_folds: PARTS,
        seed,
        purpose: "validation images of the retraining",
        repetition: 0,
    };
    let mut parts = folds(validation.labels(), groups.as_deref(), request);
    let held_out = match parts.len() {
        // A single group cannot be divided.
        0 | 1 => (0..validation.len()).collect(),
        _ => parts.swap_remove(0),
    };
    let mut joins: Vec<usize> = parts.into_iter().flatten().collect();
    joins.retain(|index| held_out.binary_search(index).is_err());
    joins.sort_unstable();
    let more = train.joined(&validation.select(&joins)?)?;
    Ok((Arc::new(more), Arc::new(validation.select(&held_out)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_data::synthetic::{SyntheticConfig, generate};
    use std::collections::BTreeSet;

    #[test]
    fn every_image_learns_or_stays_out() {
        let sizes = SyntheticConfig {
            n_train: 40,
            n_validation: 50,
            n_test: 10,
            ..SyntheticConfig::default()
        };
        let splits = generate(&sizes.without_flaws(), 1).unwrap().splits;
        let (train, validation) = (Arc::new(splits.train), Arc::new(splits.validation));
        let (more, held_out) = with_validation(&train, &validation, 3).unwrap();
        assert_eq!((more.len(), held_out.len()), (80, 10));
        let pixels = |set: &ImageSet| -> BTreeSet<Vec<u8>> {
            (0..set.len())
                .map(|index| set.pixels(index).to_vec())
                .collect()
        };
        assert!(pixels(&more).is_disjoint(&pixels(&held_out)));
        assert_eq!(held_out.class_counts(), vec![1; 10]);
        let (again, _) = with_validation(&train, &validation, 3).unwrap();
        assert_eq!(again.labels(), more.labels());
    }
}
