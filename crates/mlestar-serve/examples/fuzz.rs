//! Feeds damaged requests and images to the parser of the protocol and to the decoder, and prints how many it tried.
//!
//! `cargo run --release -p mlestar-serve --example fuzz [SECONDS] [SEED]`. A panic ends it; `SEED` repeats an input.

use image::{ImageFormat, Rgb, RgbImage};
use mlestar_image::Preparation;
use mlestar_serve::protocol::{InferRequest, Input};
use std::io::Cursor;
use std::time::{Duration, Instant};

/// SplitMix64: all that is wanted here is variety.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}

/// Says which input it was when a panic passes.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input of seed {}", self.0);
        }
    }
}

fn main() {
    let number = |at, default| {
        std::env::args()
            .nth(at)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (seconds, first_seed) = (number(1, 10), number(2, 1));
    let (requests, images) = (requests(), images());
    let preparation = Preparation::new(24, 24);
    let begun = Instant::now();
    let (mut seed, mut n_accepted, mut n_decoded) = (first_seed, 0_u64, 0_u64);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let mut draws = Draws(seed);
        let _told = Told(seed);
        let (text, length) = &requests[draws.below(requests.len())];
        let body = damaged(text, &mut draws);
        let length = match draws.below(4) {
            0 => None,
            1 => Some(draws.below(body.len() + 9)),
            _ => Some(*length),
        };
        if let Ok(request) = InferRequest::parse(body.into(), length) {
            n_accepted += 1;
            if let Input::Pixels {
                n,
                height,
                width,
                data,
            } = request.input
            {
                assert_eq!(n * height * width * 3, data.len(), "seed {seed}");
            }
        }
        let file = damaged(&images[draws.below(images.len())], &mut draws);
        if let Ok(image) = preparation.apply(&file) {
            n_decoded += 1;
            assert_eq!(image.dimensions(), (24, 24), "seed {seed}");
        }
        seed += 1;
    }
    let n = seed - first_seed;
    println!(
        "{n} requests ({n_accepted} accepted) and {n} images ({n_decoded} decoded) in {:.0} s, without a panic",
        begun.elapsed().as_secs_f64()
    );
}

/// A few bytes changed, cut out, doubled or put in.
fn damaged(bytes: &[u8], draws: &mut Draws) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..draws.below(6) {
        let at = draws.below(bytes.len() + 1);
        let end = (at + draws.below(9)).min(bytes.len());
        match draws.below(5) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => bytes.extend_from_within(at..end),
            3 => bytes.insert(at, draws.below(256) as u8),
            _ => bytes[at..end]
                .iter_mut()
                .for_each(|byte| *byte ^= 1 << draws.below(8)),
        }
    }
    bytes
}

/// Bodies with the lengths of their JSON.
fn requests() -> Vec<(Vec<u8>, usize)> {
    let json = [
        (
            r#"{"inputs":[{"name":"images","shape":[1,1,2,3],"datatype":"UINT8","data":[1,2,3,4,5,6]}]}"#,
            &b""[..],
        ),
        (
            r#"{"id":"x","inputs":[{"name":"images","shape":[1,1,1,3],"datatype":"UINT8","parameters":{"binary_data_size":3}}]}"#,
            b"abc",
        ),
        (
            r#"{"inputs":[{"name":"raw","shape":[1],"datatype":"BYTES","data":["AAAA"]}],"outputs":[{"name":"logits","parameters":{"classification":2}}]}"#,
            b"",
        ),
        (
            r#"{"parameters":{"binary_data_output":true},"inputs":[{"name":"raw","shape":[2,1],"datatype":"BYTES","parameters":{"binary_data_size":10}}]}"#,
            b"\x01\0\0\0a\x01\0\0\0b",
        ),
    ];
    json.map(|(text, tail)| ([text.as_bytes(), tail].concat(), text.len()))
        .to_vec()
}

fn images() -> Vec<Vec<u8>> {
    let image = RgbImage::from_fn(33, 21, |x, y| {
        Rgb([(x * 7) as u8, (y * 11) as u8, (x * y) as u8])
    });
    let formats = [
        ImageFormat::Png,
        ImageFormat::Jpeg,
        ImageFormat::WebP,
        ImageFormat::Bmp,
    ];
    let encoded = formats.map(|format| {
        let mut bytes = Cursor::new(Vec::new());
        // Writing to memory does not fail.
        let _ = image.write_to(&mut bytes, format);
        bytes.into_inner()
    });
    encoded.to_vec()
}
