//! Decodes one image file to 8-bit RGB.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage};

/// File name extensions of images, in lower case; the case in file names does not matter.
pub const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "webp", "bmp"];

/// The longest side, in pixels, that can be decoded.
pub const MAX_SIDE: u32 = 32_768;

/// The maximum memory, in bytes, of a decoded image.
pub const MAX_DECODED_BYTES: u64 = 256 << 20;

/// The maximum memory, in bytes, of a PNG's compressed colour profile and its rows while they are unpacked. A larger
/// profile is left out: it would not be used anyway.
const MAX_PNG_EXTRA_BYTES: u64 = 16 << 20;

/// The maximum size of a file, in bytes.
pub const MAX_FILE_BYTES: u64 = 512 << 20;

/// A decoded image.
#[derive(Debug)]
pub struct Picture {
    /// The pixels, upright.
    pub rgb: RgbImage,
    /// Whether it was grey and was converted to three equal channels.
    pub was_grey: bool,
    /// Whether it had an alpha channel and was placed on the background.
    pub had_alpha: bool,
    /// Whether it had more than 8 bits per channel.
    pub was_deep: bool,
    /// Whether it is a JPEG that lacks only its end marker.
    pub lacked_end_marker: bool,
}

/// Reads a file of at most [`MAX_FILE_BYTES`].
///
/// # Errors
/// A text that describes the problem.
pub fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let fail = |e: std::io::Error| match path.is_symlink() && !path.exists() {
        true => "it is a link whose target does not exist: repair or delete it".to_string(),
        false => format!("it cannot be read: {e}"),
    };
    let found = fs::metadata(path).map_err(fail)?;
    if !found.is_file() {
        // Opening a pipe or a device could block forever.
        return Err("it is no file".to_string());
    }
    let bytes = found.len();
    if bytes > MAX_FILE_BYTES {
        return Err(format!(
            "the file has {} MiB, but the limit is {} MiB: make it smaller",
            bytes >> 20,
            MAX_FILE_BYTES >> 20
        ));
    }
    fs::read(path).map_err(fail)
}

/// Decodes PNG, JPEG, WebP or BMP to 8-bit RGB.
///
/// The content decides the format, not the file's name. Grey images get three equal channels; 16-bit channels
/// are rounded to 8; images with an alpha channel are placed on `background`; an EXIF orientation is applied;
/// the first frame of an animation is used; a colour profile is ignored (the values are assumed to be sRGB).
///
/// # Errors
/// A text that describes the problem: the file is empty, no image, truncated, damaged, or larger than
/// [`MAX_SIDE`] or [`MAX_DECODED_BYTES`]. The size is checked before memory is allocated. A JPEG that lacks
/// only its end marker is decoded.
pub fn decode(bytes: &[u8], background: [u8; 3]) -> Result<Picture, String> {
    let (picture, lacked_end_marker) = match image::guess_format(bytes) {
        Ok(ImageFormat::Jpeg) if !is_complete_jpeg(bytes) => (without_end_marker(bytes)?, true),
        Ok(ImageFormat::Png) if !is_complete_png(bytes) => {
            return Err(
                "it is a truncated PNG: the data ends before the end of the IEND chunk".to_string(),
            );
        }
        _ => (upright(bytes)?, false),
    };
    let color = picture.color();
    Ok(Picture {
        was_grey: !color.has_color(),
        had_alpha: color.has_alpha(),
        was_deep: color.bits_per_pixel() > 8 * u16::from(color.channel_count()),
        rgb: if color.has_alpha() {
            lay_on(picture, background)
        } else {
            picture.into_rgb8()
        },
        lacked_end_marker,
    })
}

