//! [`burn_dataset::Dataset`] for [`ImageSet`] (feature `burn-dataset`).

use crate::{ImageSet, Origin};
use burn_dataset::{Dataset, DatasetError};

/// One image of an [`ImageSet`], owned.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageItem {
    /// Pixels, planar: `[3, height, width]`.
    pub pixels: Vec<u8>,
    /// Height, in pixels.
    pub height: usize,
    /// Width, in pixels.
    pub width: usize,
    /// Label: an index into the set's classes.
    pub label: u32,
    /// The origin of the image.
    pub origin: Origin,
}

/// ```
/// use burn_dataset::Dataset;
/// use mlestar_data::burn_dataset::ImageItem;
/// use mlestar_data::synthetic::{SyntheticConfig, generate};
///
/// let sizes = SyntheticConfig { n_train: 50, n_validation: 10, n_test: 10, ..SyntheticConfig::default() };
/// let train = generate(&sizes.without_flaws(), 42)?.splits.train;
/// let item: ImageItem = train.get(7).unwrap();
/// assert_eq!(item.pixels, train.pixels(7));
/// # Ok::<(), mlestar_data::DataError>(())
/// ```
impl Dataset<ImageItem> for ImageSet {
    fn get(&self, index: usize) -> Result<ImageItem, DatasetError> {
        Ok(ImageItem {
            pixels: self.pixels(index).to_vec(),
            height: self.height(),
            width: self.width(),
            label: self.label(index),
            origin: self.origin(index).clone(),
        })
    }

    fn len(&self) -> usize {
        ImageSet::len(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_those_of_the_set() {
        let origins = vec![
            Origin::Synthetic { index: 0 },
            Origin::Synthetic { index: 1 },
        ];
        let classes = ["a", "b"].map(String::from).into();
        let set =
            ImageSet::new(classes, 1, 1, vec![1, 2, 3, 4, 5, 6], vec![1, 0], origins).unwrap();
        let items: Vec<ImageItem> = set.iter().map(Result::unwrap).collect();
        assert_eq!(items.len(), Dataset::len(&set));
        assert_eq!(
            (items[1].pixels.as_slice(), items[1].label),
            ([4, 5, 6].as_slice(), 0)
        );
        assert_eq!(items[0].origin, Origin::Synthetic { index: 0 });
    }
}
