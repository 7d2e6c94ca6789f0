use serde::{Deserialize, Serialize};

use crate::Predictions;

/// The lowest temperature that [`fit_temperature`] returns.
pub const MIN_TEMPERATURE: f64 = 0.05;
/// The highest temperature that [`fit_temperature`] returns.
pub const MAX_TEMPERATURE: f64 = 20.0;
/// Newton's method on a convex function of one variable ends long before.
const MOST_STEPS: usize = 100;

/// A temperature and what it does to the predictions that it was fitted on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemperatureFit {
    /// Divides the logits before the softmax. Above 1 it lowers the confidence, below 1 it raises it.
    pub temperature: f64,
    /// Number of samples that it was fitted on.
    pub n: usize,
    /// Log loss of these samples without a temperature, in nats.
    pub log_loss_before: f64,
    /// Their log loss with it, in nats.
    pub log_loss_after: f64,
}

/// The temperature that calibrates probabilities: `softmax(logits / temperature)` has the lowest log loss.
///
/// One number for all classes keeps the order of the classes, so no prediction changes (Guo et al. 2017, "On
/// calibration of modern neural networks", 4.2). The loss is convex in the inverse temperature; Newton's method with
/// bisection finds its minimum. The true class counts as `(n + 1) / (n + 2)` of a label and the others share
/// the rest (Platt 1999, "Probabilistic outputs for support vector machines", 2.1). Without that, a model that makes
/// no mistake on the `n` samples would be certain of everything.
///
/// The result is within [`MIN_TEMPERATURE`] to [`MAX_TEMPERATURE`]; it is 1 if the logits of every sample are equal.
/// Predictions made from probabilities use their logarithms as logits.
///
/// ```
/// use mlestar_eval::{Predictions, fit_temperature};
/// // Right in three of four cases, but 98 % certain in each.
/// let logits = [4.0, 0.0].repeat(4);
/// let fit = fit_temperature(&Predictions::from_logits(vec![0, 0, 0, 1], logits, 2)?);
/// assert!(fit.temperature > 3.0 && fit.log_loss_after < fit.log_loss_before);
/// # Ok::<(), mlestar_eval::EvalError>(())
/// ```
#[must_use]
pub fn fit_temperature(predictions: &Predictions) -> TemperatureFit {
    let samples = Samples::new(predictions);
    let (mut low, mut high) = (1.0 / MAX_TEMPERATURE, 1.0 / MIN_TEMPERATURE);
    let mut inverse = 1.0;
    for _ in 0..MOST_STEPS {
        let (slope, curvature) = samples.derivatives(inverse);
        match slope > 0.0 {
            true => high = inverse,
            false => low = inverse,
        }
        let newton = inverse - slope / curvature;
        // Without curvature the quotient is not finite, or far outside.
        let next = match newton >= low && newton <= high {
            true => newton,
            false => f64::midpoint(low, high),
        };
        let moved = (next - inverse).abs();
        inverse = next;
        if slope == 0.0 || moved <= 1e-12 * inverse {
            break;
        }
    }
    if samples.are_flat() {
        inverse = 1.0;
    }
    TemperatureFit {
        temperature: (1.0 / inverse).clamp(MIN_TEMPERATURE, MAX_TEMPERATURE),
        n: predictions.len(),
        log_loss_before: samples.log_loss(1.0),
        log_loss_after: samples.log_loss(inverse),
    }
}

/// Scores relative to the highest of their row, so that no exponential overflows.
struct Samples {
    scores: Vec<f64>,
    labels: Vec<usize>,
    n_classes: usize,
    /// How much of a label the true class counts.
    share: f64,
}

impl Samples {
    fn new(predictions: &Predictions) -> Self {
        let n = predictions.len();
        let mut scores = Vec::with_capacity(n * predictions.n_classes());
        for index in 0..n {
            let row = predictions.scores(index);
            let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            scores.extend(row.iter().map(|score| score - highest));
        }
        Self {
            scores,
            labels: (0..n)
                .map(|index| predictions.label(index) as usize)
                .collect(),
            n_classes: predictions.n_classes(),
            share: (n as f64 + 1.0) / (n as f64 + 2.0),
        }
    }

    fn rows(&self) -> impl Iterator<Item = (&[f64], usize)> {
        let labels = self.labels.iter().copied();
        self.scores.chunks_exact(self.n_classes).zip(labels)
    }

    fn are_flat(&self) -> bool {
        self.scores.iter().all(|score| *score == 0.0)
    }

