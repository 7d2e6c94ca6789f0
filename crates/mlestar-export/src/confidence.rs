//! How logits become an answer: calibrated probabilities, and "none of these".

use mlestar_eval::softmax_onto;
use serde::{Deserialize, Serialize};

use crate::error::ExportError;

/// What a model does with its logits.
///
/// Both numbers are chosen on validation images and are part of the exported graph.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confidence {
    /// Divides the logits before the softmax, above 0; 1 changes nothing.
    /// [`mlestar_eval::fit_temperature`] fits it.
    pub temperature: f32,
    /// Images of a lower [`familiarity`] are none of the classes; without a limit every image gets a class.
    /// [`mlestar_eval::conformal_limit`] chooses it for a rate of false alarms.
    pub familiarity_limit: Option<f32>,
}

impl Default for Confidence {
    /// The plain softmax, and a class for every image.
    fn default() -> Self {
        Self {
            temperature: 1.0,
            familiarity_limit: None,
        }
    }
}

impl Confidence {
    pub(crate) fn check(&self) -> Result<(), ExportError> {
        let temperature = self.temperature;
        if !(temperature.is_finite() && temperature > 0.0) {
            return Err(ExportError::graph(
                "confidence",
                format!("the temperature is {temperature}, but must be finite and above 0"),
            ));
        }
        match self.familiarity_limit {
            Some(limit) if !limit.is_finite() => Err(ExportError::graph(
                "confidence",
                format!("the limit of familiarity is {limit}, but must be finite"),
            )),
            _ => Ok(()),
        }
    }

    /// The probability of every class; they sum to 1.
    #[must_use]
    pub fn probabilities(&self, logits: &[f32]) -> Vec<f64> {
        let mut probabilities = Vec::with_capacity(logits.len());
        self.probabilities_into(logits, &mut probabilities);
        probabilities
    }

    /// Like [`probabilities`](Self::probabilities), in memory that is used again.
    pub fn probabilities_into(&self, logits: &[f32], probabilities: &mut Vec<f64>) {
        probabilities.clear();
        // Dividing by 1 changes no bit.
        softmax_onto(logits.iter().map(|x| x / self.temperature), probabilities);
    }

    /// Whether an image with these logits is none of the classes.
    #[must_use]
    pub fn is_none_of_these(&self, logits: &[f32]) -> bool {
        let limit = self.familiarity_limit.map(f64::from);
        limit.is_some_and(|limit| familiarity(logits) < limit)
    }
}

/// How much an image resembles the training images, `ln(sum(exp(logits)))`: low for images of other things.
///
/// It is the negative energy of Liu et al. 2020, "Energy-based out-of-distribution detection", at temperature 1.
///
/// ```
/// let familiar = mlestar_export::familiarity(&[9.0, 0.0, 0.0]);
/// let strange = mlestar_export::familiarity(&[0.4, 0.0, 0.1]);
/// assert!(familiar > 9.0 && strange < 1.5);
/// ```
#[must_use]
pub fn familiarity(logits: &[f32]) -> f64 {
    let highest = logits
        .iter()
        .fold(f64::NEG_INFINITY, |a, &b| a.max(b.into()));
    let sum: f64 = logits
        .iter()
        .map(|&logit| (f64::from(logit) - highest).exp())
        .sum();
    highest + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_high_temperature_lowers_the_confidence_and_keeps_the_order() {
        let logits = [3.0, 1.0, 0.0];
        let plain = Confidence::default().probabilities(&logits);
        let calibrated = Confidence {
            temperature: 2.0,
            familiarity_limit: None,
        }
        .probabilities(&logits);
        assert!(calibrated[0] < plain[0] && calibrated[0] > calibrated[1]);
        assert!(
            (calibrated[0] - 1.5_f64.exp() / (1.5_f64.exp() + 0.5_f64.exp() + 1.0)).abs() < 1e-7
        );
    }

    #[test]
    fn familiarity_does_not_overflow() {
        assert!((familiarity(&[1e30, 1e30]) / f64::from(1e30_f32) - 1.0).abs() < 1e-12);
        assert!((familiarity(&[-1e4, -1e4]) - (-1e4 + 2.0_f64.ln())).abs() < 1e-9);
    }

    #[test]
    fn only_below_the_limit_is_an_image_none_of_these() {
        let confidence = Confidence {
            temperature: 1.0,
            familiarity_limit: Some(2.0),
        };
        assert!(confidence.is_none_of_these(&[1.0, 0.0]));
        assert!(!confidence.is_none_of_these(&[3.0, 0.0]));
        assert!(!Confidence::default().is_none_of_these(&[-9.0, -9.0]));
    }

    #[test]
    fn numbers_that_make_no_sense_are_refused() {
        for (temperature, limit) in [
            (0.0, None),
            (-1.0, None),
            (f32::NAN, None),
            (f32::INFINITY, None),
            (1.0, Some(f32::NAN)),
        ] {
            let confidence = Confidence {
                temperature,
                familiarity_limit: limit,
            };
            assert!(confidence.check().is_err(), "{confidence:?}");
        }
    }
}
