//! Resampling with antialiasing, in the integer arithmetic of Pillow.
//!
//! A pixel of the result is a weighted mean of the source pixels under the filter, which is widened by the factor of a
//! reduction. Weights have 22 bits after the binary point, rows are resampled before columns, and each of the two passes rounds
//! to 8 bits: Pillow's `Image.resize` (`src/libImaging/Resample.c`) and so torchvision's `Resize` of a Pillow image give
//! the same bytes.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Bits after the binary point of a weight. A weighted sum of 8-bit values then fits into 32 bits.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// The filter that weights source pixels by their distance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// A triangle of radius 1.
    #[default]
    Bilinear,
    /// The cubic convolution of radius 2 with `a = -0.5` (Keys 1981).
    Bicubic,
}

impl Filter {
    fn radius(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, distance: f64) -> f64 {
        const A: f64 = -0.5;
        let x = distance.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bicubic => 0.0,
        }
    }
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
        })
    }
}

/// How one side is resampled.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    /// Length of the source, in pixels.
    pub source: usize,
    /// The pixels that may be used, as if the source were cropped to them first; at least 1, within the source.
    pub area: Range<usize>,
    /// Where the part that is resampled starts, in pixels of the source, within `area`.
    pub start: f64,
    /// Its length, in pixels of the source, above 0.
    pub length: f64,
    /// Pixels that this part becomes, at least 1.
    pub scaled: usize,
    /// Those of them that are computed: the crop.
    pub keep: Range<usize>,
}

impl Axis {
    /// The whole side to `scaled` pixels, all of which are computed.
    pub fn whole(source: usize, scaled: usize) -> Self {
        Self {
            scaled,
            keep: 0..scaled,
            ..Self::part(source, 0..source)
        }
    }

    /// The pixels `area` to as many as the source has.
    pub fn part(source: usize, area: Range<usize>) -> Self {
        Self {
            source,
            start: area.start as f64,
            length: area.len() as f64,
            area,
            scaled: source,
            keep: 0..source,
        }
    }

    fn is_copy(&self) -> bool {
        let is_whole = self.start == 0.0 && self.length == self.source as f64;
        is_whole && self.scaled == self.source
    }
}

/// The source pixels of each result pixel and their weights.
struct Kernel {
    /// First source pixel and number of source pixels.
    spans: Vec<(usize, usize)>,
    /// `stride` weights for each result pixel.
    weights: Vec<i32>,
    stride: usize,
}

impl Kernel {
    fn new(axis: &Axis, filter: Filter) -> Self {
        let scale = axis.length / axis.scaled as f64;
        let start = axis.start - axis.area.start as f64;
        let widening = scale.max(1.0);
        let radius = filter.radius() * widening;
        let stride = radius.ceil() as usize * 2 + 1;
        let mut kernel = Self {
            spans: Vec::with_capacity(axis.keep.len()),
            weights: vec![0; stride * axis.keep.len()],
            stride,
        };
        let mut exact = vec![0.0; stride];
        for (index, weights) in axis
            .keep
            .clone()
            .zip(kernel.weights.chunks_exact_mut(stride))
        {
            let center = start + (index as f64 + 0.5) * scale;
            let first = (center - radius + 0.5).max(0.0) as usize;
            let end = ((center + radius + 0.5) as usize).min(axis.area.len());
            let n = end.saturating_sub(first).min(stride);
            let mut sum = 0.0;
            for (offset, weight) in exact[..n].iter_mut().enumerate() {
                let distance = (offset + first) as f64 - center + 0.5;
                *weight = filter.weight(distance * (1.0 / widening));
                sum += *weight;
            }
            for (weight, exact) in weights.iter_mut().zip(&exact[..n]) {
                let share = if sum == 0.0 { *exact } else { exact / sum };
                let scaled = share * f64::from(1_u32 << PRECISION_BITS);
                *weight = (scaled + 0.5_f64.copysign(share)) as i32;
            }
            kernel.spans.push((axis.area.start + first, n));
        }
        kernel
    }

    /// The first and the end of all source pixels.
    fn reach(&self) -> Range<usize> {
        let first = self.spans.iter().map(|span| span.0).min();
        let end = self.spans.iter().map(|span| span.0 + span.1).max();
        first.unwrap_or(0)..end.unwrap_or(0)
    }

