//! The `[data]` section of a project's config: the source of the images and how they are split.

use std::fmt;
use std::path::{Path, PathBuf};

use mlestar_image::{Filter, Preparation, Resize};
use serde::{Deserialize, Serialize};

use crate::error::{DataError, Result, set_bytes};
use crate::groups::GroupBy;
use crate::normalization::Normalization;
use crate::readers::manifest::root_of;
use crate::readers::name::shown;
use crate::synthetic::SyntheticConfig;

/// The largest allowed height or width of images.
pub const MAX_IMAGE_SIDE: usize = 2048;

/// The largest allowed `resize_side`, in pixels.
pub const MAX_RESIZE_SIDE: usize = 4096;

/// The kind of dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// The built-in procedural set; needs no files.
    Synthetic,
    /// The binary version of CIFAR-10.
    Cifar10,
    /// The binary version of CIFAR-100, with the fine labels.
    Cifar100,
    /// A folder of images, one folder per class.
    Folder,
    /// A file that lists images with their labels; see [`manifest`](crate::readers::manifest).
    Manifest,
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Synthetic => "synthetic",
            Self::Cifar10 => "cifar10",
            Self::Cifar100 => "cifar100",
            Self::Folder => "folder",
            Self::Manifest => "manifest",
        })
    }
}

/// The source of the images and how they are split.
///
/// | key | default | meaning | range |
/// |---|---|---|---|
/// | `source` | `"synthetic"` | kind of dataset | `synthetic`, `cifar10`, `cifar100`, `folder`, `manifest` |
/// | `path` | none | folder of the data, or the manifest; required by every source except `synthetic`, which must not have it |
/// |
/// | `validation_fraction` | 0.1 | share of the training images for validation, if the source has no validation split | above 0, below 1 |
/// | `test_fraction` | 0.2 | share of all images for testing, if the source has no test split | above 0, below 1 |
/// | `group_by` | none | which images of a folder belong together and go to the same split, if a split is made: those with the same file `name` without its last number, or in the same `folder` inside the class folder |
/// `name`, `folder` |
/// | `subset` | none | use only this many training and validation images in total, stratified by class; the test images are reduced in the same proportion, but to at least one per class | at least 1 |
/// | `image_size` | none | `[height, width]` to which the images of a folder are resized; by default a square with the median of the images' shorter sides, at most 64 | 1 to 2048 |
/// | `resize_side` | none | scale the images of a folder so that the shorter side has this many pixels, then crop the centre, as pretrained networks do ([`Resize::ShorterSideAndCropCentre`]); by default they are scaled to just cover the size ([`Resize::CoverAndCropCentre`]) | at least the height and width of `image_size`, at most 4096 |
/// | `resize_filter` | `"bilinear"` | the filter for `resize_side` | `bilinear`, `bicubic` |
/// | `unreadable_share_max` | 0.01 | share of the images of a folder that may be left out because they cannot be read; unless it is 0, at least one image may be | 0 to 1 |
/// | `background` | `[255, 255, 255]` | red, green and blue of the background of transparent images | 0 to 255 |
/// | `normalization` | none | `mean` and `std` of each channel that pixels of 0-1 are normalised with, those of pretrained weights; by default those of the training images | see [`Normalization`] |
/// | `memory_limit_mib` | 512 | images of a folder whose pixels take more than this many MiB are prepared once in a file of the folder `cache`, instead of being held in memory | at least 0 |
/// | `cache` | `".mlestar-cache"` | the folder of these files; see [`pixel_cache`](crate::readers::pixel_cache) | |
/// | `synthetic` | see there | the built-in set | |
///
/// ```
/// use mlestar_data::DataConfig;
/// let config = DataConfig { validation_fraction: 1.5, ..DataConfig::default() };
/// assert_eq!(
///     config.check().unwrap_err().to_string(),
///     "data.validation_fraction is 1.5, but must be above 0 and below 1; write 10% as 0.1"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DataConfig {
    /// The kind of dataset.
    pub source: SourceKind,
    /// Folder of the data, or the manifest; absent for the synthetic set.
    pub path: Option<PathBuf>,
    /// Share of the training images for validation, if the source has no validation split (a fraction, 0-1).
    pub validation_fraction: f64,
    /// Share of all images for testing, if the source has no test split (a fraction, 0-1).
    pub test_fraction: f64,
    /// Which images of a folder belong together: they go to the same split.
    pub group_by: Option<GroupBy>,
    /// Total number of training and validation images to use; `None` uses all.
    pub subset: Option<usize>,
    /// `[height, width]` in pixels to which the images of a folder are resized.
    pub image_size: Option<[usize; 2]>,
    /// Pixels of the shorter side to which the images of a folder are scaled before their centre is cropped; `None` scales
    /// them to just cover the size.
    pub resize_side: Option<usize>,
    /// The filter for `resize_side`.
    pub resize_filter: Filter,
    /// Share of the images of a folder that may be left out because they cannot be read (a fraction, 0-1);
    /// unless it is 0, at least one image may be.
    pub unreadable_share_max: f64,
    /// Red, green and blue of the background of transparent images.
    pub background: [u8; 3],
    /// The normalisation that pretrained weights expect; `None` measures it on the training images.
    pub normalization: Option<Normalization>,
    /// Images of a folder whose pixels take more than this many MiB are prepared once in a file.
    pub memory_limit_mib: usize,
    /// The folder of these files.
    pub cache: PathBuf,
    /// The built-in set.
    pub synthetic: SyntheticConfig,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            source: SourceKind::Synthetic,
            path: None,
            validation_fraction: 0.1,
            test_fraction: 0.2,
            group_by: None,
            subset: None,
            image_size: None,
            resize_side: None,
            resize_filter: Filter::Bilinear,
            unreadable_share_max: 0.01,
            background: [255, 255, 255],
            normalization: None,
            memory_limit_mib: 512,
            cache: ".mlestar-cache".into(),
            synthetic: SyntheticConfig::default(),
        }
    }
}

