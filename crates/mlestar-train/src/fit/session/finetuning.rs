//! What a fine-tuning does besides taking steps: it fits the head, and chooses the groups of layers that learn.

use std::{sync::Arc, time::Instant};

use mlestar_data::ImageSet;
use mlestar_model::{NamedTensor, Network};

use super::Session;
use crate::{
    EpochRecord, FinetuneConfig, HeadFit, Observer, TrainError, TrainEvent,
    device::catching_out_of_memory,
    ema::Ema,
    finetune::{Samples, features, fit_head, groups_of},
    loss::loss_sum_and_correct,
};

impl<M: Network> Session<'_, M> {
    fn finetune(&self) -> Option<&FinetuneConfig> {
        self.request.setup.training.finetune.as_ref()
    }

    /// Whether `epoch` (from 1) fits the head instead of taking steps.
    pub(super) fn is_head_epoch(&self, epoch: usize) -> bool {
        self.finetune().is_some() && epoch == FinetuneConfig::HEAD_EPOCH
    }

    /// Freezes the groups that do not learn in `epoch`, and sets the rates of the others.
    pub(super) fn choose_groups(&mut self, epoch: usize) {
        let Some(finetune) = self.finetune() else {
            return;
        };
        let groups = self.model.groups();
        let n_groups = groups.len();
        let frozen = finetune.frozen_groups(epoch, n_groups);
        let rates = groups.into_iter().enumerate().flat_map(|(group, names)| {
            let factor = finetune.rate_factor(group, n_groups);
            names.into_iter().map(move |name| (name, factor))
        });
        let rates = rates.collect();
        self.frozen_groups = frozen;
        self.optimizer = self.optimizer.clone().with_rate_factors(rates);
    }

    /// The epoch that fits the head to features, which the frozen network computes once. Returns false if the stop signal
    /// interrupted it; it then starts again.
    pub(super) fn fit_head(&mut self, observer: &mut dyn Observer) -> Result<bool, TrainError> {
        let started = Instant::now();
        let epoch = FinetuneConfig::HEAD_EPOCH;
        let train = Arc::clone(&self.train);
        let Some((values, width)) = self.features_of(&train, observer)? else {
            return Ok(false);
        };
        let n_classes = train.n_classes();
        if let Some(position) = values.iter().position(|value| !value.is_finite()) {
            return Err(TrainError::NonFiniteLogits {
                split: "training",
                epoch,
                index: position / width,
            });
        }
        let groups = groups_of([&train]);
        let samples = Samples {
            features: &values,
            width,
            labels: train.labels(),
            n_classes,
            class_weights: &self.machinery.loss.class_weights(),
            groups: groups.as_deref(),
        };
        let stop = self.request.stop.clone();
        let seed = self.request.setup.seed;
        let Some(fitted) = fit_head(samples, seed, &|| stop.is_requested()) else {
            return Ok(false);
        };
        let logits: Vec<f32> = values
            .chunks_exact(width)
            .flat_map(|row| fitted.head.logits(row))
            .collect();
        let (loss, correct) = loss_sum_and_correct(&logits, train.labels(), n_classes);
        let head = [
            ("head.weight", vec![n_classes, width], fitted.head.weight),
            ("head.bias", vec![n_classes], fitted.head.bias),
        ];
        self.put(head.map(|(name, shape, values)| NamedTensor {
            name: name.to_owned(),
            shape,
            values,
        }))?;
        let seconds = started.elapsed().as_secs_f64();
        let means = (
            loss / train.len() as f64,
            correct as f64 / train.len() as f64,
        );
        let record = self.head_record(means, fitted.record, seconds, observer)?;
        self.finish_epoch(record, observer)?;
        Ok(true)
    }

    fn features_of(
        &self,
        set: &ImageSet,
        observer: &mut dyn Observer,
    ) -> Result<Option<(Vec<f32>, usize)>, TrainError> {
        let setup = &self.request.setup;
        let started = Instant::now();
        let mut progress = |done: usize| {
            let rate = done as f64 / started.elapsed().as_secs_f64().max(f64::MIN_POSITIVE);
            observer.event(&TrainEvent::Features {
                done,
                of: set.len(),
                images_per_second: rate,
            });
            !self.request.stop.is_requested()
        };
        catching_out_of_memory(|| {
            features(
                &self.model,
                set,
                &setup.normalization,
                setup.training.evaluation_batch_size,
                &self.machinery.plain,
                &mut progress,
            )
        })
    }

    /// Replaces these tensors of the model.
    fn put(&mut self, tensors: [NamedTensor; 2]) -> Result<(), TrainError> {
        let mut state = self.model.state();
        for tensor in tensors {
            let own = state.iter_mut().find(|own| own.name == tensor.name);
            match own.filter(|own| own.shape == tensor.shape) {
                Some(own) => *own = tensor,
                None => return Err(TrainError::NoFeatures),
            }
        }
        let device = &self.machinery.autodiff;
        self.model = self.model.clone().load_state(&state, device)?;
        let ema = self.request.setup.training.ema.as_ref();
        self.ema = ema.map(|config| Ema::new(config.clone(), &self.model));
        Ok(())
    }

    /// Validates the fitted head.
    fn head_record(
        &mut self,
        (train_loss, train_accuracy): (f64, f64),
        head: HeadFit,
        seconds: f64,
        observer: &mut dyn Observer,
    ) -> Result<EpochRecord, TrainError> {
        let epoch = FinetuneConfig::HEAD_EPOCH;
        let started = Instant::now();
        let (loss, accuracy) = catching_out_of_memory(|| self.validate(epoch, observer))?;
        Ok(EpochRecord {
            epoch,
            learning_rate: 0.0,
            train_loss,
            train_accuracy,
            validation_loss: Some(loss),
            validation_accuracy: Some(accuracy),
            images_per_second: self.train.len() as f64 / seconds.max(f64::MIN_POSITIVE),
            picture_area: 1.0,
            seconds,
            validation_seconds: started.elapsed().as_secs_f64(),
            loader_wait_seconds: 0.0,
            gradient_norm_mean: 0.0,
            head: Some(head),
        })
    }
}
