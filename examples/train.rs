//! Trains the small CNN on the built-in synthetic images. Ctrl-C is not handled, but running the example again
//! resumes after the last finished epoch.
//!
//! `cargo run --release -p mlestar-examples --example train [FOLDER]`

use std::{error::Error, path::PathBuf};

use burn::tensor::Device;
use mlestar_data::synthetic::{SyntheticConfig, generate};
use mlestar_eval::softmax_rows;
use mlestar_model::ModelConfig;
use mlestar_train::{EarlyStoppingConfig, FitRequest, TrainEvent, TrainingConfig, fit, logits};

fn main() -> Result<(), Box<dyn Error>> {
    let output = std::env::args_os().nth(1).map_or_else(
        || std::env::temp_dir().join("mlestar-train-example"),
        PathBuf::from,
    );
    let sizes = SyntheticConfig {
        n_train: 1000,
        n_validation: 200,
        n_test: 200,
        ..SyntheticConfig::default()
    };
    let splits = generate(&sizes, 42)?.splits;
    let device = Device::flex();

    let network = ModelConfig::small().check(10, 32, 32)?.init(42, &device);
    let mut request = FitRequest::new(network, &splits, &device, &output)?;
    request.setup.seed = 42;
    request.setup.augmentation.random_crop_padding = 2;
    let training = TrainingConfig {
        epochs: 4,
        batch_size: 64,
        early_stopping: Some(EarlyStoppingConfig::default()),
        ..TrainingConfig::default()
    };
    request.setup.training = training.check()?;
    let outcome = fit(&request, &mut |event: &TrainEvent| match event {
        TrainEvent::Resumed { path, epoch, .. } => {
            println!("resumed after epoch {epoch} from {}", path.display());
        }
        TrainEvent::Epoch(record) => println!(
            "epoch {:2}  loss {:.3}  validation accuracy {:.3}  {:.0} images/s",
            record.epoch,
            record.train_loss,
            record.validation_accuracy.unwrap_or(f64::NAN),
            record.images_per_second
        ),
        _ => {}
    })?;
    println!(
        "{:?}; the best epoch is {}",
        outcome.stopped, outcome.best_epoch
    );

    let one = splits.test.select(&[0])?;
    let logits = logits(
        &outcome.best_model,
        &one,
        &request.setup.normalization,
        1,
        &device,
        &mut |_, _| (),
    )?;
    let probabilities = softmax_rows(&logits, 10);
    println!(
        "a test image of class {}: {probabilities:.3?}",
        one.label(0)
    );
    println!("results are in {}", output.display());
    Ok(())
}
