//! Knowledge distillation: trained networks that teach another one.

use std::path::{Path, PathBuf};

use burn::tensor::{
    Device, Tensor,
    activation::{log_softmax, softmax},
};
use mlestar_artifact::ContentHash;
use mlestar_data::{ImageSet, normalization::Normalization};
use mlestar_model::{ImageClassifier, ModelSpec, Precision};

use crate::{
    TrainError, TrainEvent, checkpoint,
    config::{DistillationConfig, TrainingConfig},
    logits::logits,
    loss::loss_sum_and_correct,
};

/// Number of training images, evenly spread, on which every teacher is tried.
const TRIED_PICTURES: usize = 500;
/// Batch size of this trial.
const TRIED_AT_ONCE: usize = 50;
/// Lower bound of probabilities before their logarithm is taken.
const LEAST_PROBABILITY: f64 = 1e-30;

/// The teachers of a training, on its device.
pub(crate) struct Teachers {
    teachers: Vec<Teacher>,
    weight: f64,
    temperature: f64,
    precision: Precision,
}

struct Teacher {
    path: PathBuf,
    model: ImageClassifier,
    normalization: Normalization,
    /// Factor and summand per channel, `[1, 3, 1, 1]` each, that convert images normalised for the training
    /// into images normalised for this teacher; `None` if the normalisation is the same.
    renormalization: Option<[Tensor<4>; 2]>,
}

impl Teachers {
    /// The teachers of a training with images of this size and this number of classes, normalised by
    /// `normalization`, on `device`, without autodiff; `None` if the training uses only labels.
    ///
    /// # Errors
    ///
    /// [`TrainError::Teacher`] if a checkpoint cannot be used, or belongs to a network for other classes or
    /// another image size.
    pub(crate) fn of(
        training: &TrainingConfig,
        images: ([usize; 2], usize),
        normalization: &Normalization,
        precision: Precision,
        device: &Device,
    ) -> Result<Option<Self>, TrainError> {
        let Some(config) = training.teaching() else {
            return Ok(None);
        };
        let teachers = config.teachers.iter().map(|path| {
            Teacher::load(path, images, normalization, device).map_err(|reason| {
                TrainError::Teacher {
                    path: path.clone(),
                    reason,
                }
            })
        });
        Ok(Some(Self {
            teachers: teachers.collect::<Result<_, _>>()?,
            weight: config.weight,
            temperature: config.temperature,
            precision,
        }))
    }

    /// The accuracy of each teacher on images of `train`, in this order. It shows people whether a teacher
    /// knows these classes.
    ///
    /// # Errors
    ///
    /// [`TrainError`] if the device fails.
    pub(crate) fn tried_on(
        &self,
        train: &ImageSet,
        device: &Device,
    ) -> Result<Vec<TrainEvent>, TrainError> {
        let n = train.len().min(TRIED_PICTURES);
        let chosen: Vec<usize> = (0..n).map(|index| index * train.len() / n).collect();
        let chosen = train.select(&chosen)?;
        let tried = |teacher: &Teacher| {
            let logits = logits(
                &teacher.model,
                &chosen,
                &teacher.normalization,
                TRIED_AT_ONCE,
                device,
                &mut |_, _| {},
            )?;
            let classes = logits.len() / n;
            let (_, correct) = loss_sum_and_correct(&logits, chosen.labels(), classes);
            Ok(TrainEvent::Teacher {
                path: teacher.path.clone(),
                correct,
                of: n,
            })
        };
        self.teachers.iter().map(tried).collect()
    }

    /// The mean of the teachers' probabilities `[n, classes]` for training images `[n, 3, height, width]`,
    /// without autodiff.
    pub(crate) fn probabilities(&self, images: &Tensor<4>) -> Tensor<2> {
        let of = |teacher: &Teacher| {
            let images = match teacher.renormalization.clone() {
                Some([factor, summand]) => images.clone() * factor + summand,
                None => images.clone(),
            };
            let logits = teacher.model.forward_in(images, self.precision);
            softmax(logits.div_scalar(self.temperature), 1)
        };
        let sum = self.teachers.iter().map(of).reduce(|sum, next| sum + next);
        // A checked configuration has at least one teacher.
        let sum = sum.unwrap_or_else(|| Tensor::zeros([images.dims()[0], 0], &images.device()));
        sum.div_scalar(self.teachers.len().max(1) as f64)
    }

    /// Combines `of_labels`, the contribution of a part to the label loss of a batch of `n` images, `[1]`, with
    /// the loss of the teachers. `logits` and `probabilities` belong to that part, `[length, classes]`, with
    /// and without autodiff.
    pub(crate) fn loss(
        &self,
        of_labels: Tensor<1>,
        logits: Tensor<2>,
        probabilities: Tensor<2>,
        n: usize,
    ) -> Tensor<1> {
        let negative_entropy = (probabilities.clone()
            * probabilities.clone().clamp_min(LEAST_PROBABILITY).log())
        .sum();
        let probabilities = Tensor::from_inner(probabilities);
        let own = log_softmax(logits.div_scalar(self.temperature), 1);
        let divergence = Tensor::from_inner(negative_entropy) - (probabilities * own).sum();
        let factor = self.weight * self.temperature * self.temperature / n as f64;
        of_labels.mul_scalar(1.0 - self.weight) + divergence.mul_scalar(factor)
    }
}

