use burn::tensor::{Int, Tensor, activation::log_softmax};

use crate::{TrainError, config::TrainingConfig};

/// Mean cross-entropy of logits `[n, classes]` and labels `[n]`, as a tensor `[1]`.
///
/// With label smoothing `a` (0-1) the target is `1 - a` for the label plus `a / classes` for every
/// class (Szegedy et al. 2015, <https://arxiv.org/abs/1512.00567>), as in PyTorch.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let logits = Tensor::<2>::zeros([3, 10], &device);
/// let labels = Tensor::from_ints([0, 5, 9], &device);
/// let loss: f32 = mlestar_train::cross_entropy(logits, labels, 0.1).into_scalar();
/// assert!((loss - 10.0_f32.ln()).abs() < 1e-6);
/// ```
#[must_use]
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>, label_smoothing: f64) -> Tensor<1> {
    let loss = Loss {
        label_smoothing,
        class_weights: None,
        focal_gamma: None,
    };
    loss.mean(logits, labels)
}

/// The loss of training: cross-entropy or the focal loss, with class weights.
///
/// - Cross-entropy is PyTorch's `CrossEntropyLoss`. With class weights it is a weighted mean: the sum of the
///   weighted losses divided by the sum of the weights of the labels. Label smoothing `a` then spreads `a / k` of
///   the target over each of the `k` classes with that class's weight.
/// - The focal loss (Lin et al. 2017, <https://arxiv.org/abs/1708.02002>) of an image is
///   `-w (1 - p)^gamma ln p`, where `p` is the probability of its label and `w` the weight of its class;
///   the loss is the mean over the images.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use mlestar_train::{ClassWeights, Loss, TrainingConfig};
///
/// let config = TrainingConfig {
///     class_weights: Some(ClassWeights::Balanced),
///     ..TrainingConfig::default()
/// };
/// // Labels of the training set: three of class 0, one of class 1.
/// let loss = Loss::new(&config, &[0, 0, 0, 1], 2)?;
///
/// let device = Device::flex();
/// let logits = Tensor::<2>::zeros([2, 2], &device);
/// let labels = Tensor::from_ints([0, 1], &device);
/// let mean: f32 = loss.mean(logits, labels).into_scalar();
/// assert!((mean - 2.0_f32.ln()).abs() < 1e-6);
/// # Ok::<(), mlestar_train::TrainError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Loss {
    label_smoothing: f64,
    /// A weight for each class.
    class_weights: Option<Vec<f32>>,
    focal_gamma: Option<f64>,
}

/// Lower bound of `1 - p` in the focal loss: at 0, the slope of a power below 1 is infinite.
const LEAST_MISS: f64 = 1e-7;

impl Loss {
    /// The loss configured by `config` for a training set with `labels` and `n_classes` classes. The
    /// configuration must have been checked.
    ///
    /// # Errors
    ///
    /// [`TrainError::OutOfRange`] if there is not one class weight for each class, or if a class without images
    /// is to be balanced.
    pub fn new(
        config: &TrainingConfig,
        labels: &[u32],
        n_classes: usize,
    ) -> Result<Self, TrainError> {
        let weights = match &config.class_weights {
            Some(weights) => Some(weights.resolve(labels, n_classes)?),
            None => None,
        };
        Ok(Self {
            label_smoothing: config.label_smoothing,
            class_weights: weights.map(|all| all.iter().map(|&weight| weight as f32).collect()),
            focal_gamma: config.focal_gamma,
        })
    }

    /// How much each class counts; empty for equal weights.
    pub(crate) fn class_weights(&self) -> Vec<f64> {
        let weights = self.class_weights.iter().flatten();
        weights.map(|&weight| f64::from(weight)).collect()
    }

