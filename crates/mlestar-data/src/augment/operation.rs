//! The operations of augmentation policies on 8-bit images, byte for byte as Pillow computes them (and torchvision for
//! Pillow images).

use serde::{Deserialize, Serialize};

/// An operation with its strength.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// No change.
    Identity,
    /// Moves each row by this many columns per row, about the top left corner.
    ShearX(f64),
    /// Moves each column by this many rows per column, about the top left corner.
    ShearY(f64),
    /// Moves the image to the right, in whole pixels.
    TranslateX(i64),
    /// Moves the image down, in whole pixels.
    TranslateY(i64),
    /// Rotates about the centre, in degrees, against the clock.
    Rotate(f64),
    /// Blends with black; the factor 1 changes nothing.
    Brightness(f64),
    /// Blends with the image's own grey; the factor 1 changes nothing.
    Color(f64),
    /// Blends with the mean grey of the image; the factor 1 changes nothing.
    Contrast(f64),
    /// Blends with a smoothed copy; the factor 1 changes nothing.
    Sharpness(f64),
    /// Keeps this many of the 8 bits, at least 1.
    Posterize(u32),
    /// Inverts the levels at or above the limit.
    Solarize(f64),
    /// Stretches each channel to all 256 levels.
    AutoContrast,
    /// Flattens the histogram of each channel.
    Equalize,
}

impl Operation {
    /// Applies the operation to a planar image of `[height, width]` pixels. Pixels from outside are black; moved pixels are
    /// those nearest.
    ///
    /// # Panics
    /// If `pixels` does not hold 3 x height x width values.
    ///
    /// ```
    /// use mlestar_data::augment::Operation;
    /// let white_and_grey = [255, 100, 255, 100, 255, 100];
    /// assert_eq!(Operation::Solarize(128.0).apply(&white_and_grey, [1, 2]), [0, 100, 0, 100, 0, 100]);
    /// assert_eq!(Operation::TranslateX(1).apply(&white_and_grey, [1, 2]), [0, 255, 0, 255, 0, 255]);
    /// ```
    pub fn apply(self, pixels: &[u8], size: [usize; 2]) -> Vec<u8> {
        assert_eq!(pixels.len(), 3 * size[0] * size[1], "an image of {size:?}");
        match self {
            Self::Identity => pixels.to_vec(),
            Self::ShearX(shear) => moved(pixels, size, [1.0, shear, 0.0, 0.0, 1.0, 0.0]),
            Self::ShearY(shear) => moved(pixels, size, [1.0, 0.0, 0.0, shear, 1.0, 0.0]),
            Self::TranslateX(by) => moved(pixels, size, [1.0, 0.0, -(by as f64), 0.0, 1.0, 0.0]),
            Self::TranslateY(by) => moved(pixels, size, [1.0, 0.0, 0.0, 0.0, 1.0, -(by as f64)]),
            Self::Rotate(degrees) => moved(pixels, size, rotation(degrees, size)),
            Self::Brightness(factor) => blended(pixels, factor, |_| 0),
            Self::Color(factor) => {
                let grey = grey(pixels);
                let area = grey.len();
                blended(pixels, factor, |at| grey[at % area])
            }
            Self::Contrast(factor) => {
                let mean = mean_grey(pixels);
                blended(pixels, factor, |_| mean)
            }
            Self::Sharpness(factor) => {
                let smooth = smoothed(pixels, size);
                blended(pixels, factor, |at| smooth[at])
            }
            Self::Posterize(bits) => {
                let mask = (0xff00_u32 >> bits.clamp(1, 8)) as u8;
                pixels.iter().map(|level| level & mask).collect()
            }
            Self::Solarize(limit) => pixels
                .iter()
                .map(|level| match f64::from(*level) < limit {
                    true => *level,
                    false => 255 - level,
                })
                .collect(),
            Self::AutoContrast => by_histogram(pixels, stretching),
            Self::Equalize => by_histogram(pixels, flattening),
        }
    }
}

