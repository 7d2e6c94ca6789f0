//! The chain as a program that embeds it sees it.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // a panic is how a test fails

mod alterations;
mod caching;
mod finetuning;
mod forgery;
mod given_weights;
mod interruption;
mod measurer;
mod mutations;
mod pages;
mod precision;
mod refinement;
mod returns;
mod sparse_validation;
mod stale;
mod verdicts_in_the_package;

use burn::tensor::Device;
use mlestar_train::StopSignal;
use mlestar_workflow::chain::{RunReport, RunRequest, StageRange, run};
use mlestar_workflow::config::{Config, Override};
use mlestar_workflow::{Reporter, RunFolder, WorkflowError};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use tempfile::TempDir;

const TINY: &str = include_str!("tiny.toml");

fn tiny(settings: &[&str]) -> Config {
    let overrides: Vec<Override> = settings
        .iter()
        .map(|text| Override::parse(text).unwrap())
        .collect();
    Config::parse(TINY, "tiny.toml", &overrides).unwrap()
}

/// Runs `config` in `folder` and returns the outcome and the stages that ran.
fn run_in(
    folder: &Path,
    config: &Config,
    stop: &StopSignal,
    reporter: &mut dyn Reporter,
) -> Result<RunReport, WorkflowError> {
    let run_folder = RunFolder::new(folder);
    let device = Device::flex();
    run(&all_stages(&run_folder, config, &device, stop), reporter)
}

fn all_stages<'a>(
    run: &'a RunFolder,
    config: &'a Config,
    device: &'a Device,
    stop: &'a StopSignal,
) -> RunRequest<'a> {
    RunRequest {
        config,
        run,
        device,
        device_name: "cpu",
        threads: 2,
        stages: StageRange::ALL,
        force: false,
        must_resume: false,
        stop,
        measurer: None,
    }
}

/// The numbers of the stages that run.
fn stages_that_run(folder: &Path, config: &Config) -> Vec<usize> {
    let report = run_in(folder, config, &StopSignal::new(), &mut ()).unwrap();
    report
        .stages
        .iter()
        .filter(|outcome| outcome.ran)
        .map(|outcome| outcome.stage.number())
        .collect()
}

/// A finished run of the tiny config, made once and copied for each test.
fn finished_run() -> TempDir {
    static FINISHED: OnceLock<TempDir> = OnceLock::new();
    let finished = FINISHED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        run_in(folder.path(), &tiny(&[]), &StopSignal::new(), &mut ()).unwrap();
        folder
    });
    let copy = tempfile::tempdir().unwrap();
    copy_folder(finished.path(), copy.path());
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
}
