//! Checks that an exported model gives the same results as the trained one.

use serde::{Deserialize, Serialize};

use crate::error::ExportError;
use crate::predictor::argmax;

/// An image for which two models predict different classes.
///
/// If both margins are below the difference between the models' logits, the image is a tie that rounding
/// decides; a larger margin means that the export is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disagreement {
    /// Position of the image.
    pub index: usize,
    /// Class of the reference's largest logit.
    pub reference_class: usize,
    /// Class of the exported model's largest logit.
    pub exported_class: usize,
    /// In the reference: logit of its class minus logit of the other class. 0 or more.
    pub reference_margin: f64,
    /// In the exported model: logit of its class minus logit of the other class. 0 or more.
    pub exported_margin: f64,
}

/// How much the logits of two models differ on the same images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parity {
    /// Number of images.
    pub n: usize,
    /// Number of classes.
    pub n_classes: usize,
    /// Largest absolute difference of a logit.
    pub max_abs_difference: f64,
    /// Image of that difference.
    pub max_abs_difference_index: usize,
    /// Mean absolute difference of all logits.
    pub mean_abs_difference: f64,
    /// Number of images for which both models predict the same class.
    pub same_top1: usize,
    /// `same_top1 / n`, 0-1.
    pub top1_agreement: f64,
    /// All images for which they do not, in order.
    pub disagreements: Vec<Disagreement>,
}

/// Compares logits, row-major `[n, n_classes]`, image by image.
///
/// ```
/// use mlestar_export::parity::compare;
///
/// let parity = compare(&[1.0, 0.0, 0.5, 0.5001], &[1.0, 0.0, 0.5001, 0.5], 2)?;
/// assert_eq!((parity.n, parity.same_top1), (2, 1));
/// let tie = &parity.disagreements[0];
/// assert_eq!((tie.index, tie.reference_class, tie.exported_class), (1, 1, 0));
/// assert!(tie.reference_margin < 2e-4);
/// # Ok::<(), mlestar_export::ExportError>(())
/// ```
///
/// # Errors
///
/// [`ExportError::InvalidArgument`] if the slices are empty, differ in length, are not whole rows, or hold a
/// value that is not finite (the message names the image).
pub fn compare(
    reference: &[f32],
    exported: &[f32],
    n_classes: usize,
) -> Result<Parity, ExportError> {
    check(reference, exported, n_classes)?;
    let n = reference.len() / n_classes;
    let (mut sum, mut largest, mut largest_at) = (0.0, 0.0, 0);
    let mut disagreements = Vec::new();
    let rows = reference
        .chunks_exact(n_classes)
        .zip(exported.chunks_exact(n_classes));
    for (index, (reference, exported)) in rows.enumerate() {
        for (a, b) in reference.iter().zip(exported) {
            let difference = (f64::from(*a) - f64::from(*b)).abs();
            sum += difference;
            if difference > largest {
                (largest, largest_at) = (difference, index);
            }
        }
        let (reference_class, exported_class) = (argmax(reference), argmax(exported));
        if reference_class != exported_class {
            let margin =
                |row: &[f32], own: usize, other: usize| f64::from(row[own]) - f64::from(row[other]);
            disagreements.push(Disagreement {
                index,
                reference_class,
                exported_class,
                reference_margin: margin(reference, reference_class, exported_class),
                exported_margin: margin(exported, exported_class, reference_class),
            });
        }
    }
    let same_top1 = n - disagreements.len();
    Ok(Parity {
        n,
        n_classes,
        max_abs_difference: largest,
        max_abs_difference_index: largest_at,
        mean_abs_difference: sum / reference.len() as f64,
        same_top1,
        top1_agreement: same_top1 as f64 / n as f64,
        disagreements,
    })
}

fn check(reference: &[f32], exported: &[f32], n_classes: usize) -> Result<(), ExportError> {
    if n_classes == 0 || reference.is_empty() || !reference.len().is_multiple_of(n_classes) {
        let values = reference.len();
        let reason = format!("{values} values are not one or more rows of {n_classes} classes");
        return Err(ExportError::argument("reference logits", reason));
    }
    if reference.len() != exported.len() {
        let reason = format!(
            "{} values, but the reference has {}",
            exported.len(),
            reference.len()
        );
        return Err(ExportError::argument("exported logits", reason));
    }
    for (what, logits) in [
        ("reference logits", reference),
        ("exported logits", exported),
    ] {
        if let Some(position) = logits.iter().position(|logit| !logit.is_finite()) {
            let (picture, value) = (position / n_classes, logits[position]);
            return Err(ExportError::argument(
                what,
                format!("image {picture} has {value}"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_a_hand_computed_case() {
        let parity = compare(&[1.0, 2.0, 0.0, 4.0], &[1.5, 2.0, 0.25, 4.0], 2).unwrap();
        assert_eq!(parity.max_abs_difference, 0.5);
        assert_eq!(parity.max_abs_difference_index, 0);
        assert_eq!(parity.mean_abs_difference, 0.1875);
        assert_eq!(
            (parity.n, parity.same_top1, parity.top1_agreement),
            (2, 2, 1.0)
        );
        assert!(parity.disagreements.is_empty());
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        for (reference, exported, classes) in [
            (&[][..], &[][..], 2),
            (&[1.0], &[1.0], 0),
            (&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0], 2),
            (&[1.0, 2.0], &[1.0], 2),
            (&[1.0, f32::NAN], &[1.0, 2.0], 2),
            (&[1.0, 2.0], &[f32::INFINITY, 2.0], 2),
        ] {
            assert!(
                compare(reference, exported, classes).is_err(),
                "{reference:?} {exported:?}"
            );
        }
    }
}