/// The source position of each pixel, `[x y 1]` times the rows of the matrix, rounded down in 16.16 fixed point as in
/// Pillow's `affine_fixed`.
fn moved(pixels: &[u8], [height, width]: [usize; 2], matrix: [f64; 6]) -> Vec<u8> {
    let fixed = |value: f64| (value * 65536.0 + 0.5).floor() as i64;
    let [a, b, c, d, e, f] = matrix;
    let [x_by_x, x_by_y, y_by_x, y_by_y] = [a, b, d, e].map(fixed);
    let mut row_start = [fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5)];
    let area = height * width;
    let mut out = vec![0; pixels.len()];
    for y in 0..height {
        let [mut x_in, mut y_in] = row_start;
        for x in 0..width {
            let [column, row] = [x_in >> 16, y_in >> 16];
            if (0..width as i64).contains(&column) && (0..height as i64).contains(&row) {
                let from = row as usize * width + column as usize;
                let to = y * width + x;
                for channel in 0..3 {
                    out[channel * area + to] = pixels[channel * area + from];
                }
            }
            x_in += x_by_x;
            y_in += y_by_x;
        }
        row_start[0] += x_by_y;
        row_start[1] += y_by_y;
    }
    out
}

/// The matrix of Pillow's `Image.rotate`, with sine and cosine rounded to 15 digits.
fn rotation(degrees: f64, [height, width]: [usize; 2]) -> [f64; 6] {
    let angle = -degrees.rem_euclid(360.0).to_radians();
    let rounded = |value: f64| (value * 1e15).round() / 1e15;
    let [cos, sin] = [rounded(angle.cos()), rounded(angle.sin())];
    let [x, y] = [width as f64 / 2.0, height as f64 / 2.0];
    [
        cos,
        sin,
        cos * -x + sin * -y + x,
        -sin,
        cos,
        -sin * -x + cos * -y + y,
    ]
}

/// Pillow's `Image.blend` of another image, given by position, with the image.
fn blended(pixels: &[u8], factor: f64, other: impl Fn(usize) -> u8) -> Vec<u8> {
    let factor = factor as f32;
    let mix = |(at, level): (usize, &u8)| {
        let other = i32::from(other(at));
        let value = other as f32 + factor * (i32::from(*level) - other) as f32;
        // Between 0 and 255 the conversion rounds towards zero.
        value.clamp(0.0, 255.0) as u8
    };
    pixels.iter().enumerate().map(mix).collect()
}