impl DataConfig {
    /// A config that reads `path` as `source`, with defaults for all other settings.
    pub fn new(source: SourceKind, path: impl Into<PathBuf>) -> Self {
        Self {
            source,
            path: Some(path.into()),
            ..Self::default()
        }
    }

    /// Whether the pixels of `n` images of `size` (height, width) take more than `memory_limit_mib`. Those of folders
    /// and manifests are then in a mapped file, not held in memory.
    #[must_use]
    pub fn exceeds_memory_limit(&self, n: usize, size: [usize; 2]) -> bool {
        matches!(self.source, SourceKind::Folder | SourceKind::Manifest)
            && set_bytes(n, size) > self.memory_limit_mib as u128 * (1 << 20)
    }

    /// Checks the ranges of the settings; reads no files.
    ///
    /// # Errors
    /// The first setting that is out of range, or that is missing although the source needs it.
    pub fn check(&self) -> Result<()> {
        check_fraction("data.validation_fraction", self.validation_fraction)?;
        check_fraction("data.test_fraction", self.test_fraction)?;
        if self.subset == Some(0) {
            return Err(DataError::invalid_setting(
                "data.subset",
                0,
                "at least 1; leave it out to use all images",
            ));
        }
        if let Some([height, width]) = self.image_size {
            let allowed = 1..=MAX_IMAGE_SIDE;
            if !allowed.contains(&height) || !allowed.contains(&width) {
                return Err(DataError::invalid_setting(
                    "data.image_size",
                    format!("[{height}, {width}]"),
                    format!(
                        "[height, width] from 1 to {MAX_IMAGE_SIDE} pixels; leave it out for an automatic choice"
                    ),
                ));
            }
        }
        self.check_resize_side()?;
        if !(0.0..=1.0).contains(&self.unreadable_share_max) {
            return Err(DataError::invalid_setting(
                "data.unreadable_share_max",
                self.unreadable_share_max,
                "0 to 1; write 1% as 0.01",
            ));
        }
        if let (Some(group_by), true) = (self.group_by, self.source != SourceKind::Folder) {
            return Err(DataError::invalid_setting(
                "data.group_by",
                group_by,
                format!(
                    "absent if data.source is \"{}\": it is for the files of a folder; a manifest has the column group",
                    self.source
                ),
            ));
        }
        if let Some(normalization) = &self.normalization {
            normalization.check()?;
        }
        if self.cache.as_os_str().is_empty() {
            return Err(DataError::invalid_setting(
                "data.cache",
                "\"\"",
                "a folder; leave it out for .mlestar-cache",
            ));
        }
        match (self.source, &self.path) {
            (SourceKind::Synthetic, None) => Ok(()),
            (SourceKind::Synthetic, Some(path)) => Err(DataError::invalid_setting(
                "data.path",
                shown(path),
                "absent if data.source is \"synthetic\", which needs no files; set data.source to \"folder\", \
                 \"manifest\", \"cifar10\" or \"cifar100\" to read it",
            )),
            _ => self.folder().map(|_| ()),
        }
    }

    fn check_resize_side(&self) -> Result<()> {
        let Some(side) = self.resize_side else {
            return Ok(());
        };
        let least = self.image_size.map_or(1, |size| size[0].max(size[1]));
        if (least..=MAX_RESIZE_SIDE).contains(&side) {
            return Ok(());
        }
        Err(DataError::invalid_setting(
            "data.resize_side",
            side,
            format!(
                "{least}, the larger side of data.image_size, to {MAX_RESIZE_SIDE}; leave it out to scale images to just \
                 cover their size"
            ),
        ))
    }

