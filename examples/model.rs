//! The cost of an architecture, layer by layer, and one forward pass through it.
//!
//! `cargo run --release -p mlestar-examples --example model`

use burn::tensor::{Device, Tensor};
use mlestar_model::{ModelConfig, ModelError};

fn main() -> Result<(), ModelError> {
    for (name, config) in [
        ("small", ModelConfig::small()),
        ("reference", ModelConfig::reference()),
    ] {
        let spec = config.check(10, 32, 32)?;
        let summary = spec.summary();
        println!("{name}");
        for layer in summary.layers.iter().filter(|layer| layer.parameters > 0) {
            let shape = format!("{:?}", layer.output_shape);
            println!(
                "  {:28} {:14} {:>9} parameters {:>12} multiply-adds",
                layer.name, shape, layer.parameters, layer.multiply_adds
            );
        }
        println!(
            "  in all {} parameters ({} trained), {} bytes, {} multiply-adds per image",
            summary.parameters,
            summary.trainable,
            summary.weight_bytes,
            summary.multiply_adds_per_image
        );

        let device = Device::flex();
        let model = spec.init(0, &device);
        let logits = model.forward(Tensor::zeros([1, 3, 32, 32], &device));
        println!(
            "  logits of a grey image, untrained: {}\n",
            logits.to_data()
        );
    }

    // A mistake is found before anything is built.
    if let Err(error) = ModelConfig::reference().check(10, 32, 3) {
        println!("refused: {error}");
    }
    Ok(())
}
