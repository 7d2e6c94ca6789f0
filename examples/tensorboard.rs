//! Two short trainings in TensorBoard, with more than the scalars that every training logs: sample images,
//! histograms of the weights, the confusion matrix, a text, and the settings with their results.
//!
//! ```text
//! cargo run --release -p mlestar-examples --example tensorboard [-- FOLDER]
//! tensorboard --logdir FOLDER
//! ```
//!
//! Without an argument the folder is created in the folder for temporary files.

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use burn::tensor::Device;
use mlestar_data::{
    ImageSet, ImageSplits,
    synthetic::{SyntheticConfig, generate},
};
use mlestar_model::{ModelConfig, Network};
use mlestar_train::{
    FitRequest, OptimizerConfig, TrainEvent, TrainingConfig, fit, logits,
    tensorboard::{EventWriter, HistogramSummary, confusion_matrix_picture},
};

const EPOCHS: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map_or_else(
        || std::env::temp_dir().join("mlestar-tensorboard-example"),
        PathBuf::from,
    );
    let sizes = SyntheticConfig {
        n_train: 1000,
        n_validation: 200,
        n_test: 10,
        ..SyntheticConfig::default()
    };
    let splits = generate(&sizes, 42)?.splits;
    for learning_rate in [0.003, 0.0003] {
        let output = folder.join(format!("lr-{learning_rate}"));
        train(&splits, learning_rate, &output)?;
    }
    println!("tensorboard --logdir {}", folder.display());
    Ok(())
}

fn train(splits: &ImageSplits, learning_rate: f64, output: &Path) -> Result<(), Box<dyn Error>> {
    let (train, validation) = (&splits.train, &splits.validation);
    let device = Device::flex();
    let training = TrainingConfig {
        epochs: EPOCHS,
        batch_size: 32,
        optimizer: OptimizerConfig {
            learning_rate,
            ..OptimizerConfig::default()
        },
        ..TrainingConfig::default()
    };
    let network = ModelConfig::small().check(10, 32, 32)?.init(42, &device);
    let mut request = FitRequest::new(network, splits, &device, output)?;
    request.setup.training = training.check()?;
    request.setup.seed = 42;
    request.resume = false;
    let outcome = fit(&request, &mut |event: &TrainEvent| {
        if let TrainEvent::Epoch(record) = event
            && let Some(accuracy) = record.validation_accuracy
        {
            println!(
                "learning rate {learning_rate}, epoch {}: validation accuracy {accuracy:.3}",
                record.epoch
            );
        }
    })?;

    // In the same folder as the scalars.
    let mut events = EventWriter::create(&output.join("tensorboard"), EPOCHS as u64 + 1)?;
    events.hparams(
        &[
            ("learning_rate", learning_rate.into()),
            ("optimizer", "adam".into()),
            ("augmented", false.into()),
        ],
        &["validation/accuracy", "validation/loss"],
    )?;
    let samples: Vec<usize> = (0..25).collect();
    events.images(0, "train/samples", train, &samples)?;
    for (step, weights) in [
        (0, request.setup.network.state()),
        (outcome.best_epoch, outcome.best_model.state()),
    ] {
        for tensor in weights.iter().filter(|tensor| tensor.shape.len() == 4) {
            let histogram = HistogramSummary::of(tensor.values.iter().copied());
            events.histogram(step as u64, &format!("weights/{}", tensor.name), &histogram)?;
        }
    }
    let logits = logits(
        &outcome.best_model,
        validation,
        &request.setup.normalization,
        100,
        &device,
        &mut |_, _| (),
    )?;
    let matrix =
        confusion_matrix_picture(&confusion_counts(&logits, validation), validation.classes())?;
    events.picture(outcome.best_epoch as u64, "validation/confusion", &matrix)?;
    let summary = format!(
        "Best epoch **{}** of {EPOCHS}.\n\n| setting | value |\n|---|---|\n| learning rate | {learning_rate} |\n",
        outcome.best_epoch
    );
    events.text(0, "summary", &summary)?;
    Ok(())
}

/// Counts of true (rows) and predicted (columns) classes.
fn confusion_counts(logits: &[f32], set: &ImageSet) -> Vec<u32> {
    let k = set.n_classes();
    let mut counts = vec![0; k * k];
    for (row, &label) in logits.chunks_exact(k).zip(set.labels()) {
        let mut predicted = 0;
        for (class, logit) in row.iter().enumerate() {
            if *logit > row[predicted] {
                predicted = class;
            }
        }
        counts[label as usize * k + predicted] += 1;
    }
    counts
}
