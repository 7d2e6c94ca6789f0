//! A network from outside this project, made of Burn's own layers, trains like ours.

use burn::{
    module::Module,
    nn::{
        BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d,
        conv::{Conv2d, Conv2dConfig},
    },
    tensor::{Device, Tensor, activation::gelu},
};
use mlestar_model::{NamedTensor, Network};
use mlestar_train::{
    EmaConfig, FitOutcome, StopReason, StopSignal, TrainError, TrainEvent, checkpoint,
};

use crate::{CLASSES, SIDE, Setup, bits};

#[derive(Module, Debug)]
struct Own {
    convolution: Conv2d,
    norm: BatchNorm,
    dropout: Dropout,
    linear: Linear,
}

impl Own {
    fn new(channels: usize, seed: u64) -> Self {
        let device = Device::flex();
        device.seed(seed);
        let own = Self {
            convolution: Conv2dConfig::new([3, channels], [3, 3])
                .with_padding(PaddingConfig2d::Same)
                .init(&device),
            norm: BatchNormConfig::new(channels).init(&device),
            dropout: DropoutConfig::new(0.3).init(),
            linear: LinearConfig::new(channels * SIDE * SIDE, CLASSES).init(&device),
        };
        // Burn draws weights when they are first read.
        let _ = own.state();
        own
    }
}

impl Network for Own {
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = gelu(self.norm.forward(self.convolution.forward(images)));
        self.linear.forward(self.dropout.forward(x.flatten(1, 3)))
    }
}

fn setup() -> Setup {
    let mut setup = Setup::new(4);
    setup.training.ema = Some(EmaConfig::default());
    setup.training.histograms_every_epochs = 2;
    setup.resume = true;
    setup
}

fn train(setup: &Setup, network: &Own, output: &std::path::Path) -> FitOutcome<Own> {
    setup
        .fit_network(network.clone(), output, &mut |_| ())
        .unwrap()
}

/// These tests share Burn's generator; there is one per process.
static GENERATOR: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn alone() -> std::sync::MutexGuard<'static, ()> {
    GENERATOR
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn it_learns_and_leaves_what_ours_leave() {
    let _alone = alone();
    let network = Own::new(4, 1);
    let before = network.state();
    let folder = tempfile::tempdir().unwrap();
    let mut setup = setup();
    setup.training.epochs = 8;
    setup.training.label_smoothing = 0.0;
    let outcome = train(&setup, &network, folder.path());
    assert_eq!(outcome.stopped, StopReason::Completed);
    let best = outcome.history[outcome.best_epoch - 1].clone();
    assert!(best.validation_accuracy.unwrap() > 0.8, "{best:?}");
    assert_eq!(
        network.state(),
        before,
        "the network that was given has changed"
    );

    let statistic = |state: &[NamedTensor]| {
        let mean = state.iter().find(|t| t.name == "norm.running_mean");
        mean.unwrap().values.clone()
    };
    assert_ne!(statistic(&outcome.best_model.state()), statistic(&before));
    // The best model is the one whose accuracy was recorded.
    let best_folder = folder.path().join("checkpoints/best");
    let record = checkpoint::load(&best_folder).unwrap();
    let mut best_state = outcome.best_model.state();
    best_state.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(record.model == best_state, "other weights were saved");
    let logits = mlestar_train::logits(
        &outcome.best_model,
        &setup.validation,
        &setup.normalization,
        9,
        &Device::flex(),
        &mut |_, _| (),
    )
    .unwrap();
    let right = logits.chunks(CLASSES).zip(setup.validation.labels());
    let right = right
        .filter(|(row, label)| {
            let of_label = row[**label as usize];
            row.iter().all(|logit| *logit <= of_label)
        })
        .count();
    assert_eq!(
        right as f64 / setup.validation.len() as f64,
        best.validation_accuracy.unwrap()
    );
    for file in ["metrics.jsonl", "steps.jsonl", "tensorboard"] {
        assert!(folder.path().join(file).exists(), "{file}");
    }
    let refused = checkpoint::load_model(&best_folder, &Device::flex()).unwrap_err();
    assert!(
        refused.to_string().contains("not one of mlestar-model"),
        "{refused}"
    );
}

#[test]
fn resumed_in_the_middle_of_epochs_it_ends_with_the_same_bits() {
    let _alone = alone();
    let network = Own::new(4, 2);
    let straight_folder = tempfile::tempdir().unwrap();
    let straight = train(&setup(), &network, straight_folder.path());

    let folder = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let mut stopped = setup();
        stopped.stop = StopSignal::new();
        let stop = stopped.stop.clone();
        let mut steps = 0;
        let mut watch = |event: &TrainEvent| {
            steps += usize::from(matches!(event, TrainEvent::Step(_)));
            if steps == 2 {
                stop.request();
            }
        };
        let outcome = stopped
            .fit_network(network.clone(), folder.path(), &mut watch)
            .unwrap();
        assert_eq!(outcome.stopped, StopReason::Interrupted);
    }
    let resumed = train(&setup(), &network, folder.path());
    assert_eq!(bits(&straight.history), bits(&resumed.history));
    assert!(straight.best_model.state() == resumed.best_model.state());
}

#[test]
fn a_gradient_that_is_not_finite_is_remedied() {
    let _alone = alone();
    let mut setup = setup();
    setup.faults.non_finite_at_step = Some(6);
    let folder = tempfile::tempdir().unwrap();
    let outcome = train(&setup, &Own::new(4, 3), folder.path());
    assert_eq!(outcome.remedies.len(), 1);
    assert_eq!(outcome.stopped, StopReason::Completed);
}

#[test]
fn a_checkpoint_of_other_weights_or_another_network_is_not_resumed() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let mut setup = setup();
    setup.training.epochs = 1;
    train(&setup, &Own::new(4, 4), folder.path());
    for other in [Own::new(4, 5), Own::new(5, 4)] {
        let refused = setup
            .fit_network(other, folder.path(), &mut |_| ())
            .unwrap_err();
        assert!(
            matches!(&refused, TrainError::NoUsableCheckpoint { reasons, .. } if reasons.contains("initial_state is")),
            "{refused}"
        );
    }
}

#[test]
fn a_network_for_other_classes_or_images_is_refused_before_the_first_step() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let mut other_classes = Own::new(4, 6);
    other_classes.linear = LinearConfig::new(4 * SIDE * SIDE, 7).init(&device);
    let refused = setup()
        .fit_network(other_classes, folder.path(), &mut |_| ())
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the training set has 3 classes but the model was specified for 7 classes"
    );
    let mut other_images = Own::new(4, 6);
    other_images.linear = LinearConfig::new(10, CLASSES).init(&device);
    let refused = setup()
        .fit_network(other_images, folder.path(), &mut |_| ())
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the network does not accept images of 8x8 pixels: it panicked on a test image"
    );
    assert!(!folder.path().join("checkpoints").exists());
}