    /// The loss of one constant answer for every image of these labels, which must not be empty: the loss
    /// without looking at the images. For cross-entropy it is the best constant answer. For the focal loss,
    /// whose best answer has no formula, it uses the (weighted) class shares.
    #[must_use]
    pub fn of_guessing(&self, labels: &[u32], n_classes: usize) -> f64 {
        let weight = |class: usize| match &self.class_weights {
            Some(weights) => weights.get(class).map_or(0.0, |&weight| f64::from(weight)),
            None => 1.0,
        };
        let mut counts = vec![0.0; n_classes];
        for &label in labels {
            if let Some(count) = counts.get_mut(label as usize) {
                *count += 1.0;
            }
        }
        let own: Vec<f64> = (0..n_classes)
            .map(|class| counts[class] * weight(class))
            .collect();
        // Weight of each class's log-probability in the loss.
        let (n, divisor) = (labels.len() as f64, self.divisor(labels));
        let smoothing = match self.focal_gamma {
            Some(_) => 0.0,
            None => self.label_smoothing,
        };
        let parts = (0..n_classes).map(|class| {
            let spread = n * weight(class) / n_classes as f64;
            ((1.0 - smoothing) * own[class] + smoothing * spread) / divisor
        });
        let parts: Vec<f64> = parts.collect();
        let sum: f64 = parts.iter().sum();
        let present = parts.iter().filter(|part| **part > 0.0);
        let of_class = |part: &f64| {
            let probability = part / sum;
            let focus = (1.0 - probability).powf(self.focal_gamma.unwrap_or(0.0));
            -part * focus * probability.ln()
        };
        present.map(of_class).sum()
    }

    /// The divisor of [`Loss::mean`] for images with these labels: the sum of their class weights, or the
    /// number of images if there are no class weights or with the focal loss. The mean over a batch is the mean
    /// over its parts, weighted by this.
    #[must_use]
    pub fn divisor(&self, labels: &[u32]) -> f64 {
        match (&self.class_weights, self.focal_gamma) {
            (Some(weights), None) => labels
                .iter()
                .map(|&label| weights.get(label as usize).map_or(0.0, |&w| f64::from(w)))
                .sum(),
            _ => labels.len() as f64,
        }
    }

    /// The loss, a tensor `[1]`, of logits `[n, classes]` and labels `[n]`.
    #[must_use]
    pub fn mean(&self, logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let weights = self
            .class_weights
            .as_ref()
            .map(|weights| Tensor::<1>::from_floats(weights.as_slice(), &logits.device()));
        self.of_labels(log_softmax(logits, 1), weights, labels)
    }

    /// The loss of log-probabilities `[n, classes]` and class weights `[classes]`.
    fn of_labels(
        &self,
        log_probabilities: Tensor<2>,
        weights: Option<Tensor<1>>,
        labels: Tensor<1, Int>,
    ) -> Tensor<1> {
        let [n, classes] = log_probabilities.dims();
        let mut of_label = log_probabilities
            .clone()
            .gather(1, labels.clone().reshape([n, 1]));
        if let Some(gamma) = self.focal_gamma {
            let miss = of_label.clone().exp().neg().add_scalar(1.0);
            of_label = of_label * miss.clamp_min(LEAST_MISS).powf_scalar(gamma);
        }
        let Some(weights) = weights else {
            let of_label = of_label.mean().neg();
            return match self.label_smoothing {
                0.0 => of_label,
                smoothing => Self::smoothed(of_label, log_probabilities.mean().neg(), smoothing),
            };
        };
        let own = weights.clone().select(0, labels);
        let divisor = match self.focal_gamma {
            Some(_) => own.ones_like().sum(),
            None => own.clone().sum(),
        };
        let of_label = (of_label * own.reshape([n, 1])).sum().neg() / divisor.clone();
        match self.label_smoothing {
            0.0 => of_label,
            smoothing => {
                let weighted = log_probabilities * weights.reshape([1, classes]);
                let of_all = weighted.sum().neg() / divisor.mul_scalar(classes as f64);
                Self::smoothed(of_label, of_all, smoothing)
            }
        }
    }

    fn smoothed(of_label: Tensor<1>, of_all: Tensor<1>, smoothing: f64) -> Tensor<1> {
        of_label.mul_scalar(1.0 - smoothing) + of_all.mul_scalar(smoothing)
    }
}

/// The class with the highest logit; of equal ones, the lowest index.
pub(crate) fn highest_class(row: &[f32]) -> usize {
    let mut best = 0;
    for (class, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = class;
        }
    }
    best
}

