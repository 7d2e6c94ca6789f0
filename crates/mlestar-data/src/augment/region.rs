//! Random rectangles: the part of an image that a resized crop keeps, and the part that erasing clears.

use std::ops::Range;

use mlestar_image::Filter;
use mlestar_image::resample::{Axis, resample};
use mlestar_random::Stream;

/// Attempts to find a rectangle that fits, as in torchvision.
const N_ATTEMPTS: usize = 10;

/// Rows and columns.
pub(super) type Region = [Range<usize>; 2];

/// The rectangle that torchvision's `RandomResizedCrop` would crop of an image of `[height, width]`: a share `scale` of the
/// area with a ratio of width to height drawn log-uniformly from `ratio`. If none of ten draws fits, the largest central
/// one with an allowed ratio.
pub(super) fn resized_crop(
    size: [usize; 2],
    scale: [f64; 2],
    ratio: [f64; 2],
    stream: &mut Stream,
) -> Region {
    for _ in 0..N_ATTEMPTS {
        let [height, width] = shape(size, scale, ratio, stream);
        if (1..=size[0]).contains(&height) && (1..=size[1]).contains(&width) {
            return placed(size, [height, width], stream);
        }
    }
    let [height, width] = size.map(|side| side as f64);
    let [low, high] = ratio;
    let own = width / height;
    let kept = if own < low {
        [(width / low).round() as usize, size[1]]
    } else if own > high {
        [size[0], (height * high).round() as usize]
    } else {
        size
    };
    let centred = |axis: usize| {
        let side = kept[axis].clamp(1, size[axis]);
        let first = (size[axis] - side) / 2;
        first..first + side
    };
    [centred(0), centred(1)]
}

/// The rectangle that torchvision's `RandomErasing` would clear: smaller than the image in both directions; `None` if none
/// of ten draws is.
pub(super) fn erased(
    size: [usize; 2],
    scale: [f64; 2],
    ratio: [f64; 2],
    stream: &mut Stream,
) -> Option<Region> {
    for _ in 0..N_ATTEMPTS {
        // torchvision's ratio is height to width here.
        let [width, height] = shape(size, scale, ratio, stream);
        if height < size[0] && width < size[1] {
            return Some(placed(size, [height, width], stream));
        }
    }
    None
}

/// Height and width of a share of the area with a ratio of width to height.
fn shape(size: [usize; 2], scale: [f64; 2], ratio: [f64; 2], stream: &mut Stream) -> [usize; 2] {
    let mut uniform = |[low, high]: [f64; 2]| low + (high - low) * stream.uniform();
    let area = (size[0] * size[1]) as f64 * uniform(scale);
    let ratio = uniform(ratio.map(f64::ln)).exp();
    let rounded = |side: f64| side.sqrt().round_ties_even() as usize;
    [rounded(area / ratio), rounded(area * ratio)]
}

fn placed(size: [usize; 2], kept: [usize; 2], stream: &mut Stream) -> Region {
    [0, 1].map(|axis| {
        let n_places = (size[axis] - kept[axis]) as u64 + 1;
        let first = stream.below(n_places) as usize;
        first..first + kept[axis]
    })
}

/// The region of a planar image, resized to the whole size (bilinear, with antialiasing, as Pillow).
pub(super) fn resized(pixels: &[u8], size: [usize; 2], region: &Region) -> Vec<u8> {
    let axis = |axis: usize| Axis::part(size[axis], region[axis].clone());
    let axes = [axis(0), axis(1)];
    let planes = pixels.chunks_exact((size[0] * size[1]).max(1));
    planes
        .flat_map(|plane| resample::<1>(plane, &axes, Filter::Bilinear))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn regions_are_within_the_image_and_their_ranges(
            height in 1_usize..60, width in 1_usize..60, low in 0.02_f64..1.0, high in 0.02_f64..1.0, seed: u64,
        ) {
            let scale = [low.min(high), low.max(high)];
            let mut stream = Stream::new(seed, "test", 0, 0);
            let [rows, columns] = resized_crop([height, width], scale, [0.75, 4.0 / 3.0], &mut stream);
            prop_assert!(rows.end <= height && columns.end <= width);
            prop_assert!(!rows.is_empty() && !columns.is_empty());
            if height == width && height > 20 && scale[0] > 0.1 {
                let area = (rows.len() * columns.len()) as f64 / (height * width) as f64;
                // Rounding both sides changes the area by up to a row and a column.
                prop_assert!(area > scale[0] - 0.12 && (area < scale[1] + 0.12 || area == 1.0), "{}", area);
            }
            if let Some([rows, columns]) = erased([height, width], [0.02, 0.33], [0.3, 3.3], &mut stream) {
                prop_assert!(rows.end <= height && columns.end <= width);
                prop_assert!(rows.len() < height && columns.len() < width);
            }
        }
    }

    #[test]
    fn a_whole_region_changes_nothing_and_a_part_fills_the_image() {
        let pixels: Vec<u8> = (0..48).map(|value| value * 5).collect();
        assert_eq!(resized(&pixels, [4, 4], &[0..4, 0..4]), pixels);
        let part = resized(&pixels, [4, 4], &[1..2, 2..3]);
        assert!(part[..16].iter().all(|level| *level == pixels[6]));
        assert!(part[32..].iter().all(|level| *level == pixels[38]));
    }

    #[test]
    fn a_long_image_falls_back_to_its_centre() {
        let mut stream = Stream::new(1, "test", 0, 0);
        let region = resized_crop([2, 200], [1.0, 1.0], [0.75, 1.5], &mut stream);
        assert_eq!(region, [0..2, 98..101]);
    }
}