    /// First and second derivative of the smoothed log loss by the inverse temperature.
    fn derivatives(&self, inverse: f64) -> (f64, f64) {
        let (mut slope, mut curvature) = (0.0, 0.0);
        for (row, label) in self.rows() {
            let (mut sum, mut first, mut second, mut total) = (0.0, 0.0, 0.0, 0.0);
            for score in row {
                let weight = (score * inverse).exp();
                sum += weight;
                first += weight * score;
                second += weight * score * score;
                total += score;
            }
            let mean = first / sum;
            let others = (total - row[label]) / (self.n_classes - 1) as f64;
            slope += mean - self.share * row[label] - (1.0 - self.share) * others;
            curvature += second / sum - mean * mean;
        }
        (slope, curvature)
    }

    /// The log loss itself, without smoothing.
    fn log_loss(&self, inverse: f64) -> f64 {
        let sum: f64 = self
            .rows()
            .map(|(row, label)| {
                let sum: f64 = row.iter().map(|score| (score * inverse).exp()).sum();
                sum.ln() - row[label] * inverse
            })
            .sum();
        sum / self.labels.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fit(labels: Vec<u32>, logits: Vec<f32>, n_classes: usize) -> TemperatureFit {
        fit_temperature(&Predictions::from_logits(labels, logits, n_classes).unwrap())
    }

    #[test]
    fn two_classes_have_a_closed_form() {
        // 60 of 80 right with a logit of 4: softmax(4 / T) is the smoothed share of right ones.
        let labels = (0..80).map(|index| u32::from(index >= 60)).collect();
        let fit = fit(labels, [4.0, 0.0].repeat(80), 2);
        let share = (60.0 * 81.0 / 82.0 + 20.0 / 82.0) / 80.0_f64;
        let expected = 4.0 / (share / (1.0 - share)).ln();
        assert!((fit.temperature - expected).abs() < 1e-9, "{fit:?}");
    }

    #[test]
    fn a_model_without_mistakes_is_not_certain_of_everything() {
        let fit = fit(vec![0; 98], [4.0, 0.0].repeat(98), 2);
        assert!(
            (fit.temperature - 4.0 / 99.0_f64.ln()).abs() < 1e-9,
            "{fit:?}"
        );
        assert_eq!(fit.n, 98);
    }

    #[test]
    fn scores_that_say_nothing_are_left_alone() {
        let fit = fit(vec![0, 1, 1], vec![2.0; 6], 2);
        assert_eq!(fit.temperature, 1.0);
        assert!((fit.log_loss_before - 2.0_f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn systematic_mistakes_give_the_highest_temperature() {
        let fit = fit(vec![1; 20], [50.0, 0.0].repeat(20), 2);
        assert!((fit.temperature - MAX_TEMPERATURE).abs() < 1e-9);
    }

    #[test]
    fn probabilities_serve_as_logits() {
        let logits: Vec<f32> = (0..60)
            .map(|index| ((index * 37) % 11) as f32 * 0.5)
            .collect();
        let labels: Vec<u32> = (0..20).map(|index| index % 3).collect();
        let from_logits = Predictions::from_logits(labels.clone(), logits.clone(), 3).unwrap();
        let probabilities = crate::softmax_rows(&logits, 3);
        let from_rows = Predictions::new(labels, probabilities, 3).unwrap();
        let (a, b) = (fit_temperature(&from_logits), fit_temperature(&from_rows));
        assert!((a.temperature - b.temperature).abs() < 1e-6, "{a:?} {b:?}");
    }

    proptest! {
        /// No temperature beside the fitted one has a lower smoothed loss.
        #[test]
        fn the_fit_is_a_minimum(
            logits in proptest::collection::vec(-8.0_f32..8.0, 30),
            labels in proptest::collection::vec(0_u32..3, 10),
        ) {
            let predictions = Predictions::from_logits(labels, logits, 3).unwrap();
            let samples = Samples::new(&predictions);
            let smoothed = |inverse: f64| -> f64 {
                let others = |row: &[f64], label: usize| (row.iter().sum::<f64>() - row[label]) / 2.0;
                samples
                    .rows()
                    .map(|(row, label)| {
                        let sum: f64 = row.iter().map(|score| (score * inverse).exp()).sum();
                        let aim = samples.share * row[label] + (1.0 - samples.share) * others(row, label);
                        sum.ln() - inverse * aim
                    })
                    .sum()
            };
            let inverse = 1.0 / fit_temperature(&predictions).temperature;
            for factor in [0.5, 0.9, 0.999, 1.001, 1.1, 2.0] {
                let other = (inverse * factor).clamp(1.0 / MAX_TEMPERATURE, 1.0 / MIN_TEMPERATURE);
                prop_assert!(smoothed(inverse) <= smoothed(other) + 1e-9);
            }
        }
    }
}