/// Pillow's conversion to `L`.
fn grey(pixels: &[u8]) -> Vec<u8> {
    let area = pixels.len() / 3;
    let (red, rest) = pixels.split_at(area);
    let (green, blue) = rest.split_at(area);
    let channels = red.iter().zip(green).zip(blue);
    channels
        .map(|((r, g), b)| {
            let [r, g, b] = [r, g, b].map(|level| u32::from(*level));
            ((19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16) as u8
        })
        .collect()
}

fn mean_grey(pixels: &[u8]) -> u8 {
    let grey = grey(pixels);
    let sum: u64 = grey.iter().map(|level| u64::from(*level)).sum();
    (sum as f64 / grey.len() as f64 + 0.5) as u8
}

/// Pillow's `ImageFilter.SMOOTH`: the mean of the 3 x 3 pixels with the weight 5 in the middle; the border stays.
fn smoothed(pixels: &[u8], [height, width]: [usize; 2]) -> Vec<u8> {
    let mut out = pixels.to_vec();
    let area = height * width;
    for (plane, out) in pixels.chunks_exact(area).zip(out.chunks_exact_mut(area)) {
        for y in 1..height.saturating_sub(1) {
            let rows = &plane[(y - 1) * width..(y + 2) * width];
            for x in 1..width.saturating_sub(1) {
                let mut sum = 4 * u32::from(rows[width + x]);
                for row in 0..3 {
                    let three = &rows[row * width + x - 1..][..3];
                    sum += three.iter().map(|level| u32::from(*level)).sum::<u32>();
                }
                out[y * width + x] = ((2 * sum + 13) / 26) as u8;
            }
        }
    }
    out
}

/// Replaces the levels of each channel by a table that its histogram gives.
fn by_histogram(pixels: &[u8], table_of: fn(&[u32; 256]) -> [u8; 256]) -> Vec<u8> {
    let mut out = Vec::with_capacity(pixels.len());
    for plane in pixels.chunks_exact((pixels.len() / 3).max(1)) {
        let mut histogram = [0_u32; 256];
        for level in plane {
            histogram[usize::from(*level)] += 1;
        }
        let table = table_of(&histogram);
        out.extend(plane.iter().map(|level| table[usize::from(*level)]));
    }
    out
}

const UNCHANGED: [u8; 256] = {
    let mut table = [0; 256];
    let mut level = 0;
    while level < 256 {
        table[level] = level as u8;
        level += 1;
    }
    table
};

/// Pillow's `ImageOps.autocontrast`.
fn stretching(histogram: &[u32; 256]) -> [u8; 256] {
    let first = histogram.iter().position(|n| *n > 0);
    let last = histogram.iter().rposition(|n| *n > 0);
    match (first, last) {
        (Some(low), Some(high)) if low < high => {
            let scale = 255.0 / (high - low) as f64;
            let offset = -(low as f64) * scale;
            std::array::from_fn(|level| (level as f64 * scale + offset).clamp(0.0, 255.0) as u8)
        }
        _ => UNCHANGED,
    }
}

/// Pillow's `ImageOps.equalize`.
fn flattening(histogram: &[u32; 256]) -> [u8; 256] {
    let last = histogram.iter().rfind(|n| **n > 0).copied();
    let step = (histogram.iter().sum::<u32>() - last.unwrap_or(0)) / 255;
    if step == 0 {
        return UNCHANGED;
    }
    let mut before = step / 2;
    std::array::from_fn(|level| {
        let value = (before / step).min(255) as u8;
        before += histogram[level];
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noise(height: usize, width: usize, seed: u64) -> Vec<u8> {
        let mut stream = mlestar_random::Stream::new(seed, "pixels", 0, 0);
        (0..3 * height * width)
            .map(|_| stream.next_u32() as u8)
            .collect()
    }

    fn neutral() -> impl Strategy<Value = Operation> {
        prop::sample::select(vec![
            Operation::Identity,
            Operation::ShearX(0.0),
            Operation::ShearY(0.0),
            Operation::TranslateX(0),
            Operation::TranslateY(0),
            Operation::Rotate(0.0),
            Operation::Brightness(1.0),
            Operation::Color(1.0),
            Operation::Contrast(1.0),
            Operation::Sharpness(1.0),
            Operation::Posterize(8),
            Operation::Solarize(256.0),
        ])
    }

    proptest! {
        #[test]
        fn no_strength_changes_nothing(
            operation in neutral(), height in 1_usize..12, width in 1_usize..12, seed: u64,
        ) {
            let pixels = noise(height, width, seed);
            prop_assert_eq!(operation.apply(&pixels, [height, width]), pixels);
        }

        #[test]
        fn quarter_turns_are_exact(side in 1_usize..12, seed: u64) {
            let pixels = noise(side, side, seed);
            let turned = Operation::Rotate(90.0).apply(&pixels, [side, side]);
            for (at, level) in turned.iter().enumerate() {
                let (channel, y, x) = (at / (side * side), at / side % side, at % side);
                let from = (channel * side + x) * side + side - 1 - y;
                prop_assert_eq!(*level, pixels[from]);
            }
        }

        #[test]
        fn any_strength_is_fine(strength in -300.0_f64..300.0, height in 1_usize..9, width in 1_usize..9, seed: u64) {
            let pixels = noise(height, width, seed);
            for operation in [
                Operation::ShearX(strength), Operation::ShearY(strength), Operation::Rotate(strength),
                Operation::TranslateX(strength as i64), Operation::TranslateY(strength as i64),
                Operation::Brightness(strength), Operation::Color(strength), Operation::Contrast(strength),
                Operation::Sharpness(strength), Operation::Posterize(strength.abs() as u32),
                Operation::Solarize(strength), Operation::AutoContrast, Operation::Equalize,
            ] {
                prop_assert_eq!(operation.apply(&pixels, [height, width]).len(), pixels.len());
            }
        }
    }

    #[test]
    fn histograms_are_stretched_and_flattened() {
        let levels = [100, 110, 120, 130].repeat(3);
        assert_eq!(
            Operation::AutoContrast.apply(&levels, [2, 2])[..4],
            [0, 85, 170, 255]
        );
        let flat = vec![7; 12];
        assert_eq!(Operation::AutoContrast.apply(&flat, [2, 2]), flat);
        assert_eq!(Operation::Equalize.apply(&flat, [2, 2]), flat);
        // 1024 pixels, three quarters of them 10, the others 20.
        let plane: Vec<u8> = (0..1024)
            .map(|i| if i % 4 == 0 { 20 } else { 10 })
            .collect();
        let out = Operation::Equalize.apply(&plane.repeat(3), [32, 32]);
        assert_eq!((out[1], out[0]), (0, 255));
    }
}
