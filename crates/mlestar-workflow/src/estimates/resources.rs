//! What a model and its training need, computed from the architecture and the config.

use super::TrainingWork;
use mlestar_data::DataConfig;
use mlestar_model::ModelSpec;
use mlestar_train::{OptimizerKind, TrainingConfig};
use serde::{Deserialize, Serialize};

/// Bytes of a value in f32.
const F32_BYTES: u64 = 4;
/// Batches that the loader prepares ahead.
const BATCHES_AHEAD: u64 = 4;

/// Computed needs; figures per image are in f32.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceFigures {
    /// Values that make up the model: weights and running statistics.
    pub parameters: u64,
    /// The trainable ones among them.
    pub trainable: u64,
    /// All parameters in f32, in bytes.
    pub model_bytes: u64,
    /// Floating-point operations of one forward pass of one image; flip averaging predicts with two.
    pub flops_per_image: u64,
    /// Activations that must exist at the same time to predict one image, in bytes.
    pub inference_activation_bytes_per_image: u64,
    /// Activations that a training step keeps for each image, in bytes.
    pub training_activation_bytes_per_image: u64,
    /// Images per training step.
    pub batch_size: usize,
    /// Activations of a training step, in bytes.
    pub activation_bytes: u64,
    /// Gradients, in bytes.
    pub gradient_bytes: u64,
    /// Moments that the optimizer keeps, in bytes.
    pub optimizer_bytes: u64,
    /// Copies of the weights: those of the best epoch and their average, in bytes.
    pub copy_bytes: u64,
    /// Weights of the teacher networks, and their activations for one batch, in bytes.
    #[serde(default)]
    pub teacher_bytes: u64,
    /// Batches that are prepared ahead, in bytes.
    pub loader_bytes: u64,
    /// All images of all splits as 8-bit values, in bytes; 0 if they are in a mapped file.
    pub data_bytes: u64,
}

/// How many of the `n` images of a dataset, prepared for `spec`, are held in memory: none if they are in a mapped file.
pub fn n_held(data: &DataConfig, n: usize, spec: &ModelSpec) -> usize {
    match data.exceeds_memory_limit(n, [spec.height(), spec.width()]) {
        true => 0,
        false => n,
    }
}

impl ResourceFigures {
    /// The needs of training `spec`, with `teachers`, on a dataset of which `n_held` images are held in memory
    /// ([`n_held`]).
    pub fn of(
        spec: &ModelSpec,
        training: &TrainingConfig,
        teachers: &[ModelSpec],
        n_train: usize,
        n_held: usize,
    ) -> Self {
        let summary = spec.summary();
        let batch_size = training.batch_size.min(n_train.max(1));
        let trainable_bytes = summary.trainable * F32_BYTES;
        let values = (ModelSpec::CHANNELS * spec.height() * spec.width()) as u64;
        let moments = match training.optimizer.kind {
            OptimizerKind::Sgd if training.optimizer.momentum == 0.0 => 0,
            OptimizerKind::Sgd | OptimizerKind::Lion => 1,
            // Adam and its relatives keep two, Muon one for most and two for the rest.
            _ => 2,
        };
        // One after the other.
        let teachers = teachers.iter().map(ModelSpec::summary);
        let (teacher_weights, teacher_activations) =
            teachers.fold((0, 0), |(weights, activations), teacher| {
                (
                    weights + teacher.weight_bytes,
                    teacher
                        .inference_activation_bytes_per_image
                        .max(activations),
                )
            });
        let average_bytes = training.ema.as_ref().map_or(0, |_| summary.weight_bytes);
        Self {
            parameters: summary.parameters,
            trainable: summary.trainable,
            model_bytes: summary.weight_bytes,
            flops_per_image: summary.flops_per_image,
            inference_activation_bytes_per_image: summary.inference_activation_bytes_per_image,
            training_activation_bytes_per_image: summary.training_activation_bytes_per_image,
            batch_size,
            activation_bytes: summary.training_activation_bytes_per_image * batch_size as u64,
            gradient_bytes: trainable_bytes,
            optimizer_bytes: moments * trainable_bytes,
            copy_bytes: summary.weight_bytes + average_bytes,
            teacher_bytes: teacher_weights + teacher_activations * batch_size as u64,
            loader_bytes: BATCHES_AHEAD * batch_size as u64 * values * F32_BYTES,
            data_bytes: n_held as u64 * values,
        }
    }

