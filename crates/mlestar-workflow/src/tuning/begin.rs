//! The beginning of a study, and its continuation with more trials.

use super::decisive::changes;
use super::images::TrialImages;
use super::study_file::with_absolute_paths;
use super::worker::kind_of;
use super::{Decisive, Source, StudyFile, StudyFolder};
use crate::config::Config;
use crate::inputs::InputChange;
use crate::{Reporter, Stage, WorkflowError};
use mlestar_artifact::PARTIAL_PREFIX;
use mlestar_train::StopSignal;
use mlestar_tune::Parameters;
use mlestar_tune::shared::{Overview, SharedStudy};
use std::path::Path;

/// A study to begin.
pub struct BeginRequest<'a> {
    /// Where; the folder must be empty or absent.
    pub folder: &'a StudyFolder,
    /// The project's config; its section `[refinement]` describes the study.
    pub config: &'a Config,
    /// The name of the device on which trials will compute, such as `cpu` or `cuda:0`. Its kind counts.
    pub device_name: &'a str,
    /// Parameters to try after the config's own.
    pub enqueue: Vec<Parameters>,
    /// Another study to learn from.
    pub from: Option<&'a Source>,
    /// Asks for an early end.
    pub stop: &'a StopSignal,
}

/// Begins a study: reads the images once, to know them again, and writes the folder. The folder appears whole or not at
/// all. Returns how many trials of another study were taken over.
///
/// # Errors
/// A folder that holds something else or cannot be written, images that cannot be read or do not fit the config,
/// parameters to try first that do not fit the search space, or another study that cannot be read.
pub fn begin(
    request: BeginRequest<'_>,
    reporter: &mut dyn Reporter,
) -> Result<usize, WorkflowError> {
    let (folder, config) = (request.folder, request.config);
    check_is_free(folder)?;
    let images = TrialImages::load(config, request.stop, reporter)?;
    config.check_against(&images.train)?;
    let decisive = Decisive::of(
        config,
        [&images.train, &images.validation],
        Stage::Refinement,
    )?;
    drop(images);
    let device = kind_of(request.device_name);
    let file = StudyFile::new(config, device, decisive, request.enqueue);
    let root = folder.root();
    let parent = match root.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let unusable = |error| folder.unusable(root, error);
    std::fs::create_dir_all(parent).map_err(unusable)?;
    let staged = tempfile::Builder::new()
        .prefix(PARTIAL_PREFIX)
        .tempdir_in(parent)
        .map_err(unusable)?;
    let staging = StudyFolder::new(staged.path());
    file.write(&staging)?;
    let mut study = SharedStudy::open(
        &staging.journal_path(),
        &file.name,
        &file.study()?,
        config.seed,
        &file.enqueue,
    )?;
    let copied = match request.from {
        Some(source) => study.warm_start(source.journal(), source.name())?,
        None => 0,
    };
    drop(study);
    make_readable(staged.path()).map_err(unusable)?;
    std::fs::rename(staged.path(), root).map_err(unusable)?;
    // It has its new name.
    let _ = staged.keep();
    Ok(copied)
}

/// Temporary folders belong to their user alone; a study is shared like any other folder.
#[cfg(unix)]
fn make_readable(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    // The permissions that a new folder gets here.
    let probe = folder.join("trials");
    std::fs::create_dir(&probe)?;
    let mode = std::fs::metadata(&probe)?.permissions().mode();
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn make_readable(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}

fn check_is_free(folder: &StudyFolder) -> Result<(), WorkflowError> {
    let is_occupied = match std::fs::read_dir(folder.root()) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(folder.unusable(folder.root(), error)),
    };
    match is_occupied {
        false => Ok(()),
        true => Err(WorkflowError::Usage(format!(
            "{} holds files but no study (study.toml is missing); name an empty or new folder with --study",
            folder.root().display()
        ))),
    }
}

/// A study to go on with.
pub struct GoOnRequest<'a> {
    /// Where.
    pub folder: &'a StudyFolder,
    /// The config now: what decides trials must be as it was; the number of trials and the places of files may differ.
    pub config: &'a Config,
    /// Parameters to try next, unless a trial has tried them.
    pub enqueue: &'a [Parameters],
}

/// Goes on with a study: compares the config with the recorded one, and records what may change. Returns how many sets
/// of parameters were added.
///
/// # Errors
/// No study, a damaged one, or one that began with other settings; parameters that do not fit the search space; a
/// folder that cannot be written.
pub fn go_on(request: &GoOnRequest<'_>) -> Result<usize, WorkflowError> {
    let folder = request.folder;
    let mut file = folder.read()?;
    let config = with_absolute_paths(request.config);
    let changes = changes(&file.config, &config);
    if !changes.is_empty() {
        let changes: Vec<String> = changes.iter().map(InputChange::to_string).collect();
        return Err(WorkflowError::OtherStudy {
            path: folder.root().to_owned(),
            changed: changes.join(", "),
        });
    }
    if file.config != *config {
        file.config = (*config).clone();
        file.write(folder)?;
    }
    let journal = folder.journal_path();
    let study = file.study()?;
    let mut shared = SharedStudy::open(&journal, &file.name, &study, config.seed, &file.enqueue)?;
    // A process that was killed may have left a training that nobody needs.
    folder.tidy(&file.name)?;
    let overview = SharedStudy::overview(&journal, &file.name)?;
    let mut n_new = 0;
    for set in request.enqueue {
        let is_first = file.enqueue.iter().any(|known| contains(known, set));
        if !is_first && !is_known(&overview, set) {
            shared.enqueue(set)?;
            n_new += 1;
        }
    }
    Ok(n_new)
}

/// Whether a trial has these values.
fn is_known(overview: &Overview, set: &Parameters) -> bool {
    let finished = overview.report.trials.iter().map(|trial| &trial.parameters);
    let unfinished = overview.running.iter().chain(&overview.waiting);
    finished
        .chain(unfinished.map(|trial| &trial.parameters))
        .any(|parameters| contains(parameters, set))
}

fn contains(parameters: &Parameters, set: &Parameters) -> bool {
    let number = |value: &mlestar_tune::ParameterValue| value.as_f64();
    set.iter().all(|(key, value)| {
        let found = parameters.get(key);
        // A whole number may stand for a real one.
        found == Some(value)
            || found.and_then(number).is_some() && found.and_then(number) == number(value)
    })
}
