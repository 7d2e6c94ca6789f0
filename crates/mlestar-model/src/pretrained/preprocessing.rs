//! How images were prepared when published weights were trained.

use serde::{Deserialize, Serialize};

use super::Naming;
use crate::Architecture;

/// The preparation of images that published weights expect: the shorter side is resized, the centre cropped, and
/// pixels in 0-1 are normalised as `(pixel - mean) / std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Mean of red, green and blue, in 0-1.
    pub mean: [f32; 3],
    /// Standard deviation of red, green and blue, in 0-1.
    pub std: [f32; 3],
    /// The shorter side after resizing, in pixels.
    pub shorter_side: usize,
    /// How pixels are interpolated.
    pub interpolation: Interpolation,
    /// Side of the square that is cropped from the centre, in pixels.
    pub crop: usize,
}

/// The interpolation of a resize.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interpolation {
    /// Linear in both directions.
    Bilinear,
    /// Cubic in both directions.
    Bicubic,
}

impl Preprocessing {
    /// The rule of an architecture's weights in files of this naming; `None` for our own files, which record none.
    ///
    /// For `ResNets` it is the rule of torchvision's weights `IMAGENET1K_V1`.
    pub(super) fn of(architecture: Architecture, naming: Naming) -> Option<Self> {
        let (mean, std, interpolation) = match (naming, architecture) {
            (Naming::Torchvision, Architecture::Resnet18 | Architecture::Resnet50) => (
                [0.485, 0.456, 0.406],
                [0.229, 0.224, 0.225],
                Interpolation::Bilinear,
            ),
            // The original normalises bytes with mean 127 and deviation 128. The package's own example names the
            // values of the ResNets, with which the weights recognise fewer images (docs/pretrained.md).
            (Naming::EfficientnetLitePytorch, Architecture::EfficientnetLite0) => (
                [127.0 / 255.0; 3],
                [128.0 / 255.0; 3],
                Interpolation::Bicubic,
            ),
            (Naming::Timm, Architecture::EfficientnetLite0) => {
                ([0.5; 3], [0.5; 3], Interpolation::Bicubic)
            }
            _ => return None,
        };
        Some(Self {
            mean,
            std,
            shorter_side: 256,
            interpolation,
            crop: 224,
        })
    }
}
