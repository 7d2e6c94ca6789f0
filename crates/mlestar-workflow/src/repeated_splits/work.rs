//! One process that trains splits.

use super::draw::Pool;
use super::result::{SplitOutcome, SplitResult};
use super::summary::conclude;
use super::training::Bench;
use super::{SplitsFile, SplitsFolder};
use crate::tuning::{Decisive, kind_of};
use crate::{Reporter, Stage, WorkflowError, context};
use burn::tensor::Device;
use mlestar_artifact::write_artifact;
use mlestar_data::ImageSplits;
use mlestar_train::StopSignal;
use std::fs;
use std::io::ErrorKind;

/// Which splits to train, and with what.
pub struct SplitsWork<'a> {
    /// Where they are.
    pub folder: &'a SplitsFolder,
    /// The device that computes, without autodiff.
    pub device: &'a Device,
    /// Its name, such as `cpu` or `cuda:1`; its kind must be that of the beginning.
    pub device_name: &'a str,
    /// Threads for preparing images.
    pub threads: usize,
    /// Asks the process to save its training and to end.
    pub stop: &'a StopSignal,
}

/// Why a process ended its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SplitsEnd {
    /// Every split has a result.
    Complete,
    /// Other processes train the splits that are left.
    NothingFree,
    /// It was asked to stop. Any process goes on with its split.
    Stopped,
}

/// Trains splits that have no result and that no other process trains, one after the other. Any number of processes, on any
/// machines that share the folder and its locks, may do so at once. The process that writes the last result also writes the
/// summary and the page.
///
/// # Errors
/// No splits or damaged ones, images or weights that differ from those of the beginning, another program or kind of device,
/// or a folder that cannot be read or written.
pub fn work(
    request: &SplitsWork<'_>,
    reporter: &mut dyn Reporter,
    observer: &mut dyn FnMut(&SplitResult),
) -> Result<SplitsEnd, WorkflowError> {
    let folder = request.folder;
    let file = folder.read()?;
    check_device(request, &file)?;
    let config = file.config()?;
    let mut bench = None;
    while let Some((number, claim)) = next(folder, &file)? {
        if request.stop.is_requested() {
            return Ok(SplitsEnd::Stopped);
        }
        let bench = match &mut bench {
            Some(bench) => bench,
            // Images are read only where there is something to train.
            None => bench.insert(Bench {
                config: &config,
                pool: checked_pool(request, &file, reporter)?,
                device: request.device,
                threads: request.threads,
                stop: request.stop,
            }),
        };
        let output = folder.training_path(number);
        let Some(result) = bench.train(number, &output, reporter)? else {
            return Ok(SplitsEnd::Stopped);
        };
        write_artifact(&folder.result_path(number), &result)?;
        match fs::remove_dir_all(&output) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(folder.unusable(&output, error));
            }
            _ => {}
        }
        drop(claim);
        observer(&result);
    }
    match conclude(folder)? {
        true => Ok(SplitsEnd::Complete),
        false => Ok(SplitsEnd::NothingFree),
    }
}

/// The first split without a result that no process trains, taken for this one.
fn next(
    folder: &SplitsFolder,
    file: &SplitsFile,
) -> Result<Option<(u64, fs::File)>, WorkflowError> {
    for number in 1..=file.splits {
        if folder.result_path(number).exists() {
            continue;
        }
        let claim = folder.claim(number)?;
        // Another process may have written it and let it go meanwhile.
        if let Some(claim) = claim.filter(|_| !folder.result_path(number).exists()) {
            return Ok(Some((number, claim)));
        }
    }
    Ok(None)
}

fn check_device(request: &SplitsWork<'_>, file: &SplitsFile) -> Result<(), WorkflowError> {
    let kind = kind_of(request.device_name);
    match kind == file.device {
        true => Ok(()),
        false => Err(WorkflowError::OtherSplits {
            path: request.folder.root().to_owned(),
            changed: format!(
                "they are trained on {}, but this process would on {kind}",
                file.device
            ),
        }),
    }
}

/// Loads the images and compares them, and the program, with those of the beginning.
fn checked_pool(
    request: &SplitsWork<'_>,
    file: &SplitsFile,
    reporter: &mut dyn Reporter,
) -> Result<Pool, WorkflowError> {
    let config = file.config()?;
    let ImageSplits {
        train, validation, ..
    } = context::load_data(&config, request.stop, reporter)?.splits;
    let now = Decisive::of(&config, [&train, &validation], Stage::Implementation)?;
    let differences = file.decisive.differences(&now);
    match differences.is_empty() {
        true => Pool::new(&train, &validation),
        false => Err(WorkflowError::OtherSplits {
            path: request.folder.root().to_owned(),
            changed: differences.join(", "),
        }),
    }
}

impl SplitResult {
    /// In one line.
    pub fn in_words(&self) -> String {
        match &self.outcome {
            SplitOutcome::Measured {
                epoch,
                epochs,
                correct,
                accuracy,
                ..
            } => format!(
                "split {}: accuracy {accuracy:.4} ({correct} of {}), epoch {epoch} of {epochs}",
                self.split, self.validation_images
            ),
            SplitOutcome::Failed { reason } => format!("split {} failed: {reason}", self.split),
        }
    }
}