    /// Memory of training: data, batches, weights, their copies and those of teachers, gradients, moments and
    /// activations, in bytes. The backend's workspace is not included.
    pub fn training_memory_bytes(&self) -> u64 {
        self.model_bytes
            + self.gradient_bytes
            + self.optimizer_bytes
            + self.copy_bytes
            + self.teacher_bytes
            + self.activation_bytes
            + self.loader_bytes
            + self.data_bytes
    }

    /// Operations of a whole training. A backward pass costs about twice a forward pass; the cost of an image is
    /// proportional to its area.
    pub fn training_flops(&self, work: &TrainingWork, n_train: usize) -> f64 {
        let epochs = work.epochs as f64 * work.mean_picture_area;
        3.0 * self.flops_per_image as f64 * n_train as f64 * epochs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_data::SourceKind;
    use mlestar_model::ModelConfig;
    use mlestar_train::{EmaConfig, OptimizerConfig};

    #[test]
    fn images_in_a_mapped_file_take_no_memory_of_the_training() {
        let spec = ModelConfig::small().check(4, 224, 224).unwrap();
        let mut data = DataConfig::new(SourceKind::Folder, "photographs");
        assert_eq!(n_held(&data, 3_000, &spec), 3_000);
        assert_eq!(n_held(&data, 100_000, &spec), 0);
        data.source = SourceKind::Synthetic;
        assert_eq!(n_held(&data, 100_000, &spec), 100_000);
    }

    #[test]
    fn needs_add_up_and_follow_the_optimizer() {
        let spec = ModelConfig::small().check(10, 32, 32).unwrap();
        let of = |kind, momentum| {
            let optimizer = OptimizerConfig {
                kind,
                momentum,
                ..OptimizerConfig::default()
            };
            let training = TrainingConfig {
                optimizer,
                batch_size: 64,
                ..TrainingConfig::default()
            };
            ResourceFigures::of(&spec, &training, &[], 1_000, 1_500)
        };
        let adam = of(OptimizerKind::Adam, 0.9);
        assert_eq!(adam.optimizer_bytes, 2 * adam.gradient_bytes);
        assert_eq!(adam.gradient_bytes, 4 * adam.trainable);
        assert!(adam.trainable < adam.parameters);
        assert_eq!(adam.data_bytes, 1_500 * 3 * 32 * 32);
        assert_eq!(
            adam.activation_bytes,
            64 * adam.training_activation_bytes_per_image
        );
        assert!(adam.training_memory_bytes() > adam.activation_bytes + adam.data_bytes);
        assert_eq!(
            of(OptimizerKind::Sgd, 0.9).optimizer_bytes,
            adam.gradient_bytes
        );
        assert_eq!(of(OptimizerKind::Sgd, 0.0).optimizer_bytes, 0);
        assert_eq!(
            of(OptimizerKind::Lion, 0.0).optimizer_bytes,
            adam.gradient_bytes
        );
        assert_eq!(adam.copy_bytes, adam.model_bytes);
        let training = TrainingConfig {
            ema: Some(EmaConfig::default()),
            ..TrainingConfig::default()
        };
        let copies = ResourceFigures::of(&spec, &training, &[], 1_000, 1_500);
        assert_eq!(copies.copy_bytes, 2 * copies.model_bytes);
        assert!(copies.training_memory_bytes() > copies.activation_bytes + copies.copy_bytes);
        let few = ResourceFigures::of(&spec, &TrainingConfig::default(), &[], 5, 9);
        assert_eq!(few.batch_size, 5);
        assert_eq!(few.teacher_bytes, 0);
        // The weights of both, and the activations of one at a time.
        let teachers = [spec.clone(), spec.clone()];
        let taught = ResourceFigures::of(&spec, &TrainingConfig::default(), &teachers, 5, 9);
        assert_eq!(
            taught.teacher_bytes,
            2 * few.model_bytes + 5 * few.inference_activation_bytes_per_image
        );
        assert_eq!(
            taught.training_memory_bytes(),
            few.training_memory_bytes() + taught.teacher_bytes
        );
    }
}
