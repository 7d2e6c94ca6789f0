//! What a training writes for TensorBoard.

use std::path::Path;

use mlestar_data::{ImageSet, loader::Batch, normalization::Normalization};
use mlestar_model::{NamedTensor, Network};
use serde_json::Value;

use crate::{
    EpochRecord, StepRecord, TrainError, TrainingSetup,
    loss::highest_class,
    tensorboard::{
        EventWriter, HistogramSummary, HparamStatus, HparamValue, RgbPicture,
        confusion_matrix_picture,
    },
};

/// With more classes than this, a confusion matrix is unreadable.
const MOST_CLASSES: usize = 100;
/// Number of sample images from the first batch.
const SAMPLES: usize = 36;

/// The event file of a training. Each value is logged at the optimizer step (from 1) after which it was
/// measured.
pub(super) struct EventLog {
    writer: EventWriter,
}

impl EventLog {
    /// A new file in `folder`; `steps` steps have been taken before.
    pub(super) fn create(folder: &Path, steps: u64) -> Result<Self, TrainError> {
        Ok(Self {
            writer: EventWriter::create(folder, steps + 1)?,
        })
    }

    /// Logs the settings of the training, and images of the first batch as the network sees them.
    pub(super) fn begin<M: Network>(
        &mut self,
        setup: &TrainingSetup<'_, M>,
        first: Option<&Batch>,
    ) -> Result<(), TrainError> {
        let mut settings = Vec::new();
        // Logs only the settings of a model specification; its other fields describe the images.
        let network = setup.network.description();
        flatten(
            "model",
            &Ok(network.get("config").unwrap_or(&network).clone()),
            &mut settings,
        );
        flatten(
            "training",
            &serde_json::to_value(&*setup.training),
            &mut settings,
        );
        flatten(
            "augmentation",
            &serde_json::to_value(&setup.augmentation),
            &mut settings,
        );
        settings.push(("seed".into(), HparamValue::Number(setup.seed as f64)));
        let settings: Vec<(&str, HparamValue)> = settings
            .iter()
            .map(|(key, value)| (key.as_str(), value.clone()))
            .collect();
        self.writer
            .hparams_start(&settings, &["validation/accuracy", "validation/loss"])?;
        if let Some(batch) = first {
            let samples = samples(batch, &setup.normalization)?;
            self.writer.picture(0, "train/first_batch", &samples)?;
        }
        Ok(())
    }

    pub(super) fn steps(&mut self, records: &[StepRecord]) -> Result<(), TrainError> {
        for record in records {
            self.writer.scalars(
                record.step,
                &[
                    ("step/loss", record.loss),
                    ("step/learning_rate", record.learning_rate),
                    ("step/gradient_norm", record.gradient_norm),
                ],
            )?;
        }
        Ok(())
    }

    pub(super) fn epoch(&mut self, step: u64, record: &EpochRecord) -> Result<(), TrainError> {
        let mut scalars = vec![
            ("epoch", record.epoch as f64),
            ("train/loss", record.train_loss),
            ("train/accuracy", record.train_accuracy),
            ("train/learning_rate", record.learning_rate),
            ("train/gradient_norm", record.gradient_norm_mean),
            ("train/images_per_second", record.images_per_second),
        ];
        scalars.extend(record.validation_loss.map(|loss| ("validation/loss", loss)));
        let accuracy = record.validation_accuracy;
        scalars.extend(accuracy.map(|accuracy| ("validation/accuracy", accuracy)));
        self.writer.scalars(step, &scalars)
    }

    /// Logs the distribution of every tensor's values, under `kind`.
    pub(super) fn histograms(
        &mut self,
        step: u64,
        kind: &str,
        tensors: &[NamedTensor],
    ) -> Result<(), TrainError> {
        for tensor in tensors {
            let histogram = HistogramSummary::of(tensor.values.iter().copied());
            self.writer
                .histogram(step, &format!("{kind}/{}", tensor.name), &histogram)?;
        }
        Ok(())
    }

    /// Logs the confusion matrix of the validation set, from logits `n x k`.
    pub(super) fn confusion(
        &mut self,
        step: u64,
        set: &ImageSet,
        logits: &[f32],
    ) -> Result<(), TrainError> {
        let k = set.n_classes();
        if k > MOST_CLASSES {
            return Ok(());
        }
        let mut counts = vec![0_u32; k * k];
        for (row, &label) in logits.chunks_exact(k).zip(set.labels()) {
            counts[label as usize * k + highest_class(row)] += 1;
        }
        let picture = confusion_matrix_picture(&counts, set.classes())?;
        self.writer
            .picture(step, "validation/confusion_matrix", &picture)
    }

    /// Ends the log, however the training ended.
    pub(super) fn end(&mut self, is_done: bool) -> Result<(), TrainError> {
        self.writer.hparams_end(match is_done {
            true => HparamStatus::Success,
            false => HparamStatus::Failure,
        })
    }
}

/// The images of a batch, converted back to 8 bits.
fn samples(batch: &Batch, normalization: &Normalization) -> Result<RgbPicture, TrainError> {
    let area = batch.height * batch.width;
    let pictures: Vec<Vec<u8>> = batch
        .images
        .chunks_exact(ImageSet::CHANNELS * area)
        .take(SAMPLES)
        .map(|picture| {
            let values = picture.iter().enumerate();
            values
                .map(|(index, value)| {
                    let channel = index / area;
                    let value = f64::from(*value) * f64::from(normalization.std[channel])
                        + f64::from(normalization.mean[channel]);
                    // The cast saturates values out of range, and turns NaN into 0.
                    (value * 255.0).round() as u8
                })
                .collect()
        })
        .collect();
    let pictures: Vec<&[u8]> = pictures.iter().map(Vec::as_slice).collect();
    RgbPicture::gallery(&pictures, (batch.height, batch.width))
}

/// The settings in `value` with their dotted keys; none if it has no JSON form.
fn flatten(
    key: &str,
    value: &Result<Value, serde_json::Error>,
    settings: &mut Vec<(String, HparamValue)>,
) {
    if let Ok(value) = value {
        flatten_value(key, value, settings);
    }
}

fn flatten_value(key: &str, value: &Value, settings: &mut Vec<(String, HparamValue)>) {
    let setting = match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                flatten_value(&format!("{key}.{field}"), value, settings);
            }
            return;
        }
        Value::Null => return,
        Value::Bool(value) => HparamValue::Bool(*value),
        Value::Number(number) => match number.as_f64() {
            Some(number) => HparamValue::Number(number),
            None => HparamValue::Text(number.to_string()),
        },
        Value::String(text) => HparamValue::Text(text.clone()),
        Value::Array(_) => HparamValue::Text(value.to_string()),
    };
    settings.push((key.to_owned(), setting));
}
