//! The speed of our own training and prediction, measured through the public functions of the crates.

use super::arguments::Network;
use super::error::BenchError;
use super::report::Figures;
use super::timing::{Effort, median_seconds};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use mlestar_export::benchmark::peak_memory_bytes;
use mlestar_export::quantize::{
    LabelledImages, QuantizationOptions, QuantizedModel, RangeMethod, quantize,
};
use mlestar_export::{Executor, FrozenModel, Precision};
use mlestar_model::{
    Architecture, BatchPart, ImageClassifier, ModelConfig, ModelSpec, Network as _,
};
use mlestar_random::Stream;
use mlestar_train::{GradientNorm, Optimizer, OptimizerConfig, cross_entropy};
use mlestar_workflow::WorkflowError;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::hint::black_box;

const N_CLASSES: usize = 10;
const SEED: u64 = 0;
/// Steps of the process that only trains; memory does not grow after the second.
const MEMORY_STEPS: usize = 4;

/// Our own figures of one round.
#[derive(Debug)]
pub struct Own {
    /// In `f32`.
    pub figures: Figures,
    /// Predictions in the other precisions, by name.
    pub others: BTreeMap<&'static str, Figures>,
}

/// Measures training and prediction in this process. Another process measures the peak memory.
pub fn measure(network: Network, batch: usize) -> Result<Own, BenchError> {
    let spec = spec_of(network)?;
    let mut training = Training::new(&spec, network.side(), batch);
    let step = median_seconds(Effort::LONG, || {
        black_box(training.step());
        Ok::<(), Infallible>(())
    });
    let Ok(step_seconds) = step;
    drop(training);
    let mut others = predictions(&spec, network.side(), batch)?;
    let in_f32 = others.remove(Precision::F32.name()).unwrap_or_default();
    let figures = Figures {
        training_images_per_second: Some(batch as f64 / step_seconds),
        ..in_f32
    };
    Ok(Own { figures, others })
}

/// Trains for a few steps, in a process that does nothing else; returns its peak memory in bytes, if the system
/// reports it.
pub fn training_memory(network: Network, batch: usize) -> Result<Option<u64>, BenchError> {
    let spec = spec_of(network)?;
    let mut training = Training::new(&spec, network.side(), batch);
    for _ in 0..MEMORY_STEPS {
        black_box(training.step());
    }
    Ok(peak_memory_bytes())
}

fn spec_of(network: Network) -> Result<ModelSpec, WorkflowError> {
    let config = match network {
        Network::Reference => ModelConfig::reference(),
        Network::Small => ModelConfig::small(),
        Network::Resnet18 => ModelConfig::of(Architecture::Resnet18),
        Network::EfficientnetLite0 => ModelConfig::of(Architecture::EfficientnetLite0),
    };
    Ok(config.check(N_CLASSES, network.side(), network.side())?)
}

/// The training of the reference recipe: Adam with weight decay, dropout, cross-entropy.
struct Training {
    device: Device,
    model: ImageClassifier,
    optimizer: Optimizer,
    learning_rate: f64,
    images: TensorData,
    labels: TensorData,
}

impl Training {
    fn new(spec: &ModelSpec, side: usize, batch: usize) -> Self {
        let device = Device::flex().autodiff();
        let mut draws = Stream::new(SEED, "bench pictures", 0, 0);
        let n_values = batch * ModelSpec::CHANNELS * side * side;
        let images: Vec<f32> = (0..n_values).map(|_| draws.normal() as f32).collect();
        let labels: Vec<i32> = (0..batch).map(|index| (index % N_CLASSES) as i32).collect();
        let optimizer = OptimizerConfig::default();
        Self {
            model: spec.init(SEED, &device),
            device,
            learning_rate: optimizer.learning_rate,
            optimizer: Optimizer::new(optimizer),
            images: TensorData::new(images, [batch, ModelSpec::CHANNELS, side, side]),
            labels: TensorData::new(labels, [batch]),
        }
    }

