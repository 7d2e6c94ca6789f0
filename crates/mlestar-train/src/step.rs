//! One training step.

use burn::{
    module::{ModuleVisitor, Param},
    optim::{GradientsAccumulator, GradientsParams},
    tensor::{Device, Int, Tensor, TensorData},
};
use mlestar_data::ImageSet;
use mlestar_model::{BatchPart, NamedTensor, Network, Precision};

use crate::{
    batches::{Pictures, StepBatch},
    config::TrainingConfig,
    distillation::Teachers,
    gradient_norm::GradientNorm,
    loss::Loss,
    mix::{Mixed, Mixer},
    optimizer::Optimizer,
};

/// What stays the same from step to step.
pub(crate) struct StepContext<'a> {
    pub training: &'a TrainingConfig,
    pub loss: &'a Loss,
    pub mixer: Option<&'a Mixer>,
    pub teachers: Option<&'a Teachers>,
    pub seed: u64,
    /// Full height and width of the images.
    pub full_size: [usize; 2],
    /// An autodiff device.
    pub device: &'a Device,
    /// Parts in which a batch is computed.
    pub accumulation_steps: usize,
    pub precision: Precision,
    /// The first groups of the network that do not learn.
    pub frozen_groups: usize,
}

/// The inputs of a step.
pub(crate) struct StepInput {
    pub batch: StepBatch,
    /// Counted from 0 over the whole training.
    pub step: u64,
    pub learning_rate: f64,
    /// Whether to inject NaN into the loss and all gradients.
    pub spoil: bool,
    /// Whether to copy the gradients to the host.
    pub keep_gradients: bool,
}

/// The results of a step.
pub(crate) struct StepOutput<M> {
    pub model: M,
    /// Loss, number of correct images, gradient norm; `[3]`, on the device.
    pub result: Tensor<1>,
    /// The squared norm of each parameter's gradient, `[1]` each, on the device.
    pub squares: Vec<(String, Tensor<1>)>,
    /// Images of the step, as indices in the set.
    pub indices: Vec<usize>,
    pub gradients: Option<Vec<NamedTensor>>,
}

/// The parts of a batch: first image and number of images of each part, nearly equal.
fn parts(n: usize, accumulation_steps: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = accumulation_steps.clamp(1, n.max(1));
    (0..count).map(move |part| {
        let start = part * n / count;
        (start, (part + 1) * n / count - start)
    })
}

