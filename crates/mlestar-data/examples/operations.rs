//! Applies augmentation operations to an image, or measures the speed of an augmentation.
//!
//!     cargo run --release -p mlestar-data --example operations -- apply HEIGHT WIDTH IN.rgb OPERATIONS.json OUT.rgb
//!     cargo run --release -p mlestar-data --example operations -- time HEIGHT WIDTH AUGMENTATION.toml N
//!
//! `IN.rgb` holds one planar image; `OUT.rgb` gets one for each operation of the JSON list, such as `[{"rotate": 30.0},
//! "equalize"]`. Timing uses one thread and N images of noise. `benches/peers/augmentation.py` compares both with
//! torchvision.

use std::error::Error;
use std::time::Instant;

use mlestar_data::augment::{AugmentationConfig, Augmenter, Operation};
use mlestar_data::normalization::Normalization;
use mlestar_random::Stream;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["apply", height, width, from, operations, to] => {
            let size = [height.parse()?, width.parse()?];
            let pixels = std::fs::read(from)?;
            let operations: Vec<Operation> = serde_json::from_slice(&std::fs::read(operations)?)?;
            let results = operations
                .iter()
                .map(|operation| operation.apply(&pixels, size));
            Ok(std::fs::write(to, results.collect::<Vec<_>>().concat())?)
        }
        ["time", height, width, config, n] => {
            let config = toml::from_str(&std::fs::read_to_string(config)?)?;
            measure([height.parse()?, width.parse()?], &config, n.parse()?)
        }
        _ => {
            Err("give: apply HEIGHT WIDTH IN OPERATIONS OUT, or time HEIGHT WIDTH CONFIG N".into())
        }
    }
}

/// Prints images per second of one thread, the best of three repetitions.
fn measure(
    size @ [height, width]: [usize; 2],
    config: &AugmentationConfig,
    n: u64,
) -> Result<(), Box<dyn Error>> {
    let normalization = Normalization::new([0.5; 3], [0.25; 3])?;
    let augmenter = Augmenter::new(config, normalization, height, width)?;
    let mut stream = Stream::new(1, "noise", 0, 0);
    let pixels: Vec<u8> = (0..3 * size[0] * size[1])
        .map(|_| stream.next_u32() as u8)
        .collect();
    let mut out = vec![0.0; pixels.len()];
    let seconds = (0..3).map(|_| {
        let start = Instant::now();
        for index in 0..n {
            augmenter.apply(&pixels, 7, 0, index, &mut out);
        }
        start.elapsed().as_secs_f64()
    });
    let best = seconds.fold(f64::INFINITY, f64::min);
    println!("{:.1}", n as f64 / best);
    Ok(())
}
