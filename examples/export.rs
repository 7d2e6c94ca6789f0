//! Exports a classifier as a package, checks that the package predicts the same as Burn, shows that a damaged
//! package is rejected, and measures a prediction.
//!
//! `cargo run --release -p mlestar-examples --example export [FOLDER]` writes the package to FOLDER, or to a
//! temporary folder. The classifier is untrained, because only the export matters here.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use mlestar_export::benchmark::{Images, StopRule, SystemClock, offline, single_stream};
use mlestar_export::{FrozenModel, Predictor, Preparation, package, parity};
use mlestar_model::ModelConfig;
use mlestar_random::Stream;

const SIDE: usize = 32;
const N_CLASSES: usize = 10;
const N_PICTURES: usize = 64;

fn main() -> Result<(), Box<dyn Error>> {
    let temporary = tempfile::tempdir()?;
    let dir = std::env::args_os()
        .nth(1)
        .map_or(temporary.path().to_owned(), PathBuf::from);

    let device = Device::flex();
    let spec = ModelConfig::reference().check(N_CLASSES, SIDE, SIDE)?;
    let model = spec.init(0, &device);
    let classes: Vec<String> = (0..N_CLASSES)
        .map(|index| format!("class {index}"))
        .collect();
    let frozen = FrozenModel::freeze(&model, &spec, ([0.5; 3], [0.25; 3]), &classes)?;
    println!(
        "{} parameters after folding, {:.1} million multiply-adds per image",
        frozen.parameters(),
        frozen.multiply_adds() as f64 / 1e6
    );

    let contents = package::Contents {
        provenance: BTreeMap::from([("example".to_owned(), "an untrained network".to_owned())]),
        ..package::Contents::default()
    };
    let manifest = package::write_package(&dir, &frozen, &Preparation::new(SIDE, SIDE), &contents)?;
    for file in &manifest.files {
        println!(
            "{}: {} bytes, BLAKE3 {}",
            dir.join(&file.name).display(),
            file.bytes,
            file.blake3
        );
    }
    let predictor = Predictor::open(&dir)?;

    let mut stream = Stream::new(0, "example pictures", 0, 0);
    let pictures: Vec<u8> = (0..N_PICTURES * SIDE * SIDE * 3)
        .map(|_| stream.below(256) as u8)
        .collect();
    let prediction = predictor.predict(&pictures[..SIDE * SIDE * 3], SIDE, SIDE)?;
    for ranked in predictor.top_k(&prediction, 3) {
        println!("  {}: {:.3}", ranked.class, ranked.probability);
    }

    let images = burn_images(&pictures, &frozen, &device);
    let reference = model.forward(images).into_data().try_into_vec::<f32>()?;
    let exported = predictor.logits(&pictures, N_PICTURES)?;
    let parity = parity::compare(&reference, &exported, N_CLASSES)?;
    println!(
        "compared with Burn: same class for {} of {} images, logits differ by at most {:.1e}",
        parity.same_top1, parity.n, parity.max_abs_difference
    );

    let (images, clock) = (Images::noise(&predictor, 0), SystemClock::start());
    let rule = StopRule::within(1.0, 0.95);
    let stream = single_stream(&predictor, &images, &rule, &clock)?;
    println!(
        "one image: median {:.2} ms, 99th percentile {:.2} ms, n = {}, stable: {}",
        stream.latency.p50.ms, stream.latency.p99.ms, stream.latency.n, stream.stability.is_stable
    );
    for speed in offline(&predictor, &images, &[1, 64], &rule, &clock)?.throughput {
        println!(
            "batches of {}: {:.0} images per second",
            speed.batch_size, speed.images_per_second
        );
    }

    // The last bytes are weights: without the hash, the damage would go unnoticed.
    let weights = dir.join(package::SAFETENSORS_FILE);
    let intact = std::fs::read(&weights)?;
    let mut damaged = intact.clone();
    if let Some(last) = damaged.last_mut() {
        *last ^= 1;
    }
    std::fs::write(&weights, damaged)?;
    match Predictor::open(&dir) {
        Ok(_) => return Err("a damaged package was accepted".into()),
        Err(refusal) => println!("damaged on purpose: {refusal}"),
    }
    std::fs::write(&weights, intact)?;
    Ok(())
}

/// The images in the form that Burn's network takes: normalised, `[n, 3, height, width]`.
fn burn_images(pictures: &[u8], frozen: &FrozenModel, device: &Device) -> Tensor<4> {
    let mut planar = Vec::with_capacity(pictures.len());
    for picture in pictures.chunks_exact(SIDE * SIDE * 3) {
        for channel in 0..3 {
            let pixels = picture.iter().skip(channel).step_by(3);
            planar.extend(pixels.map(|&pixel| frozen.normalization().apply(pixel, channel)));
        }
    }
    Tensor::from_data(TensorData::new(planar, [N_PICTURES, 3, SIDE, SIDE]), device)
}
