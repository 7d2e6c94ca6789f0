//! Published weights of networks.

use std::fs;
use std::path::{Path, PathBuf};

use super::download::{self, Wanted};
use super::{FetchOptions, FetchProgress};
use crate::error::{DataError, Result};

/// A file of weights that others published: its address, and the beginning of its SHA-256, which is part of its name.
///
/// ```
/// use mlestar_data::fetch::PublishedWeights;
/// let weights = PublishedWeights::known("resnet-18")?;
/// assert_eq!(weights.file_name(), "resnet18-f37072fd.pth");
/// assert_eq!(weights.sha256_start(), "f37072fd");
/// # Ok::<(), mlestar_data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedWeights {
    /// Name of the architecture, as in `model.architecture`.
    pub name: &'static str,
    /// What the weights are.
    pub title: &'static str,
    /// Address of the file; it ends with `NAME-HASH.pth`.
    pub url: &'static str,
    /// What is known about the licence.
    pub licence: &'static str,
}

/// The addresses are those in the sources of torchvision 0.29 (`models/resnet.py`, `IMAGENET1K_V1`) and of timm 1.0
/// (`models/efficientnet.py`).
const KNOWN: [PublishedWeights; 3] = [
    PublishedWeights {
        name: "resnet-18",
        title: "ResNet-18 of torchvision, trained on ImageNet (IMAGENET1K_V1)",
        url: "https://download.pytorch.org/models/resnet18-f37072fd.pth",
        licence: "code BSD-3-Clause; the images of ImageNet are for non-commercial research",
    },
    PublishedWeights {
        name: "resnet-50",
        title: "ResNet-50 of torchvision, trained on ImageNet (IMAGENET1K_V1)",
        url: "https://download.pytorch.org/models/resnet50-0676ba61.pth",
        licence: "code BSD-3-Clause; the images of ImageNet are for non-commercial research",
    },
    PublishedWeights {
        name: "efficientnet-lite0",
        title: "EfficientNet-Lite0 of TensorFlow in timm's form, trained on ImageNet",
        url: "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/tf_efficientnet_lite0-0aa007d2.pth",
        licence: "Apache-2.0; the images of ImageNet are for non-commercial research",
    },
];

impl PublishedWeights {
    /// The names of the known weights.
    pub const NAMES: [&'static str; 3] = ["resnet-18", "resnet-50", "efficientnet-lite0"];

    /// All that can be fetched.
    #[must_use]
    pub fn all() -> &'static [Self] {
        &KNOWN
    }

    /// The weights of a network.
    ///
    /// # Errors
    /// If `name` is not one of [`NAMES`](Self::NAMES).
    pub fn known(name: &str) -> Result<Self> {
        let found = KNOWN.into_iter().find(|weights| weights.name == name);
        found.ok_or_else(|| DataError::InvalidManifest {
            name: name.to_string(),
            problem: format!(
                "there are no such weights; known are {}",
                Self::NAMES.join(", ")
            ),
        })
    }

    /// Name of the file.
    #[must_use]
    pub fn file_name(&self) -> &'static str {
        self.url.rsplit('/').next().unwrap_or(self.url)
    }

    /// The first digits of its SHA-256, in lower-case hexadecimal.
    #[must_use]
    pub fn sha256_start(&self) -> &'static str {
        let stem = self.file_name().split('.').next().unwrap_or_default();
        stem.rsplit('-').next().unwrap_or_default()
    }
}

/// Downloads `weights` into the folder `into`, checks the beginning of their SHA-256, and returns the file.
///
/// A file that is already there is checked and used. An interrupted download is resumed. The file appears complete or not
/// at all.
///
/// # Errors
/// If the address cannot be reached (the message says which file to put where by hand), if the file has another hash, or
/// if the disk cannot be written. [`DataError::Stopped`] if `options.stop` is set; the download is kept for the next
/// call.
pub fn fetch_weights(
    weights: &PublishedWeights,
    into: &Path,
    options: &FetchOptions,
    progress: &mut dyn FnMut(FetchProgress),
) -> Result<PathBuf> {
    fs::create_dir_all(into).map_err(|error| DataError::write(into, error))?;
    let place = into.join(weights.file_name());
    let wanted = Wanted {
        url: weights.url,
        bytes: None,
        sha256: weights.sha256_start(),
    };
    match place.exists() {
        true => download::verify(&wanted, &place, options, progress)?,
        false => download::download(&wanted, &place, options, progress)?,
    }
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_its_file_and_the_digits_of_its_hash() {
        let names: Vec<&str> = PublishedWeights::all()
            .iter()
            .map(|weights| weights.name)
            .collect();
        assert_eq!(names, PublishedWeights::NAMES);
        for weights in PublishedWeights::all() {
            assert_eq!(PublishedWeights::known(weights.name).unwrap(), *weights);
            let digits = weights.sha256_start();
            assert_eq!(digits.len(), 8, "{digits}");
            assert!(
                digits
                    .bytes()
                    .all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
            );
            assert!(weights.url.starts_with("https://") && weights.url.ends_with(".pth"));
        }
        let error = PublishedWeights::known("vgg").unwrap_err().to_string();
        assert!(error.contains("known are resnet-18, resnet-50"), "{error}");
    }
}
