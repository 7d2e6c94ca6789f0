//! Chooses the method for the ranges and the layers that stay in `f32`.

use super::comparison::{Comparison, LabelledImages, Measured, spread_images};
use super::observation::Observation;
use super::ranges::RangeMethod;
use super::record::{Candidate, KeptLayer, LayerSensitivity, QuantizationRecord};
use super::weights::quantize_weights;
use crate::error::ExportError;
use crate::frozen::FrozenModel;
use crate::int8_model::{BufferScale, QuantizedModel, can_be_int8};

/// How [`quantize`] chooses.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizationOptions {
    /// The methods to compare, at least one.
    pub methods: Vec<RangeMethod>,
    /// Most images from which the ranges are taken, at least 1; of more, that many are used, evenly spread.
    pub calibration_images: usize,
    /// Most labelled images on which methods and choices of layers are compared, at least 1.
    pub comparison_images: usize,
    /// Most labelled images on which single layers are compared, at least 1.
    pub sensitivity_images: usize,
    /// Layers are put back to `f32` until this share of the `f32` accuracy is kept, 0 to 1.
    pub min_accuracy_kept: f64,
}

impl Default for QuantizationOptions {
    /// All methods; 256 images for the ranges, 512 to compare methods and 128 to compare layers; 99 % of the accuracy.
    fn default() -> Self {
        Self {
            methods: RangeMethod::ALL.to_vec(),
            calibration_images: 256,
            comparison_images: 512,
            sensitivity_images: 128,
            min_accuracy_kept: 0.99,
        }
    }
}

/// Result of [`quantize`].
#[derive(Debug, Clone, PartialEq)]
pub struct Quantization {
    /// The chosen model.
    pub model: QuantizedModel,
    /// How it was chosen.
    pub record: QuantizationRecord,
}

