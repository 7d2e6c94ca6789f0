//! What a stage receives.

use crate::audit::{self, AuditEvent};
use crate::config::Config;
use crate::freshness::Surroundings;
use crate::machine::available_memory_bytes;
use crate::manifest::{RunManifest, content_hash};
use crate::model_benchmark::ModelMeasurer;
use crate::validation_share::with_validation;
use crate::words::counted;
use crate::{Reporter, RunFolder, Stage, WorkflowError};
use burn::tensor::Device;
use mlestar_artifact::{Artifact, read_artifact, read_json_lines};
use mlestar_data::load::LoadOptions;
use mlestar_data::readers::name::shown;
use mlestar_data::readers::pixel_cache::LoadProgress;
use mlestar_data::{
    DataConfig, Description, ImageSet, ImageSplits, LoadedData, Normalization, SourceReport,
};
use mlestar_gates::{RunVerdict, Unit};
use mlestar_model::ImageClassifier;
use mlestar_train::StopSignal;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The three splits, loaded once per process. Only [`StageContext::read_test`] hands out the test split; it records
/// the reading.
#[derive(Debug)]
pub(crate) struct DataCache {
    train: Arc<ImageSet>,
    validation: Arc<ImageSet>,
    test: Arc<ImageSet>,
    report: SourceReport,
}

impl DataCache {
    fn load(
        config: &Config,
        stop: &StopSignal,
        reporter: &mut dyn Reporter,
    ) -> Result<Self, WorkflowError> {
        let LoadedData { splits, source, .. } = load_data(config, stop, reporter)?;
        config.check_against(&splits.train)?;
        let ImageSplits {
            train,
            validation,
            test,
        } = splits;
        Ok(Self {
            train: Arc::new(train),
            validation: Arc::new(validation),
            test: Arc::new(test),
            report: source,
        })
    }
}

/// Reads the data of a config, if they fit into the free memory or into a file.
pub(crate) fn load_data(
    config: &Config,
    stop: &StopSignal,
    reporter: &mut dyn Reporter,
) -> Result<LoadedData, WorkflowError> {
    let mut is_announced = false;
    let mut progress = |progress: LoadProgress| {
        if !is_announced {
            is_announced = true;
            reporter.note(&format!(
                "preparing {} in {}, {} on the disk",
                counted(progress.n, "image"),
                shown(&config.data.cache),
                Unit::Bytes.format(progress.bytes as f64)
            ));
        }
        reporter.progress(
            "preparing images",
            progress.n_done as u64,
            progress.n as u64,
        );
    };
    let options = LoadOptions {
        memory_bytes: available_memory_bytes(),
        progress: Some(&mut progress),
        stop: Some(&stop.flag()),
    };
    Ok(mlestar_data::load_with(&config.data, config.seed, options)?)
}

/// The normalisation that the config gives, or that of the training images.
pub(crate) fn normalization(
    config: &DataConfig,
    train: &Description,
) -> Result<Normalization, WorkflowError> {
    match config.normalization {
        Some(given) => Ok(given),
        None => Ok(Normalization::from_description(train)?),
    }
}

/// Judges the gates of some stages. Gates read the artifacts of stages, so the chain, which knows both, passes this
/// in.
pub(crate) type Judge = fn(&[Stage], &Surroundings, &RunFolder, &RunManifest) -> RunVerdict;

/// Everything that a running stage may use: its inputs, its folder and its reporter.
pub struct StageContext<'a> {
    /// The stage that runs.
    pub stage: Stage,
    /// The checked config.
    pub config: &'a Config,
    /// The run's folder.
    pub run: &'a RunFolder,
    /// The device that computes, without autodiff.
    pub device: &'a Device,
    /// The device's name, such as `cpu`.
    pub device_name: &'a str,
    /// Worker threads for loading and augmenting images.
    pub threads: usize,
    /// Asks a long computation to stop at its next safe point.
    pub stop: &'a StopSignal,
    /// Receives the progress.
    pub reporter: &'a mut dyn Reporter,
    /// Measures a package in a process of its own; `None` where the program cannot start one.
    pub measurer: Option<&'a dyn ModelMeasurer>,
    /// Whether the stage was interrupted with the same inputs, so its saved work is valid.
    pub resume: bool,
    /// Whether the stage was forced to run with unchanged inputs. It then reuses nothing from its last run.
    pub force: bool,
    pub(crate) manifest: &'a RunManifest,
    /// Judges the gates of stages.
    pub(crate) judge: Judge,
    pub(crate) surroundings: &'a Surroundings,
    pub(crate) data: &'a mut Option<DataCache>,
}

