//! Checks whether a machine has what a run needs, and says what to do about what is missing.

use crate::words::counted;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mlestar_data::detect::recognise;
use mlestar_data::{DataError, SourceKind};
use serde::{Deserialize, Serialize};
use sysinfo::Disks;

use crate::config::Config;
use crate::device::{Backend, DeviceError};
use crate::machine::{available_memory_bytes, logical_cores};

/// Below this much free disk space a run may fail half-way.
const LITTLE_DISK_BYTES: u64 = 2_000_000_000;
/// Below this much free memory training may be killed.
const LITTLE_MEMORY_BYTES: u64 = 2_000_000_000;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// As it should be.
    Ok,
    /// Something works less well, or something is missing that this config does not need.
    Warn,
    /// A run with this config cannot succeed.
    Fail,
}

impl fmt::Display for CheckStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        })
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// How it is.
    pub status: CheckStatus,
    /// What was found.
    pub found: String,
    /// What to do; empty when there is nothing to do.
    pub advice: String,
}

impl Check {
    fn new(
        name: &str,
        status: CheckStatus,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            status,
            found: found.into(),
            advice: advice.into(),
        }
    }

    fn ok(name: &str, found: impl Into<String>) -> Self {
        Self::new(name, CheckStatus::Ok, found, "")
    }
}

/// Checks this machine for a run in the folder `runs` of the current folder; see [`doctor_in`].
pub fn doctor(config: Option<&Config>) -> Vec<Check> {
    doctor_in(config, Path::new("runs"))
}

/// Checks the toolchain, the backends, the memory, the threads, the folder of the runs, its disk and, with a config,
/// its data.
///
/// ```
/// use mlestar_workflow::doctor::{CheckStatus, doctor_in};
///
/// let folder = tempfile::tempdir()?;
/// let checks = doctor_in(None, &folder.path().join("runs"));
/// assert!(checks.iter().any(|check| check.name == "threads" && check.status == CheckStatus::Ok));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn doctor_in(config: Option<&Config>, runs: &Path) -> Vec<Check> {
    let mut checks = toolchain();
    checks.extend(Backend::ALL.map(backend));
    checks.push(memory());
    checks.push(Check::ok(
        "threads",
        counted(logical_cores(), "logical core"),
    ));
    checks.push(runs_folder(runs));
    checks.push(disk_space(runs));
    checks.extend(config.map(data));
    checks
}

/// What building needs; a finished program runs without it.
fn toolchain() -> Vec<Check> {
    let rust = |program: &str| match first_line(program, &["--version"]) {
        Some(version) => Check::ok(program, version),
        None => Check::new(
            program,
            CheckStatus::Warn,
            "not on the PATH",
            "needed only for building; install Rust from https://rustup.rs",
        ),
    };
    vec![rust("cargo"), rust("rustc"), linker()]
}

fn linker() -> Check {
    const NAME: &str = "C linker";
    if cfg!(target_env = "msvc") {
        // rustc finds Microsoft's linker through the registry; it is on the PATH in special shells only.
        return Check::ok(
            NAME,
            "looked up by rustc through Visual Studio's build tools",
        );
    }
    let found = ["cc", "gcc", "clang"].into_iter().find_map(|program| {
        Some(format!(
            "{program}: {}",
            first_line(program, &["--version"])?
        ))
    });
    match found {
        Some(version) => Check::ok(NAME, version),
        None => Check::new(
            NAME,
            CheckStatus::Warn,
            "none of cc, gcc and clang is on the PATH",
            "needed only for building; install gcc or clang, on a Mac with `xcode-select --install`",
        ),
    }
}

/// The first line that a program prints; `None` when it does not run.
fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(|line| line.trim().to_owned())
}