fn upright(bytes: &[u8]) -> Result<DynamicImage, String> {
    let mut decoder = open(bytes)?;
    let orientation = decoder.orientation().map_err(|e| damaged(&e))?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|e| damaged(&e))?;
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Decodes a JPEG without an end marker if nothing else is missing: the pixels then do not depend on the bytes
/// that follow its data. Progressive files are rejected, because whole passes over them could be missing.
fn without_end_marker(bytes: &[u8]) -> Result<DynamicImage, String> {
    // A byte of 0xff is the first half of the marker: image data never end with it.
    let data = bytes.strip_suffix(&[0xff]).unwrap_or(bytes);
    let with_padding = |padding: u8| {
        let end = [0xff, END_OF_IMAGE];
        upright(&[data, &[padding; 64], &end].concat())
    };
    let truncated =
        || "it is a truncated JPEG: the data ends before the end-of-image marker".to_string();
    if !is_one_whole_scan(data) {
        return Err(truncated());
    }
    let picture = with_padding(0x00)?;
    for padding in [0x55, 0xaa] {
        if with_padding(padding)?.as_bytes() != picture.as_bytes() {
            return Err(truncated());
        }
    }
    Ok(picture)
}

/// Height and width of an image once it is upright, from its header.
///
/// # Errors
/// As for [`decode`], but damage after the header is not detected.
pub fn size(bytes: &[u8]) -> Result<[u32; 2], String> {
    let mut decoder = open(bytes)?;
    let (width, height) = decoder.dimensions();
    use image::metadata::Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    match decoder.orientation() {
        Ok(Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH) => Ok([width, height]),
        _ => Ok([height, width]),
    }
}

fn open(bytes: &[u8]) -> Result<impl ImageDecoder, String> {
    if bytes.is_empty() {
        return Err("the file is empty".to_string());
    }
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| format!("it cannot be read: {e}"))?;
    // The sizes are checked below, where both sides are known. This is for what a header unpacks.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(match reader.format() {
        Some(ImageFormat::Png) => MAX_PNG_EXTRA_BYTES,
        _ => MAX_DECODED_BYTES,
    });
    reader.limits(limits);
    match reader.format() {
        None => {
            return Err(format!(
                "its content is no image; it begins with {}",
                beginning(bytes)
            ));
        }
        Some(ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP | ImageFormat::Bmp) => {}
        Some(other) => {
            return Err(format!(
                "its content is {other:?}, which is not supported: convert it to PNG or JPEG"
            ));
        }
    }
    let decoder = reader.into_decoder().map_err(|e| damaged(&e))?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
        return Err(format!(
            "it has {height} x {width} pixels (height x width), but each side must have 1 to {MAX_SIDE}"
        ));
    }
    if decoder.total_bytes() > MAX_DECODED_BYTES {
        return Err(format!(
            "its {height} x {width} pixels (height x width) take {} MiB, but the limit is {} MiB: make it smaller",
            decoder.total_bytes() >> 20,
            MAX_DECODED_BYTES >> 20
        ));
    }
    Ok(decoder)
}

fn damaged(error: &image::ImageError) -> String {
    format!("it is damaged: {error}")
}

/// The first bytes of a file that is no image, for an error message.
fn beginning(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes[..bytes.len().min(16)].escape_ascii())
}

/// Composites an image with an alpha channel over `background`, in 8 bits, rounding to nearest.
fn lay_on(picture: DynamicImage, background: [u8; 3]) -> RgbImage {
    let rgba = picture.into_rgba8();
    let (width, height) = rgba.dimensions();
    let mut out = RgbImage::new(width, height);
    for (from, to) in rgba.pixels().zip(out.pixels_mut()) {
        let [r, g, b, alpha] = from.0.map(u32::from);
        let blend = |value: u32, back: u8| {
            ((value * alpha + u32::from(back) * (255 - alpha) + 127) / 255) as u8
        };
        *to = Rgb([
            blend(r, background[0]),
            blend(g, background[1]),
            blend(b, background[2]),
        ]);
    }
    out
}

/// The code of the marker at the end of a JPEG.
const END_OF_IMAGE: u8 = 0xd9;

