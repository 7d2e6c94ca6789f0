//! Image files.

use image::{ImageFormat, Rgb, RgbImage};
use std::io::Cursor;

pub fn encoded(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub fn plain(colour: [u8; 3]) -> Vec<u8> {
    encoded(&RgbImage::from_pixel(50, 40, Rgb(colour)), ImageFormat::Png)
}

/// An image with different places.
pub fn gradient(height: u32, width: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 7) as u8, (y * 11) as u8, (x + y) as u8])
    })
}

/// Pixels of `n` images of `side`, all different.
pub fn pixels(n: usize, side: usize) -> Vec<u8> {
    (0..n * side * side * 3)
        .map(|at| (at * 31 % 251) as u8)
        .collect()
}
