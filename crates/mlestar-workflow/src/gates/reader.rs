//! Reads artifacts for a gate and refuses altered ones.

use crate::inputs::{self, HowChanged, RecordedInput};
use crate::manifest::{RunManifest, content_hash};
use crate::{RunFolder, Stage};
use mlestar_artifact::{Artifact, ArtifactError, ContentHash, read_artifact, read_json_lines};
use mlestar_eval::Predictions;
use mlestar_gates::Evidence;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use crate::predictions::PredictionRow;

/// A measured value, or the evidence that ends the measurement.
pub type Found<T> = Result<T, Box<Evidence>>;

/// Caches what the criteria of one gate read: each file is hashed once, and large files are parsed once.
#[derive(Default)]
pub(crate) struct Seen {
    hashes: RefCell<BTreeMap<PathBuf, ContentHash>>,
    predictions: RefCell<BTreeMap<PathBuf, RecordedPredictions>>,
}

/// The rows of a file of predictions.
#[derive(Clone)]
pub struct RecordedPredictions {
    /// Labels and logits.
    pub predictions: Rc<Predictions>,
    /// Where each image comes from.
    pub origins: Rc<[String]>,
}

/// Reads the artifacts of a run for one criterion and remembers which.
pub struct ArtifactReader<'a> {
    run: &'a RunFolder,
    manifest: &'a RunManifest,
    seen: &'a Seen,
    files: RefCell<BTreeSet<String>>,
}

impl<'a> ArtifactReader<'a> {
    pub(crate) fn new(run: &'a RunFolder, manifest: &'a RunManifest, seen: &'a Seen) -> Self {
        Self {
            run,
            manifest,
            seen,
            files: RefCell::default(),
        }
    }

    /// The files read so far, as messages name them.
    pub(crate) fn files_read(&self) -> Vec<String> {
        self.files.borrow().iter().cloned().collect()
    }

    /// The path of a file that `stage` wrote, after checking its hash.
    ///
    /// # Errors
    /// [`Evidence::Missing`] or [`Evidence::Altered`].
    pub fn path(&self, stage: Stage, name: &str) -> Found<PathBuf> {
        let file = RunFolder::display_name(stage, name);
        let Some(record) = self.manifest.complete_stage(stage) else {
            let reason = format!("stage {stage} has not finished");
            return Err(Box::new(Evidence::missing(file, reason)));
        };
        let Some(recorded) = record.outputs.get(name) else {
            let reason = format!("stage {stage} did not write it");
            return Err(Box::new(Evidence::missing(file, reason)));
        };
        let path = self.run.artifact(stage, name);
        let known = self.seen.hashes.borrow().get(&path).cloned();
        let found = match known {
            Some(hash) => hash,
            None => content_hash(&path).map_err(|error| missing(&file, &error))?,
        };
        self.seen
            .hashes
            .borrow_mut()
            .insert(path.clone(), found.clone());
        if found != *recorded {
            return Err(Box::new(Evidence::Altered {
                file,
                recorded: recorded.short().into(),
                found: found.short().into(),
            }));
        }
        self.files.borrow_mut().insert(file);
        Ok(path)
    }

    /// Whether `stage` has written the file.
    pub fn has_written(&self, stage: Stage, name: &str) -> bool {
        let record = self.manifest.complete_stage(stage);
        record.is_some_and(|record| record.outputs.contains_key(name))
    }

    /// A JSON artifact.
    ///
    /// # Errors
    /// As [`ArtifactReader::path`]; [`Evidence::Missing`] when it cannot be understood.
    pub fn artifact<A: Artifact>(&self, stage: Stage, name: &str) -> Found<A> {
        let path = self.path(stage, name)?;
        read_artifact(&path).map_err(|error| missing(&RunFolder::display_name(stage, name), &error))
    }

    /// A JSON Lines file.
    ///
    /// # Errors
    /// As [`ArtifactReader::artifact`].
    pub fn lines<T: DeserializeOwned>(&self, stage: Stage, name: &str) -> Found<Vec<T>> {
        let path = self.path(stage, name)?;
        read_json_lines(&path)
            .map_err(|error| missing(&RunFolder::display_name(stage, name), &error))
    }

    /// A file of predictions, one row per image.
    ///
    /// # Errors
    /// As [`ArtifactReader::artifact`]; [`Evidence::Missing`] when the rows are no predictions.
    pub fn recorded_predictions(&self, stage: Stage, name: &str) -> Found<RecordedPredictions> {
        let path = self.path(stage, name)?;
        if let Some(recorded) = self.seen.predictions.borrow().get(&path) {
            return Ok(recorded.clone());
        }
        let rows: Vec<PredictionRow> = self.lines(stage, name)?;
        let predictions = crate::predictions::from_rows(&rows).map_err(|error| {
            let file = RunFolder::display_name(stage, name);
            Box::new(Evidence::missing(file, error.to_string()))
        })?;
        let recorded = RecordedPredictions {
            predictions: Rc::new(predictions),
            origins: rows.into_iter().map(|row| row.origin).collect(),
        };
        let seen = &self.seen.predictions;
        seen.borrow_mut().insert(path, recorded.clone());
        Ok(recorded)
    }

