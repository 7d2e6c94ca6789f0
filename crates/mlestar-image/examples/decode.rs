//! Prepares image files as training and prediction do: writes their pixels, or measures how fast that is.
//!
//!     cargo run --release -p mlestar-image --example decode -- pixels 224 256 bilinear OUT.rgb FILE...
//!     cargo run --release -p mlestar-image --example decode -- time 224 256 bilinear THREADS FILE...
//!
//! The arguments are the side of the square, `resize_side` (`cover` for the rule without it) and the filter.
//! `benches/peers/decode.py` compares both with Pillow and torchvision.

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use mlestar_image::{Filter, Preparation, Resize, picture};
use rayon::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, side, resize_side, filter, last, files @ ..] = &arguments[..] else {
        return Err("give: pixels|time SIDE RESIZE_SIDE FILTER OUT|THREADS FILE...".into());
    };
    let side: usize = side.parse()?;
    let filter = match filter.as_str() {
        "bicubic" => Filter::Bicubic,
        _ => Filter::Bilinear,
    };
    let mut preparation = Preparation::new(side, side);
    if resize_side != "cover" {
        preparation.resize = Resize::ShorterSideAndCropCentre {
            resize_side: resize_side.parse()?,
            filter,
        };
    }
    let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    match what.as_str() {
        "pixels" => write_pixels(&preparation, &files, last),
        "time" => measure(&preparation, &files, last.parse()?),
        other => Err(format!("{other} is neither pixels nor time").into()),
    }
}

/// Writes the pixels of all images, one after the other, interleaved.
fn write_pixels(
    preparation: &Preparation,
    files: &[PathBuf],
    out: &str,
) -> Result<(), Box<dyn Error>> {
    let mut bytes = Vec::new();
    for file in files {
        bytes.extend_from_slice(preparation.read(file)?.as_raw());
    }
    Ok(std::fs::write(out, bytes)?)
}

/// Prints images per second, of decoding alone and of decoding with resizing; the best of three repetitions, with the
/// files in memory.
fn measure(
    preparation: &Preparation,
    files: &[PathBuf],
    threads: usize,
) -> Result<(), Box<dyn Error>> {
    let contents: Vec<Vec<u8>> = files
        .iter()
        .map(|file| picture::read_file(file))
        .collect::<Result<_, _>>()?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()?;
    let best = |work: &(dyn Fn(&Vec<u8>) -> bool + Sync)| {
        let seconds = (0..3).map(|_| {
            let start = Instant::now();
            let is_fine = pool.install(|| contents.par_iter().with_max_len(1).all(work));
            assert!(is_fine, "a file that cannot be read");
            start.elapsed().as_secs_f64()
        });
        contents.len() as f64 / seconds.fold(f64::INFINITY, f64::min)
    };
    let decode = best(&|content| picture::decode(content, [255; 3]).is_ok());
    let prepare = best(&|content| preparation.apply(content).is_ok());
    println!("{{\"decode\": {decode:.1}, \"prepare\": {prepare:.1}}}");
    Ok(())
}