/// Whether a JPEG continues to its end-of-image marker. Decoders fill missing parts with grey and report
/// nothing, so this must be checked.
fn is_complete_jpeg(bytes: &[u8]) -> bool {
    Segments::of(bytes).any(|(code, _)| code == END_OF_IMAGE)
}

/// Whether a JPEG is sequential and its only scan contains all of its components.
fn is_one_whole_scan(bytes: &[u8]) -> bool {
    const SEQUENTIAL_FRAMES: [u8; 2] = [0xc0, 0xc1];
    const SCAN: u8 = 0xda;
    const COMPONENTS_OF_FRAME: usize = 5;
    let mut n_components = None;
    let mut n_in_scans = Vec::new();
    for (code, content) in Segments::of(bytes) {
        if SEQUENTIAL_FRAMES.contains(&code) {
            n_components = content.get(COMPONENTS_OF_FRAME);
        } else if code == SCAN {
            n_in_scans.push(content.first());
        }
    }
    n_components.is_some() && n_in_scans == [n_components]
}

/// The segments of a JPEG: the code of each marker with a length, and the content after the length; the end
/// marker has no content. Segments are skipped by their lengths, because an embedded thumbnail has its own end
/// marker.
struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 2 }
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.bytes.get(self.at..)?;
            self.at += rest.iter().position(|b| *b == 0xff)? + 1;
            // Any number of 0xff bytes may precede a marker's code.
            while self.bytes.get(self.at) == Some(&0xff) {
                self.at += 1;
            }
            let code = *self.bytes.get(self.at)?;
            self.at += 1;
            match code {
                END_OF_IMAGE => return Some((code, &[])),
                // A stuffed zero, restart markers and the marker without content carry no length.
                0x00 | 0x01 | 0xd0..=0xd8 => {}
                _ => {
                    let length = self.bytes.get(self.at..self.at + 2)?;
                    let start = self.at;
                    self.at += usize::from(u16::from_be_bytes([length[0], length[1]]));
                    let end = self.at.min(self.bytes.len());
                    return Some((code, self.bytes.get(start + 2..end).unwrap_or_default()));
                }
            }
        }
    }
}