impl StepContext<'_> {
    /// Forward, backward and update.
    pub(crate) fn run<M: Network>(
        &self,
        model: M,
        optimizer: &mut Optimizer,
        input: StepInput,
    ) -> StepOutput<M> {
        let StepInput {
            mut batch,
            step,
            learning_rate,
            spoil,
            keep_gradients,
        } = input;
        let n = batch.indices.len();
        let mixture = self.mixer.and_then(|mixer| mixer.draw(step, n, batch.size));
        let mixed = match mixture {
            Some(mixture) => {
                batch.pictures = batch.pictures.mixed(&mixture);
                Some(mixture.labelled(&batch.labels))
            }
            None => None,
        };
        let targets = Targets::of(&batch.labels, mixed.as_ref(), self.loss);
        let BatchPass {
            loss,
            correct,
            gradients,
        } = self.pass(&model, &batch, &targets, step, spoil);
        let plain = loss.device();

        let norm = GradientNorm::of(&model, &gradients);
        let scale = match (&norm, self.training.max_gradient_norm) {
            (Some(norm), Some(max)) => Some(norm.clip_factor(max)),
            _ => None,
        };
        let squares = norm
            .as_ref()
            .map_or_else(Vec::new, |norm| norm.squares().to_vec());
        let norm = norm.map_or_else(|| Tensor::zeros([1], &plain), |norm| norm.tensor());
        let kept = keep_gradients.then(|| gradients_on_host(&model, &gradients));
        StepOutput {
            model: optimizer.step(model, gradients, learning_rate, scale),
            result: Tensor::cat(vec![loss, correct, norm], 0),
            squares,
            indices: batch.indices,
            gradients: kept,
        }
    }

    /// The teachers' probabilities for a batch. Images smaller than the network's size use only their labels.
    fn teachers_of(&self, batch: &StepBatch) -> Option<&Teachers> {
        self.teachers.filter(|_| batch.size == self.full_size)
    }

    /// Forward and backward, part by part.
    ///
    /// With several parts, the loss and the gradients are those of the whole batch: each part counts by its
    /// share of the images, or of their class weights if there are any.
    fn pass<M: Network>(
        &self,
        model: &M,
        batch: &StepBatch,
        targets: &[Targets<'_>],
        step: u64,
        spoil: bool,
    ) -> BatchPass {
        let n = batch.indices.len();
        let teachers = self.teachers_of(batch);
        let plain = self.device.clone().without_autodiff();
        let mut accumulator = GradientsAccumulator::new();
        let mut loss = Tensor::<1>::zeros([1], &plain);
        let mut correct = Tensor::<1>::zeros([1], &plain);
        let mut only = None;
        for (start, length) in parts(n, self.accumulation_steps) {
            let images = self.images(batch, start, length);
            let taught = teachers.map(|teachers| {
                let probabilities = teachers.probabilities(&images.clone().without_autodiff());
                (teachers, probabilities)
            });
            let part = BatchPart {
                seed: self.seed,
                step,
                batch_size: n,
                rows: start..start + length,
                precision: self.precision,
                frozen_groups: self.frozen_groups,
                frozen_statistics: self.training.freezes_statistics(),
            };
            let logits = model.forward_train(images, &part);
            let (mut of_part, hits) = self.judge(targets, &logits, start, length);
            if let Some((teachers, probabilities)) = taught {
                of_part = teachers.loss(of_part, logits, probabilities, n);
            }
            if spoil {
                of_part = of_part.mul_scalar(f64::NAN);
            }
            loss = loss + of_part.clone().without_autodiff();
            correct = correct + hits;
            let gradients = GradientsParams::from_grads(of_part.backward(), model);
            if length < n {
                accumulator.accumulate(model, gradients);
            } else {
                only = Some(gradients);
            }
        }
        BatchPass {
            loss,
            correct,
            gradients: only.unwrap_or_else(|| accumulator.grads()),
        }
    }

    /// Images `[length, 3, height, width]` of a part of the batch.
    fn images(&self, batch: &StepBatch, start: usize, length: usize) -> Tensor<4> {
        let [height, width] = batch.size;
        match &batch.pictures {
            Pictures::Device(images) if length == batch.indices.len() => images.clone(),
            Pictures::Device(images) => images.clone().slice_dim(0, start..start + length),
            Pictures::Host(values) => {
                let shape = [length, ImageSet::CHANNELS, height, width];
                let per_picture = ImageSet::CHANNELS * height * width;
                let values = values[start * per_picture..][..length * per_picture].to_vec();
                Tensor::from_data(TensorData::new(values, shape), self.device)
            }
        }
    }

    /// The contribution of a part to the loss of the batch, with gradient, and its number of correct images,
    /// `[1]` each.
    fn judge(
        &self,
        targets: &[Targets<'_>],
        logits: &Tensor<2>,
        start: usize,
        length: usize,
    ) -> (Tensor<1>, Tensor<1>) {
        let plain = logits.clone().without_autodiff();
        let mut loss = None;
        let mut correct = None;
        for target in targets {
            let labels = &target.labels[start..start + length];
            let share = target.lambda * self.loss.divisor(labels) / target.divisor;
            let labels: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
            let labels =
                Tensor::<1, Int>::from_data(TensorData::new(labels, [length]), self.device);
            let of_target = self.loss.mean(logits.clone(), labels.clone());
            let of_target = match share == 1.0 {
                true => of_target,
                false => of_target.mul_scalar(share),
            };
            let hits = count_correct(plain.clone(), labels.without_autodiff());
            let hits = match target.lambda == 1.0 {
                true => hits,
                false => hits.mul_scalar(target.lambda),
            };
            loss = Some(match loss {
                Some(sum) => sum + of_target,
                None => of_target,
            });
            correct = Some(match correct {
                Some(sum) => sum + hits,
                None => hits,
            });
        }
        let zeros = || Tensor::zeros([1], self.device);
        (
            loss.unwrap_or_else(zeros),
            correct.unwrap_or_else(|| zeros().without_autodiff()),
        )
    }
}

/// The result of a pass over a batch.
struct BatchPass {
    /// `[1]`, like the next field.
    loss: Tensor<1>,
    correct: Tensor<1>,
    gradients: GradientsParams,
}

/// Target labels of a batch, and how much they count.
struct Targets<'a> {
    labels: &'a [u32],
    /// Share of these labels in each image (0-1).
    lambda: f64,
    /// The divisor of the mean over all of them.
    divisor: f64,
}

impl<'a> Targets<'a> {
    /// The labels of a batch and, if its images are mixed, the labels of their partners.
    fn of(labels: &'a [u32], mixed: Option<&'a Mixed>, loss: &Loss) -> Vec<Self> {
        let target = |labels: &'a [u32], lambda| Self {
            labels,
            lambda,
            // Class weights are above 0, and a batch is not empty.
            divisor: loss.divisor(labels),
        };
        match mixed {
            None => vec![target(labels, 1.0)],
            Some(mixed) => vec![
                target(labels, mixed.lambda),
                target(&mixed.partner_labels, 1.0 - mixed.lambda),
            ],
        }
    }
}

/// The gradients by the names of their parameters.
fn gradients_on_host<M: Network>(model: &M, gradients: &GradientsParams) -> Vec<NamedTensor> {
    let mut copier = Copier {
        gradients,
        path: Vec::new(),
        copied: Vec::new(),
    };
    model.visit(&mut copier);
    copier.copied
}

