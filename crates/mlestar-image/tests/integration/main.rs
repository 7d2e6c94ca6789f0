//! Files of every kind that is read, beside what Pillow reads from them (`tests/fixtures/make.py`).
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // a test fails by panicking

use std::collections::BTreeMap;
use std::path::PathBuf;

use mlestar_image::picture::{self, Picture};
use mlestar_image::{Filter, Preparation, Resize};

const WHITE: [u8; 3] = [255; 3];

fn file(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::read(folder.join(name)).unwrap()
}

/// Height, width and pixels by Pillow, by file.
fn expected() -> BTreeMap<String, (u32, u32, Vec<u8>)> {
    serde_json::from_slice(&file("expected.json")).unwrap()
}

fn decode(name: &str) -> Picture {
    picture::decode(&file(name), WHITE).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| a.abs_diff(*b))
        .max()
        .unwrap_or(0)
}

#[test]
fn pixels_are_those_of_pillow() {
    let mut n = 0;
    for (name, (height, width, pixels)) in expected() {
        if name.ends_with(".tiff") {
            continue;
        }
        let limit = match name.as_str() {
            // Our JPEG decoder and Pillow's round differently.
            name if name.ends_with(".jpg") => 4,
            // Blending rounds to the nearest level here, and down in parts of Pillow.
            "grey-alpha.png" | "alpha.webp" => 1,
            _ => 0,
        };
        let found = decode(&name);
        assert_eq!(found.size, [height, width], "{name}");
        let apart = largest_difference(found.rgb.as_raw(), &pixels);
        assert!(apart <= limit, "{name}: {apart} levels apart");
        n += 1;
    }
    assert_eq!(n, 25, "files in tests/fixtures");
}

#[test]
fn conversions_are_noticed() {
    assert!(decode("grey.jpg").was_grey && decode("one-bit.png").was_grey);
    let deep = decode("sixteen-bits.png");
    assert!(deep.was_deep && deep.was_grey);
    for name in [
        "grey-alpha.png",
        "palette-transparent.png",
        "alpha.webp",
        "transparent.gif",
    ] {
        assert!(decode(name).had_alpha, "{name}");
    }
    for name in ["animated.gif", "palette.png", "cmyk.jpg"] {
        let found = decode(name);
        assert!(!found.had_alpha && !found.was_grey, "{name}");
    }
}

#[test]
fn every_orientation_is_made_upright() {
    let upright = decode("orientation-1.jpg");
    for orientation in 2..=8 {
        let name = format!("orientation-{orientation}.jpg");
        let turned = decode(&name);
        let is_turned = orientation >= 5;
        assert_eq!(
            turned.size,
            if is_turned { [20, 12] } else { [12, 20] },
            "{name}"
        );
        assert_eq!(picture::size(&file(&name)), Ok(turned.size));
        assert_ne!(turned.rgb, upright.rgb, "{name}");
    }
}

#[test]
fn what_is_not_read_says_so() {
    let error = picture::decode(&file("plain.tiff"), WHITE).unwrap_err();
    assert_eq!(
        error,
        "its content is Tiff, which is not supported: convert it to PNG or JPEG"
    );
    for name in [
        "animated.gif",
        "animated.webp",
        "palette.png",
        "plain.bmp",
        "progressive.jpg",
    ] {
        let whole = file(name);
        let error = picture::decode(&whole[..whole.len() / 3], WHITE).unwrap_err();
        assert!(
            error.contains("damaged") || error.contains("truncated"),
            "{name}: {error}"
        );
    }
}

/// Smooth colours with some structure, as a JPEG of `width` x `height`.
fn photograph(width: u32, height: u32) -> Vec<u8> {
    let picture = image::RgbImage::from_fn(width, height, |x, y| {
        let wave = |v: u32, length: f32| 60.0 * (v as f32 / length).sin();
        image::Rgb([
            (120.0 + wave(x, 37.0) + wave(y, 53.0)) as u8,
            (110.0 + wave(x + y, 71.0)) as u8,
            (130.0 + wave(y, 29.0) - wave(x, 91.0)) as u8,
        ])
    });
    encoded(&picture)
}

