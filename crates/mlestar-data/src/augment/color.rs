//! Brightness, contrast and saturation, with torchvision's formulas for float images.

use crate::normalization::Normalization;

/// Weights of red, green and blue in a pixel's grey, as in torchvision (ITU-R BT.601).
pub const GREY_WEIGHTS: [f32; 3] = [0.2989, 0.587, 0.114];

/// The three factors drawn for one image.
#[derive(Debug, Clone, Copy)]
pub(super) struct ColorJitter {
    brightness: f32,
    contrast: f32,
    saturation: f32,
}

impl ColorJitter {
    pub(super) fn new(factors: [f32; 3]) -> Self {
        let [brightness, contrast, saturation] = factors;
        Self {
            brightness,
            contrast,
            saturation,
        }
    }

    /// Value in `[0, 1]` of every byte after brightness.
    pub(super) fn brightness_table(&self) -> [f32; 256] {
        std::array::from_fn(|level| (level as f32 / 255.0 * self.brightness).min(1.0))
    }

    /// Applies brightness to values in `[0, 1]`.
    pub(super) fn brighten(&self, values: &mut [f32]) {
        for value in values {
            *value = (*value * self.brightness).min(1.0);
        }
    }

    /// Applies contrast, saturation and normalisation to the planar image `values`, to which the brightness
    /// table has already been applied.
    pub(super) fn finish(&self, values: &mut [f32], normalization: &Normalization) {
        let area = values.len() / 3;
        let (red, rest) = values.split_at_mut(area);
        let (green, blue) = rest.split_at_mut(area);
        let grey_offset = (1.0 - self.contrast) * mean_grey(red, green, blue);
        let scale = normalization.std.map(|std| 1.0 / std);
        let mean = normalization.mean;
        for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
            let pixel = [*r, *g, *b].map(|v| (self.contrast * v + grey_offset).clamp(0.0, 1.0));
            let own_grey = (1.0 - self.saturation) * grey(pixel);
            let [new_r, new_g, new_b]: [f32; 3] = std::array::from_fn(|c| {
                let value = (self.saturation * pixel[c] + own_grey).clamp(0.0, 1.0);
                (value - mean[c]) * scale[c]
            });
            (*r, *g, *b) = (new_r, new_g, new_b);
        }
    }
}

fn grey(pixel: [f32; 3]) -> f32 {
    GREY_WEIGHTS[0] * pixel[0] + GREY_WEIGHTS[1] * pixel[1] + GREY_WEIGHTS[2] * pixel[2]
}

fn mean_grey(red: &[f32], green: &[f32], blue: &[f32]) -> f32 {
    let mean =
        |plane: &[f32]| plane.iter().map(|v| f64::from(*v)).sum::<f64>() / plane.len() as f64;
    let [r, g, b] = [mean(red), mean(green), mean(blue)];
    (f64::from(GREY_WEIGHTS[0]) * r
        + f64::from(GREY_WEIGHTS[1]) * g
        + f64::from(GREY_WEIGHTS[2]) * b) as f32
}
