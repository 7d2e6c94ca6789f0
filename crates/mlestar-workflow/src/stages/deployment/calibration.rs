//! Temperature and limit of the package, from its logits of the validation images.

use mlestar_eval::{Predictions, conformal_limit, fit_temperature};
use mlestar_export::Confidence;
use mlestar_export::package::Calibration;

/// The numbers that the validation predictions give for a rate of false alarms. With too few images for that rate, or
/// a rate of 0, there is no limit: every image gets a class.
pub(crate) fn calibrate(
    validation: &Predictions,
    false_alarm_rate: f64,
) -> (Confidence, Calibration) {
    let temperature = fit_temperature(validation);
    let scores = familiarities(validation);
    let confidence = Confidence {
        temperature: temperature.temperature as f32,
        familiarity_limit: conformal_limit(&scores, false_alarm_rate).map(rounded_down),
    };
    let calibration = Calibration {
        temperature,
        false_alarm_rate,
    };
    (confidence, calibration)
}

/// Rounded up, the limit would catch the image that it is taken from.
fn rounded_down(limit: f64) -> f32 {
    let nearest = limit as f32;
    match f64::from(nearest) > limit {
        true => nearest.next_down(),
        false => nearest,
    }
}

/// The familiarity of every image; empty for predictions without logits.
fn familiarities(predictions: &Predictions) -> Vec<f64> {
    let logits = predictions.logits().unwrap_or_default();
    logits
        .chunks_exact(predictions.n_classes())
        .map(mlestar_export::familiarity)
        .collect()
}

/// Images of the classes that the limit calls "none of these".
pub(crate) fn false_alarms(predictions: &Predictions, confidence: Confidence) -> u64 {
    let logits = predictions.logits().unwrap_or_default();
    let rows = logits.chunks_exact(predictions.n_classes());
    rows.filter(|row| confidence.is_none_of_these(row)).count() as u64
}

/// The log loss of each image with the temperature, minus that without.
pub(crate) fn log_loss_added(predictions: &Predictions, temperature: f32) -> Vec<f64> {
    let logits = predictions.logits().unwrap_or_default();
    let n_classes = predictions.n_classes();
    let loss = |row: &[f32], label: usize, temperature: f32| {
        let cooled: Vec<f32> = row.iter().map(|logit| logit / temperature).collect();
        mlestar_export::familiarity(&cooled) - f64::from(cooled[label])
    };
    let rows = logits.chunks_exact(n_classes).zip(predictions.labels());
    rows.map(|(row, &label)| {
        loss(row, label as usize, temperature) - loss(row, label as usize, 1.0)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(n: usize) -> Predictions {
        // Certain of class 0 each time, wrong every fifth.
        let logits = (0..n).flat_map(|index| [6.0 + index as f32 * 0.01, 0.0]);
        let labels = (0..n).map(|index| u32::from(index % 5 == 0)).collect();
        Predictions::from_logits(labels, logits.collect(), 2).unwrap()
    }

    #[test]
    fn overconfidence_gives_a_temperature_and_lowers_the_loss() {
        let validation = predictions(100);
        let (confidence, calibration) = calibrate(&validation, 0.05);
        assert!(confidence.temperature > 3.0, "{confidence:?}");
        assert_eq!(calibration.temperature.n, 100);
        let added = log_loss_added(&validation, confidence.temperature);
        let mean = added.iter().sum::<f64>() / 100.0;
        let fit = calibration.temperature;
        assert!((mean - (fit.log_loss_after - fit.log_loss_before)).abs() < 1e-6);
    }

    #[test]
    fn the_limit_keeps_the_stated_share_and_needs_enough_images() {
        let validation = predictions(99);
        let (confidence, _) = calibrate(&validation, 0.05);
        // Five of 100 ranks lie below the fifth lowest score; four of the 99 do.
        assert_eq!(false_alarms(&validation, confidence), 4);
        assert_eq!(calibrate(&predictions(18), 0.05).0.familiarity_limit, None);
        assert_eq!(calibrate(&validation, 0.0).0.familiarity_limit, None);
    }
}