struct Copier<'a> {
    gradients: &'a GradientsParams,
    path: Vec<String>,
    copied: Vec<NamedTensor>,
}

impl ModuleVisitor for Copier<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.copied.push(NamedTensor {
                name: self.path.join("."),
                shape: gradient.shape().to_vec(),
                values: gradient.into_data().iter::<f32>().collect(),
            });
        }
    }
}

/// Number of images whose highest logit belongs to the label, `[1]`.
fn count_correct(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let [n, _] = logits.dims();
    let predicted = logits.argmax(1).reshape([n]);
    predicted.equal(labels).float().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts of unequal sizes, mixed or not, for every divisor that a loss has: their sum equals the loss of
    /// the batch and has its gradient.
    #[test]
    fn what_parts_add_sums_to_the_batch() {
        let device = Device::flex().autodiff();
        let weights = || Some(crate::ClassWeights::List(vec![1.0, 5.0, 0.2]));
        let plain = TrainingConfig::default();
        let configs = [
            plain.clone(),
            TrainingConfig {
                label_smoothing: 0.2,
                class_weights: weights(),
                ..plain.clone()
            },
            TrainingConfig {
                focal_gamma: Some(2.0),
                class_weights: weights(),
                ..plain.clone()
            },
        ];
        let mut draws = mlestar_random::Stream::new(3, "parts test", 0, 0);
        let n = 7;
        let values: Vec<f32> = (0..n * 3).map(|_| draws.normal() as f32).collect();
        let labels = vec![0, 1, 2, 1, 0, 2, 2];
        let partner_labels = vec![2, 2, 1, 0, 0, 1, 2];
        for training in &configs {
            let loss = Loss::new(training, &labels, 3).unwrap();
            let context = StepContext {
                training,
                loss: &loss,
                mixer: None,
                teachers: None,
                seed: 0,
                full_size: [8, 8],
                device: &device,
                accumulation_steps: 1,
                frozen_groups: 0,
                precision: Precision::F32,
            };
            let batch = StepBatch {
                pictures: Pictures::Host(Vec::new()),
                labels: labels.clone(),
                indices: (0..n).collect(),
                size: [8, 8],
            };
            let mixed = Mixed {
                partners: Vec::new(),
                partner_labels: partner_labels.clone(),
                lambda: 0.3,
            };
            for mixed in [None, Some(&mixed)] {
                let targets = Targets::of(&batch.labels, mixed, &loss);
                // Loss, gradient and correct images with this many parts.
                let judged = |count: usize| {
                    let data = TensorData::new(values.clone(), [n, 3]);
                    let logits = Tensor::<2>::from_data(data, &device).require_grad();
                    let (mut sum, mut hits) = (Tensor::zeros([1], &device), 0.0);
                    for (start, length) in parts(n, count) {
                        let rows = logits.clone().slice([start..start + length, 0..3]);
                        let (of_part, correct) = context.judge(&targets, &rows, start, length);
                        sum = sum + of_part;
                        hits += correct.into_scalar::<f32>();
                    }
                    let gradients = sum.clone().backward();
                    let gradient = logits.grad(&gradients).unwrap().into_data();
                    let gradient: Vec<f32> = gradient.iter::<f32>().collect();
                    (sum.into_scalar::<f32>(), gradient, hits)
                };
                let (whole, gradient, hits) = judged(1);
                let (in_parts, part_gradient, part_hits) = judged(3);
                assert!((whole - in_parts).abs() < 1e-6, "{whole} {in_parts}");
                assert!((hits - part_hits).abs() < 1e-6);
                for (a, b) in gradient.iter().zip(&part_gradient) {
                    assert!((a - b).abs() < 1e-6, "{a} {b}");
                }
                // Computed separately from the loss of each set of labels.
                let alone = |labels: &[u32]| {
                    let data = TensorData::new(values.clone(), [n, 3]);
                    let logits = Tensor::<2>::from_data(data, &device);
                    let labels: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
                    let labels = Tensor::from_data(TensorData::new(labels, [n]), &device);
                    loss.mean(logits, labels).into_scalar::<f32>()
                };
                let expected = match mixed {
                    None => alone(&labels),
                    Some(_) => 0.3 * alone(&labels) + 0.7 * alone(&partner_labels),
                };
                assert!((whole - expected).abs() < 1e-6, "{whole} {expected}");
            }
        }
    }

    #[test]
    fn parts_are_nearly_equal_and_cover_the_batch() {
        let of = |n, steps| parts(n, steps).collect::<Vec<_>>();
        assert_eq!(of(10, 1), [(0, 10)]);
        assert_eq!(of(10, 3), [(0, 3), (3, 3), (6, 4)]);
        assert_eq!(of(2, 5), [(0, 1), (1, 1)]);
    }
}
