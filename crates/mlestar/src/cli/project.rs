//! From the options of a command to a checked config, a run folder and a device.

use crate::cli::arguments::{ProjectOptions, TrainingOptions};
use crate::cli::{weights, weights_folder};
use mlestar_artifact::read_artifact;
use mlestar_data::detect::recognise;
use mlestar_data::readers::name::shown;
use mlestar_data::{Reread, SourceKind};
use mlestar_workflow::config::{Config, Override};
use mlestar_workflow::device::{DeviceChoice, OpenDevice};
use mlestar_workflow::freshness::Surroundings;
use mlestar_workflow::run_info::RunInfo;
use mlestar_workflow::{RunFolder, Stage, WorkflowError};
use std::path::{Component, Path, PathBuf};

/// A config that is part of the program, for when none is named.
pub struct BuiltIn {
    pub name: &'static str,
    pub text: &'static str,
}

/// The config that is used if it exists in the current folder and no other is named.
pub const PROJECT_FILE: &str = "mlestar.toml";

const QUICK_START: BuiltIn = BuiltIn {
    name: "the built-in quick start",
    text: include_str!("../../../../configs/quickstart.toml"),
};
const FOLDER: BuiltIn = BuiltIn {
    name: "configs/folder.toml",
    text: include_str!("../../../../configs/folder.toml"),
};
const PHOTOGRAPHS: BuiltIn = BuiltIn {
    name: "configs/photographs.toml",
    text: include_str!("../../../../configs/photographs.toml"),
};
const CIFAR10: BuiltIn = BuiltIn {
    name: "configs/cifar10.toml",
    text: include_str!("../../../../configs/cifar10.toml"),
};
const CIFAR100: BuiltIn = BuiltIn {
    name: "configs/cifar100.toml",
    text: include_str!("../../../../configs/cifar100.toml"),
};

/// A checked config and the run folder that belongs to it.
#[derive(Debug)]
pub struct Project {
    pub config: Config,
    pub run: RunFolder,
    /// Where the settings come from when only data were named, in words.
    pub base: Option<String>,
}

/// Reads the config that the options name, with their settings applied. A command that inspects an existing run
/// (`--run` without `--config`) takes the config that the run was made with.
///
/// Where `--weights`, or `training.initial_weights` of a config, names a folder, one of its files is chosen.
pub fn open(options: &ProjectOptions) -> Result<Project, WorkflowError> {
    let folder = match options.weights.as_deref() {
        Some(path) if path.is_dir() => path.to_owned(),
        Some(file) => return read(options, &weights::settings_for(file)?),
        None => {
            let project = read(options, &[])?;
            match project.config.training.initial_weights.as_deref() {
                Some(path) if path.is_dir() => path.to_owned(),
                _ => return Ok(project),
            }
        }
    };
    let mut judge = |settings: &[Override]| Ok(read(options, settings)?.config);
    let chosen = weights_folder::choose(&folder, &mut judge)?;
    let mut project = read(options, &chosen.settings)?;
    let base = project.base.take().into_iter().chain([chosen.reason]);
    project.base = Some(base.collect::<Vec<_>>().join("\n"));
    Ok(project)
}

/// As [`open`], with the settings that belong to a file of weights.
fn read(options: &ProjectOptions, of_weights: &[Override]) -> Result<Project, WorkflowError> {
    let named_run = options.run.as_deref().map(run_path);
    let recorded = named_run
        .as_ref()
        .map(|root| RunFolder::new(root).config_path())
        .filter(|path| options.config.is_none() && path.is_file());
    let mut settings = of_weights.to_vec();
    settings.extend(own_settings(options)?);
    let mut base = None;
    let config = match (&options.config, &recorded, &options.data) {
        (Some(path), ..) => Config::load(path, &settings)?,
        (None, Some(path), _) => Config::load_recorded(path, &settings)?,
        (None, None, Some(data)) => {
            let (built_in, source) = base_for(data, options.weights.is_some(), &settings)?;
            base = Some(format!(
                "{} is read as \"{source}\", with the settings of {}; --config names others{}",
                data.display(),
                built_in.name,
                without_weights(options, source)
            ));
            if source == SourceKind::Manifest {
                settings.push(Override::new("data.source", source.to_string().into())?);
            }
            Config::parse(built_in.text, built_in.name, &settings)?
        }
        (None, None, None) if Path::new(PROJECT_FILE).is_file() => {
            base = Some(format!("with the settings of {PROJECT_FILE}"));
            Config::load(Path::new(PROJECT_FILE), &settings)?
        }
        (None, None, None) if options.weights.is_some() => {
            return Err(WorkflowError::Usage(
                "--weights needs images to learn from: name their folder with --data, or a config"
                    .into(),
            ));
        }
        (None, None, None) => Config::parse(QUICK_START.text, QUICK_START.name, &settings)?,
    };
    let root = named_run.unwrap_or_else(|| Path::new("runs").join(&config.project.name));
    Ok(Project {
        config,
        run: RunFolder::new(root),
        base,
    })
}

