//! The beginning of repeated splits, and going on with them.

use super::draw::Pool;
use super::result::SplitOutcome;
use super::{SplitsFile, SplitsFolder};
use crate::config::Config;
use crate::tuning::{Decisive, kind_of};
use crate::{Reporter, Stage, WorkflowError, context};
use mlestar_data::ImageSplits;
use mlestar_train::StopSignal;
use std::io::ErrorKind;

/// Splits to begin, or to go on with.
pub struct SplitsRequest<'a> {
    /// Where; a folder that holds something else is refused.
    pub folder: &'a SplitsFolder,
    /// The project's config. What decides a training must be as it was.
    pub config: &'a Config,
    /// The name of the device that will train, such as `cpu` or `cuda:0`. Its kind counts.
    pub device_name: &'a str,
    /// Splits, 2 to 1000. A larger number than before adds some.
    pub splits: u64,
    /// Asks for an early end.
    pub stop: &'a StopSignal,
}

/// Begins: reads the images once, to know them again, and writes the folder. Or goes on: compares the config with the
/// recorded one. Splits whose training failed are trained again.
///
/// # Errors
/// A number of splits out of range; a folder that holds something else or cannot be written; images that cannot be read or
/// split; or settings that differ from those of the beginning.
pub fn begin(
    request: &SplitsRequest<'_>,
    reporter: &mut dyn Reporter,
) -> Result<(), WorkflowError> {
    let (folder, splits) = (request.folder, request.splits);
    if !(2..=1000).contains(&splits) {
        return Err(WorkflowError::Usage(format!(
            "--repeats is {splits}, but must be 2 to 1000: one split says nothing about how splits differ"
        )));
    }
    if folder.has_begun() {
        let mut file = folder.read()?;
        let before = file.clone();
        file.adopt(folder, request.config)?;
        file.splits = splits;
        if file != before {
            file.write(folder)?;
        }
        return forget_failures(folder, splits);
    }
    check_is_free(folder)?;
    let ImageSplits {
        train, validation, ..
    } = context::load_data(request.config, request.stop, reporter)?.splits;
    request.config.check_against(&train)?;
    let decisive = Decisive::of(request.config, [&train, &validation], Stage::Implementation)?;
    // What cannot be split is said here, not by a process on another machine.
    Pool::new(&train, &validation)?.split(request.config.seed)?;
    let device = kind_of(request.device_name);
    std::fs::create_dir_all(folder.root())
        .map_err(|error| folder.unusable(folder.root(), error))?;
    SplitsFile::new(request.config, device, splits, decisive).write(folder)
}

/// Removes the results of trainings that failed and that nobody is training.
fn forget_failures(folder: &SplitsFolder, splits: u64) -> Result<(), WorkflowError> {
    for number in 1..=splits {
        let failed = |number| -> Result<bool, WorkflowError> {
            let result = folder.result(number)?;
            Ok(result.is_some_and(|result| matches!(result.outcome, SplitOutcome::Failed { .. })))
        };
        if failed(number)?
            && folder.claim(number)?.is_some()
            && let Err(error) = std::fs::remove_file(folder.result_path(number))
            && error.kind() != ErrorKind::NotFound
        {
            return Err(folder.unusable(&folder.result_path(number), error));
        }
    }
    Ok(())
}

fn check_is_free(folder: &SplitsFolder) -> Result<(), WorkflowError> {
    let is_occupied = match std::fs::read_dir(folder.root()) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(folder.unusable(folder.root(), error)),
    };
    match is_occupied {
        false => Ok(()),
        true => Err(WorkflowError::Usage(format!(
            "{} holds files but no splits (splits.toml is missing); name an empty or new folder with --folder",
            folder.root().display()
        ))),
    }
}
