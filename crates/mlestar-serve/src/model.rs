//! The model that is served, and its change for another.

use crate::drift::DriftMonitor;
use crate::error::ServeError;
use crate::output::Output;
use crate::settings::{Settings, is_name};
use mlestar_export::package::{self, MANIFEST_FILE, Manifest, SAFETENSORS_FILE};
use mlestar_export::{ChoiceOptions, Predictor};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// Where a run keeps its package.
const PACKAGE_OF_RUN: &str = "7-deployment/package";

/// Digits of a version: those of the weights' BLAKE3 hash.
const VERSION_DIGITS: usize = 12;

/// A package in memory, ready to predict.
#[derive(Debug)]
pub struct ServedModel {
    /// Its name in paths.
    pub name: String,
    /// The first digits of the hash of its weights: equal weights have equal versions.
    pub version: String,
    /// What predicts.
    pub predictor: Predictor,
    /// The package's description.
    pub manifest: Manifest,
    /// What a batch costs.
    pub costs: BatchCosts,
    /// Compares the images that come with those of the training.
    pub drift: DriftMonitor,
}

/// The time of a batch of `n` images is about `fixed + n * image`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchCosts {
    /// Seconds that a batch takes whatever its size.
    pub fixed: f64,
    /// Seconds for each image.
    pub image: f64,
}

impl ServedModel {
    /// Opens the package in `folder`, checks every hash, predicts its golden images, and measures the cost of batches
    /// on the rayon pool of the caller. `name` is the name in paths; without one, that of the run in the package's
    /// provenance, or that of the folder.
    ///
    /// # Errors
    /// [`ServeError::Package`] as for [`package::verify`], [`ServeError::Golden`] if a golden prediction differs.
    pub fn load(
        folder: &Path,
        name: Option<&str>,
        settings: &Settings,
    ) -> Result<Self, ServeError> {
        let verification = package::verify(folder)?;
        let mut golden = verification.golden.iter();
        if let Some(image) = golden.find(|image| !image.is_reproduced()) {
            return Err(ServeError::Golden {
                path: folder.join(&image.file),
                difference: image.largest_difference,
                limit: package::GOLDEN_TOLERANCE,
            });
        }
        let manifest = package::read_manifest(folder)?;
        let weights = manifest
            .files
            .iter()
            .find(|file| file.name == SAFETENSORS_FILE);
        let version = weights
            .map(|file| file.blake3.to_string())
            .unwrap_or_default();
        let version = version.chars().take(VERSION_DIGITS).collect();
        let predictor = match settings.precision {
            Some(precision) => Predictor::open_in(folder, precision, settings.max_batch)?,
            None => Predictor::open_fastest(folder, &choice(settings.max_batch))?.0,
        };
        let costs = measure(&predictor, settings.max_batch)?;
        let drift = DriftMonitor::new(manifest.training_data.clone());
        Ok(Self {
            name: match name {
                Some(name) => name.to_owned(),
                None => name_of(folder, &manifest),
            },
            version,
            predictor,
            manifest,
            costs,
            drift,
        })
    }

    /// Height and width of the images that the network takes, in pixels.
    pub fn size(&self) -> (usize, usize) {
        let model = self.predictor.model();
        (model.height(), model.width())
    }

    /// Bytes of one image of that size.
    pub fn image_bytes(&self) -> usize {
        let (height, width) = self.size();
        height * width * 3
    }

    /// Its outputs.
    pub fn outputs(&self) -> Vec<Output> {
        let has_limit = self
            .predictor
            .model()
            .confidence()
            .familiarity_limit
            .is_some();
        let is_there = |output: &Output| *output != Output::NoneOfThese || has_limit;
        Output::ALL.into_iter().filter(is_there).collect()
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.predictor.model().n_classes()
    }
}

/// The package that `path` means: itself, that of a run, or that of the run of this name in `runs/`.
///
/// # Errors
/// [`ServeError::NoPackage`] if there is none.
pub fn package_of(path: &Path) -> Result<PathBuf, ServeError> {
    let mut places = vec![path.to_owned(), path.join(PACKAGE_OF_RUN)];
    if path.components().count() == 1 {
        places.push(Path::new("runs").join(path).join(PACKAGE_OF_RUN));
    }
    let found = places
        .into_iter()
        .find(|place| place.join(MANIFEST_FILE).is_file());
    found.ok_or_else(|| ServeError::NoPackage {
        path: path.to_owned(),
    })
}

fn name_of(folder: &Path, manifest: &Manifest) -> String {
    let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let of_run = folder
        .ends_with(PACKAGE_OF_RUN)
        .then(|| folder.ancestors().nth(2))
        .flatten();
    let last = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let names = [
        manifest.provenance.get("run").cloned(),
        of_run.and_then(last),
        last(&folder),
    ];
    let usable = names.into_iter().flatten().find(|name| is_name(name));
    usable.unwrap_or_else(|| "model".to_owned())
}

/// The precision is chosen for batches of a busy server, not for the largest possible ones.
fn choice(max_batch: usize) -> ChoiceOptions {
    ChoiceOptions {
        batch: max_batch.min(8),
        ..ChoiceOptions::default()
    }
}

/// Also the first passes through the network, which are slower than later ones.
fn measure(predictor: &Predictor, max_batch: usize) -> Result<BatchCosts, ServeError> {
    const ROUNDS: usize = 3;
    let model = predictor.model();
    let pixels = vec![128; max_batch * model.height() * model.width() * 3];
    let best = |n: usize| -> Result<Duration, ServeError> {
        let mut best = Duration::MAX;
        for _ in 0..ROUNDS {
            let start = Instant::now();
            predictor.logits(&pixels[..pixels.len() / max_batch * n], n)?;
            best = best.min(start.elapsed());
        }
        Ok(best)
    };
    let (one, most) = (best(1)?.as_secs_f64(), best(max_batch)?.as_secs_f64());
    let image = match max_batch {
        1 => one,
        _ => ((most - one) / (max_batch - 1) as f64).max(0.0),
    };
    Ok(BatchCosts {
        fixed: (one - image).max(0.0),
        image,
    })
}

/// The model that new requests get. Requests that began with the model before keep it.
#[derive(Debug)]
pub struct CurrentModel(RwLock<Arc<ServedModel>>);

impl CurrentModel {
    /// Begins with `model`.
    pub fn new(model: ServedModel) -> Self {
        Self(RwLock::new(Arc::new(model)))
    }

    /// The model of now.
    pub fn get(&self) -> Arc<ServedModel> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces it.
    pub fn set(&self, model: ServedModel) -> Arc<ServedModel> {
        let model = Arc::new(model);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&model);
        model
    }
}