/// What a training on photographs lacks, and where it is.
fn without_weights(options: &ProjectOptions, source: SourceKind) -> String {
    match source {
        SourceKind::Folder | SourceKind::Manifest if options.weights.is_none() => {
            let weights = match weights_folder::offered() {
                Some(offered) => offered,
                None => "--weights FILE".to_owned(),
            };
            format!(
                ". Photographs are learnt much better from pretrained weights, in less time: {weights} \
                 (docs/photographs.md)"
            )
        }
        _ => String::new(),
    }
}

/// As [`open`], for a command that inspects a run: there must be one.
pub fn open_run(options: &ProjectOptions) -> Result<Project, WorkflowError> {
    open(options)?.with_run()
}

impl Project {
    /// The same, if it has been run.
    pub fn with_run(self) -> Result<Self, WorkflowError> {
        match self.run.manifest_path().is_file() {
            true => Ok(self),
            false => Err(WorkflowError::NoRun {
                path: self.run.root().to_owned(),
            }),
        }
    }
}

/// The settings for data without a config: by what the folder holds, unless a setting says what it is, and by whether
/// there are pretrained weights.
pub fn base_for(
    data: &Path,
    has_weights: bool,
    settings: &[Override],
) -> Result<(BuiltIn, SourceKind), WorkflowError> {
    let named = settings.iter().rfind(|set| set.key() == "data.source");
    let source = match named.map(|set| set.value().clone().try_into::<SourceKind>()) {
        Some(Ok(source)) => source,
        // A word that is no source is refused when the config is read.
        Some(Err(_)) => SourceKind::Folder,
        None => recognise(data)?,
    };
    let built_in = match source {
        SourceKind::Folder | SourceKind::Manifest if has_weights => PHOTOGRAPHS,
        source if has_weights => {
            return Err(WorkflowError::Usage(format!(
                "--weights needs image files, which are resized as the weights expect, but {} is read as \"{source}\"; \
                 name a folder or a manifest, or set training.initial_weights in a config",
                shown(data)
            )));
        }
        SourceKind::Folder | SourceKind::Manifest => FOLDER,
        SourceKind::Cifar10 => CIFAR10,
        SourceKind::Cifar100 => CIFAR100,
        SourceKind::Synthetic => QUICK_START,
    };
    Ok((built_in, source))
}

/// Every config that is part of the program.
#[cfg(test)]
pub fn built_ins() -> [BuiltIn; 5] {
    [QUICK_START, FOLDER, PHOTOGRAPHS, CIFAR10, CIFAR100]
}

/// As [`open`], for a command that trains.
pub fn open_for_training(
    options: &ProjectOptions,
    training: &TrainingOptions,
) -> Result<Project, WorkflowError> {
    let mut options = options.clone();
    if let Some(minutes) = training.max_minutes {
        options
            .settings
            .push(format!("training.max_minutes={minutes:?}"));
    }
    if let Some(batches) = training.overfit_batches {
        options
            .settings
            .push(format!("training.overfit_batches={batches}"));
    }
    if !training.fast_dev_run {
        return open(&options);
    }
    options.settings.extend(FAST_DEV_RUN.map(str::to_owned));
    for stage in Stage::ALL {
        options
            .settings
            .push(format!("gates.{}.on_failure='continue'", stage.stem()));
    }
    let mut project = open(&options)?;
    if options.run.is_none() {
        let name = format!("{}-fast-dev-run", project.config.project.name);
        project.run = RunFolder::new(run_path(Path::new(&name)));
    }
    Ok(project)
}

/// The settings of `--fast-dev-run`.
const FAST_DEV_RUN: [&str; 10] = [
    "training.epochs=1",
    "training.overfit_batches=2",
    "training.schedule.warmup_epochs=0",
    "refinement.trials=1",
    "refinement.startup_trials=1",
    "refinement.epochs_per_trial=1",
    "refinement.proposals=1",
    "refinement.seeds=1",
    "deployment.benchmark.latency_runs=10",
    "deployment.benchmark.throughput_batch_sizes=[1]",
];

