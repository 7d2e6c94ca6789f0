use burn::tensor::{Int, Tensor, activation::log_softmax};

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
    let [n, _] = logits.dims();
    let log_probabilities = log_softmax(logits, 1);
    let of_label = log_probabilities
        .clone()
        .gather(1, labels.reshape([n, 1]))
        .mean()
        .neg();
    if label_smoothing == 0.0 {
        return of_label;
    }
    let of_all = log_probabilities.mean().neg();
    of_label.mul_scalar(1.0 - label_smoothing) + of_all.mul_scalar(label_smoothing)
}

/// Sum over pictures of the cross-entropy (without smoothing), in f64 from f32 logits `n x k`, and
/// the number of pictures whose highest logit is the label's (ties go to the lowest index).
pub(crate) fn loss_sum_and_correct(logits: &[f32], labels: &[u32], k: usize) -> (f64, usize) {
    let mut loss = 0.0;
    let mut correct = 0;
    for (row, &label) in logits.chunks_exact(k).zip(labels) {
        let mut best = 0;
        for (class, value) in row.iter().enumerate() {
            if *value > row[best] {
                best = class;
            }
        }
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
    use burn::tensor::{Device, TensorData};
    use mlestar_random::Stream;
    use proptest::prelude::*;

    /// The definition, written out in f64.
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
