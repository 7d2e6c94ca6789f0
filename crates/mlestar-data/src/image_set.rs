//! Labelled 8-bit RGB images of one size, in memory or in a file that is mapped into it.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result};
use crate::pixel_file::PixelFile;
use crate::readers::attributes::Attributes;
use crate::readers::name;

/// The origin of an image, so that a finding can name it.
///
/// ```
/// use mlestar_data::Origin;
/// assert_eq!(Origin::File("train/cat/0001.jpg".into()).to_string(), "train/cat/0001.jpg");
/// assert_eq!(Origin::Record { file: "data_batch_1.bin".into(), record: 17 }.to_string(), "data_batch_1.bin#17");
/// assert_eq!(Origin::Synthetic { index: 17 }.to_string(), "synthetic#17");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A file, relative to the data folder, as text in the form of [`name::shown`].
    File(#[serde(with = "name::as_text")] PathBuf),
    /// A record (from 0) of a file of records.
    Record {
        /// The file's name.
        file: Arc<str>,
        /// The record, from 0.
        record: u64,
    },
    /// A generated image.
    Synthetic {
        /// Its number, from 0.
        index: u64,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.write_str(&name::shown(path)),
            Self::Record { file, record } => write!(f, "{file}#{record}"),
            Self::Synthetic { index } => write!(f, "synthetic#{index}"),
        }
    }
}

/// The images behind one or more image sets; shared, never copied.
#[derive(Debug)]
struct Store {
    pixels: Pixels,
    origins: Vec<Origin>,
    attributes: Attributes,
    /// A group number for each image; empty if nothing says which images belong together.
    groups: Vec<u32>,
}

/// The pixels of all images, one after the other.
#[derive(Debug)]
pub(crate) enum Pixels {
    Memory(Vec<u8>),
    File(PixelFile),
}

impl Pixels {
    fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::File(file) => file.len(),
        }
    }

    fn get(&self, range: Range<usize>) -> &[u8] {
        match self {
            Self::Memory(bytes) => &bytes[range],
            Self::File(file) => file.get(range),
        }
    }
}

/// 8-bit RGB images of one size, with labels and origins. The pixels are in memory or, for large folders, in a file that
/// is mapped into it ([`pixel_cache`](crate::readers::pixel_cache)).
///
/// Images are planar: channel `c` of the pixel in row `y` and column `x` is at
/// `(c * height + y) * width + x` of [`pixels`](Self::pixels). [`select`](Self::select) and `clone` share the
/// pixels with the original set.
///
/// ```
/// use mlestar_data::{ImageSet, Origin};
/// # fn main() -> Result<(), mlestar_data::DataError> {
/// let classes = vec!["dark".to_string(), "bright".to_string()].into();
/// let pixels = [vec![10; 3 * 4 * 4], vec![240; 3 * 4 * 4]].concat();
/// let origins = vec![Origin::Synthetic { index: 0 }, Origin::Synthetic { index: 1 }];
/// let set = ImageSet::new(classes, 4, 4, pixels, vec![0, 1], origins)?;
/// assert_eq!(set.len(), 2);
/// assert_eq!(set.select(&[1])?.pixels(0)[0], 240);
/// assert!(set.select(&[2]).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ImageSet {
    classes: Arc<[String]>,
    height: usize,
    width: usize,
    store: Arc<Store>,
    /// For each index, its image in the store.
    rows: Arc<[u32]>,
    labels: Arc<[u32]>,
}

impl ImageSet {
    /// Red, green and blue.
    pub const CHANNELS: usize = 3;

    /// A set of `labels.len()` images of `height` x `width` pixels.
    ///
    /// `pixels` holds 3 x `height` x `width` bytes per image, planar. A set may be empty (a split without
    /// images), but its size and classes are still checked.
    ///
    /// # Errors
    /// If a length does not fit the others, a size is zero, a label is not below the number of classes, or a
    /// class name is empty or occurs twice.
    pub fn new(
        classes: Arc<[String]>,
        height: usize,
        width: usize,
        pixels: Vec<u8>,
        labels: Vec<u32>,
        origins: Vec<Origin>,
    ) -> Result<Self> {
        Self::of(
            classes,
            [height, width],
            Pixels::Memory(pixels),
            labels,
            origins,
        )
    }