/// Sum over images of the cross-entropy (without smoothing), in f64 from f32 logits `n x k`, and the number of
/// images whose highest logit belongs to the label (ties go to the lowest index).
pub(crate) fn loss_sum_and_correct(logits: &[f32], labels: &[u32], k: usize) -> (f64, usize) {
    let mut loss = 0.0;
    let mut correct = 0;
    for (row, &label) in logits.chunks_exact(k).zip(labels) {
        let best = highest_class(row);
        let highest = f64::from(row[best]);
        let sum: f64 = row.iter().map(|&v| (f64::from(v) - highest).exp()).sum();
        loss += sum.ln() + highest - f64::from(row[label as usize]);
        correct += usize::from(best == label as usize);
    }
    (loss, correct)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ClassWeights;
    use burn::tensor::{Device, TensorData};
    use mlestar_random::Stream;
    use proptest::prelude::*;

    /// The definition, computed in f64.
    fn reference(logits: &[f64], labels: &[u32], k: usize, smoothing: f64) -> f64 {
        let mut total = 0.0;
        for (row, &label) in logits.chunks(k).zip(labels) {
            let sum: f64 = row.iter().map(|v| v.exp()).sum();
            for (class, value) in row.iter().enumerate() {
                let hard = if class == label as usize { 1.0 } else { 0.0 };
                let target = hard * (1.0 - smoothing) + smoothing / k as f64;
                total -= target * (value.exp() / sum).ln();
            }
        }
        total / labels.len() as f64
    }

    fn random_case(seed: u64, n: usize, k: usize) -> (Vec<f32>, Vec<u32>) {
        let mut draws = Stream::new(seed, "loss test", 0, 0);
        let logits = (0..n * k).map(|_| (draws.normal() * 4.0) as f32).collect();
        let labels = (0..n).map(|_| draws.below(k as u64) as u32).collect();
        (logits, labels)
    }

    fn on_device(logits: &[f32], labels: &[u32], k: usize, smoothing: f64) -> f64 {
        let device = Device::flex();
        let n = labels.len();
        let logits = Tensor::<2>::from_data(TensorData::new(logits.to_vec(), [n, k]), &device);
        let labels: Vec<i64> = labels.iter().map(|&l| i64::from(l)).collect();
        let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [n]), &device);
        let loss: f32 = cross_entropy(logits, labels, smoothing).into_scalar();
        f64::from(loss)
    }

    /// The definition of a [`Loss`], computed in f64.
    fn full_reference(loss: &Loss, logits: &[f64], labels: &[u32], k: usize) -> f64 {
        let weight = |class: usize| match &loss.class_weights {
            Some(weights) => f64::from(weights[class]),
            None => 1.0,
        };
        let (mut total, mut divisor) = (0.0, 0.0);
        for (row, &label) in logits.chunks(k).zip(labels) {
            let label = label as usize;
            let sum: f64 = row.iter().map(|v| v.exp()).sum();
            let log = |class: usize| row[class] - sum.ln();
            if let Some(gamma) = loss.focal_gamma {
                total -= weight(label) * (1.0 - log(label).exp()).powf(gamma) * log(label);
                divisor += 1.0;
                continue;
            }
            let smoothing = loss.label_smoothing;
            total -= weight(label) * (1.0 - smoothing) * log(label);
            for class in 0..k {
                total -= weight(class) * smoothing / k as f64 * log(class);
            }
            divisor += weight(label);
        }
        total / divisor
    }

    fn ints(labels: &[u32], device: &Device) -> Tensor<1, Int> {
        let labels: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
        let n = labels.len();
        Tensor::from_data(TensorData::new(labels, [n]), device)
    }

    /// Value and gradient of a loss, on the device.
    fn value_and_gradient(
        loss: &Loss,
        logits: &[f32],
        labels: &[u32],
        k: usize,
    ) -> (f64, Vec<f32>) {
        let device = Device::flex().autodiff();
        let data = TensorData::new(logits.to_vec(), [labels.len(), k]);
        let logits = Tensor::<2>::from_data(data, &device).require_grad();
        let value = loss.mean(logits.clone(), ints(labels, &device));
        let gradients = value.clone().backward();
        let gradient = logits.grad(&gradients).unwrap().into_data();
        let value: f32 = value.into_scalar();
        (f64::from(value), gradient.iter::<f32>().collect())
    }

    fn losses() -> impl Strategy<Value = (Option<Vec<f32>>, f64, Option<f64>, usize)> {
        (2_usize..9).prop_flat_map(|k| {
            let weights = proptest::option::of(proptest::collection::vec(0.1_f32..5.0, k));
            let kind = prop_oneof![
                Just((0.0, None)),
                (0.01_f64..0.9).prop_map(|smoothing| (smoothing, None)),
                (0.2_f64..4.0).prop_map(|gamma| (0.0, Some(gamma))),
            ];
            (weights, kind)
                .prop_map(move |(weights, (smoothing, gamma))| (weights, smoothing, gamma, k))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        /// Compares the value with the definition and the gradient with finite differences.
        #[test]
        fn guessing_is_the_loss_of_the_best_answer_that_is_the_same_for_all(
            (weights, smoothing, gamma, k) in losses(), seed in any::<u64>(),
        ) {
            let loss = Loss { label_smoothing: smoothing, class_weights: weights, focal_gamma: gamma };
            let (logits, labels) = random_case(seed, 40, k);
            let guessing = loss.of_guessing(&labels, k);
            let of_answer = |answer: &[f64]| {
                full_reference(&loss, &answer.repeat(labels.len()), &labels, k)
            };
            if gamma.is_some() {
                let weight = |l: u32| loss.class_weights.as_ref().map_or(1.0, |all| f64::from(all[l as usize]));
                let share = |class: usize| -> f64 {
                    labels.iter().filter(|l| **l as usize == class).map(|l| weight(*l)).sum()
                };
                let shares: Vec<f64> = (0..k).map(|class| share(class).max(1e-30).ln()).collect();
                prop_assert!((of_answer(&shares) - guessing).abs() < 1e-6);
                return Ok(());
            }
            // No other constant answer is better.
            for row in logits.chunks(k).take(20) {
                let answer: Vec<f64> = row.iter().map(|value| f64::from(*value)).collect();
                prop_assert!(of_answer(&answer) >= guessing - 1e-9);
            }
            // Its gradient is zero: every class gets its share of the target weight.
            let weight = |l: usize| loss.class_weights.as_ref().map_or(1.0, |all| f64::from(all[l]));
            let mut shares = vec![1e-300; k];
            for label in &labels {
                shares[*label as usize] += (1.0 - smoothing) * weight(*label as usize);
                for (class, share) in shares.iter_mut().enumerate() {
                    *share += smoothing / k as f64 * weight(class);
                }
            }
            let best: Vec<f64> = shares.iter().map(|share| share.ln()).collect();
            prop_assert!((of_answer(&best) - guessing).abs() < 1e-6);
        }

        #[test]
        fn every_loss_and_its_gradient_equal_the_definition(
            seed in any::<u64>(), n in 1_usize..8, (weights, smoothing, gamma, k) in losses(),
        ) {
            let loss = Loss { label_smoothing: smoothing, class_weights: weights, focal_gamma: gamma };
            let (logits, labels) = random_case(seed, n, k);
            let logits: Vec<f32> = logits.iter().map(|logit| logit / 2.0).collect();
            let (value, gradient) = value_and_gradient(&loss, &logits, &labels, k);
            let expected = |logits: &[f64]| full_reference(&loss, logits, &labels, k);
            let mut wide: Vec<f64> = logits.iter().map(|&v| f64::from(v)).collect();
            let at = expected(&wide);
            prop_assert!((value - at).abs() < 2e-5 * at.max(1.0), "{} and {}", value, at);
            for index in 0..wide.len() {
                let middle = wide[index];
                let mut sides = [-1e-5, 1e-5].map(|by| {
                    wide[index] = middle + by;
                    expected(&wide)
                });
                wide[index] = middle;
                sides.reverse();
                let slope = (sides[0] - sides[1]) / 2e-5;
                let found = f64::from(gradient[index]);
                prop_assert!((found - slope).abs() < 1e-4, "{}: {} and {}", index, found, slope);
            }
        }
    }

    /// Values and gradients of the second image by PyTorch 2.15's `cross_entropy` in f64.
    #[test]
    fn weights_and_smoothing_are_pytorch_s() {
        let logits = [
            2.0, -1.0, 0.5, 0.25, 1.5, -0.75, -2.0, 0.5, 3.0, 1.0, 1.0, -1.0,
        ];
        let labels = [0, 2, 1, 2];
        let plain = [0.051_459_150_999, 0.179_610_085_288, -0.231_069_236_287];
        for (weighted, smoothing, expected, expected_gradient) in [
            (false, 0.0, 2.041_426_207_027, plain),
            (
                false,
                0.1,
                2.018_509_540_360,
                [0.043_125_817_666, 0.171_276_751_954, -0.214_402_569_621],
            ),
            (true, 0.0, 2.392_994_099_483, plain),
            (
                true,
                0.1,
                2.331_170_643_571,
                [0.048_125_817_666, 0.166_276_751_954, -0.214_402_569_621],
            ),
            (
                true,
                0.35,
                2.176_612_003_790,
                [0.039_792_484_333, 0.132_943_418_621, -0.172_735_902_954],
            ),
        ] {
            let config = TrainingConfig {
                label_smoothing: smoothing,
                class_weights: weighted.then(|| ClassWeights::List(vec![0.5, 2.0, 1.25])),
                ..TrainingConfig::default()
            };
            let loss = Loss::new(&config, &[], 3).unwrap();
            let (value, gradient) = value_and_gradient(&loss, &logits, &labels, 3);
            assert!((value - expected).abs() < 1e-6, "{value} and {expected}");
            for (found, expected) in gradient[3..6].iter().zip(expected_gradient) {
                assert!(
                    (f64::from(*found) - expected).abs() < 1e-6,
                    "{found} and {expected}"
                );
            }
        }
    }

    /// For gamma below 1 the slope of `(1 - p)^gamma` is infinite at 1, but the slope of the loss is not.
    #[test]
    fn the_focal_loss_of_a_sure_picture_is_finite() {
        for gamma in [0.5, 1.0, 2.0] {
            let loss = Loss {
                label_smoothing: 0.0,
                class_weights: None,
                focal_gamma: Some(gamma),
            };
            let (value, gradient) = value_and_gradient(&loss, &[60.0, -60.0], &[0], 2);
            assert!((0.0..1e-6).contains(&value), "{value}");
            assert!(
                gradient.iter().all(|slope| slope.abs() < 1e-6),
                "{gradient:?}"
            );
            let (value, gradient) = value_and_gradient(&loss, &[60.0, -60.0], &[1], 2);
            assert!((value - 120.0).abs() < 1e-3, "{value}");
            assert!((gradient[0] - 1.0).abs() < 1e-3, "{gradient:?}");
        }
    }

    #[test]
    fn weights_that_do_not_fit_the_classes_are_refused() {
        let config = TrainingConfig {
            class_weights: Some(ClassWeights::Balanced),
            ..TrainingConfig::default()
        };
        assert!(Loss::new(&config, &[0, 1, 1], 2).is_ok());
        let message = Loss::new(&config, &[0, 1, 1], 3).unwrap_err().to_string();
        assert!(
            message.contains("class 2 (from 0) has no training images"),
            "{message}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_loss_equals_its_definition(
            seed in any::<u64>(), n in 1_usize..20, k in 2_usize..12, smoothing in 0.0_f64..0.9,
        ) {
            let (logits, labels) = random_case(seed, n, k);
            let wide: Vec<f64> = logits.iter().map(|&v| f64::from(v)).collect();
            for smoothing in [0.0, smoothing] {
                let expected = reference(&wide, &labels, k, smoothing);
                let found = on_device(&logits, &labels, k, smoothing);
                prop_assert!((found - expected).abs() < 1e-5 * expected.max(1.0));
            }
            let (sum, _) = loss_sum_and_correct(&logits, &labels, k);
            let expected = reference(&wide, &labels, k, 0.0);
            prop_assert!((sum / n as f64 - expected).abs() < 1e-12 * expected.max(1.0));
        }
    }

    #[test]
    fn large_logits_neither_overflow_nor_lose_the_label() {
        let huge = 2.0_f32.powi(100);
        let (sum, correct) = loss_sum_and_correct(&[huge, 0.0, 0.0, -huge], &[0, 1], 2);
        assert_eq!((sum, correct), (2.0_f64.powi(100), 1));
        // Ties count for the lowest index only.
        assert_eq!(loss_sum_and_correct(&[2.0, 2.0], &[0], 2).1, 1);
        assert_eq!(loss_sum_and_correct(&[2.0, 2.0], &[1], 2).1, 0);
    }

    /// d loss / d logit = (softmax - target) / n.
    #[test]
    fn the_gradient_is_softmax_minus_target() {
        let device = Device::flex().autodiff();
        let (values, labels) = random_case(5, 4, 3);
        let logits =
            Tensor::<2>::from_data(TensorData::new(values.clone(), [4, 3]), &device).require_grad();
        let ints: Vec<i64> = labels.iter().map(|&l| i64::from(l)).collect();
        let ints = Tensor::<1, Int>::from_data(TensorData::new(ints, [4]), &device);
        let gradients = cross_entropy(logits.clone(), ints, 0.2).backward();
        let found: Vec<f32> = logits
            .grad(&gradients)
            .unwrap()
            .into_data()
            .iter::<f32>()
            .collect();
        for (row, &label) in labels.iter().enumerate() {
            let logits: Vec<f64> = values[row * 3..][..3]
                .iter()
                .map(|&v| f64::from(v))
                .collect();
            let sum: f64 = logits.iter().map(|v| v.exp()).sum();
            for class in 0..3 {
                let target = if class == label as usize { 0.8 } else { 0.0 } + 0.2 / 3.0;
                let expected = (logits[class].exp() / sum - target) / 4.0;
                assert!((f64::from(found[row * 3 + class]) - expected).abs() < 1e-6);
            }
        }
    }
}
