//! Reads a dataset, splits it, and reports what was read.
//!
//! ```text
//! cargo run --release -p mlestar-examples --example data                   # the built-in set
//! cargo run --release -p mlestar-examples --example data -- DIR            # CIFAR files or a folder of images
//! cargo run --release -p mlestar-examples --example data -- fetch cifar10 DIR
//! ```

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use mlestar_data::detect::detect;
use mlestar_data::fetch::{ArchiveManifest, FetchOptions, FetchStage, fetch};
use mlestar_data::{DataConfig, DataError, LoadedData, fingerprint, load};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => show(&DataConfig::default()),
        [folder] => {
            detect(Path::new(folder)).and_then(|source| show(&DataConfig::new(source, folder)))
        }
        ["fetch", name, folder] => download(name, Path::new(folder)),
        _ => {
            eprintln!("usage: data [DIR] | data fetch cifar10|cifar100 DIR");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show(config: &DataConfig) -> Result<(), DataError> {
    let start = Instant::now();
    println!("fingerprint {}", fingerprint(config, None)?);
    println!("hashed in {:.2} s", start.elapsed().as_secs_f64());

    let start = Instant::now();
    let LoadedData { splits, source, .. } = load(config, 42)?;
    println!(
        "loaded in {:.2} s: {}",
        start.elapsed().as_secs_f64(),
        source.layout
    );
    let [height, width] = source.image_size;
    println!(
        "{} classes, {height} x {width} pixels: {}",
        source.classes.len(),
        source.resize_rule
    );
    for split in &source.splits {
        println!(
            "{:>10}: {:6} images ({})",
            split.name, split.n, split.made_from
        );
    }
    for note in &source.notes {
        println!("note: {note}");
    }
    for skipped in &source.skipped {
        println!("skipped {}: {}", skipped.path, skipped.reason);
    }
    if !splits.test.is_empty() {
        println!(
            "the first test image is {} with the class {}",
            splits.test.origin(0),
            splits.test.classes()[splits.test.label(0) as usize]
        );
    }
    Ok(())
}

fn download(name: &str, into: &Path) -> Result<(), DataError> {
    let manifest = ArchiveManifest::known(name)?;
    println!("{}: {}", manifest.title, manifest.licence);
    let mut shown = None;
    let folder = fetch(
        &manifest,
        into,
        &FetchOptions::from_environment(),
        &mut |progress| {
            let percent = progress.bytes_done * 100 / progress.bytes_total.max(1);
            if shown != Some((progress.stage, percent)) {
                shown = Some((progress.stage, percent));
                let what = match progress.stage {
                    FetchStage::Downloading => "downloading",
                    FetchStage::Verifying => "verifying",
                    FetchStage::Unpacking => "unpacking",
                };
                eprint!("\r{what} {percent}%   ");
            }
        },
    );
    eprintln!();
    println!("{} is in {}", manifest.title, folder?.display());
    Ok(())
}