impl DistillationConfig {
    /// The hash of each teacher's weights.
    ///
    /// # Errors
    ///
    /// [`TrainError::Teacher`] with the teacher whose weights cannot be read.
    pub fn hashes(&self) -> Result<Vec<ContentHash>, TrainError> {
        let hash = |folder: &PathBuf| {
            let file = checkpoint::weights_file(folder);
            ContentHash::of_file(&file).map_err(|error| TrainError::Teacher {
                path: folder.clone(),
                reason: error.to_string(),
            })
        };
        self.teachers.iter().map(hash).collect()
    }

    /// The network of each teacher.
    ///
    /// # Errors
    ///
    /// [`TrainError::Teacher`] with the teacher whose record cannot be read.
    pub fn networks(&self) -> Result<Vec<ModelSpec>, TrainError> {
        let network = |folder: &PathBuf| {
            let record = checkpoint::read_record(folder).map_err(|error| error.to_string());
            record
                .and_then(|record| record.identity.spec())
                .map_err(|reason| TrainError::Teacher {
                    path: folder.clone(),
                    reason,
                })
        };
        self.teachers.iter().map(network).collect()
    }
}

impl TrainingConfig {
    /// The networks of the teachers.
    ///
    /// # Errors
    ///
    /// As for [`DistillationConfig::networks`].
    pub fn teacher_networks(&self) -> Result<Vec<ModelSpec>, TrainError> {
        self.teaching()
            .map_or(Ok(Vec::new()), DistillationConfig::networks)
    }
}

impl Teacher {
    fn load(
        path: &Path,
        (size, n_classes): ([usize; 2], usize),
        normalization: &Normalization,
        device: &Device,
    ) -> Result<Self, String> {
        let unusable = |error: TrainError| error.to_string();
        let record = checkpoint::read_record(path).map_err(unusable)?;
        let own = record.identity.spec()?;
        let fits = |what: &str, own: &[usize], expected: &[usize]| match own == expected {
            true => Ok(()),
            false => Err(format!(
                "it was trained for {what} {own:?}, not {expected:?}"
            )),
        };
        fits("a number of classes of", &[own.n_classes()], &[n_classes])?;
        fits(
            "images of the height and width",
            &[own.height(), own.width()],
            &size,
        )?;
        let mut model = checkpoint::load_model(path, device).map_err(unusable)?;
        model.flip_averaging = false;
        model.shift_averaging = false;
        let own = record.identity.normalization;
        Ok(Self {
            path: path.to_owned(),
            model,
            normalization: own,
            renormalization: (own != *normalization)
                .then(|| renormalization(normalization, &own, device)),
        })
    }
}