impl StageContext<'_> {
    /// The verdicts of the gates of earlier stages.
    pub(crate) fn judge_earlier_stages(&self) -> RunVerdict {
        let earlier = &Stage::ALL[..self.stage.number() - 1];
        (self.judge)(earlier, self.surroundings, self.run, self.manifest)
    }

    /// The training and validation images.
    ///
    /// # Errors
    /// When the data cannot be read.
    pub fn training_sets(&mut self) -> Result<(Arc<ImageSet>, Arc<ImageSet>), WorkflowError> {
        let data = self.loaded()?;
        Ok((Arc::clone(&data.train), Arc::clone(&data.validation)))
    }

    /// The training images with most of the validation images, and the validation images that stay out.
    ///
    /// # Errors
    /// When the data cannot be read.
    pub(crate) fn training_sets_with_validation(
        &mut self,
    ) -> Result<(Arc<ImageSet>, Arc<ImageSet>), WorkflowError> {
        let (train, validation) = self.training_sets()?;
        with_validation(&train, &validation, self.config.seed)
    }

    /// What was read, and from where.
    ///
    /// # Errors
    /// When the data cannot be read.
    pub fn source_report(&mut self) -> Result<SourceReport, WorkflowError> {
        Ok(self.loaded()?.report.clone())
    }

    /// Logits of `set` by `model`, row by row; `what` is its name in progress messages.
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn logits(
        &mut self,
        what: &str,
        model: &ImageClassifier,
        set: &ImageSet,
        normalization: &Normalization,
    ) -> Result<Vec<f32>, WorkflowError> {
        // A training and the stage that reports it predict in batches of one size: sums of other batches differ in
        // their last bits.
        let batch_size = match self.stage {
            Stage::Implementation => self.config.training.evaluation_batch_size,
            _ => self.config.evaluation.batch_size,
        };
        let reporter = &mut *self.reporter;
        let mut progress = |done: usize, total: usize| {
            reporter.progress(what, done as u64, total as u64);
        };
        let device = self.device;
        Ok(mlestar_train::logits(
            model,
            set,
            normalization,
            batch_size,
            device,
            &mut progress,
        )?)
    }

    /// The test images. The reading and its purpose go into the audit log.
    ///
    /// # Errors
    /// When the data cannot be read or the log cannot be written.
    pub fn read_test(&mut self, purpose: &str) -> Result<Arc<ImageSet>, WorkflowError> {
        let test = Arc::clone(&self.loaded()?.test);
        let event = AuditEvent::TestSplitRead {
            stage: self.stage,
            purpose: purpose.into(),
            pictures: test.len(),
        };
        audit::record(self.run, event)?;
        Ok(test)
    }

    fn loaded(&mut self) -> Result<&DataCache, WorkflowError> {
        let data = match self.data.take() {
            Some(data) => data,
            None => DataCache::load(self.config, self.stop, self.reporter)?,
        };
        Ok(self.data.insert(data))
    }

    /// A file in this stage's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.run.artifact(self.stage, name)
    }

    /// The folder of this stage.
    pub fn folder(&self) -> PathBuf {
        self.run.stage_folder(self.stage)
    }

    /// Reads an artifact of an earlier stage, after checking that it is unaltered.
    ///
    /// # Errors
    /// [`WorkflowError::MissingInput`] when it is gone or was altered; otherwise as
    /// [`read_artifact`].
    pub fn upstream<A: Artifact>(&self, from: Stage, name: &str) -> Result<A, WorkflowError> {
        Ok(read_artifact(&self.upstream_path(from, name)?)?)
    }

    /// Reads a JSON Lines file of an earlier stage.
    ///
    /// # Errors
    /// As [`StageContext::upstream`].
    pub fn upstream_lines<T: DeserializeOwned>(
        &self,
        from: Stage,
        name: &str,
    ) -> Result<Vec<T>, WorkflowError> {
        Ok(read_json_lines(&self.upstream_path(from, name)?)?)
    }

    /// The path of a file of an earlier stage, after checking that it is unaltered.
    ///
    /// # Errors
    /// [`WorkflowError::MissingInput`].
    pub fn upstream_path(&self, from: Stage, name: &str) -> Result<PathBuf, WorkflowError> {
        let path = self.run.artifact(from, name);
        let missing = |reason: String| WorkflowError::MissingInput {
            stage: self.stage,
            needs: RunFolder::display_name(from, name),
            reason,
        };
        let recorded = self
            .manifest
            .complete_stage(from)
            .and_then(|record| record.outputs.get(name))
            .ok_or_else(|| missing(format!("stage {from} has not written it")))?;
        let found = content_hash(&path).map_err(|error| missing(error.to_string()))?;
        if found != *recorded {
            return Err(missing("it was altered after it was written".into()));
        }
        Ok(path)
    }

    /// Ends the stage when a stop was requested.
    ///
    /// # Errors
    /// [`WorkflowError::Interrupted`].
    pub fn check_stop(&self) -> Result<(), WorkflowError> {
        match self.stop.is_requested() {
            true => Err(WorkflowError::Interrupted { stage: self.stage }),
            false => Ok(()),
        }
    }

    /// Writes a page or another text into this stage's folder.
    ///
    /// # Errors
    /// When the run folder cannot be written.
    pub fn write_text(&self, name: &str, text: &str) -> Result<(), WorkflowError> {
        Ok(mlestar_artifact::write_atomically(
            Path::new(&self.path(name)),
            text.as_bytes(),
        )?)
    }
}
