//! From a folder of images to predictions, using only the libraries: read, train, evaluate, judge, export,
//! predict.
//!
//! `cargo run --release -p mlestar-examples --example folder DIR [EPOCHS]`, where DIR holds one folder of
//! images per class.

use std::{error::Error, path::Path};

use burn::tensor::Device;
use mlestar::data::{DataConfig, SourceKind, load};
use mlestar::eval::{Predictions, summarize};
use mlestar::export::{FrozenModel, Predictor, Preparation, package};
use mlestar::gates::{Criterion, Limit, Unit};
use mlestar::model::ModelConfig;
use mlestar::train::{FitRequest, TrainEvent, TrainingConfig, fit, logits};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("name a folder of images")?;
    let epochs = arguments.next().map_or(Ok(10), |n| n.parse())?;
    let splits = load(&DataConfig::new(SourceKind::Folder, &folder), 42)?.splits;
    let (classes, test) = (splits.train.classes(), &splits.test);
    let (height, width) = (test.height(), test.width());

    let spec = ModelConfig::small().check(classes.len(), height, width)?;
    let (device, output) = (Device::flex(), tempfile::tempdir()?);
    let mut training = TrainingConfig::default();
    (training.epochs, training.batch_size) = (epochs, 32);
    let network = spec.init(42, &device);
    let mut request = FitRequest::new(network, &splits, &device, output.path())?;
    request.setup.training = training.check()?;
    let model = fit(&request, &mut |_: &TrainEvent| ())?.best_model;

    let norm = request.setup.normalization;
    let logits = logits(&model, test, &norm, 64, &device, &mut |_, _| ())?;
    let predictions = Predictions::from_logits(test.labels().to_vec(), logits, classes.len())?;
    let summary = summarize(&predictions, classes, 0.95)?;
    let criterion = Criterion::new("test accuracy", Limit::AtLeast(0.85), Unit::Fraction);
    let verdict = criterion.judge((summary.accuracy, summary.n_samples));
    println!("{}: {}", verdict.status, verdict.message);

    let frozen = FrozenModel::freeze(&model, &spec, (norm.mean, norm.std), classes)?;
    let (package, preparation) = (
        output.path().join("package"),
        Preparation::new(height, width),
    );
    package::write_package(
        &package,
        &frozen,
        &preparation,
        &package::Contents::default(),
    )?;
    let image = Path::new(&folder).join(test.origin(0).to_string());
    let answer = Predictor::open(&package)?.predict_file(&image)?;
    let (class, probability) = (answer.class, answer.probability);
    println!("{}: {class} ({probability:.3})", image.display());
    Ok(())
}