/// As [`open`], for a command whose first argument may name the run, or a folder inside it.
pub fn open_at(options: &ProjectOptions, named: Option<&Path>) -> Result<Project, WorkflowError> {
    let Some(path) = named_path(named) else {
        return open(options);
    };
    let mut options = options.clone();
    let is_run = |folder: &&Path| RunFolder::new(*folder).manifest_path().is_file();
    let root = path
        .ancestors()
        .take(4)
        .find(is_run)
        .unwrap_or(&path)
        .to_owned();
    // A path of one part would be taken for a name again.
    options.run = Some(std::path::absolute(&root).unwrap_or(root));
    open(&options)
}

/// The folder that a command's first argument names.
pub fn named_path(named: Option<&Path>) -> Option<PathBuf> {
    named.map(run_path)
}

/// The settings of all options but `--weights`.
pub fn own_settings(options: &ProjectOptions) -> Result<Vec<Override>, WorkflowError> {
    let mut settings = Vec::new();
    for text in &options.settings {
        settings.push(Override::parse(text)?);
    }
    if let Some(seed) = options.seed {
        settings.push(Override::parse(&format!("seed={seed}"))?);
    }
    if let Some(data) = &options.data {
        let Some(path) = data.to_str() else {
            return Err(WorkflowError::Usage(format!(
                "the name of the data folder {} is not UTF-8, which a config cannot hold: rename it",
                shown(data)
            )));
        };
        settings.push(Override::new("data.path", path.into())?);
    }
    Ok(settings)
}

/// A plain name stands for `runs/NAME`; anything with a separator is a path.
pub fn run_path(run: &Path) -> PathBuf {
    path_in("runs", run)
}

/// A plain name stands for `studies/NAME`; anything with a separator is a path.
pub fn study_path(study: &Path) -> PathBuf {
    path_in("studies", study)
}

/// A plain name stands for `splits/NAME`; anything with a separator is a path.
pub fn splits_path(splits: &Path) -> PathBuf {
    path_in("splits", splits)
}

fn path_in(folder: &str, named: &Path) -> PathBuf {
    let mut parts = named.components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(name)), None) => Path::new(folder).join(name),
        _ => named.to_owned(),
    }
}

/// The threads to use: those asked for, else all cores. Sets the size of the global pool, so it is called once.
///
/// # Errors
/// [`WorkflowError::Usage`] for a number outside 1 to 1024.
pub fn set_threads(asked: Option<usize>) -> Result<usize, WorkflowError> {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = asked.unwrap_or(available);
    if !(1..=1024).contains(&threads) {
        return Err(WorkflowError::Usage(format!(
            "--threads is {threads}, but must be 1 to 1024"
        )));
    }
    mlestar_workflow::threads::set_threads(threads);
    Ok(threads)
}

/// The surroundings of a run, for a command that computes nothing: with the device that `--device` names, else the
/// one that the run was made on.
pub fn surroundings(
    options: &ProjectOptions,
    project: &Project,
    reread: Reread,
) -> Result<Surroundings, WorkflowError> {
    let choice: DeviceChoice = options.device.parse()?;
    let device = match choice {
        DeviceChoice::Auto => {
            let info = read_artifact::<RunInfo>(&project.run.run_info_path());
            info.map_or_else(|_| DeviceChoice::Cpu.to_string(), |info| info.device)
        }
        named => named.to_string(),
    };
    Ok(Surroundings::look_again(
        &project.config,
        &project.run,
        device,
        reread,
    ))
}

/// Opens the device that `--device` names.
pub fn open_device(options: &ProjectOptions) -> Result<OpenDevice, WorkflowError> {
    let choice: DeviceChoice = options.device.parse()?;
    Ok(choice.open()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_is_a_run_and_a_path_is_a_path() {
        assert_eq!(run_path(Path::new("a")), Path::new("runs").join("a"));
        assert_eq!(run_path(Path::new("x/a")), Path::new("x/a"));
        assert_eq!(run_path(Path::new("./a")), Path::new("./a"));
        assert_eq!(run_path(Path::new("..")), Path::new(".."));
        assert_eq!(run_path(Path::new(".")), Path::new("."));
    }

    #[test]
    fn options_become_settings() {
        let options = ProjectOptions {
            seed: Some(3),
            data: Some("C:\\it's images".into()),
            settings: vec!["training.epochs=1".into()],
            ..ProjectOptions::default()
        };
        let settings = own_settings(&options).unwrap();
        let found: Vec<(String, toml::Value)> = settings
            .iter()
            .map(|set| (set.key(), set.value().clone()))
            .collect();
        let expect = [
            ("training.epochs", toml::Value::Integer(1)),
            ("seed", toml::Value::Integer(3)),
            ("data.path", "C:\\it's images".into()),
        ];
        assert_eq!(found, expect.map(|(key, value)| (key.to_owned(), value)));
    }
}