/// Quantises `model` after training.
///
/// The ranges of the buffers come from the `calibration` images (interleaved RGB bytes, `[n, height, width, 3]`, best
/// of the training split; labels are not needed). Each method's model, with all layers in int8 that can be, is
/// simulated on the `validation` images. Of those whose accuracy is not lower than the highest one beyond chance (paired
/// interval at 95 %), the one whose logits are closest to the `f32` model's wins: a few images more or fewer say less than
/// all logits. If it keeps too little of the accuracy, layers go back to `f32` one by one, in the order of the logit
/// difference that each causes alone, until enough is kept. With all of them back the model is the `f32` model.
///
/// Equal arguments give equal results.
///
/// ```
/// use mlestar_export::quantize::{LabelledImages, QuantizationOptions, quantize};
#[doc = include_str!("../doc_model.in")]
/// let pixels = [[200, 10, 30].repeat(4), [20, 0, 190].repeat(4)].concat();
/// let validation = LabelledImages { pixels: &pixels, labels: &[0, 1] };
/// let quantization = quantize(&model, &pixels, validation, &QuantizationOptions::default())?;
/// assert_eq!(quantization.record.int8_layers, ["head"]);
/// assert_eq!(quantization.record.chosen.accuracy, 1.0);
/// # Ok::<(), mlestar_export::ExportError>(())
/// ```
///
/// # Errors
///
/// [`ExportError::InvalidArgument`] if there is no image, one is incomplete, a label is no class, an option is outside
/// its range, or the network gives values that are not finite; [`ExportError::InvalidGraph`] if numbers are too large
/// to be scaled.
pub fn quantize(
    model: &FrozenModel,
    calibration: &[u8],
    validation: LabelledImages,
    options: &QuantizationOptions,
) -> Result<Quantization, ExportError> {
    check(model, calibration, options)?;
    let image = model.height() * model.width() * 3;
    let pixels = spread_images(calibration, image, options.calibration_images);
    let observation = Observation::of(model, &pixels, pixels.len() / image)?;
    let comparison = Comparison::new(model, validation, options.comparison_images)?;
    let mut layers: Vec<bool> = model.operations().iter().map(can_be_int8).collect();

    let tried = (options.methods.iter())
        .map(|&method| {
            let scales = observation.scales(method);
            Tried::new(method, scales, model, &layers, &comparison)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let candidates = tried.iter().map(Tried::candidate).collect();
    let mut best = best(tried)?;
    let reduced = comparison.reduced(options.sensitivity_images);
    let sensitivities = sensitivities(model, &best.scales, &layers, &reduced)?;
    let (f32_accuracy, f32_log_loss) = comparison.reference_figures()?;
    let needed = options.min_accuracy_kept * f32_accuracy;
    let kept_in_f32 = best.put_back(model, &mut layers, &sensitivities, &comparison, needed)?;
    let record = QuantizationRecord {
        calibration_images: pixels.len() / image,
        comparison_images: comparison.n(),
        sensitivity_images: reduced.n(),
        min_accuracy_kept: options.min_accuracy_kept,
        f32_accuracy,
        f32_log_loss,
        candidates,
        method: best.method,
        sensitivities: sensitivities
            .into_iter()
            .map(|(_, sensitivity)| sensitivity)
            .collect(),
        kept_in_f32,
        int8_layers: best.quantized.int8_layers().map(str::to_owned).collect(),
        chosen: best.measured.figures,
    };
    Ok(Quantization {
        model: best.quantized,
        record,
    })
}

fn check(
    model: &FrozenModel,
    calibration: &[u8],
    options: &QuantizationOptions,
) -> Result<(), ExportError> {
    let image = model.height() * model.width() * 3;
    if calibration.is_empty() || !calibration.len().is_multiple_of(image) {
        let reason = format!("{} bytes, images have {image} each", calibration.len());
        return Err(ExportError::argument("calibration images", reason));
    }
    let numbers = [
        options.calibration_images,
        options.comparison_images,
        options.sensitivity_images,
    ];
    if numbers.contains(&0) || !(0.0..=1.0).contains(&options.min_accuracy_kept) {
        let reason = format!(
            "{numbers:?} images and {} of the accuracy, but at least 1 image and 0 to 1 are allowed",
            options.min_accuracy_kept
        );
        return Err(ExportError::argument("quantisation options", reason));
    }
    for method in &options.methods {
        if let RangeMethod::Percentile { share } = method
            && !(*share > 0.5 && *share <= 1.0)
        {
            let reason =
                format!("the share {share} of a percentile is not above 0.5 and at most 1");
            return Err(ExportError::argument("quantisation options", reason));
        }
    }
    Ok(())
}

/// A method and what it gives with all layers in int8.
struct Tried {
    method: RangeMethod,
    scales: Vec<Option<BufferScale>>,
    quantized: QuantizedModel,
    measured: Measured,
}

impl Tried {
    fn new(
        method: RangeMethod,
        scales: Vec<Option<BufferScale>>,
        model: &FrozenModel,
        layers: &[bool],
        comparison: &Comparison,
    ) -> Result<Self, ExportError> {
        let quantized = with_layers(model, &scales, layers)?;
        let measured = comparison.measure(&quantized)?;
        Ok(Self {
            method,
            scales,
            quantized,
            measured,
        })
    }

    /// Puts layers back to `f32`, in this order, until the accuracy is at least `needed` or none is left.
    fn put_back(
        &mut self,
        model: &FrozenModel,
        layers: &mut [bool],
        order: &[(usize, LayerSensitivity)],
        comparison: &Comparison,
        needed: f64,
    ) -> Result<Vec<KeptLayer>, ExportError> {
        let mut kept = Vec::new();
        for (index, sensitivity) in order {
            if self.measured.figures.accuracy >= needed {
                break;
            }
            layers[*index] = false;
            self.quantized = with_layers(model, &self.scales, layers)?;
            self.measured = comparison.measure(&self.quantized)?;
            kept.push(KeptLayer {
                layer: sensitivity.layer.clone(),
                figures: self.measured.figures,
            });
        }
        Ok(kept)
    }

    fn candidate(&self) -> Candidate {
        Candidate {
            method: self.method,
            figures: self.measured.figures,
        }
    }
}

/// Of the methods that are not less accurate than the most accurate one beyond chance, the one with the smallest
/// logit difference.
fn best(tried: Vec<Tried>) -> Result<Tried, ExportError> {
    let none = || ExportError::argument("quantisation options", "no method is given");
    let accuracy = |tried: &&Tried| tried.measured.figures.accuracy;
    let most = tried
        .iter()
        .max_by(|a, b| accuracy(a).total_cmp(&accuracy(b)))
        .ok_or_else(none)?;
    let mut best: Option<usize> = None;
    for (index, candidate) in tried.iter().enumerate() {
        let difference = |index: usize| tried[index].measured.figures.mean_logit_difference;
        if !most.measured.is_more_accurate_than(&candidate.measured)?
            && best.is_none_or(|best| difference(index) < difference(best))
        {
            best = Some(index);
        }
    }
    best.and_then(|best| tried.into_iter().nth(best))
        .ok_or_else(none)
}

/// The model with these layers in int8; `scales` has the scales of all buffers that they could read.
fn with_layers(
    model: &FrozenModel,
    scales: &[Option<BufferScale>],
    layers: &[bool],
) -> Result<QuantizedModel, ExportError> {
    let mut buffers = vec![None; scales.len()];
    let mut weights = Vec::with_capacity(layers.len());
    for (operation, &is_int8) in model.operations().iter().zip(layers) {
        let scale = scales[operation.input].filter(|_| is_int8);
        if let Some(scale) = scale {
            buffers[operation.input] = Some(scale);
        }
        weights.push(scale.and_then(|scale| quantize_weights(&operation.layer, scale)));
    }
    QuantizedModel::new(model.clone(), buffers, weights)
}

/// Whether `quantized` follows from `model`: its integer weights are those of `model` for its scales, and what is not
/// integer is the same.
#[must_use]
pub fn is_quantization_of(quantized: &QuantizedModel, model: &FrozenModel) -> bool {
    let layers: Vec<bool> = quantized.layers().iter().map(Option::is_some).collect();
    layers.len() == model.operations().len()
        && with_layers(model, quantized.buffers(), &layers)
            .is_ok_and(|expected| expected == *quantized)
}

/// What each layer costs alone, with the position of its operation; the largest logit difference first.
fn sensitivities(
    model: &FrozenModel,
    scales: &[Option<BufferScale>],
    layers: &[bool],
    comparison: &Comparison,
) -> Result<Vec<(usize, LayerSensitivity)>, ExportError> {
    let mut all = Vec::new();
    for (index, operation) in model.operations().iter().enumerate() {
        if !layers[index] {
            continue;
        }
        let mut alone = vec![false; layers.len()];
        alone[index] = true;
        let quantized = with_layers(model, scales, &alone)?;
        let figures = comparison.measure(&quantized)?.figures;
        all.push((
            index,
            LayerSensitivity {
                layer: operation.name.clone(),
                figures,
            },
        ));
    }
    let harm = |sensitivity: &LayerSensitivity| sensitivity.figures.mean_logit_difference;
    all.sort_by(|(_, a), (_, b)| harm(b).total_cmp(&harm(a)));
    Ok(all)
}
