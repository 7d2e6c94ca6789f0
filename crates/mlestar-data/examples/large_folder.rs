//! Runs every pass over a folder of images, and prints how long it takes and how much memory the process holds.
//!
//!     cargo run --release -p mlestar-data --example large_folder -- FOLDER SIDE CACHE
//!
//! The pixels are prepared in a file of the folder CACHE, whatever their number. Memory is shown on Linux: what is the
//! process's own, and what it has mapped of the file, which the system takes back when it needs it.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use mlestar_data::augment::{AugmentationConfig, Policy};
use mlestar_data::{
    DataConfig, LoadOptions, LoadProgress, Loader, LoaderConfig, Normalization, SourceKind,
    describe, fingerprint, load_with, quality, separability, variability,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, side, cache] = &arguments[..] else {
        return Err("give: FOLDER SIDE CACHE".into());
    };
    let side: usize = side.parse()?;
    let config = DataConfig {
        image_size: Some([side, side]),
        memory_limit_mib: 0,
        cache: PathBuf::from(cache),
        ..DataConfig::new(SourceKind::Folder, folder)
    };
    let start = Instant::now();
    let mut progress = |state: LoadProgress| {
        if let (Some(speed), Some(left)) = (state.images_per_second, state.seconds_left) {
            eprint!(
                "\r{} of {}, {speed:.0} images/s, {left:.0} s left ",
                state.n_done, state.n
            );
        }
    };
    let options = LoadOptions {
        progress: Some(&mut progress),
        ..LoadOptions::default()
    };
    let loaded = load_with(&config, 7, options)?;
    eprintln!();
    let used = loaded.cache.as_ref().map_or(0, |used| used.n_prepared);
    tell(&format!("load ({used} images prepared)"), start);
    let splits = &loaded.splits;

    let start = Instant::now();
    fingerprint(&config, None)?;
    tell("fingerprint", start);
    let start = Instant::now();
    let description = describe(&splits.train);
    tell("describe", start);
    let start = Instant::now();
    let report = quality::check(splits);
    tell(
        &format!("quality ({} findings)", report.findings.len()),
        start,
    );
    let start = Instant::now();
    let is_separable = separability::measure(&splits.train, &splits.validation, 7).is_some();
    let varies = variability::measure(&splits.train, 7).is_some();
    tell(
        &format!("separability ({is_separable}) and variability ({varies})"),
        start,
    );

    let augmentation = AugmentationConfig {
        random_resized_crop_scale: [0.35, 1.0],
        horizontal_flip_probability: 0.5,
        policy: Policy::TrivialAugmentWide,
        ..AugmentationConfig::default()
    };
    let settings = LoaderConfig {
        threads: 2,
        ..LoaderConfig::default()
    };
    let normalization = Normalization::from_description(&description)?;
    let train = Arc::new(splits.train.clone());
    let start = Instant::now();
    let loader = Loader::new(train, Some(augmentation), normalization, settings)?;
    let n: usize = loader.epoch(0).map(|batch| batch.n).sum();
    tell(
        &format!("an epoch of {n} augmented images in batches"),
        start,
    );
    Ok(())
}

fn tell(what: &str, start: Instant) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mib = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.map_or("?".to_string(), |kib| (kib / 1024).to_string())
    };
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{what}: {seconds:.1} s; own memory {} MiB, mapped {} MiB",
        mib("RssAnon:"),
        mib("RssFile:")
    );
}