    /// As [`ArtifactReader::recorded_predictions`], without the origins of the images.
    ///
    /// # Errors
    /// As [`ArtifactReader::recorded_predictions`].
    pub fn predictions(&self, stage: Stage, name: &str) -> Found<Rc<Predictions>> {
        Ok(self.recorded_predictions(stage, name)?.predictions)
    }

    /// A section of the config as it was when `stage` ran.
    ///
    /// # Errors
    /// [`Evidence::Missing`] when the stage has not finished, or does not depend on that section.
    pub fn section(&self, stage: Stage, section: &str) -> Found<Value> {
        let record = self.manifest.complete_stage(stage);
        let setting = record.and_then(|record| record.inputs.get(section));
        let setting = setting.and_then(RecordedInput::setting);
        setting.cloned().ok_or_else(|| {
            let reason = format!("stage {stage} did not record its section {section}");
            Box::new(Evidence::missing("manifest.json", reason))
        })
    }

    /// The hash of an input of `stage`, by its name in the manifest, as it was when the stage ran.
    ///
    /// # Errors
    /// [`Evidence::Missing`] when the stage has not finished, or has no such input.
    pub fn input_hash(&self, stage: Stage, name: &str) -> Found<String> {
        let record = self.manifest.complete_stage(stage);
        match record.and_then(|record| record.inputs.get(name)) {
            Some(RecordedInput::Hash(hash)) => Ok(hash.to_string()),
            _ => {
                let reason = format!("stage {stage} did not record {name}");
                Err(Box::new(Evidence::missing("manifest.json", reason)))
            }
        }
    }

    /// Checks that the settings in `file` of `stage` are the config section that the stage ran with.
    ///
    /// # Errors
    /// As [`ArtifactReader::section`]; [`Evidence::Missing`] with the first key that differs.
    pub fn made_with(
        &self,
        stage: Stage,
        section: &str,
        file: &str,
        claimed: &impl Serialize,
    ) -> Found<()> {
        let file = RunFolder::display_name(stage, file);
        let claimed = as_value(&file, claimed)?;
        let mut changes = Vec::new();
        inputs::compare(
            section,
            &self.section(stage, section)?,
            &claimed,
            &mut changes,
        );
        match changes.first() {
            None => Ok(()),
            Some(change) => {
                let reason =
                    format!("its settings are not those that its stage ran with: {change}");
                Err(Box::new(Evidence::missing(file, reason)))
            }
        }
    }

    /// The names of the files of `stage` that start with `prefix`, after checking that none is altered or empty.
    ///
    /// # Errors
    /// As [`ArtifactReader::path`] for the first file that is not as it was written.
    pub fn files_under(&self, stage: Stage, prefix: &str) -> Found<Vec<String>> {
        let names: Vec<String> = self
            .manifest
            .complete_stage(stage)
            .map(|record| record.outputs.keys().cloned().collect())
            .unwrap_or_default();
        let mut found = Vec::new();
        for name in names.into_iter().filter(|name| name.starts_with(prefix)) {
            self.path(stage, &name)?;
            found.push(name);
        }
        match found.is_empty() {
            false => Ok(found),
            true => Err(Box::new(Evidence::missing(
                RunFolder::display_name(stage, prefix),
                format!("stage {stage} has not written it"),
            ))),
        }
    }
}

fn missing(file: &str, error: &ArtifactError) -> Box<Evidence> {
    Box::new(Evidence::missing(file, error.to_string()))
}

/// [`Evidence::Contradiction`] unless `claimed` equals `recomputed` to 1e-9.
///
/// # Errors
/// The contradiction, naming `file`.
pub fn agree(file: String, what: &str, claimed: f64, recomputed: f64) -> Found<()> {
    // NaN disagrees with everything but itself.
    let same = (claimed - recomputed).abs() <= 1e-9 || (claimed.is_nan() && recomputed.is_nan());
    match same {
        true => Ok(()),
        false => Err(Box::new(Evidence::Contradiction {
            file,
            claimed,
            recomputed,
            what: what.into(),
        })),
    }
}

/// [`Evidence::Contradiction`] unless every figure of `claimed` equals that of `recomputed` to 1e-9 of its size, and
/// every word to the letter.
///
/// # Errors
/// The first contradiction, naming `file` and the field; [`Evidence::Missing`] where the field is no figure.
pub fn agree_whole<T: Serialize>(file: &str, claimed: &T, recomputed: &T) -> Found<()> {
    let [claimed, recomputed] = [as_value(file, claimed)?, as_value(file, recomputed)?];
    let mut changes = Vec::new();
    inputs::compare("", &claimed, &recomputed, &mut changes);
    for change in changes {
        let number = |value: &Value| value.as_f64();
        let figures = match &change.how {
            HowChanged::Value { before, now } => number(before).zip(number(now)),
            _ => None,
        };
        match figures {
            // A figure that was computed on another kind of processor may differ in its last digits.
            Some((a, b)) if (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0) => {}
            Some((claimed, recomputed)) => agree(file.into(), &change.name, claimed, recomputed)?,
            None => {
                let reason = format!("recomputing it gives another value: {change}");
                return Err(Box::new(Evidence::missing(file, reason)));
            }
        }
    }
    Ok(())
}

fn as_value(file: &str, of: &impl Serialize) -> Found<Value> {
    serde_json::to_value(of).map_err(|error| Box::new(Evidence::missing(file, error.to_string())))
}
