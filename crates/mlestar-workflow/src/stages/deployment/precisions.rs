//! The model in other precisions than `f32`.

use super::artifact::QuantizationArtifact;
use super::exported_logits;
use crate::{StageContext, WorkflowError};
use mlestar_data::ImageSet;
use mlestar_export::package::PrecisionRecord;
use mlestar_export::quantize::{
    LabelledImages, Quantization, QuantizationOptions, compare_quantized, quantize,
};
use mlestar_export::{Executor, ExportError, FrozenModel, Precision};

/// The least share of the accuracy that a precision must keep to be chosen by a program.
pub(crate) const LEAST_KEPT: f64 = 0.99;

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

/// Logits of the test images in every precision.
pub(super) struct Tested {
    pub(super) bf16: Vec<f32>,
    pub(super) int8: Vec<f32>,
    pub(super) records: Vec<PrecisionRecord>,
}

/// Predicts the test images in bfloat16 and int8 and compares with the logits of the `f32` model.
pub(super) fn test(
    context: &mut StageContext<'_>,
    quantization: &Quantization,
    model: &FrozenModel,
    reference: &[f32],
    test: &ImageSet,
) -> Result<Tested, WorkflowError> {
    let batch = context.config.evaluation.batch_size;
    let bf16 = Executor::with_precision(model, Precision::Bf16, batch)?;
    let bf16 = exported_logits(context, "bf16 model", &bf16, test)?;
    let int8 = Executor::quantized(&quantization.model, batch);
    let int8 = exported_logits(context, "int8 model", &int8, test)?;
    let level = context.config.evaluation.confidence;
    let records = records(reference, [&bf16, &int8], test.labels(), level)?;
    Ok(Tested {
        bf16,
        int8,
        records,
    })
}

/// How bfloat16 and int8 compare with `f32`, from the logits of the three.
///
/// # Errors
/// As [`compare_quantized`].
pub(crate) fn records(
    reference: &[f32],
    [bf16, int8]: [&[f32]; 2],
    labels: &[u32],
    confidence: f64,
) -> Result<Vec<PrecisionRecord>, ExportError> {
    let n_classes = reference.len() / labels.len().max(1);
    let record = |precision: Precision, logits: &[f32]| -> Result<PrecisionRecord, ExportError> {
        let figures = compare_quantized(reference, logits, labels, n_classes, confidence)?;
        Ok(PrecisionRecord {
            precision,
            is_allowed: figures.accuracy_kept.is_some_and(|kept| kept >= LEAST_KEPT),
            figures,
        })
    };
    Ok(vec![
        record(Precision::Bf16, bf16)?,
        record(Precision::Int8, int8)?,
    ])
}

/// `quantization.json`.
pub(super) fn artifact(
    quantization: Quantization,
    records: &[PrecisionRecord],
) -> QuantizationArtifact {
    QuantizationArtifact {
        choice: quantization.record,
        test: records.to_vec(),
    }
}