    /// One step as `mlestar_train::fit` takes it: from a batch in memory to updated weights, loss and gradient
    /// norm. Reading both ensures that all work is done.
    fn step(&mut self) -> [f32; 2] {
        let images = Tensor::<4>::from_data(self.images.clone(), &self.device);
        let labels = Tensor::<1, Int>::from_data(self.labels.clone(), &self.device);
        let [n] = labels.dims();
        let part = BatchPart::whole(SEED, self.optimizer.steps(), n);
        let model = self.model.clone();
        let logits = model.forward_train(images, &part);
        let loss = cross_entropy(logits, labels, 0.0);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let norm = GradientNorm::of(&model, &gradients);
        self.model = self
            .optimizer
            .step(model, gradients, self.learning_rate, None);
        [
            loss.without_autodiff().into_scalar(),
            norm.map_or(0.0, |norm| norm.tensor().into_scalar()),
        ]
    }
}

/// Predictions of `batch` images and of one image in every precision, each with the algorithms for its batch.
fn predictions(
    spec: &ModelSpec,
    side: usize,
    batch: usize,
) -> Result<BTreeMap<&'static str, Figures>, WorkflowError> {
    let classes: Vec<String> = (0..N_CLASSES)
        .map(|class| format!("class {class}"))
        .collect();
    // Weights do not change the cost of a prediction, so untrained ones are used.
    let model = spec.init(SEED, &Device::flex());
    let frozen = FrozenModel::freeze(&model, spec, ([0.5; 3], [0.25; 3]), &classes)?;
    let mut draws = Stream::new(SEED, "bench pictures", 0, 1);
    let picture_bytes = side * side * ModelSpec::CHANNELS;
    let pictures: Vec<u8> = (0..batch * picture_bytes)
        .map(|_| draws.below(256) as u8)
        .collect();
    let quantized = quantized(&frozen, &pictures[..picture_bytes])?;
    let seconds = |precision, effort, n: usize| {
        let executor = match precision {
            Precision::Int8 => Executor::quantized(&quantized, n),
            _ => Executor::with_precision(&frozen, precision, n)?,
        };
        median_seconds(effort, || {
            black_box(executor.logits(black_box(&pictures[..n * picture_bytes]), n)?);
            Ok::<(), WorkflowError>(())
        })
    };
    let mut all = BTreeMap::new();
    for precision in Precision::ALL {
        let batch_seconds = seconds(precision, Effort::LONG, batch)?;
        let single_seconds = seconds(precision, Effort::SHORT, 1)?;
        let figures = Figures {
            inference_images_per_second: Some(batch as f64 / batch_seconds),
            single_picture_ms: Some(single_seconds * 1e3),
            ..Figures::default()
        };
        all.insert(precision.name(), figures);
    }
    Ok(all)
}

/// Every layer that can be int8, whatever that does to the accuracy of an untrained network.
fn quantized(frozen: &FrozenModel, picture: &[u8]) -> Result<QuantizedModel, WorkflowError> {
    let options = QuantizationOptions {
        methods: vec![RangeMethod::MinMax],
        min_accuracy_kept: 0.0,
        ..QuantizationOptions::default()
    };
    let images = LabelledImages {
        pixels: picture,
        labels: &[0],
    };
    Ok(quantize(frozen, picture, images, &options)?.model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_with_weights_is_int8() {
        for network in [Network::Small, Network::EfficientnetLite0] {
            let spec = spec_of(network).unwrap();
            let model = spec.init(SEED, &Device::flex());
            let classes: Vec<String> = (0..N_CLASSES).map(|class| class.to_string()).collect();
            let frozen =
                FrozenModel::freeze(&model, &spec, ([0.5; 3], [0.25; 3]), &classes).unwrap();
            let picture = vec![100; network.side() * network.side() * ModelSpec::CHANNELS];
            let quantized = quantized(&frozen, &picture).unwrap();
            let layers = frozen.operations().iter().zip(quantized.layers());
            let mut with_weights = layers.filter(|(operation, _)| operation.parameters() > 0);
            assert!(with_weights.all(|(_, int8)| int8.is_some()), "{network:?}");
        }
    }

    #[test]
    fn a_step_moves_the_weights_and_its_figures_are_finite() {
        let spec = spec_of(Network::Small).unwrap();
        let mut training = Training::new(&spec, Network::Small.side(), 4);
        let before = training.model.state();
        let [loss, norm] = training.step();
        assert!(loss > 0.0 && loss.is_finite() && norm > 0.0 && norm.is_finite());
        assert_eq!(training.optimizer.steps(), 1);
        assert_ne!(
            format!("{before:?}"),
            format!("{:?}", training.model.state())
        );
    }
}
