//! The CPU kernels alone, on plain slices: a 3x3 convolution by both algorithms, their difference, and their
//! time on this machine.
//!
//! `cargo run --release -p mlestar-examples --example kernels`

use std::time::Instant;

use mlestar_kernels::{Algorithm, Conv2dShape, Epilogue, KernelError, Level, PackedConv2d};
use mlestar_random::Stream;

fn main() -> Result<(), KernelError> {
    // A layer of the reference network: 32 images of 16x16 pixels, 64 input and 64 output channels.
    let shape = Conv2dShape::square(32, [16, 16], [64, 64], 3, 1, 1);
    let input = random("input", shape.input_len());
    let weight = random("weight", shape.weight_len());
    println!(
        "{} multiply-adds with {} on {} threads",
        shape.multiply_adds(),
        Level::current().name(),
        rayon::current_num_threads()
    );

    let mut outputs = Vec::new();
    for algorithm in [Algorithm::Direct, Algorithm::Winograd] {
        let layer = PackedConv2d::new(shape, algorithm, &weight)?;
        let mut output = vec![0.0; shape.output_len()];
        layer.run(shape.n, &input, Epilogue::default(), &mut output)?;
        let start = Instant::now();
        layer.run(shape.n, &input, Epilogue::default(), &mut output)?;
        println!(
            "{algorithm:?}: {:.2} ms",
            start.elapsed().as_secs_f64() * 1e3
        );
        outputs.push(output);
    }
    let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let pairs = outputs[0].iter().zip(&outputs[1]);
    let difference = squares(&mut pairs.map(|(a, b)| f64::from(a - b)));
    let size = squares(&mut outputs[0].iter().map(|&a| f64::from(a)));
    println!(
        "relative difference of the outputs: {:.1e}",
        (difference / size).sqrt()
    );
    Ok(())
}

fn random(what: &str, len: usize) -> Vec<f32> {
    let mut stream = Stream::new(0, what, 0, 0);
    (0..len).map(|_| stream.normal() as f32).collect()
}
