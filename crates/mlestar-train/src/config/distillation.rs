use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// Section `[training.distillation]`. If present, the network learns from the predictions of trained networks
/// as well as from the labels (knowledge distillation; Hinton et al. 2015, <https://arxiv.org/abs/1503.02531>).
///
/// | key | default | meaning | range |
/// |---|---|---|---|
/// | `teachers` | none | checkpoints of the teachers; their probabilities are averaged | 1 to 16 folders |
/// | `weight` | 0.7 | share of the loss that compares with the teachers; the rest compares with the labels | 0 < w <= 1 |
/// | `temperature` | 3 | divisor of the logits of teachers and network in this comparison | 0.1 to 100 |
///
/// Let `p` be the mean of the teachers' softmax and `q` the network's softmax, both of logits divided by the
/// temperature `T`. The loss is `(1 - w) loss(labels) + w T^2 sum p (ln p - ln q)`, where the second term is a
/// mean over images. The teachers see the same augmented and mixed images as the network, each as a single
/// view. They run as in deployment: running statistics, no dropout. They are not used for images that
/// [`progressive_resizing`](crate::TrainingConfig::progressive_resizing) made smaller; for these, only the
/// labels count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistillationConfig {
    /// Checkpoint folders of networks for the same classes and image size; any architecture is allowed.
    pub teachers: Vec<PathBuf>,
    /// Share of the loss that compares with the teachers.
    pub weight: f64,
    /// Divisor of the logits in this comparison.
    pub temperature: f64,
}

const MAX_TEACHERS: usize = 16;
const TEMPERATURES: std::ops::RangeInclusive<f64> = 0.1..=100.0;

impl Default for DistillationConfig {
    fn default() -> Self {
        Self {
            teachers: Vec::new(),
            weight: 0.7,
            temperature: 3.0,
        }
    }
}

impl DistillationConfig {
    pub(super) fn check(&self) -> Result<(), TrainError> {
        super::in_range(
            "distillation.teachers",
            self.teachers.len(),
            1,
            MAX_TEACHERS,
        )?;
        if !(self.weight > 0.0 && self.weight <= 1.0) {
            return Err(TrainError::out_of_range(
                "distillation.weight",
                self.weight,
                "above 0 and at most 1 (leave the section out to learn from labels alone)",
            ));
        }
        if !TEMPERATURES.contains(&self.temperature) {
            return Err(TrainError::out_of_range(
                "distillation.temperature",
                self.temperature,
                format!("{} to {}", TEMPERATURES.start(), TEMPERATURES.end()),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused() {
        let config = |teachers: usize, weight, temperature| DistillationConfig {
            teachers: vec![PathBuf::from("teacher"); teachers],
            weight,
            temperature,
        };
        let refusal = |config: DistillationConfig| config.check().unwrap_err().to_string();
        assert_eq!(
            refusal(DistillationConfig::default()),
            "distillation.teachers = 0 is out of range: it must be 1 to 16"
        );
        assert!(refusal(config(17, 0.5, 1.0)).contains("distillation.teachers = 17"));
        for weight in [0.0, -0.5, 1.1, f64::NAN] {
            let expected = format!(
                "distillation.weight = {weight} is out of range: it must be above 0 and at most 1 (leave the section out \
                 to learn from labels alone)"
            );
            assert_eq!(refusal(config(1, weight, 1.0)), expected);
        }
        for temperature in [0.0, 0.05, 101.0, f64::NAN, f64::INFINITY] {
            let expected = format!(
                "distillation.temperature = {temperature} is out of range: it must be 0.1 to 100"
            );
            assert_eq!(refusal(config(1, 0.5, temperature)), expected);
        }
        config(16, 1.0, 100.0).check().unwrap();
    }
}
