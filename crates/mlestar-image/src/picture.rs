//! Decodes one image file to 8-bit RGB.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage};

use crate::resize::Extent;

/// File name extensions of images, in lower case; the case in file names does not matter.
pub const EXTENSIONS: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "gif"];

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
    /// Height and width of the file's image, upright. A JPEG may have been decoded at a smaller size.
    pub size: [u32; 2],
    /// The rows and columns of `rgb` that show the file's image. At a smaller size, the last row or column may show it in
    /// part.
    pub extents: [Extent; 2],
    /// Whether it was grey and was converted to three equal channels.
    pub was_grey: bool,
    /// Whether it had an alpha channel (a GIF: transparent pixels) and was placed on the background.
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

/// Decodes PNG, JPEG, WebP, BMP or GIF to 8-bit RGB.
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
    // A GIF is decoded with an alpha channel in any case.
    let is_opaque_gif = || {
        let alpha = picture
            .as_rgba8()
            .map(|rgba| rgba.pixels().all(|pixel| pixel.0[3] == 255));
        matches!(image::guess_format(bytes), Ok(ImageFormat::Gif)) && alpha == Some(true)
    };
    let size = [picture.height(), picture.width()];
    Ok(Picture {
        size,
        extents: size.map(|side| whole_extent(side, 1)),
        was_grey: !color.has_color(),
        had_alpha: color.has_alpha() && !is_opaque_gif(),
        was_deep: color.bits_per_pixel() > 8 * u16::from(color.channel_count()),
        rgb: if color.has_alpha() {
            lay_on(picture, background)
        } else {
            picture.into_rgb8()
        },
        lacked_end_marker,
    })
}

/// As [`decode`], for an image whose shorter side need only have `side` pixels: a JPEG is decoded at a half, a quarter or an
/// eighth of its size, as far as that leaves as many.
///
/// Each block of 8 x 8 coefficients then becomes 4 x 4, 2 x 2 or 1 x 1 pixels, which takes less time, and less memory: the
/// limit [`MAX_DECODED_BYTES`] is for the smaller size, unless the file is progressive. Files that this cannot do
/// (other formats, CMYK, without an end marker) are decoded whole.
///
/// # Errors
/// As for [`decode`].
pub fn decode_at_least(bytes: &[u8], background: [u8; 3], side: u32) -> Result<Picture, String> {
    let is_jpeg = matches!(image::guess_format(bytes), Ok(ImageFormat::Jpeg));
    if !is_jpeg || !is_complete_jpeg(bytes) {
        return decode(bytes, background);
    }
    let mut decoder = open(bytes)?;
    let (width, height) = decoder.dimensions();
    let factor = [8, 4, 2]
        .into_iter()
        .find(|factor| width.min(height).div_ceil(*factor) >= side);
    let is_plain = matches!(frame(bytes), Some((_, 1 | 3)));
    let Some(factor) = factor.filter(|_| is_plain) else {
        return decode(bytes, background);
    };
    if is_progressive(bytes) {
        // All coefficients are in memory until the last pass.
        check_bytes(&decoder)?;
    }
    let orientation = decoder.orientation().map_err(|e| damaged(&e))?;
    let target = [height, width].map(|side| side.div_ceil(factor));
    let mut picture = scaled_jpeg(bytes, target)?;
    let was_grey = !picture.color().has_color();
    picture.apply_orientation(orientation);
    let (is_turned, is_reversed) = layout(orientation);
    let size = match is_turned {
        true => [width, height],
        false => [height, width],
    };
    let extents = [0, 1].map(|axis| {
        let extent = whole_extent(size[axis], factor);
        let decoded = f64::from(size[axis].div_ceil(factor));
        match is_reversed[axis] {
            true => Extent {
                start: decoded - extent.length,
                ..extent
            },
            false => extent,
        }
    });
    Ok(Picture {
        rgb: picture.into_rgb8(),
        size,
        extents,
        was_grey,
        had_alpha: false,
        was_deep: false,
        lacked_end_marker: false,
    })
}

fn whole_extent(side: u32, factor: u32) -> Extent {
    Extent {
        start: 0.0,
        length: f64::from(side) / f64::from(factor),
    }
}

