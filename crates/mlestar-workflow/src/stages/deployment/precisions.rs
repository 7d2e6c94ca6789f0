//! The model in other precisions than `f32`.

use super::exported_logits;
use crate::{StageContext, WorkflowError};
use mlestar_data::ImageSet;
use mlestar_export::package::PrecisionRecord;
use mlestar_export::quantize::{
    LabelledImages, Quantization, QuantizationOptions, QuantizedModel, compare_precisions, quantize,
};
use mlestar_export::{Executor, ExportError, FrozenModel, Precision};

/// The least share of the validation accuracy that a precision must keep to be chosen by a program.
const LEAST_KEPT: f64 = 0.99;

/// The model in int8: ranges from training images, everything else chosen on validation images.
pub(super) fn quantized(
    model: &FrozenModel,
    train: &ImageSet,
    validation: &ImageSet,
) -> Result<Quantization, ExportError> {
    let options = QuantizationOptions {
        min_accuracy_kept: LEAST_KEPT,
        ..QuantizationOptions::default()
    };
    let calibration = spread(train, options.calibration_images);
    let calibration = pixels(train, &calibration);
    let compared = spread(validation, options.comparison_images);
    let labels: Vec<u32> = compared
        .iter()
        .map(|&index| validation.label(index))
        .collect();
    let compared = LabelledImages {
        pixels: &pixels(validation, &compared),
        labels: &labels,
    };
    quantize(model, &calibration, compared, &options)
}

/// Positions of at most `most` images, evenly spread: a set may be in the order of its classes.
fn spread(set: &ImageSet, most: usize) -> Vec<usize> {
    let n = set.len().min(most);
    (0..n).map(|index| index * set.len() / n).collect()
}

fn pixels(set: &ImageSet, indices: &[usize]) -> Vec<u8> {
    let images = indices.iter().map(|&index| set.interleaved(index));
    images.flatten().collect()
}

/// Logits of the same images in `f32` and in the reduced precisions, in the order of [`REDUCED`].
pub(crate) struct Compared<'a> {
    /// True classes.
    pub(crate) labels: &'a [u32],
    /// `f32`.
    pub(crate) reference: &'a [f32],
    /// bfloat16 and int8.
    pub(crate) reduced: [&'a [f32]; 2],
}

/// The precisions besides `f32`.
pub(crate) const REDUCED: [Precision; 2] = [Precision::Bf16, Precision::Int8];

/// Logits of `set` in the reduced precisions.
pub(super) fn logits(
    context: &mut StageContext<'_>,
    quantized: &QuantizedModel,
    model: &FrozenModel,
    set: &ImageSet,
) -> Result<[Vec<f32>; 2], WorkflowError> {
    let batch = context.config.evaluation.batch_size;
    let bf16 = Executor::with_precision(model, Precision::Bf16, batch)?;
    let int8 = Executor::quantized(quantized, batch);
    Ok([
        exported_logits(context, "bf16 model", &bf16, set)?,
        exported_logits(context, "int8 model", &int8, set)?,
    ])
}

/// How the reduced precisions compare with `f32`. The validation images decide which of them a program may choose.
///
/// # Errors
/// As [`compare_precisions`].
pub(crate) fn records(
    validation: &Compared<'_>,
    test: &Compared<'_>,
    confidence: f64,
) -> Result<Vec<PrecisionRecord>, ExportError> {
    let figures = |compared: &Compared<'_>, index: usize| {
        let Compared {
            labels,
            reference,
            reduced,
        } = compared;
        let n_classes = reference.len() / labels.len().max(1);
        compare_precisions(reference, reduced[index], labels, n_classes, confidence)
    };
    let record = |(index, precision): (usize, Precision)| {
        let validation = figures(validation, index)?;
        Ok(PrecisionRecord {
            precision,
            is_allowed: validation
                .accuracy_kept
                .is_some_and(|kept| kept >= LEAST_KEPT),
            validation,
            test: figures(test, index)?,
        })
    };
    REDUCED.into_iter().enumerate().map(record).collect()
}