    fn each(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let weights = self.weights.chunks_exact(self.stride);
        let spans = self.spans.iter().zip(weights);
        spans.map(|(&(first, n), weights)| (first, &weights[..n]))
    }
}

fn rounded(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// Resamples an image of `CHANNELS` interleaved channels: the kept rows and columns of `[rows, columns]`, row by row.
///
/// # Panics
/// If `pixels` does not hold the image, or an axis is not as documented.
///
/// ```
/// use mlestar_image::resample::{Axis, Filter, resample};
/// let black_and_white = [0, 0, 255, 255];
/// let row = [Axis::whole(1, 1), Axis::whole(4, 2)];
/// assert_eq!(resample::<1>(&black_and_white, &row, Filter::Bilinear), [36, 219]);
/// ```
pub fn resample<const CHANNELS: usize>(
    pixels: &[u8],
    [rows, columns]: &[Axis; 2],
    filter: Filter,
) -> Vec<u8> {
    for axis in [rows, columns] {
        assert!(
            axis.area.end <= axis.source && !axis.area.is_empty(),
            "{axis:?}"
        );
        assert!(axis.keep.end <= axis.scaled, "{axis:?}");
    }
    assert_eq!(pixels.len(), rows.source * columns.source * CHANNELS);
    let vertical = (!rows.is_copy()).then(|| Kernel::new(rows, filter));
    let needed = vertical.as_ref().map_or(rows.keep.clone(), Kernel::reach);
    let row_bytes = columns.source * CHANNELS;
    let source = &pixels[needed.start * row_bytes..needed.end * row_bytes];
    let narrow = match columns.is_copy() {
        true => kept_columns::<CHANNELS>(source, columns),
        false => horizontal::<CHANNELS>(source, row_bytes, &Kernel::new(columns, filter)),
    };
    match vertical {
        None => narrow,
        Some(kernel) => vertically(
            &narrow,
            columns.keep.len() * CHANNELS,
            needed.start,
            &kernel,
        ),
    }
}

fn kept_columns<const CHANNELS: usize>(source: &[u8], columns: &Axis) -> Vec<u8> {
    let keep = columns.keep.start * CHANNELS..columns.keep.end * CHANNELS;
    let rows = source.chunks_exact((columns.source * CHANNELS).max(1));
    rows.flat_map(|row| &row[keep.clone()]).copied().collect()
}

/// Rows that are resampled together, so that the compiler can use vector instructions.
const ROWS: usize = 16;

fn horizontal<const CHANNELS: usize>(source: &[u8], row_bytes: usize, kernel: &Kernel) -> Vec<u8> {
    let out_bytes = kernel.spans.len() * CHANNELS;
    let mut out = vec![0; source.len() / row_bytes * out_bytes];
    let reach = kernel.reach();
    // The bytes of the rows, column by column.
    let mut turned = vec![[0_u8; ROWS]; reach.len() * CHANNELS];
    pulp::Arch::new().dispatch(|| {
        let blocks = source.chunks(ROWS * row_bytes);
        for (rows, outs) in blocks.zip(out.chunks_mut((ROWS * out_bytes).max(1))) {
            for (number, row) in rows.chunks_exact(row_bytes).enumerate() {
                let bytes = &row[reach.start * CHANNELS..reach.end * CHANNELS];
                for (column, byte) in turned.iter_mut().zip(bytes) {
                    column[number] = *byte;
                }
            }
            for (x, (first, weights)) in kernel.each().enumerate() {
                for channel in 0..CHANNELS {
                    let columns = &turned[(first - reach.start) * CHANNELS + channel..];
                    let mut sums = [HALF; ROWS];
                    for (column, weight) in columns.iter().step_by(CHANNELS).zip(weights) {
                        for (sum, value) in sums.iter_mut().zip(column) {
                            *sum += i32::from(*value) * weight;
                        }
                    }
                    let rows = outs.chunks_exact_mut(out_bytes);
                    for (row, sum) in rows.zip(sums) {
                        row[x * CHANNELS + channel] = rounded(sum);
                    }
                }
            }
        }
    });
    out
}

/// Resamples columns of rows of `row_bytes`, the first of which is the source row `first_row`.
fn vertically(narrow: &[u8], row_bytes: usize, first_row: usize, kernel: &Kernel) -> Vec<u8> {
    let mut out = vec![0; kernel.spans.len() * row_bytes];
    let mut sums = vec![HALF; row_bytes];
    pulp::Arch::new().dispatch(|| {
        for ((first, weights), out) in kernel.each().zip(out.chunks_exact_mut(row_bytes.max(1))) {
            sums.fill(HALF);
            let rows = narrow[(first - first_row) * row_bytes..].chunks_exact(row_bytes.max(1));
            for (row, weight) in rows.zip(weights) {
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += i32::from(*value) * weight;
                }
            }
            for (out, sum) in out.iter_mut().zip(&sums) {
                *out = rounded(*sum);
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Made with Pillow 13.0.0: `Image.fromarray(row).resize((5, 1), filter)` of 17 levels `(37 * x * x) % 256`, and of
    /// 3 levels to 8.
    #[test]
    fn bytes_are_those_of_pillow() {
        let row: Vec<u8> = (0..17_usize).map(|x| (37 * x * x % 256) as u8).collect();
        let shrunk = |filter| resample::<1>(&row, &[Axis::whole(1, 1), Axis::whole(17, 5)], filter);
        assert_eq!(shrunk(Filter::Bilinear), PILLOW_BILINEAR);
        assert_eq!(shrunk(Filter::Bicubic), PILLOW_BICUBIC);
        let grown = |filter| {
            resample::<1>(
                &[10, 200, 90],
                &[Axis::whole(1, 1), Axis::whole(3, 8)],
                filter,
            )
        };
        assert_eq!(grown(Filter::Bilinear), PILLOW_GROWN_BILINEAR);
        assert_eq!(grown(Filter::Bicubic), PILLOW_GROWN_BICUBIC);
    }

    const PILLOW_BILINEAR: [u8; 5] = [66, 94, 89, 143, 92];
    const PILLOW_BICUBIC: [u8; 5] = [66, 94, 86, 151, 87];
    const PILLOW_GROWN_BILINEAR: [u8; 8] = [10, 22, 93, 164, 179, 138, 97, 90];
    const PILLOW_GROWN_BICUBIC: [u8; 8] = [0, 17, 91, 178, 195, 143, 94, 79];

    proptest! {
        /// Cropping while resampling equals cropping afterwards, and channels do not mix.
        #[test]
        fn a_crop_is_a_part_of_the_whole(
            (height, width, rows, columns) in (1_usize..24, 1_usize..24, 1_usize..30, 1_usize..30),
            seed in 0_u32..1000, bicubic: bool,
        ) {
            let filter = if bicubic { Filter::Bicubic } else { Filter::Bilinear };
            let pixels: Vec<u8> = (0..(height * width * 3) as u32)
                .map(|i| (i + seed).wrapping_mul(2_654_435_761).to_le_bytes()[3])
                .collect();
            let axes = [Axis::whole(height, rows), Axis::whole(width, columns)];
            let whole = resample::<3>(&pixels, &axes, filter);
            let [top, left] = [rows / 3, columns / 3];
            let keep = [top..rows - rows / 4, left..columns - columns / 4];
            let [mut cropped_rows, mut cropped_columns] = axes.clone();
            (cropped_rows.keep, cropped_columns.keep) = (keep[0].clone(), keep[1].clone());
            let cropped = resample::<3>(&pixels, &[cropped_rows, cropped_columns], filter);
            let mut expected = Vec::new();
            for y in keep[0].clone() {
                for x in keep[1].clone() {
                    expected.extend_from_slice(&whole[(y * columns + x) * 3..][..3]);
                }
            }
            prop_assert_eq!(cropped, expected);
            for channel in 0..3 {
                let of = |bytes: &[u8]| -> Vec<u8> {
                    bytes.iter().skip(channel).step_by(3).copied().collect()
                };
                prop_assert_eq!(of(&whole), resample::<1>(&of(&pixels), &axes, filter));
            }
        }

        #[test]
        fn one_colour_stays(height in 1_usize..40, width in 1_usize..40, to in 1_usize..40, level: u8) {
            let axes = [Axis::whole(height, to), Axis::whole(width, to)];
            let out = resample::<1>(&vec![level; height * width], &axes, Filter::Bicubic);
            prop_assert!(out.iter().all(|value| *value == level));
        }
    }
}
