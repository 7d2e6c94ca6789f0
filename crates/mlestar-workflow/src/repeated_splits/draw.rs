//! The images of each split.

use crate::WorkflowError;
use mlestar_data::split::{grouped_split, stratified_split};
use mlestar_data::{DataError, ImageSet};
use mlestar_random::Stream;
use std::collections::BTreeSet;

/// The purpose of the random choices.
const PURPOSE: &str = "repeated split";

/// All images that are not test images, and the share of them that validates.
pub(super) struct Pool {
    pub(super) images: ImageSet,
    pub(super) validation_share: f64,
    groups: Option<Vec<u32>>,
}

impl Pool {
    /// The images of the config's own split, whose proportion the others keep.
    pub(super) fn new(train: &ImageSet, validation: &ImageSet) -> Result<Self, WorkflowError> {
        let images = train.joined(validation)?;
        if let Some(class) = images.class_counts().iter().position(|n| *n == 1) {
            return Err(WorkflowError::Usage(format!(
                "class {} has one image that is not a test image, but a split needs one to learn from and one to validate: add \
                 images, or remove the class",
                images.classes()[class]
            )));
        }
        let groups = (0..images.len()).map(|index| images.group(index)).collect();
        Ok(Self {
            validation_share: validation.len() as f64 / images.len() as f64,
            groups,
            images,
        })
    }

    /// Training and validation images of a split. It is stratified by class, groups stay whole, and the seed decides it.
    pub(super) fn split(&self, seed: u64) -> Result<[ImageSet; 2], WorkflowError> {
        let labels = self.images.labels();
        let share = self.validation_share;
        let (train, validation) = match &self.groups {
            None => stratified_split(labels, share, seed, PURPOSE),
            Some(groups) => grouped_split(labels, groups, share, 1, seed, PURPOSE)
                .map_err(|class| self.too_few_groups(groups, class))?,
        };
        Ok([
            self.images.select(&train)?,
            self.images.select(&validation)?,
        ])
    }

    fn too_few_groups(&self, groups: &[u32], class: u32) -> DataError {
        let of_class = self.images.labels().iter().zip(groups);
        let of_class = of_class.filter(|(label, _)| **label == class);
        DataError::TooFewGroups {
            class: self.images.classes()[class as usize].clone(),
            n: of_class
                .map(|(_, group)| *group)
                .collect::<BTreeSet<_>>()
                .len(),
            needed: 2,
            split: "validation",
        }
    }
}

/// The seed of a split and of its training: 0 to 2^63 - 1, as a config has it.
pub(super) fn seed_of(project: u64, number: u64) -> u64 {
    Stream::new(project, PURPOSE, 0, number).next_u64() >> 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_data::Origin;
    use proptest::prelude::*;

    fn set(labels: &[u32], from: u64) -> ImageSet {
        let classes = ["a", "b", "c"].map(str::to_owned).to_vec().into();
        let origins = (0..labels.len() as u64).map(|index| Origin::Synthetic {
            index: from + index,
        });
        let pixels = vec![0; labels.len() * 3];
        ImageSet::new(classes, 1, 1, pixels, labels.to_vec(), origins.collect()).unwrap()
    }

    fn origins(set: &ImageSet) -> Vec<Origin> {
        (0..set.len())
            .map(|index| set.origin(index).clone())
            .collect()
    }

    /// A BMP file of 4 x 4 grey pixels.
    fn bitmap(shade: u8) -> Vec<u8> {
        let mut bytes = b"BM".to_vec();
        // Sizes of file and headers, width, height.
        bytes.extend([102_u32, 0, 54, 40, 4, 4].map(u32::to_le_bytes).concat());
        bytes.extend([1_u16, 24].map(u16::to_le_bytes).concat());
        // No compression, size of the pixels, no resolution and no palette.
        bytes.extend([0_u32, 48, 0, 0, 0, 0].map(u32::to_le_bytes).concat());
        bytes.extend([shade; 48]);
        bytes
    }

    proptest! {
        /// Each split holds every image once, in the proportions of the first one, and is another one than the others.
        #[test]
        fn splits_are_disjoint_stratified_and_different(seed in 0..1_000_u64, n in 4..20_usize) {
            let labels: Vec<u32> = (0..3 * n as u32).map(|index| index % 3).collect();
            let pool = Pool::new(&set(&labels, 0), &set(&labels[..n], 1_000)).unwrap();
            let mut drawn = BTreeSet::new();
            for number in 1..=5 {
                let [train, validation] = pool.split(seed_of(seed, number)).unwrap();
                let held_out = origins(&validation);
                let all: BTreeSet<Origin> = origins(&train).into_iter().chain(held_out.clone()).collect();
                prop_assert_eq!(all.len(), 4 * n);
                prop_assert_eq!(validation.len(), n);
                for (in_split, in_all) in validation.class_counts().iter().zip(pool.images.class_counts()) {
                    prop_assert!((*in_split as f64 - in_all as f64 / 4.0).abs() < 1.0);
                }
                drawn.insert(held_out);
            }
            prop_assert!(drawn.len() > 1);
        }
    }

    #[test]
    fn groups_stay_whole() {
        let folder = tempfile::tempdir().unwrap();
        for (class, shade) in [("dark", 40_u8), ("light", 200)] {
            std::fs::create_dir_all(folder.path().join(class)).unwrap();
            for group in 0..6 {
                for number in 0..4_u8 {
                    let name = format!("{class}/group{group}_{number}.bmp");
                    std::fs::write(folder.path().join(name), bitmap(shade + number)).unwrap();
                }
            }
        }
        let data = mlestar_data::DataConfig {
            source: mlestar_data::SourceKind::Folder,
            path: Some(folder.path().to_owned()),
            group_by: Some(mlestar_data::GroupBy::Name),
            ..mlestar_data::DataConfig::default()
        };
        let splits = mlestar_data::load::load(&data, 3).unwrap().splits;
        let pool = Pool::new(&splits.train, &splits.validation).unwrap();
        let groups = |set: &ImageSet| -> BTreeSet<u32> {
            (0..set.len())
                .map(|index| set.group(index).unwrap())
                .collect()
        };
        for number in 1..=10 {
            let [train, validation] = pool.split(seed_of(3, number)).unwrap();
            assert!(groups(&train).is_disjoint(&groups(&validation)));
            assert_eq!(train.len() + validation.len(), pool.images.len());
            assert!(validation.class_counts().iter().all(|n| *n >= 4));
        }
    }

    #[test]
    fn a_class_with_one_image_is_named() {
        let error = Pool::new(&set(&[0, 0, 1, 1, 2], 0), &set(&[0, 1], 9))
            .err()
            .unwrap();
        assert!(
            error.to_string().contains("class c has one image"),
            "{error}"
        );
    }

    #[test]
    fn seeds_depend_on_project_and_number() {
        let seeds: BTreeSet<u64> = (0..50)
            .flat_map(|seed| (1..=20).map(move |n| seed_of(seed, n)))
            .collect();
        assert_eq!(seeds.len(), 1_000);
    }
}
