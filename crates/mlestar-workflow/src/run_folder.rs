//! The folder of one run.

use crate::{Stage, WorkflowError};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The folder with all files of one run, and the paths inside it.
#[derive(Clone, Debug)]
pub struct RunFolder {
    root: PathBuf,
}

/// Held while a run writes its folder; released when dropped.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunFolder {
    /// The run at `root`, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The run's name: the last part of its path.
    pub fn name(&self) -> String {
        self.root
            .file_name()
            .map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned())
    }

    /// How a command names the run after `--run`: a folder of `runs/` by its name, any other by its path.
    pub fn argument(&self) -> String {
        match self.root.parent() {
            Some(parent) if parent == Path::new("runs") => self.name(),
            _ => self.root.display().to_string(),
        }
    }

    /// A stage's folder.
    pub fn stage_folder(&self, stage: Stage) -> PathBuf {
        self.root.join(stage.folder())
    }

    /// A file of a stage.
    pub fn artifact(&self, stage: Stage, name: &str) -> PathBuf {
        self.stage_folder(stage).join(name)
    }

    /// How messages name a stage's file: `5-evaluation/predictions.jsonl`.
    pub fn display_name(stage: Stage, name: &str) -> String {
        format!("{}/{name}", stage.folder())
    }

    /// The resolved config of the run.
    pub fn config_path(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// What each stage read and wrote, as content hashes.
    pub fn manifest_path(&self) -> PathBuf {
        self.root.join("manifest.json")
    }

    /// Seed, code version and machine.
    pub fn run_info_path(&self) -> PathBuf {
        self.root.join("run.json")
    }

    /// The audit log.
    pub fn audit_path(&self) -> PathBuf {
        self.root.join("audit.jsonl")
    }

    /// The cache of content hashes of data files, so that a second look at 60,000 images takes no time.
    pub fn fingerprints_path(&self) -> PathBuf {
        self.root.join(".fingerprints.json")
    }

    /// All verdicts.
    pub fn validation_report_path(&self) -> PathBuf {
        self.root.join("validation_report.json")
    }

    /// The page about the whole run.
    pub fn summary_path(&self) -> PathBuf {
        self.root.join("summary.html")
    }

    /// What stands in the way at the folder's path: a broken link or a file.
    fn obstacle(&self) -> Option<String> {
        // Without a separator at the end, which would make the system look inside a file.
        for path in self.root.components().as_path().ancestors() {
            let Ok(found) = fs::symlink_metadata(path) else {
                continue;
            };
            return match (found.is_symlink(), fs::metadata(path)) {
                (true, Err(_)) => {
                    let target = fs::read_link(path).unwrap_or_default();
                    Some(format!(
                        "{} is a link to {}, which does not exist",
                        path.display(),
                        target.display()
                    ))
                }
                (_, Ok(found)) if !found.is_dir() => {
                    Some(format!("{} is not a folder", path.display()))
                }
                _ => None,
            };
        }
        None
    }

    /// Creates the folder and locks it for this process.
    ///
    /// # Errors
    /// When the folder cannot be made or written, or another process holds it.
    pub fn lock(&self) -> Result<RunLock, WorkflowError> {
        let fail = |source| WorkflowError::RunFolder {
            path: self.root.clone(),
            source,
        };
        if let Some(obstacle) = self.obstacle() {
            return Err(fail(io::Error::other(obstacle)));
        }
        fs::create_dir_all(&self.root).map_err(fail)?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.root.join(".lock"))
            .map_err(fail)?;
        match file.try_lock() {
            Ok(()) => Ok(RunLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(WorkflowError::RunLocked {
                path: self.root.clone(),
            }),
            Err(TryLockError::Error(source)) => Err(fail(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_written_by_one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path().join("runs/a"));
        let lock = run.lock().unwrap();
        let error = run.lock().unwrap_err().to_string();
        assert!(error.contains("another process"), "{error}");
        drop(lock);
        run.lock().unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        for below in ["", "a", "a/b"] {
            let error = RunFolder::new(path.join(below)).lock().unwrap_err();
            let error = error
                .to_string()
                .replace(&folder.path().display().to_string(), "RUNS");
            assert!(error.contains("RUNS/file is not a folder"), "{error}");
            assert!(error.contains("choose another with --run"), "{error}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_link_that_leads_nowhere_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("gone"), &link).unwrap();
        let message = |path: &Path| {
            let error = RunFolder::new(path).lock().unwrap_err().to_string();
            error.replace(&folder.path().display().to_string(), "RUNS")
        };
        insta::assert_snapshot!(message(&link), @"cannot use the run folder RUNS/link: RUNS/link is a link to RUNS/gone, which does not exist; choose another with --run");
        insta::assert_snapshot!(message(&link.join("a")), @"cannot use the run folder RUNS/link/a: RUNS/link is a link to RUNS/gone, which does not exist; choose another with --run");
        fs::create_dir(folder.path().join("gone")).unwrap();
        RunFolder::new(link.join("a")).lock().unwrap();
    }
}