    /// As [`ImageSet::new`], with pixels that may be in a file.
    pub(crate) fn of(
        classes: Arc<[String]>,
        [height, width]: [usize; 2],
        pixels: Pixels,
        labels: Vec<u32>,
        origins: Vec<Origin>,
    ) -> Result<Self> {
        check_classes(&classes)?;
        let n = labels.len();
        let expected = Self::CHANNELS
            .checked_mul(height)
            .and_then(|v| v.checked_mul(width))
            .and_then(|v| v.checked_mul(n));
        let problem = if height == 0 || width == 0 {
            Some(format!("images of {height} x {width} pixels"))
        } else if expected != Some(pixels.len()) {
            Some(format!(
                "{n} images of 3 x {height} x {width} need {} bytes of pixels, but there are {}",
                expected.map_or_else(|| "too many".to_string(), |v| v.to_string()),
                pixels.len()
            ))
        } else if origins.len() != n {
            Some(format!("{n} labels, but {} origins", origins.len()))
        } else if u32::try_from(n).is_err() {
            Some(format!(
                "{n} images, but at most {} are supported",
                u32::MAX
            ))
        } else {
            labels
                .iter()
                .enumerate()
                .find(|(_, l)| **l as usize >= classes.len())
                .map(|(i, label)| {
                    format!(
                        "image {i} ({}) has the label {label}, but there are {} classes",
                        origins[i],
                        classes.len()
                    )
                })
        };
        if let Some(problem) = problem {
            return Err(DataError::Inconsistent { problem });
        }
        // The conversion was checked above.
        let rows = (0..n as u32).collect();
        Ok(Self {
            classes,
            height,
            width,
            store: Arc::new(Store {
                pixels,
                origins,
                attributes: Attributes::default(),
                groups: Vec::new(),
            }),
            rows,
            labels: labels.into(),
        })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The class names; a label is an index into them.
    pub fn classes(&self) -> &Arc<[String]> {
        &self.classes
    }

    /// The number of classes.
    pub fn n_classes(&self) -> usize {
        self.classes.len()
    }

    /// The height of every image, in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The width of every image, in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The number of bytes of an image: 3 x height x width.
    pub fn bytes_per_picture(&self) -> usize {
        Self::CHANNELS * self.height * self.width
    }

    /// The image's pixels, planar: `[3, height, width]`.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len), as for slices; if the pixels are in a file and another program has
    /// shortened it.
    pub fn pixels(&self, index: usize) -> &[u8] {
        let size = self.bytes_per_picture();
        let row = self.rows[index] as usize;
        self.store.pixels.get(row * size..(row + 1) * size)
    }

    /// Whether the pixels are in a file, so that they take no memory that the system cannot take back.
    pub fn is_in_file(&self) -> bool {
        matches!(self.store.pixels, Pixels::File(_))
    }

    /// The image's pixels, interleaved: `[height, width, 3]`, as in image files and displays.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    pub fn interleaved(&self, index: usize) -> Vec<u8> {
        let planar = self.pixels(index);
        let area = self.height * self.width;
        let mut out = vec![0; planar.len()];
        for (c, plane) in planar.chunks_exact(area).enumerate() {
            for (i, value) in plane.iter().enumerate() {
                out[i * Self::CHANNELS + c] = *value;
            }
        }
        out
    }

    /// The image's label: an index into [`classes`](Self::classes).
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    pub fn label(&self, index: usize) -> u32 {
        self.labels[index]
    }

