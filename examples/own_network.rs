//! A Burn module of your own, made of Burn's layers, trained with `fit`. Like the networks of `mlestar-model`,
//! it stops on signals such as Ctrl-C, resumes to the bit, and can be monitored in TensorBoard and analysed.
//!
//! `cargo run --release -p mlestar-examples --example own_network [FOLDER]`

use std::{error::Error, path::PathBuf};

use burn::{
    module::Module,
    nn::{
        BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
        pool::{MaxPool2d, MaxPool2dConfig},
    },
    tensor::{Device, Tensor, activation::gelu},
};
use mlestar::data::synthetic::{SyntheticConfig, generate};
use mlestar::model::Network;
use mlestar::train::{
    FitRequest, StopReason, TrainEvent, TrainingConfig,
    analysis::{Settings, analyse, read_epochs, read_steps},
    fit,
};

/// A network with depthwise convolutions and GELU, which `mlestar-model` does not have.
#[derive(Module, Debug)]
struct DepthwiseNet {
    stem: Conv2d,
    depthwise: Conv2d,
    pointwise: Conv2d,
    norm: BatchNorm,
    pool: MaxPool2d,
    dropout: Dropout,
    head: Linear,
}

impl DepthwiseNet {
    fn new(channels: usize, classes: usize, device: &Device) -> Self {
        let same = PaddingConfig2d::Same;
        Self {
            stem: Conv2dConfig::new([3, channels], [3, 3])
                .with_padding(same.clone())
                .init(device),
            depthwise: Conv2dConfig::new([channels, channels], [5, 5])
                .with_groups(channels)
                .with_padding(same)
                .init(device),
            pointwise: Conv2dConfig::new([channels, 2 * channels], [1, 1]).init(device),
            norm: BatchNormConfig::new(2 * channels).init(device),
            pool: MaxPool2dConfig::new([4, 4]).with_strides([4, 4]).init(),
            dropout: DropoutConfig::new(0.1).init(),
            head: LinearConfig::new(2 * channels * 8 * 8, classes).init(device),
        }
    }
}

impl Network for DepthwiseNet {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = gelu(self.depthwise.forward(self.stem.forward(images)));
        let x = gelu(self.norm.forward(self.pointwise.forward(x)));
        let x = self.pool.forward(x).flatten(1, 3);
        self.head.forward(self.dropout.forward(x))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let output = std::env::args_os().nth(1).map_or_else(
        || std::env::temp_dir().join("mlestar-own-network-example"),
        PathBuf::from,
    );
    let sizes = SyntheticConfig {
        n_train: 600,
        n_validation: 200,
        n_test: 10,
        ..SyntheticConfig::default()
    };
    let splits = generate(&sizes, 42)?.splits;
    let device = Device::flex();
    device.seed(7);

    let network = DepthwiseNet::new(16, 10, &device);
    let mut request = FitRequest::new(network, &splits, &device, &output)?;
    let training = TrainingConfig {
        epochs: 3,
        batch_size: 32,
        ..TrainingConfig::default()
    };
    request.setup.training = training.check()?;
    request.resume = false;

    // Stopped after the first epoch, as by Ctrl-C or a lost machine.
    let stop = request.stop.clone();
    let cut_off = fit(&request, &mut |event: &TrainEvent| {
        if matches!(event, TrainEvent::Epoch(_)) {
            stop.request();
        }
    })?;
    assert_eq!(cut_off.stopped, StopReason::Interrupted);

    // The same request resumes the training.
    request.resume = true;
    request.stop = Default::default();
    let outcome = fit(&request, &mut |event: &TrainEvent| match event {
        TrainEvent::Resumed { epoch, .. } => println!("resumed after epoch {epoch}"),
        TrainEvent::Epoch(record) => println!(
            "epoch {}: validation accuracy {:.3}",
            record.epoch,
            record.validation_accuracy.unwrap_or(f64::NAN)
        ),
        _ => {}
    })?;
    println!("{} tensors", outcome.best_model.state().len());

    let (epochs, steps) = (read_epochs(&output)?, read_steps(&output)?);
    for finding in analyse(&epochs, &steps, &Settings::of(&training)) {
        println!("finding: {finding:?}");
    }
    println!("tensorboard --logdir {}", output.display());
    Ok(())
}