    /// How the files of a folder become images of `height` x `width` pixels. Training reads with it, and a package records it,
    /// so that predictions do the same.
    ///
    /// ```
    /// use mlestar_data::DataConfig;
    /// use mlestar_image::Resize;
    /// let config = DataConfig { resize_side: Some(256), ..DataConfig::default() };
    /// let rule = config.preparation(224, 224).resize;
    /// assert!(matches!(rule, Resize::ShorterSideAndCropCentre { resize_side: 256, .. }));
    /// ```
    pub fn preparation(&self, height: usize, width: usize) -> Preparation {
        Preparation {
            resize: match self.resize_side {
                None => Resize::CoverAndCropCentre,
                Some(resize_side) => Resize::ShorterSideAndCropCentre {
                    resize_side,
                    filter: self.resize_filter,
                },
            },
            background: self.background,
            ..Preparation::new(height, width)
        }
    }

    /// The folder that the paths of images are relative to ([`Origin::File`](crate::Origin::File)): that of the data or of the
    /// manifest; `None` without a path.
    pub fn root(&self) -> Option<&Path> {
        let path = self.path.as_deref()?;
        match self.source {
            SourceKind::Manifest => Some(root_of(path)),
            _ => Some(path),
        }
    }

    /// The folder of the data, or the manifest.
    ///
    /// # Errors
    /// If `path` is not set.
    pub fn folder(&self) -> Result<&Path> {
        self.path
            .as_deref()
            .filter(|p| !p.as_os_str().is_empty())
            .ok_or_else(|| DataError::MissingSetting {
                key: "data.path".to_string(),
                remedy: match self.source {
                    SourceKind::Manifest => "the source manifest needs its file".to_string(),
                    _ => format!("the source {} needs the folder of its files", self.source),
                },
            })
    }
}

fn check_fraction(key: &str, value: f64) -> Result<()> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(DataError::invalid_setting(
        key,
        value,
        "above 0 and below 1; write 10% as 0.1",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: DataConfig, expect: &str) {
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let base = DataConfig::default;
        for value in [0.0, 1.0, -0.1, 10.0, f64::NAN, f64::INFINITY] {
            refused(
                DataConfig {
                    validation_fraction: value,
                    ..base()
                },
                "data.validation_fraction is",
            );
            refused(
                DataConfig {
                    test_fraction: value,
                    ..base()
                },
                "data.test_fraction is",
            );
        }
        refused(
            DataConfig {
                group_by: Some(GroupBy::Name),
                ..base()
            },
            "data.group_by is name, but must be absent if data.source is \"synthetic\"",
        );
        refused(
            DataConfig {
                subset: Some(0),
                ..base()
            },
            "data.subset is 0, but must be at least 1",
        );
        for size in [[0, 32], [32, 0], [2049, 32], [32, usize::MAX]] {
            refused(
                DataConfig {
                    image_size: Some(size),
                    ..base()
                },
                "data.image_size is [",
            );
        }
        for (image_size, side) in [(None, 0), (Some([224, 200]), 223), (None, 4097)] {
            let config = DataConfig {
                image_size,
                resize_side: Some(side),
                ..base()
            };
            refused(config, "data.resize_side is ");
        }
        for source in [
            SourceKind::Cifar10,
            SourceKind::Cifar100,
            SourceKind::Folder,
        ] {
            refused(DataConfig { source, ..base() }, "data.path is not set");
            refused(DataConfig::new(source, ""), "data.path is not set");
        }
        for share in [-0.1, 1.1, f64::NAN] {
            let config = DataConfig {
                unreadable_share_max: share,
                ..base()
            };
            refused(config, "must be 0 to 1; write 1% as 0.01");
        }
        refused(
            DataConfig::new(SourceKind::Synthetic, "photos"),
            "data.path is photos, but must be absent if data.source is \"synthetic\"",
        );
        base().check().unwrap();
    }

    #[test]
    fn unknown_keys_and_sources_are_refused() {
        let parse = |text: &str| toml::from_str::<DataConfig>(text).map_err(|e| e.to_string());
        assert_eq!(
            parse("source = 'cifar100'").unwrap().source,
            SourceKind::Cifar100
        );
        assert!(
            parse("sourse = 'cifar100'")
                .unwrap_err()
                .contains("unknown field `sourse`")
        );
        assert!(
            parse("source = 'mnist'")
                .unwrap_err()
                .contains("unknown variant `mnist`")
        );
    }
}