/// `x * factor + summand` is normalised by `to` if `x` was normalised by `from`.
fn renormalization(from: &Normalization, to: &Normalization, device: &Device) -> [Tensor<4>; 2] {
    let of_channel = |channel: usize| {
        let [mean, other_mean] = [from, to].map(|one| f64::from(one.mean[channel]));
        let [std, other_std] = [from, to].map(|one| f64::from(one.std[channel]));
        [std / other_std, (mean - other_mean) / other_std]
    };
    let channels: [[f64; 2]; ImageSet::CHANNELS] = std::array::from_fn(of_channel);
    [0, 1].map(|which| {
        let of_channels = channels.map(|values| values[which] as f32);
        Tensor::<1>::from_floats(of_channels, device).reshape([1, ImageSet::CHANNELS, 1, 1])
    })
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Int, TensorData};
    use mlestar_model::ModelConfig;
    use mlestar_random::Stream;
    use proptest::prelude::*;

    use super::*;
    use mlestar_eval::softmax_rows;

    fn teachers(weight: f64, temperature: f64) -> Teachers {
        Teachers {
            teachers: Vec::new(),
            weight,
            temperature,
            precision: Precision::F32,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// Value and gradient compared with the definition in f64, in one part and in two.
        #[test]
        fn the_loss_equals_its_definition(
            seed in any::<u64>(), n in 1_usize..9, k in 2_usize..7,
            weight in 0.05_f64..=1.0, temperature in 0.5_f64..8.0, sure in any::<bool>(),
        ) {
            let mut draws = Stream::new(seed, "distillation test", 0, 0);
            let mut random = |scale: f64| -> Vec<f32> {
                (0..n * k).map(|_| (draws.normal() * scale) as f32).collect()
            };
            // Some probabilities of a confident teacher are 0.
            let (logits, of_teacher) = (random(2.0), random(if sure { 300.0 } else { 2.0 }));
            let p: Vec<f32> = softmax_rows(&of_teacher, k).iter().map(|&p| p as f32).collect();
            let labels: Vec<i32> = (0..n).map(|row| (row * 7 % k) as i32).collect();
            let device = Device::flex().autodiff();
            let teachers = teachers(weight, temperature);
            let judged = |ranges: &[std::ops::Range<usize>]| {
                let data = TensorData::new(logits.clone(), [n, k]);
                let logits = Tensor::<2>::from_data(data, &device).require_grad();
                let mut sum = Tensor::<1>::zeros([1], &device);
                for rows in ranges {
                    let own = logits.clone().slice_dim(0, rows.clone());
                    let values = labels[rows.clone()].to_vec();
                    let ints = TensorData::new(values, [rows.len()]);
                    let ints = Tensor::<1, Int>::from_data(ints, &device);
                    let share = rows.len() as f64 / n as f64;
                    let of_labels = crate::cross_entropy(own.clone(), ints, 0.0).mul_scalar(share);
                    let p = p[rows.start * k..rows.end * k].to_vec();
                    let p = TensorData::new(p, [rows.len(), k]);
                    let p = Tensor::from_data(p, &Device::flex());
                    sum = sum + teachers.loss(of_labels, own, p, n);
                }
                let gradients = sum.clone().backward();
                let gradient = logits.grad(&gradients).unwrap().into_data();
                let gradient: Vec<f32> = gradient.iter::<f32>().collect();
                (f64::from(sum.into_scalar::<f32>()), gradient)
            };

            let q = softmax_rows(&logits, k);
            let softened: Vec<f32> = logits.iter().map(|&z| (f64::from(z) / temperature) as f32).collect();
            let softened = softmax_rows(&softened, k);
            let mut expected = 0.0;
            let mut slopes = vec![0.0; n * k];
            for row in 0..n {
                let label = labels[row] as usize;
                expected -= (1.0 - weight) * q[row * k + label].ln() / n as f64;
                for class in 0..k {
                    let at = row * k + class;
                    let (p, soft) = (f64::from(p[at]), softened[at]);
                    let part = if p > 0.0 { p * (p.ln() - soft.ln()) } else { 0.0 };
                    expected += weight * temperature.powi(2) * part / n as f64;
                    let hard = if class == label { 1.0 } else { 0.0 };
                    slopes[at] = ((1.0 - weight) * (q[at] - hard)
                        + weight * temperature * (soft - p)) / n as f64;
                }
            }
            let middle = n / 2;
            for starts in [&[0][..], &[0, middle]] {
                let ends = starts[1..].iter().copied().chain([n]);
                let ranges: Vec<_> = starts.iter().zip(ends).map(|(&start, end)| start..end).collect();
                let ranges: Vec<_> = ranges.into_iter().filter(|rows| !rows.is_empty()).collect();
                let (value, gradient) = judged(&ranges);
                prop_assert!((value - expected).abs() < 1e-4 * expected.abs().max(1.0), "{} {}", value, expected);
                for (found, slope) in gradient.iter().zip(&slopes) {
                    prop_assert!((f64::from(*found) - slope).abs() < 1e-5 * temperature, "{} {}", found, slope);
                }
            }
        }
    }

    /// Teachers with another normalisation, and the answer of each teacher to images normalised for it.
    #[test]
    fn probabilities_are_the_mean_of_what_each_teacher_says() {
        let device = Device::flex();
        let spec = ModelConfig::small().check(4, 12, 10).unwrap();
        let own = Normalization::new([0.5; 3], [0.25; 3]).unwrap();
        let other = Normalization::new([0.4, 0.5, 0.6], [0.2, 0.3, 0.25]).unwrap();
        let n = 5;
        let mut draws = Stream::new(1, "teachers test", 0, 0);
        let pixels: Vec<u8> = (0..n * 360).map(|_| draws.below(256) as u8).collect();
        let images = |normalization: &Normalization| {
            let mut values = vec![0.0; pixels.len()];
            let table = normalization.table();
            for (from, to) in pixels.chunks(360).zip(values.chunks_mut(360)) {
                table.apply(from, to);
            }
            Tensor::<4>::from_data(TensorData::new(values, [n, 3, 12, 10]), &device)
        };
        let mut teachers = teachers(0.5, 2.0);
        let mut expected = vec![0.0; n * 4];
        for (seed, normalization) in [(1, own), (2, other)] {
            let model = spec.init(seed, &device);
            let logits = model.forward(images(&normalization)).div_scalar(2.0);
            let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
            for (sum, p) in expected.iter_mut().zip(softmax_rows(&logits, 4)) {
                *sum += p / 2.0;
            }
            teachers.teachers.push(Teacher {
                path: PathBuf::new(),
                model,
                normalization,
                renormalization: (normalization != own)
                    .then(|| renormalization(&own, &normalization, &device)),
            });
        }
        let found = teachers.probabilities(&images(&own)).into_data();
        for (found, expected) in found.iter::<f32>().zip(expected) {
            assert!(
                (f64::from(found) - expected).abs() < 1e-5,
                "{found} {expected}"
            );
        }
    }
}