fn backend(backend: Backend) -> Check {
    let name = match backend {
        Backend::Cuda => "backend cuda",
        Backend::Wgpu => "backend wgpu",
        Backend::Cpu => "backend cpu",
    };
    match backend.first().open() {
        Ok(opened) => Check::ok(name, format!("{} computes", opened.name)),
        Err(DeviceError::NotCompiled { how, .. }) if backend == Backend::Cpu => {
            Check::new(name, CheckStatus::Warn, "not compiled in", how)
        }
        // Few machines need every backend, so a missing one is no problem.
        Err(DeviceError::NotCompiled { how, .. }) => {
            Check::ok(name, format!("not compiled in; to get it, {how}"))
        }
        Err(error) => {
            let advice = match backend {
                Backend::Cuda => {
                    "install the NVIDIA driver and the CUDA toolkit, or use --device cpu"
                }
                Backend::Wgpu => "install a Vulkan driver, or use --device cpu",
                Backend::Cpu => "rebuild the program",
            };
            Check::new(name, CheckStatus::Warn, error.to_string(), advice)
        }
    }
}

fn memory() -> Check {
    let Some(available) = available_memory_bytes() else {
        let advice = format!("make sure that {} are free", gigabytes(LITTLE_MEMORY_BYTES));
        return Check::new(
            "memory",
            CheckStatus::Warn,
            "the system does not report it",
            advice,
        );
    };
    let found = format!("{} available", gigabytes(available));
    if available >= LITTLE_MEMORY_BYTES {
        return Check::ok("memory", found);
    }
    let advice = format!(
        "close other programs, or lower training.batch_size; {} should be free",
        gigabytes(LITTLE_MEMORY_BYTES)
    );
    Check::new("memory", CheckStatus::Warn, found, advice)
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

/// The nearest folder at or above `path` that exists.
fn existing_ancestor(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute
        .ancestors()
        .find(|ancestor| ancestor.exists())
        .map_or_else(|| absolute.clone(), Path::to_owned)
}

/// Checks that files can be created in the folder of the runs. Leaves nothing behind.
fn runs_folder(runs: &Path) -> Check {
    const NAME: &str = "run folder";
    let base = existing_ancestor(runs);
    let fail = |found: String| {
        Check::new(
            NAME,
            CheckStatus::Fail,
            found,
            "make it writable, or choose another folder with --run",
        )
    };
    if !base.is_dir() {
        return fail(format!("{} is not a folder", base.display()));
    }
    match tempfile::tempfile_in(&base) {
        Ok(_) => Check::ok(NAME, format!("{} is writable", base.display())),
        Err(error) => fail(format!("{} is not writable: {error}", base.display())),
    }
}

fn disk_space(runs: &Path) -> Check {
    const NAME: &str = "disk space";
    let base = existing_ancestor(runs);
    let base = base.canonicalize().unwrap_or(base);
    let disks = Disks::new_with_refreshed_list().ok();
    let disk = disks
        .iter()
        .flat_map(|disks| disks.iter())
        .filter(|disk| base.starts_with(disk.mount_point()))
        .max_by_key(|disk| disk.mount_point().components().count());
    let Some(disk) = disk else {
        return Check::new(
            NAME,
            CheckStatus::Warn,
            format!("the disk of {} is unknown", base.display()),
            format!("make sure that {} are free", gigabytes(LITTLE_DISK_BYTES)),
        );
    };
    let found = format!(
        "{} free for {}",
        gigabytes(disk.available_space()),
        base.display()
    );
    if disk.available_space() >= LITTLE_DISK_BYTES {
        return Check::ok(NAME, found);
    }
    let advice = format!(
        "a run needs {}; remove old runs",
        gigabytes(LITTLE_DISK_BYTES)
    );
    Check::new(NAME, CheckStatus::Warn, found, advice)
}

/// Whether the data of the config can be read, and in which layout they are.
fn data(config: &Config) -> Check {
    if config.data.source == SourceKind::Synthetic {
        return Check::ok(DATA, "synthetic: generated, no files needed");
    }
    let recognised = config.data.folder().and_then(|folder| {
        let source = recognise(folder)?;
        Ok((folder, source))
    });
    match recognised {
        Ok((folder, source)) if source == config.data.source => {
            let found = format!("{}: {}", folder.display(), layout(source));
            Check::ok(DATA, found)
        }
        Ok((folder, source)) => Check::new(
            DATA,
            CheckStatus::Fail,
            format!(
                "{}: {}, but data.source is \"{}\"",
                folder.display(),
                layout(source),
                config.data.source
            ),
            format!("set data.source to \"{source}\", or name another folder with --data"),
        ),
        Err(error) => data_problem(&error),
    }
}

/// The name of the check of the data.
const DATA: &str = "data";

/// The check of data that cannot be read.
pub fn data_problem(error: &DataError) -> Check {
    Check::new(
        DATA,
        CheckStatus::Fail,
        error.to_string(),
        "name the folder of the data with --data, or as data.path in the config",
    )
}

fn layout(source: SourceKind) -> &'static str {
    match source {
        SourceKind::Synthetic => "generated",
        SourceKind::Cifar10 => "CIFAR-10, binary version",
        SourceKind::Cifar100 => "CIFAR-100, binary version",
        SourceKind::Folder => "images in class folders",
        SourceKind::Manifest => "images listed in a manifest",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Override;
    use std::fs;

    fn data_check(source: &str, path: &Path) -> Check {
        let overrides = [
            Override::new("data.source", toml::Value::String(source.to_owned())).unwrap(),
            Override::new("data.path", toml::Value::String(path.display().to_string())).unwrap(),
        ];
        data(&Config::parse("", "test", &overrides).unwrap())
    }

    #[test]
    fn every_part_is_looked_at_and_problems_have_advice() {
        let folder = tempfile::tempdir().unwrap();
        let checks = doctor_in(
            Some(&Config::default()),
            &folder.path().join("runs").join("deep"),
        );
        let names: Vec<&str> = checks.iter().map(|check| check.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "cargo",
                "rustc",
                "C linker",
                "backend cuda",
                "backend wgpu",
                "backend cpu",
                "memory",
                "threads",
                "run folder",
                "disk space",
                "data",
            ]
        );
        for check in &checks {
            assert!(!check.found.is_empty(), "{check:?}");
            assert!(
                check.status == CheckStatus::Ok || !check.advice.is_empty(),
                "{check:?}"
            );
        }
        assert!(
            fs::read_dir(folder.path()).unwrap().next().is_none(),
            "nothing is left behind"
        );
    }

    #[test]
    fn a_file_in_the_way_of_the_runs_fails() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runs");
        fs::write(&file, "").unwrap();
        assert_eq!(runs_folder(&file).status, CheckStatus::Fail);
        assert_eq!(
            runs_folder(&folder.path().join("others")).status,
            CheckStatus::Ok
        );
    }

    #[test]
    fn layouts_are_told_apart_and_compared_with_the_config() {
        let folder = tempfile::tempdir().unwrap();
        let missing = data_check("cifar10", &folder.path().join("none"));
        assert_eq!(missing.status, CheckStatus::Fail);
        assert!(
            missing.found.contains("there is no such folder"),
            "{missing:?}"
        );

        let empty = data_check("cifar10", folder.path());
        assert!(
            empty
                .found
                .contains("looked for the binary files of CIFAR-10"),
            "{empty:?}"
        );

        for class in ["cat", "dog"] {
            fs::create_dir(folder.path().join(class)).unwrap();
            fs::write(folder.path().join(class).join("1.png"), "").unwrap();
        }
        assert_eq!(data_check("folder", folder.path()).status, CheckStatus::Ok);

        fs::write(folder.path().join("test_batch.bin"), "").unwrap();
        assert_eq!(data_check("cifar10", folder.path()).status, CheckStatus::Ok);
        let other = data_check("cifar100", folder.path());
        assert_eq!(other.status, CheckStatus::Fail);
        assert!(
            other.advice.contains("set data.source to \"cifar10\""),
            "{other:?}"
        );
    }
}