/// Whether a PNG continues to its last chunk. Each chunk is a length, a name of four letters, that many bytes,
/// and a checksum.
fn is_complete_png(bytes: &[u8]) -> bool {
    const SIGNATURE_BYTES: usize = 8;
    let mut at = SIGNATURE_BYTES;
    while let Some(&[a, b, c, d, ref name @ ..]) = bytes.get(at..at + 8) {
        at = at
            .saturating_add(12)
            .saturating_add(u32::from_be_bytes([a, b, c, d]) as usize);
        if name == b"IEND" {
            return at <= bytes.len();
        }
        if at > bytes.len() {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, ImageBuffer, LumaA, Rgba};

    fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn gradient() -> RgbImage {
        RgbImage::from_fn(21, 13, |x, y| Rgb([(x * 12) as u8, (y * 19) as u8, 77]))
    }

    fn refused(bytes: &[u8], expect: &str) {
        let error = decode(bytes, [0; 3]).unwrap_err();
        assert!(error.contains(expect), "{error}");
        assert!(!error.contains('\n'));
    }

    #[test]
    fn lossless_formats_give_the_same_pixels() {
        for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::WebP] {
            let bytes = encoded(gradient(), format);
            assert_eq!(
                decode(&bytes, [0; 3]).unwrap().rgb,
                gradient(),
                "{format:?}"
            );
            assert_eq!(size(&bytes), Ok([13, 21]));
        }
        let jpeg = decode(&encoded(gradient(), ImageFormat::Jpeg), [0; 3]).unwrap();
        let furthest = jpeg
            .rgb
            .iter()
            .zip(gradient().iter())
            .map(|(a, b)| a.abs_diff(*b))
            .max();
        assert!(furthest < Some(40), "{furthest:?}");
    }

    #[test]
    fn grey_gets_three_equal_channels() {
        let grey = GrayImage::from_fn(4, 4, |x, y| image::Luma([(x * 60 + y) as u8]));
        let picture = decode(&encoded(grey.clone(), ImageFormat::Png), [0; 3]).unwrap();
        assert!(picture.was_grey && !picture.had_alpha && !picture.was_deep);
        assert!(
            picture
                .rgb
                .pixels()
                .zip(grey.pixels())
                .all(|(a, b)| a.0 == [b.0[0]; 3])
        );
    }

    #[test]
    fn sixteen_bits_are_rounded_to_eight() {
        let deep: ImageBuffer<Rgb<u16>, Vec<u16>> =
            ImageBuffer::from_pixel(2, 2, Rgb([65535, 257 * 100 + 100, 0]));
        let picture = decode(&encoded(deep, ImageFormat::Png), [0; 3]).unwrap();
        assert!(picture.was_deep && !picture.was_grey);
        assert_eq!(picture.rgb.get_pixel(1, 1).0, [255, 100, 0]);
    }

    #[test]
    fn transparency_is_laid_on_the_background() {
        let rgba = ImageBuffer::from_fn(3, 1, |x, _| {
            Rgba([200_u8, 100, 0, [0, 255, 51][x as usize]])
        });
        let picture = decode(&encoded(rgba, ImageFormat::Png), [10, 20, 255]).unwrap();
        assert!(picture.had_alpha);
        // 51 / 255 is a fifth: 0.2 x 200 + 0.8 x 10 = 48.
        assert_eq!(
            picture.rgb.into_raw(),
            [10, 20, 255, 200, 100, 0, 48, 36, 204]
        );
        let grey = ImageBuffer::from_pixel(1, 1, LumaA([0_u8, 0]));
        let picture = decode(&encoded(grey, ImageFormat::Png), [1, 2, 3]).unwrap();
        assert!(picture.had_alpha && picture.was_grey);
        assert_eq!(picture.rgb.into_raw(), [1, 2, 3]);
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        refused(b"", "the file is empty");
        refused(
            b"hello, I am text\nreally",
            "no image; it begins with \"hello, I am text\"",
        );
        refused(
            b"GIF89a\x01\x00\x01\x00",
            "its content is Gif, which is not supported",
        );
    }

    #[test]
    fn truncated_pictures_are_refused() {
        for format in [
            ImageFormat::Jpeg,
            ImageFormat::Png,
            ImageFormat::Bmp,
            ImageFormat::WebP,
        ] {
            let bytes = encoded(gradient(), format);
            for share in [0.3, 0.6, 0.9, 0.99] {
                let cut = (bytes.len() as f64 * share) as usize;
                let error = decode(&bytes[..cut], [0; 3]).unwrap_err();
                assert!(
                    error.starts_with("it is "),
                    "{format:?} at {share}: {error}"
                );
            }
        }
        let (jpeg, png) = (
            encoded(gradient(), ImageFormat::Jpeg),
            encoded(gradient(), ImageFormat::Png),
        );
        refused(&jpeg[..jpeg.len() - 4], "truncated JPEG");
        refused(&png[..png.len() - 1], "truncated PNG");
    }

    #[test]
    fn a_jpeg_that_lacks_its_end_marker_only_is_kept() {
        let jpeg = encoded(gradient(), ImageFormat::Jpeg);
        let whole = decode(&jpeg, [0; 3]).unwrap();
        assert!(!whole.lacked_end_marker);
        for n in 1..=2 {
            let cut = decode(&jpeg[..jpeg.len() - n], [0; 3]).unwrap();
            assert!(cut.lacked_end_marker);
            assert_eq!(cut.rgb, whole.rgb);
        }
        // The first bytes of a progressive file's marker, so that it is not sequential any more.
        let mut progressive = jpeg[..jpeg.len() - 2].to_vec();
        let frame = progressive
            .windows(2)
            .position(|w| w == [0xff, 0xc0])
            .unwrap();
        progressive[frame + 1] = 0xc2;
        refused(&progressive, "truncated JPEG");
    }

    proptest::proptest! {
        /// Every pixel of an accepted truncated file equals that of the whole one.
        #[test]
        fn no_pixel_is_made_up(seed in 0_u32..1000, cut in 1_usize..40) {
            let noise = RgbImage::from_fn(24, 24, |x, y| {
                let value = (x * 31 + y * 17 + seed).wrapping_mul(2_654_435_761);
                Rgb([value as u8, (value >> 8) as u8, (value >> 16) as u8])
            });
            let jpeg = encoded(noise, ImageFormat::Jpeg);
            let whole = decode(&jpeg, [0; 3]).unwrap().rgb;
            if let Ok(picture) = decode(&jpeg[..jpeg.len() - cut], [0; 3]) {
                proptest::prop_assert_eq!(picture.rgb, whole);
            }
        }
    }

    #[test]
    fn files_that_cannot_be_images_are_not_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MAX_FILE_BYTES + 1).unwrap();
        assert_eq!(
            read_file(file.path()).unwrap_err(),
            "the file has 512 MiB, but the limit is 512 MiB: make it smaller"
        );
        assert!(
            read_file(&file.path().join("x"))
                .unwrap_err()
                .starts_with("it cannot be read")
        );
    }

    #[test]
    fn bytes_behind_the_end_of_a_jpeg_are_allowed() {
        let mut jpeg = encoded(gradient(), ImageFormat::Jpeg);
        jpeg.extend_from_slice(b"appended by a camera");
        decode(&jpeg, [0; 3]).unwrap();
    }

    /// A PNG with a colour profile of `n` zeros, which deflate shrinks a thousandfold.
    fn with_profile(n: usize) -> Vec<u8> {
        use std::io::Write;
        let mut content = b"profile\0\0".to_vec();
        let mut packed = flate2::write::ZlibEncoder::new(&mut content, flate2::Compression::best());
        packed.write_all(&vec![0; n]).unwrap();
        packed.finish().unwrap();
        let mut checksum = flate2::Crc::new();
        checksum.update(b"iCCP");
        checksum.update(&content);
        let length = content.len() as u32;
        let png = encoded(gradient(), ImageFormat::Png);
        let (head, rest) = png.split_at(33);
        let sum = checksum.sum().to_be_bytes();
        [head, &length.to_be_bytes(), b"iCCP", &content, &sum, rest].concat()
    }

    #[test]
    fn a_colour_profile_cannot_fill_the_memory() {
        let profile = |bytes: &[u8]| open(bytes).unwrap().icc_profile().unwrap();
        assert_eq!(
            profile(&with_profile(1000)).map(|profile| profile.len()),
            Some(1000)
        );
        let bomb = with_profile(64 << 20);
        assert!(bomb.len() < 100_000);
        assert_eq!(profile(&bomb), None);
        // The image itself is fine.
        assert_eq!(decode(&bomb, [0; 3]).unwrap().rgb, gradient());
        assert_eq!(size(&bomb), Ok([13, 21]));
    }

    #[test]
    fn a_wide_image_has_room_for_its_rows() {
        let wide = RgbImage::new(MAX_SIDE, 40);
        let bytes = encoded(wide.clone(), ImageFormat::Png);
        assert_eq!(decode(&bytes, [0; 3]).unwrap().rgb, wide);
    }

    #[test]
    fn absurd_sizes_are_refused_before_memory_is_taken() {
        // Headers that claim more than the format, a side, and the bytes may have.
        for (side, expect) in [
            (2_000_000_i32, "Image too large"),
            (40_000, "40000 x 40000 pixels"),
            (30_000, "but the limit is 256 MiB"),
        ] {
            let mut bmp = encoded(gradient(), ImageFormat::Bmp);
            bmp[18..22].copy_from_slice(&side.to_le_bytes());
            bmp[22..26].copy_from_slice(&side.to_le_bytes());
            refused(&bmp, expect);
        }
    }
}