/// Whether an orientation makes rows of columns, and whether it reverses the rows and the columns of the result.
fn layout(orientation: Orientation) -> (bool, [bool; 2]) {
    match orientation {
        Orientation::NoTransforms => (false, [false, false]),
        Orientation::FlipHorizontal => (false, [false, true]),
        Orientation::FlipVertical => (false, [true, false]),
        Orientation::Rotate180 => (false, [true, true]),
        Orientation::Rotate90 => (true, [false, true]),
        Orientation::Rotate270 => (true, [true, false]),
        Orientation::Rotate90FlipH => (true, [false, false]),
        Orientation::Rotate270FlipH => (true, [true, true]),
    }
}

/// A JPEG, decoded at the size `[height, width]`, which is a half, a quarter or an eighth of its own, rounded up.
fn scaled_jpeg(bytes: &[u8], [height, width]: [u32; 2]) -> Result<DynamicImage, String> {
    let damaged = |error: jpeg_decoder::Error| format!("it is damaged: {error}");
    let impossible = || format!("it cannot be decoded at {height} x {width} pixels");
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.read_info().map_err(damaged)?;
    let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX);
    let found = decoder.scale(side(width), side(height)).map_err(damaged)?;
    if found != (side(width), side(height)) {
        return Err(impossible());
    }
    let pixels = decoder.decode().map_err(damaged)?;
    let format = decoder.info().map(|info| info.pixel_format);
    let picture = match format {
        Some(jpeg_decoder::PixelFormat::L8) => {
            image::GrayImage::from_raw(width, height, pixels).map(DynamicImage::from)
        }
        Some(jpeg_decoder::PixelFormat::RGB24) => {
            RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
        }
        _ => None,
    };
    picture.ok_or_else(impossible)
}

fn upright(bytes: &[u8]) -> Result<DynamicImage, String> {
    let mut decoder = open(bytes)?;
    check_bytes(&decoder)?;
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
/// As for [`decode`], but damage after the header is not detected, and [`MAX_DECODED_BYTES`] is no limit.
pub fn size(bytes: &[u8]) -> Result<[u32; 2], String> {
    let mut decoder = open(bytes)?;
    let (width, height) = decoder.dimensions();
    match decoder.orientation().map(layout) {
        Ok((true, _)) => Ok([width, height]),
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
        Some(
            ImageFormat::Png
            | ImageFormat::Jpeg
            | ImageFormat::WebP
            | ImageFormat::Bmp
            | ImageFormat::Gif,
        ) => {}
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
    Ok(decoder)
}

fn check_bytes(decoder: &impl ImageDecoder) -> Result<(), String> {
    let (width, height) = decoder.dimensions();
    if decoder.total_bytes() <= MAX_DECODED_BYTES {
        return Ok(());
    }
    Err(format!(
        "its {height} x {width} pixels (height x width) take {} MiB, but the limit is {} MiB: make it smaller",
        decoder.total_bytes() >> 20,
        MAX_DECODED_BYTES >> 20
    ))
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

/// The codes of the frames of sequential and of progressive JPEGs.
const SEQUENTIAL_FRAMES: [u8; 2] = [0xc0, 0xc1];
const PROGRESSIVE_FRAME: u8 = 0xc2;

/// Whether a JPEG is sequential and its only scan contains all of its components.
fn is_one_whole_scan(bytes: &[u8]) -> bool {
    const SCAN: u8 = 0xda;
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

/// Where a frame says how many components it has.
const COMPONENTS_OF_FRAME: usize = 5;

/// The code of a JPEG's frame and its number of components, for frames that can be decoded.
fn frame(bytes: &[u8]) -> Option<(u8, u8)> {
    let is_frame = |code: u8| SEQUENTIAL_FRAMES.contains(&code) || code == PROGRESSIVE_FRAME;
    let (code, content) = Segments::of(bytes).find(|(code, _)| is_frame(*code))?;
    content.get(COMPONENTS_OF_FRAME).map(|n| (code, *n))
}

fn is_progressive(bytes: &[u8]) -> bool {
    frame(bytes).is_some_and(|(code, _)| code == PROGRESSIVE_FRAME)
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
            b"II*\x00\x08\x00\x00\x00",
            "its content is Tiff, which is not supported",
        );
    }

    #[test]
    fn truncated_pictures_are_refused() {
        for format in [
            ImageFormat::Jpeg,
            ImageFormat::Png,
            ImageFormat::Bmp,
            ImageFormat::WebP,
            ImageFormat::Gif,
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
