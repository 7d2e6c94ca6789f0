use burn::tensor::{Device, Tensor, TensorData};
use mlestar_random::Stream;

/// A dropout mask `[n, features]`: 0 with probability `p`, otherwise `1 / (1 - p)`.
///
/// Drawn from (`seed`, `step`) and not from the device's generator, so that training is repeatable and can be
/// resumed at any step. `p` must be in `0 <= p < 1`, which a checked configuration guarantees; 0 gives a mask
/// of ones.
///
/// ```
/// use burn::tensor::Device;
///
/// let mask = mlestar_model::dropout_mask(1, 0, 2, 100, 0.5, &Device::flex());
/// assert!(mask.to_data().iter::<f32>().all(|value| value == 0.0 || value == 2.0));
/// ```
#[must_use]
pub fn dropout_mask(
    seed: u64,
    step: u64,
    n: usize,
    features: usize,
    p: f64,
    device: &Device,
) -> Tensor<2> {
    let mut draws = Stream::new(seed, "dropout", 0, step);
    let kept = (1.0 / (1.0 - p)) as f32;
    let values: Vec<f32> = (0..n * features)
        .map(|_| if draws.bernoulli(p) { 0.0 } else { kept })
        .collect();
    Tensor::from_data(TensorData::new(values, [n, features]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_keeps_the_mean_and_depends_on_the_step() {
        let device = Device::flex();
        let values = |step| -> Vec<f32> {
            dropout_mask(7, step, 100, 256, 0.25, &device)
                .into_data()
                .iter::<f32>()
                .collect()
        };
        let first = values(0);
        let mean = first.iter().map(|&v| f64::from(v)).sum::<f64>() / first.len() as f64;
        // 25,600 draws: the standard error of the mean is 0.0036.
        assert!((mean - 1.0).abs() < 0.015, "mean {mean}");
        assert_eq!(first, values(0));
        assert_ne!(first, values(1));
    }
}
