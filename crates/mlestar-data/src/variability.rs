//! Variation of light, colour, background and position between images.

use crate::ImageSet;
use crate::split::stratified_subset;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Maximum number of training images used.
const MOST_PICTURES: usize = 10_000;
/// An image whose channels differ by less than this on average (0-1) counts as grey.
const GREY_CHROMA: f64 = 0.02;
/// The border used as the background is this part of each side.
const BORDER_PART: usize = 8;

/// Mean and standard deviation over images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Mean over the images.
    pub mean: f64,
    /// Standard deviation over the images (the population's).
    pub std: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let n = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / n;
        let variance = values
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>()
            / n;
        Self {
            mean,
            std: variance.sqrt(),
        }
    }
}

/// Differences between training images; brightness is 0.299 R + 0.587 G + 0.114 B in 0-1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variability {
    /// Number of training images used.
    pub n_pictures: usize,
    /// Mean brightness of an image.
    pub brightness: Spread,
    /// Standard deviation of the brightness within an image.
    pub contrast: Spread,
    /// Mean difference between a pixel's largest and smallest channel.
    pub chroma: Spread,
    /// Fraction of the images that are grey.
    pub grey_fraction: f64,
    /// Mean brightness of an image's border, used as its background.
    pub border_brightness: Spread,
    /// Horizontal centre of the pixels that differ from the border, as a fraction of the width.
    pub center_x: Spread,
    /// Vertical centre of the pixels that differ from the border, as a fraction of the height.
    pub center_y: Spread,
}

/// Measures variability; `None` without images.
#[must_use]
pub fn measure(train: &ImageSet, seed: u64) -> Option<Variability> {
    let indices = stratified_subset(train.labels(), MOST_PICTURES.min(train.len()), seed);
    if indices.is_empty() {
        return None;
    }
    let looks: Vec<Look> = indices
        .par_iter()
        .map(|index| Look::of(train.pixels(*index), train.height(), train.width()))
        .collect();
    let spread =
        |figure: fn(&Look) -> f64| Spread::of(&looks.iter().map(figure).collect::<Vec<f64>>());
    let n_grey = looks
        .iter()
        .filter(|look| look.chroma < GREY_CHROMA)
        .count();
    Some(Variability {
        n_pictures: looks.len(),
        brightness: spread(|look| look.brightness),
        contrast: spread(|look| look.contrast),
        chroma: spread(|look| look.chroma),
        grey_fraction: n_grey as f64 / looks.len() as f64,
        border_brightness: spread(|look| look.border_brightness),
        center_x: spread(|look| look.center[0]),
        center_y: spread(|look| look.center[1]),
    })
}

/// One image.
struct Look {
    brightness: f64,
    contrast: f64,
    chroma: f64,
    border_brightness: f64,
    center: [f64; 2],
}

impl Look {
    fn of(pixels: &[u8], height: usize, width: usize) -> Self {
        let area = height * width;
        let (red, rest) = pixels.split_at(area);
        let (green, blue) = rest.split_at(area);
        let luma: Vec<f64> = (0..area)
            .map(|at| {
                let [r, g, b] = [red[at], green[at], blue[at]].map(f64::from);
                (0.299 * r + 0.587 * g + 0.114 * b) / 255.0
            })
            .collect();
        let chroma: u64 = (0..area)
            .map(|at| {
                let levels = [red[at], green[at], blue[at]];
                let largest = levels.iter().max().copied().unwrap_or(0);
                let smallest = levels.iter().min().copied().unwrap_or(0);
                u64::from(largest - smallest)
            })
            .sum();
        let whole = Spread::of(&luma);
        let border = border_mean(&luma, height, width);
        Self {
            brightness: whole.mean,
            contrast: whole.std,
            chroma: chroma as f64 / (255.0 * area as f64),
            border_brightness: border,
            center: center_of(&luma, border, width, height),
        }
    }
}

fn border_mean(luma: &[f64], height: usize, width: usize) -> f64 {
    let (rows, columns) = ((height / BORDER_PART).max(1), (width / BORDER_PART).max(1));
    let on_border = |at: &usize| {
        let (y, x) = (at / width, at % width);
        y < rows || y + rows >= height || x < columns || x + columns >= width
    };
    let levels: Vec<f64> = (0..luma.len())
        .filter(on_border)
        .map(|at| luma[at])
        .collect();
    levels.iter().sum::<f64>() / levels.len().max(1) as f64
}

/// The centre of mass of the difference from the border, in fractions of the sides; the middle of the image if
/// nothing differs.
fn center_of(luma: &[f64], border: f64, width: usize, height: usize) -> [f64; 2] {
    let (mut mass, mut x_sum, mut y_sum) = (0.0, 0.0, 0.0);
    for (at, value) in luma.iter().enumerate() {
        let weight = (value - border).abs();
        mass += weight;
        x_sum += weight * ((at % width) as f64 + 0.5);
        y_sum += weight * ((at / width) as f64 + 0.5);
    }
    if mass > 1e-9 {
        [x_sum / mass / width as f64, y_sum / mass / height as f64]
    } else {
        [0.5, 0.5]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{flat_set, noise_set};

    #[test]
    fn equal_pictures_do_not_vary() {
        let found = measure(
            &flat_set(&[[100, 100, 100]], 20, 0)
                .select(&[0, 0, 0])
                .unwrap(),
            1,
        )
        .unwrap();
        assert!(found.brightness.std < 1e-12);
        assert!(found.border_brightness.std < 1e-12);
        assert_eq!(found.n_pictures, 3);
        assert_eq!(found.grey_fraction, 1.0);
    }

    #[test]
    fn dark_and_bright_pictures_vary_in_brightness() {
        let found = measure(&flat_set(&[[10, 10, 10], [240, 240, 240]], 20, 1), 1).unwrap();
        assert!(found.brightness.std > 0.4, "{found:?}");
        assert!(found.border_brightness.std > 0.4);
        let coloured = measure(&noise_set(2, 20, 1), 1).unwrap();
        assert_eq!(coloured.grey_fraction, 0.0);
    }

    #[test]
    fn the_centre_follows_the_object() {
        // A white pixel on black at column 6, row 1 of 8 x 8.
        let mut luma = vec![0.0; 64];
        luma[8 + 6] = 1.0;
        assert_eq!(center_of(&luma, 0.0, 8, 8), [6.5 / 8.0, 1.5 / 8.0]);
        assert_eq!(center_of(&[0.3; 64], 0.3, 8, 8), [0.5, 0.5]);
    }
}
