//! `bench formats`: a package in every format, with test images and our own logits, for `benches/peers/formats.py`.

use super::arguments::FormatsOptions;
use super::error::BenchError;
use mlestar_artifact::write_atomically;
use mlestar_export::quantize::{
    LabelledImages, PrecisionFigures, Quantization, QuantizationOptions, QuantizationRecord,
    QuantizedModel, Simulation, compare_precisions, quantize,
};
use mlestar_export::{ExportError, FrozenModel, Predictor, onnx, safetensors_file, torch};
use rayon::prelude::*;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Training images that calibrate and, others, that choose.
const CALIBRATION_IMAGES: usize = 256;
const VALIDATION_IMAGES: usize = 512;
/// Confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

/// The content of `formats.json`.
#[derive(Serialize)]
struct Formats<'a> {
    n: usize,
    height: usize,
    width: usize,
    classes: &'a [String],
    /// Seconds that the quantisation took.
    quantization_seconds: f64,
    figures: &'a PrecisionFigures,
    quantization: &'a QuantizationRecord,
}

pub fn run(options: &FormatsOptions) -> Result<(), BenchError> {
    let predictor = Predictor::open(&options.package)?;
    let model = predictor.model();
    let test = LabelledFolder::read(&predictor, &options.test, usize::MAX)?;
    let train = LabelledFolder::read(
        &predictor,
        &options.train,
        CALIBRATION_IMAGES + VALIDATION_IMAGES,
    )?;
    let (calibration, validation) = train.divided(CALIBRATION_IMAGES);
    let start = Instant::now();
    let Quantization {
        model: quantized,
        record,
    } = quantize(
        model,
        &calibration.pixels,
        validation.as_images(),
        &QuantizationOptions::default(),
    )?;
    let seconds = start.elapsed().as_secs_f64();

    write_models(model, &quantized, &options.out)?;
    let n = test.labels.len();
    let logits = predictor.logits(&test.pixels, n)?;
    let int8_logits = Simulation::new(&quantized).logits(&test.pixels, n)?;
    let figures = compare_precisions(
        &logits,
        &int8_logits,
        &test.labels,
        model.n_classes(),
        CONFIDENCE,
    )?;
    let out = &options.out;
    let write = |name: &str, content: &[u8]| {
        write_atomically(&out.join(name), content).map_err(ExportError::from)
    };
    write("images.u8", &test.pixels)?;
    write(
        "labels.u32",
        &test
            .labels
            .iter()
            .flat_map(|label| label.to_le_bytes())
            .collect::<Vec<_>>(),
    )?;
    write("logits.f32", &bytes(&logits))?;
    write("int8_logits.f32", &bytes(&int8_logits))?;
    let formats = Formats {
        n,
        height: model.height(),
        width: model.width(),
        classes: model.classes(),
        quantization_seconds: seconds,
        figures: &figures,
        quantization: &record,
    };
    write("formats.json", &serde_json::to_vec_pretty(&formats)?)?;
    print_summary(&formats, out);
    Ok(())
}

fn write_models(
    model: &FrozenModel,
    quantized: &QuantizedModel,
    out: &Path,
) -> Result<(), ExportError> {
    safetensors_file::write(model, &out.join("model.safetensors"))?;
    torch::write(model, &out.join("model.py"))?;
    onnx::write(model, &out.join("model.onnx"))?;
    onnx::write_quantized(quantized, &out.join("model.int8.onnx"))
}

fn print_summary(formats: &Formats, out: &Path) {
    let record = formats.quantization;
    println!("quantised in {:.1} s", formats.quantization_seconds);
    for candidate in &record.candidates {
        let figures = candidate.figures;
        println!(
            "  {}: accuracy {:.4}, log loss {:.4}, mean logit difference {:.4} on {} images",
            candidate.method,
            figures.accuracy,
            figures.log_loss,
            figures.mean_logit_difference,
            record.comparison_images
        );
    }
    println!(
        "chosen: {}; kept in f32: {:?}",
        record.method,
        record
            .kept_in_f32
            .iter()
            .map(|kept| &kept.layer)
            .collect::<Vec<_>>()
    );
    let figures = formats.figures;
    println!(
        "test accuracy {:.4} in f32, {:.4} in int8, on {} images; agreement {:.4}",
        figures.f32_accuracy, figures.reduced_accuracy, figures.n, figures.agreement
    );
    println!("wrote {}", out.display());
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

/// Prepared images with their labels.
#[derive(Default)]
struct LabelledFolder {
    pixels: Vec<u8>,
    labels: Vec<u32>,
}

impl LabelledFolder {
    /// At most `most` images of a folder with a folder for each class of the model, as many of each class.
    fn read(predictor: &Predictor, folder: &Path, most: usize) -> Result<Self, BenchError> {
        let classes = predictor.model().classes();
        let mut files = Vec::new();
        for (label, class) in classes.iter().enumerate() {
            let mut of_class = image_files(&folder.join(class))?;
            of_class.truncate(most.div_ceil(classes.len()));
            files.extend(of_class.into_iter().map(|file| (file, label as u32)));
        }
        let images: Vec<Vec<u8>> = (files.par_iter())
            .map(|(file, _)| {
                let image = predictor.preparation().read(file);
                image
                    .map(|image| image.into_raw())
                    .map_err(|reason| ExportError::Image {
                        name: file.display().to_string(),
                        reason,
                    })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            pixels: images.concat(),
            labels: files.into_iter().map(|(_, label)| label).collect(),
        })
    }

    /// `n` of the images, spread evenly, and the others.
    fn divided(self, n: usize) -> (Self, Self) {
        let total = self.labels.len();
        let image = self.pixels.len() / total.max(1);
        let (mut taken, mut others) = (Self::default(), Self::default());
        let images = self.pixels.chunks_exact(image.max(1)).zip(self.labels);
        for (index, (pixels, label)) in images.enumerate() {
            let is_taken = index * n / total != (index + 1) * n / total;
            let part = if is_taken { &mut taken } else { &mut others };
            part.pixels.extend_from_slice(pixels);
            part.labels.push(label);
        }
        (taken, others)
    }

    fn as_images(&self) -> LabelledImages<'_> {
        LabelledImages {
            pixels: &self.pixels,
            labels: &self.labels,
        }
    }
}

/// The files of a folder by name.
fn image_files(folder: &Path) -> Result<Vec<PathBuf>, BenchError> {
    let error = |source| BenchError::Folder {
        path: folder.to_owned(),
        source,
    };
    let entries = std::fs::read_dir(folder).map_err(error)?;
    let mut files = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(error)?;
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_divided_over_all_classes() {
        let all = LabelledFolder {
            pixels: (0..12).flat_map(|image| [image; 2]).collect(),
            labels: (0..12).map(|image| image / 6).collect(),
        };
        let (taken, others) = all.divided(4);
        assert_eq!(taken.pixels, [2, 2, 5, 5, 8, 8, 11, 11]);
        assert_eq!(taken.labels, [0, 0, 1, 1]);
        assert_eq!((others.labels.len(), others.pixels.len()), (8, 16));
        let (taken, others) = LabelledFolder::default().divided(4);
        assert!(taken.labels.is_empty() && others.labels.is_empty());
    }
}
