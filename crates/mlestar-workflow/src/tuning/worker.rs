//! One process that works on a study.

use super::images::{Shelf, TrialImages};
use super::trial::Bench;
use super::{Decisive, StudyFolder};
use crate::config::Config;
use crate::trial_training::TrialFailure;
use crate::{Reporter, Stage, WorkflowError};
use burn::tensor::Device;
use mlestar_train::StopSignal;
use mlestar_tune::shared::{SharedStudy, Work};
use mlestar_tune::{StudyEvent, TrialError};
use std::time::{Duration, Instant};

/// On which study to work, with what, and for how long.
pub struct WorkRequest<'a> {
    /// The study.
    pub folder: &'a StudyFolder,
    /// The device that computes, without autodiff.
    pub device: &'a Device,
    /// The device's name, such as `cpu` or `cuda:1`; its kind must be that of the study.
    pub device_name: &'a str,
    /// Threads for preparing images.
    pub threads: usize,
    /// Asks the process to save its trial, to hand it on and to end.
    pub stop: &'a StopSignal,
    /// The same at this time.
    pub until: Option<Instant>,
    /// The trial of a process that has shown no sign of life for so long is taken over.
    pub patience: Duration,
    /// The number of the process that this one replaces, if whoever starts processes saw that one end.
    pub replaces: Option<u32>,
}

/// Why a process ended its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkEnd {
    /// Nothing is left to do.
    Complete,
    /// It was asked to stop, or its time is over. The study can go on.
    Stopped,
}

/// Takes trials and runs them until the study is complete or the process is asked to stop. Any number of processes, on
/// any machines that share the folder, may do so at once. A trial that was interrupted goes on from its checkpoint.
///
/// # Errors
/// No study, a damaged one, images or weights that differ from those of the beginning, another program or kind of
/// device, or a folder that cannot be read or written. What trials found is never lost.
pub fn work(
    request: &WorkRequest<'_>,
    reporter: &mut dyn Reporter,
    observer: &mut dyn FnMut(&StudyEvent<'_>),
) -> Result<WorkEnd, WorkflowError> {
    let folder = request.folder;
    let file = folder.read()?;
    let config = file.config()?;
    check_device(request, &file.device)?;
    let mut shelf = Shelf::default();
    check_decisive(request, &config, &file.decisive, &mut shelf, reporter)?;
    let (study, seed) = (file.study()?, config.seed);
    let mut shared = SharedStudy::open(
        &folder.journal_path(),
        &file.name,
        &study,
        seed,
        &file.enqueue,
    )?;
    let is_to_stop = || {
        request.stop.is_requested() || request.until.is_some_and(|until| Instant::now() >= until)
    };
    let mut bench = Bench {
        folder,
        config: &config,
        device: request.device,
        threads: request.threads,
        stop: request.stop,
        is_to_stop: &is_to_stop,
        shelf,
    };
    // The study must distinguish a program error from a failed trial.
    let mut failure = None;
    let mut objective = |trial: &mut mlestar_tune::Trial<'_>| {
        let outcome = bench.run(trial, reporter);
        outcome.map_err(|error| match error {
            TrialFailure::Trial(error) => error,
            // The other process removed the folder when it had finished the trial.
            TrialFailure::Program(_) if folder.is_taken_over(&file.name, trial) => {
                TrialError::Paused
            }
            TrialFailure::Program(error) => {
                failure = Some(error);
                TrialError::Stopped
            }
        })
    };
    let mut untidy = None;
    let mut watch = |event: &StudyEvent<'_>| {
        if matches!(event, StudyEvent::Ended { .. }) {
            untidy = folder.tidy(&file.name).err();
        }
        observer(event);
    };
    let stop = request.stop.flag();
    let work = Work {
        stop: Some(&stop),
        until: request.until,
        patience: request.patience,
        replaces: request.replaces,
        ..Work::default()
    };
    shared.work(&work, &mut objective, &mut watch)?;
    if let Some(error) = failure.or(untidy) {
        return Err(error);
    }
    match shared.is_complete()? {
        true => {
            folder.tidy(&file.name)?;
            Ok(WorkEnd::Complete)
        }
        false => Ok(WorkEnd::Stopped),
    }
}

fn check_device(request: &WorkRequest<'_>, of_study: &str) -> Result<(), WorkflowError> {
    let kind = kind_of(request.device_name);
    match kind == of_study {
        true => Ok(()),
        false => Err(WorkflowError::OtherStudy {
            path: request.folder.root().to_owned(),
            changed: format!("trials compute on {of_study}, but this process would on {kind}"),
        }),
    }
}

/// Kind of a device by its name.
pub(crate) fn kind_of(device_name: &str) -> &str {
    device_name.split(':').next().unwrap_or(device_name)
}

/// Loads the images and compares them, and the program, with those of the study's beginning.
fn check_decisive(
    request: &WorkRequest<'_>,
    config: &Config,
    recorded: &Decisive,
    shelf: &mut Shelf,
    reporter: &mut dyn Reporter,
) -> Result<(), WorkflowError> {
    let images = shelf.images(config, request.stop, reporter)?;
    let images: &TrialImages = &images;
    let differences = recorded.differences(&Decisive::of(
        config,
        [&images.train, &images.validation],
        Stage::Refinement,
    )?);
    match differences.is_empty() {
        true => Ok(()),
        false => Err(WorkflowError::OtherStudy {
            path: request.folder.root().to_owned(),
            changed: differences.join(", "),
        }),
    }
}
