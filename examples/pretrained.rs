//! Published weights of ResNet-18, ResNet-50 or EfficientNet-Lite0: what a file is, and the features and logits that it
//! gives for images.
//!
//! `cargo run --release -p mlestar-examples --example pretrained WEIGHTS IMAGES` reads a `.pth`, `.pt` or `.safetensors` file
//! and a file of 224x224 RGB images, one byte per value. It prints what the file is to standard error, and a JSON line for
//! each image: the logits of the executor, the largest difference of Burn's network from them, and the features.
//! `benches/peers/pretrained_logits.py` compares the lines with PyTorch's logits.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
use mlestar_export::{Executor, FrozenModel};
use mlestar_model::pretrained::WeightsFile;
use mlestar_model::{ImageClassifier, ModelConfig, Network};

const SIDE: usize = 224;
const PIXELS: usize = SIDE * SIDE * 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(weights), Some(images)) = (arguments.next(), arguments.next()) else {
        return Err("name a file of weights and one of 224x224 RGB images".into());
    };
    let file = WeightsFile::read(&weights)?;
    let found = file
        .recognise()
        .ok_or("the file is of none of the known networks")?;
    let classes = found.n_classes.ok_or("the file has no linear layer")?;
    let spec = ModelConfig::of(found.architecture).check(classes, SIDE, SIDE)?;
    let description = spec.description();
    let pretrained = file.for_description(&description)?;
    eprintln!("{}", serde_json::to_string_pretty(&pretrained.record)?);
    let preprocessing = pretrained
        .record
        .preprocessing
        .ok_or("our own files do not say how images are normalised")?;
    let normalization = (preprocessing.mean, preprocessing.std);

    let names: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
    let state = &pretrained.state;
    let frozen = FrozenModel::from_description(state, &description, normalization, &names)?;
    let executor = Executor::new(&frozen);
    let device = Device::flex();
    let network = ImageClassifier::new(&description, 0, &device).load_state(state, &device)?;

    let images = fs::read(images)?;
    for image in images.chunks_exact(PIXELS) {
        let logits = executor.logits(image, 1)?;
        let input = normalized(image, normalization, &device);
        let features: Vec<f32> = network.features(input.clone()).into_data().iter().collect();
        let burns = network.forward(input);
        let burns: Vec<f32> = burns.into_data().iter().collect();
        let differences = logits.iter().zip(&burns).map(|(a, b)| (a - b).abs());
        let difference = differences.fold(0.0, f32::max);
        let line = serde_json::json!({
            "logits": logits,
            "difference_of_burn": difference,
            "features": features,
        });
        println!("{line}");
    }
    Ok(())
}

/// One image `[1, 3, height, width]` as training sees it.
fn normalized(image: &[u8], (mean, std): ([f32; 3], [f32; 3]), device: &Device) -> Tensor<4> {
    let channel = |channel: usize| {
        let pixels = image.iter().skip(channel).step_by(3);
        pixels.map(move |&pixel| (f32::from(pixel) / 255.0 - mean[channel]) / std[channel])
    };
    let values: Vec<f32> = (0..3).flat_map(channel).collect();
    Tensor::from_data(TensorData::new(values, [1, 3, SIDE, SIDE]), device)
}