    /// All labels, in order.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The origin of the image.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    pub fn origin(&self, index: usize) -> &Origin {
        &self.store.origins[self.rows[index] as usize]
    }

    /// A property of the image that is neither pixels nor label, such as the camera: a column of a manifest. `None` if it is
    /// missing, or if there is no such property.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    pub fn attribute(&self, name: &str, index: usize) -> Option<&str> {
        self.store.attributes.get(name, self.rows[index] as usize)
    }

    /// The names of all such properties.
    pub fn attribute_names(&self) -> impl Iterator<Item = &str> {
        self.store.attributes.names()
    }

    /// The same images with properties, one row for each image. The set must be as [`ImageSet::new`] made it, and its pixels
    /// not shared; otherwise it stays as it is.
    pub(crate) fn with_attributes(mut self, attributes: Attributes) -> Self {
        if let Some(store) = Arc::get_mut(&mut self.store) {
            store.attributes = attributes;
        }
        self
    }

    /// The number of the image's group, equal for images that belong together (the column `group` of a manifest, or
    /// `data.group_by`). `None` if nothing says which images belong together.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    pub fn group(&self, index: usize) -> Option<u32> {
        let row = self.rows[index] as usize;
        self.store.groups.get(row).copied()
    }

    /// The same images with the numbers of their groups, under the conditions of [`Self::with_attributes`].
    pub(crate) fn with_groups(mut self, groups: Vec<u32>) -> Self {
        if let Some(store) = Arc::get_mut(&mut self.store) {
            store.groups = groups;
        }
        self
    }

    /// The number of images of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.n_classes()];
        for label in self.labels.iter() {
            counts[*label as usize] += 1;
        }
        counts
    }

    /// The images at `indices`, in that order. The pixels are shared, not copied.
    ///
    /// # Errors
    /// When an index is not below [`len`](Self::len).
    pub fn select(&self, indices: &[usize]) -> Result<ImageSet> {
        if let Some(index) = indices.iter().copied().find(|i| *i >= self.len()) {
            return Err(DataError::IndexOutOfRange {
                index,
                len: self.len(),
            });
        }
        Ok(Self {
            classes: self.classes.clone(),
            height: self.height,
            width: self.width,
            store: self.store.clone(),
            rows: indices.iter().map(|i| self.rows[*i]).collect(),
            labels: indices.iter().map(|i| self.labels[*i]).collect(),
        })
    }

    /// The images of this set, then those of the other. The pixels are shared, not copied, if both sets come from one source
    /// that was read at once; otherwise they are copied into memory, without the properties of [`attribute`](Self::attribute).
    ///
    /// # Errors
    /// If the sets have other classes or sizes, or too many images together.
    pub fn joined(&self, other: &ImageSet) -> Result<ImageSet> {
        let describe = |set: &ImageSet| (set.classes.clone(), set.height, set.width);
        if describe(self) != describe(other) {
            return Err(DataError::Inconsistent {
                problem: format!(
                    "sets to be joined have images of {} x {} and {} x {} pixels, of {} and {} classes",
                    self.height,
                    self.width,
                    other.height,
                    other.width,
                    self.n_classes(),
                    other.n_classes()
                ),
            });
        }
        let labels = [&self.labels[..], &other.labels].concat();
        if Arc::ptr_eq(&self.store, &other.store) {
            return Ok(Self {
                rows: [&self.rows[..], &other.rows].concat().into(),
                labels: labels.into(),
                ..self.clone()
            });
        }
        let parts = [self, other];
        let indices = || {
            parts
                .into_iter()
                .flat_map(|set| (0..set.len()).map(move |at| (set, at)))
        };
        let mut pixels = Vec::with_capacity(labels.len() * self.bytes_per_picture());
        indices().for_each(|(set, at)| pixels.extend_from_slice(set.pixels(at)));
        let origins = indices().map(|(set, at)| set.origin(at).clone()).collect();
        let groups: Option<Vec<u32>> = indices().map(|(set, at)| set.group(at)).collect();
        let size = [self.height, self.width];
        let joined = Self::of(
            self.classes.clone(),
            size,
            Pixels::Memory(pixels),
            labels,
            origins,
        )?;
        Ok(joined.with_groups(groups.unwrap_or_default()))
    }

    /// The same images with their own copy of the pixels, so that the original set can be freed. Pixels in a file stay
    /// there: they take no memory.
    pub fn compact(&self) -> ImageSet {
        if self.is_in_file() {
            return self.clone();
        }
        let stored: Vec<usize> = self.rows.iter().map(|row| *row as usize).collect();
        let mut pixels = Vec::with_capacity(self.len() * self.bytes_per_picture());
        let mut origins = Vec::with_capacity(self.len());
        for index in 0..self.len() {
            pixels.extend_from_slice(self.pixels(index));
            origins.push(self.origin(index).clone());
        }
        Self {
            classes: self.classes.clone(),
            height: self.height,
            width: self.width,
            store: Arc::new(Store {
                pixels: Pixels::Memory(pixels),
                origins,
                attributes: self.store.attributes.select(&stored),
                groups: (0..self.len())
                    .filter_map(|index| self.group(index))
                    .collect(),
            }),
            // There are no more rows than in a set whose size was checked.
            rows: (0..self.len() as u32).collect(),
            labels: self.labels.clone(),
        }
    }
}

fn check_classes(classes: &[String]) -> Result<()> {
    let mut seen = HashSet::new();
    for (i, name) in classes.iter().enumerate() {
        let problem = if name.trim().is_empty() {
            format!("class {i} has an empty name")
        } else if !seen.insert(name) {
            format!("the class name {name} occurs twice")
        } else {
            continue;
        };
        return Err(DataError::Inconsistent { problem });
    }
    if classes.is_empty() {
        return Err(DataError::Inconsistent {
            problem: "it has no classes".to_string(),
        });
    }
    Ok(())
}

/// One of the three splits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitName {
    /// Fits the model.
    Train,
    /// Decides every choice, such as the best epoch.
    Validation,
    /// Measures the result, once.
    Test,
}