fn encoded(picture: &image::RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 92);
    encoder.encode_image(picture).unwrap();
    bytes
}

#[test]
fn large_jpegs_are_decoded_small_and_look_the_same() {
    let bytes = photograph(1603, 1201);
    for (side, size) in [
        (150, (201, 151)),
        (151, (201, 151)),
        (152, (401, 301)),
        (601, (802, 601)),
    ] {
        let small = picture::decode_at_least(&bytes, WHITE, side).unwrap();
        assert_eq!(small.rgb.dimensions(), size, "{side}");
        assert_eq!(small.size, [1201, 1603]);
    }
    let whole = picture::decode_at_least(&bytes, WHITE, 602).unwrap();
    assert_eq!(whole.rgb.dimensions(), (1603, 1201));

    let rule = |resize_side| Preparation {
        resize: Resize::ShorterSideAndCropCentre {
            resize_side,
            filter: Filter::Bilinear,
        },
        ..Preparation::new(64, 64)
    };
    let small = picture::decode_at_least(&bytes, WHITE, 150).unwrap();
    let lengths = small.extents.map(|extent| extent.length);
    assert_eq!(lengths, [1201.0 / 8.0, 1603.0 / 8.0]);
    let small = rule(75).apply(&bytes).unwrap();
    let exact = rule(75).finish(whole).unwrap();
    let apart = largest_difference(small.as_raw(), exact.as_raw());
    assert!(apart <= 4, "{apart}");
}

#[test]
fn small_decoding_keeps_orientation_and_grey() {
    let mut turned = file("orientation-6.jpg");
    // The fixture is 20 x 12 pixels: at a quarter it still has 3.
    let small = picture::decode_at_least(&turned, WHITE, 3).unwrap();
    assert_eq!((small.rgb.dimensions(), small.size), ((3, 5), [20, 12]));
    // At an eighth, 12 rows become one and a half; turned clockwise, they end at the first column.
    let smaller = picture::decode_at_least(&turned, WHITE, 2).unwrap();
    assert_eq!(smaller.rgb.dimensions(), (2, 3));
    let extents = smaller.extents.map(|extent| (extent.start, extent.length));
    assert_eq!(extents, [(0.0, 2.5), (0.5, 1.5)]);
    let grey = picture::decode_at_least(&file("grey.jpg"), WHITE, 6).unwrap();
    assert!(grey.was_grey);
    assert_eq!(grey.rgb.dimensions(), (10, 6));
    let progressive = picture::decode_at_least(&file("progressive.jpg"), WHITE, 6).unwrap();
    assert_eq!(progressive.rgb.dimensions(), (10, 6));
    // Without its end marker it is decoded whole, and CMYK always is.
    turned.truncate(turned.len() - 2);
    assert!(
        picture::decode_at_least(&turned, WHITE, 3)
            .unwrap()
            .lacked_end_marker
    );
    let cmyk = picture::decode_at_least(&file("cmyk.jpg"), WHITE, 3).unwrap();
    assert_eq!(cmyk.rgb.dimensions(), (20, 12));
}

/// A JPEG with more pixels than may be decoded is read at a smaller size.
#[test]
fn photographs_beyond_the_limit_are_read_small() {
    let (width, height) = (12_000, 8_000);
    assert!(width * height * 3 > picture::MAX_DECODED_BYTES);
    let plain = image::RgbImage::from_pixel(width as u32, height as u32, image::Rgb([9, 99, 200]));
    let bytes = encoded(&plain);
    let error = picture::decode(&bytes, WHITE).unwrap_err();
    assert!(
        error.contains("take 274 MiB, but the limit is 256 MiB"),
        "{error}"
    );
    let small = picture::decode_at_least(&bytes, WHITE, 512).unwrap();
    assert_eq!(small.rgb.dimensions(), (1500, 1000));
    assert_eq!(picture::size(&bytes), Ok([8000, 12_000]));
}
