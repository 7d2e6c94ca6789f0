//! Image datasets: read, verify, fetch, split, describe, check, augment and batch them.
//!
//! [`load()`] turns a [`DataConfig`] into three disjoint [`ImageSet`]s and a report of what was read.
//! It reads the binary versions of CIFAR-10 and CIFAR-100, folders of images, and a built-in
//! procedural set that needs no files. [`fetch`] downloads and verifies the official archives,
//! [`describe()`], [`quality`], [`separability`] and [`variability`] analyse the images, and [`Loader`] makes
//! augmented, normalised batches of them.
//!
//! All randomness derives from a seed and does not depend on threads or the order of work.
//!
//! ```
//! use mlestar_data::{DataConfig, load};
//! # fn main() -> Result<(), mlestar_data::DataError> {
//! let loaded = load(&DataConfig::default(), 7)?;
//! let train = &loaded.splits.train;
//! assert_eq!((train.n_classes(), train.height(), train.width()), (10, 32, 32));
//! for (name, set) in loaded.splits.named() {
//!     println!("{name}: {} images, {:?} a class", set.len(), set.class_counts());
//! }
//! # Ok(())
//! # }
//! ```

pub mod augment;
#[cfg(feature = "burn-dataset")]
pub mod burn_dataset;
pub mod config;
pub mod describe;
pub mod detect;
pub mod error;
pub mod fetch;
mod file_state;
pub mod fingerprint;
pub mod folds;
mod groups;
pub mod image_set;
pub mod load;
pub mod loader;
pub mod normalization;
mod pixel_file;
mod plan;
pub mod quality;
pub mod readers;
pub mod separability;
mod source_report;
pub mod split;
pub mod subset;
pub mod synthetic;
#[cfg(test)]
mod testing;
pub mod variability;

pub use augment::{AugmentationConfig, Augmenter, PaddingMode};
pub use config::{DataConfig, SourceKind};
pub use describe::{Description, describe};
pub use error::DataError;
pub use fingerprint::{Reread, fingerprint, fingerprint_with};
pub use groups::GroupBy;
pub use image_set::{ImageSet, ImageSplits, Origin, SplitName};
pub use load::{
    LoadOptions, LoadProgress, LoadedData, SourceReport, SplitReport, load, load_with, load_within,
};
pub use loader::{Batch, EpochIter, Loader, LoaderConfig};
pub use normalization::{Normalization, normalize_into};
pub use quality::QualityReport;
pub use synthetic::SyntheticConfig;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