impl SplitName {
    /// `"train"`, `"validation"` or `"test"`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for SplitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The images for fitting the model, for choices, and for the one reported figure.
///
/// The functions of this crate that make splits guarantee disjoint splits: each image of the source goes to
/// exactly one of the three.
#[derive(Debug, Clone)]
pub struct ImageSplits {
    /// Fits the model.
    pub train: ImageSet,
    /// Decides every choice, such as the best epoch.
    pub validation: ImageSet,
    /// Measures the result, once.
    pub test: ImageSet,
}

impl ImageSplits {
    /// The three splits with their names.
    pub fn named(&self) -> [(SplitName, &ImageSet); 3] {
        [
            (SplitName::Train, &self.train),
            (SplitName::Validation, &self.validation),
            (SplitName::Test, &self.test),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Arc<[String]> {
        names.iter().map(|n| n.to_string()).collect()
    }

    fn origins(n: u64) -> Vec<Origin> {
        (0..n).map(|index| Origin::Synthetic { index }).collect()
    }

    fn small() -> ImageSet {
        let pixels = (0..3 * 3 * 2 * 2).collect();
        ImageSet::new(names(&["a", "b"]), 2, 2, pixels, vec![0, 1, 1], origins(3)).unwrap()
    }

    fn refused(
        classes: &[&str],
        height: usize,
        width: usize,
        n_bytes: usize,
        labels: Vec<u32>,
        n_origins: u64,
        expect: &str,
    ) {
        let error = ImageSet::new(
            names(classes),
            height,
            width,
            vec![0; n_bytes],
            labels,
            origins(n_origins),
        )
        .unwrap_err();
        assert!(error.to_string().contains(expect), "{error}");
    }

    #[test]
    fn joined_sets_hold_the_images_of_both() {
        let set = small().with_groups(vec![4, 5, 5]);
        let (first, second) = (set.select(&[2]).unwrap(), set.select(&[0, 1]).unwrap());
        let shared = first.joined(&second).unwrap();
        let copied = first.joined(&second.compact()).unwrap();
        assert!(Arc::ptr_eq(&shared.store, &set.store) && !Arc::ptr_eq(&copied.store, &set.store));
        for joined in [shared, copied] {
            assert_eq!(joined.labels(), [1, 0, 1]);
            for (at, of) in [2, 0, 1].into_iter().enumerate() {
                assert_eq!(joined.pixels(at), set.pixels(of));
                assert_eq!(joined.origin(at), set.origin(of));
                assert_eq!(joined.group(at), set.group(of));
            }
        }
        // What only one of them has is no group of all.
        assert_eq!(first.joined(&small()).unwrap().group(0), None);
        let other = ImageSet::new(names(&["a", "c"]), 2, 2, vec![0; 12], vec![0], origins(1));
        let error = set.joined(&other.unwrap()).unwrap_err().to_string();
        assert!(error.contains("to be joined"), "{error}");
    }

    #[test]
    fn planar_and_interleaved_agree() {
        let set = small();
        assert_eq!(set.pixels(1), (12..24).collect::<Vec<u8>>());
        assert_eq!(
            set.interleaved(1),
            [12, 16, 20, 13, 17, 21, 14, 18, 22, 15, 19, 23]
        );
    }

    #[test]
    fn selecting_follows_the_order_given_and_compacting_changes_nothing() {
        let set = small().select(&[2, 0, 2]).unwrap().select(&[1, 2]).unwrap();
        for set in [set.compact(), set] {
            assert_eq!(set.labels(), [0, 1]);
            assert_eq!(set.pixels(0)[0], 0);
            assert_eq!(set.pixels(1)[0], 24);
            assert_eq!(set.origin(1), &Origin::Synthetic { index: 2 });
            assert_eq!(set.class_counts(), [1, 1]);
        }
        let error = small().select(&[3]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "index 3 is out of range: the image set has 3 images"
        );
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        refused(
            &["a"],
            2,
            2,
            11,
            vec![0],
            1,
            "need 12 bytes of pixels, but there are 11",
        );
        refused(&["a"], 0, 2, 0, vec![0], 1, "0 x 2 pixels");
        refused(&["a"], 2, 2, 12, vec![0], 2, "1 labels, but 2 origins");
        refused(
            &["a"],
            2,
            2,
            12,
            vec![1],
            1,
            "(synthetic#0) has the label 1, but there are 1 classes",
        );
        refused(&["a", "a"], 2, 2, 12, vec![1], 1, "a occurs twice");
        refused(
            &["a", " "],
            2,
            2,
            12,
            vec![1],
            1,
            "class 1 has an empty name",
        );
        refused(&[], 2, 2, 0, vec![], 0, "no classes");
        refused(&["a"], usize::MAX, 2, 12, vec![0], 1, "too many");
    }

    #[test]
    fn an_empty_set_is_allowed() {
        let set = ImageSet::new(names(&["a", "b"]), 2, 2, vec![], vec![], vec![]).unwrap();
        assert!(set.is_empty());
        assert_eq!(set.select(&[]).unwrap().len(), 0);
    }
}
