//! Packages to serve.

use mlestar_export::{
    Confidence, Convolution, FrozenModel, Layer, Linear, Operation, Padding, PixelNormalization,
    Predictor, Preparation, package,
};
use mlestar_serve::{Server, Settings, Timeouts};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub const SIDE: usize = 8;
pub const CLASSES: [&str; 3] = ["red", "green", "blue \"sky\""];

/// The mean colour decides; `sign` -1 turns the answers around.
pub fn colours(sign: f32) -> FrozenModel {
    let mut weight = vec![0.0; 9];
    (0..3).for_each(|class| weight[class * 4] = 3.0 * sign);
    model(
        SIDE,
        vec![
            Operation {
                name: "pool".into(),
                input: 0,
                layer: Layer::GlobalAveragePool,
            },
            head(1, 3, weight),
        ],
    )
}

/// As [`colours`], behind so many convolutions that an image takes a while.
pub fn slow_colours() -> FrozenModel {
    const SIDE: usize = 96;
    const CHANNELS: usize = 32;
    let mut operations = Vec::new();
    for layer in 0..6 {
        let inputs = if layer == 0 { 3 } else { CHANNELS };
        let n = CHANNELS * inputs * 9;
        operations.push(Operation {
            name: format!("convolution_{layer}"),
            input: layer,
            layer: Layer::Convolution(Convolution {
                weight_shape: [CHANNELS, inputs, 3, 3],
                weight: (0..n).map(|at| ((at % 13) as f32 - 6.0) * 0.01).collect(),
                bias: vec![0.01; CHANNELS],
                stride: [1, 1],
                padding: Padding::even([1, 1]),
                groups: 1,
                activation: None,
                add_from: None,
            }),
        });
    }
    operations.push(Operation {
        name: "pool".into(),
        input: 6,
        layer: Layer::GlobalAveragePool,
    });
    let weight = (0..3 * CHANNELS).map(|at| (at % 7) as f32 * 0.1).collect();
    operations.push(head(7, CHANNELS, weight));
    model(SIDE, operations)
}

fn head(input: usize, inputs: usize, weight: Vec<f32>) -> Operation {
    Operation {
        name: "head".into(),
        input,
        layer: Layer::Linear(Linear {
            weight_shape: [CLASSES.len(), inputs],
            weight,
            bias: vec![0.1, 0.0, -0.1],
        }),
    }
}

fn model(side: usize, operations: Vec<Operation>) -> FrozenModel {
    FrozenModel::new(
        CLASSES.map(str::to_owned).to_vec(),
        PixelNormalization {
            mean: [0.1; 3],
            std: [0.7; 3],
        },
        side,
        side,
        operations,
    )
    .unwrap()
}

pub fn write(folder: &Path, model: &FrozenModel) {
    let preparation = Preparation::new(model.height(), model.width());
    package::write_package(folder, model, &preparation, &package::Contents::default()).unwrap();
}

/// A server on a package of its own.
pub struct Served {
    pub server: Server,
    pub predictor: Predictor,
    pub package: PathBuf,
    _folder: tempfile::TempDir,
}

pub fn quick_settings() -> Settings {
    Settings {
        port: 0,
        timeouts: Timeouts {
            stop: Duration::from_secs(20),
            ..Timeouts::default()
        },
        ..Settings::with_threads(2)
    }
}

pub fn serve(settings: Settings) -> Served {
    serve_model(&colours(1.0), settings)
}

pub fn serve_model(model: &FrozenModel, settings: Settings) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("colours");
    write(&package, model);
    Served {
        server: Server::start(&package, settings).unwrap(),
        predictor: Predictor::open(&package).unwrap(),
        package,
        _folder: folder,
    }
}

/// Knows bright colours and calls dark images none of them; its probabilities are calibrated.
pub fn with_limit() -> FrozenModel {
    let confidence = Confidence {
        temperature: 0.5,
        familiarity_limit: Some(2.0),
    };
    colours(1.0).with_confidence(confidence).unwrap()
}
