//! `fetch`.

use std::path::{Path, PathBuf};

use crate::cli::arguments::{FetchOptions, WEIGHTS};
use crate::cli::console::Console;
use crate::cli::signals;
use mlestar_data::fetch::{
    self, ArchiveManifest, FetchProgress, FetchStage, PublishedWeights, fetch_weights,
};
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;

/// Where datasets go unless the command says otherwise.
const DATA: &str = "data";

pub fn run(options: &FetchOptions) -> Result<ExitCode, WorkflowError> {
    if options.list {
        return list();
    }
    match (options.name.as_deref(), options.network.as_deref()) {
        (Some(WEIGHTS), Some(network)) => weights(network, options),
        (Some(WEIGHTS), None) => {
            let names = PublishedWeights::NAMES.join(", ");
            Err(WorkflowError::Usage(format!("name the weights: {names}")))
        }
        // The command line requires a name.
        (name, _) => dataset(name.unwrap_or_default(), options),
    }
}

fn list() -> Result<ExitCode, WorkflowError> {
    for name in ArchiveManifest::NAMES {
        let archive = ArchiveManifest::known(name)?;
        println!("fetch {name}: {}", archive.title);
        println!("    {} ({} bytes)", archive.url, archive.bytes);
        println!("    {}", archive.licence);
    }
    for weights in PublishedWeights::all() {
        println!("fetch {WEIGHTS} {}: {}", weights.name, weights.title);
        println!("    {}", weights.url);
        println!("    {}", weights.licence);
    }
    Ok(ExitCode::Pass)
}

fn dataset(name: &str, options: &FetchOptions) -> Result<ExitCode, WorkflowError> {
    let archive = ArchiveManifest::known(name)?;
    let into = options.into.clone().unwrap_or_else(|| DATA.into());
    let title = format!("{}: {}", archive.title, archive.licence);
    let folder = with_progress(&title, options, |download, progress| {
        fetch::fetch(&archive, &into, download, progress)
    })?;
    println!(
        "now: mlestar run --config configs/{name}.toml --data {}",
        folder.display()
    );
    Ok(ExitCode::Pass)
}

fn weights(network: &str, options: &FetchOptions) -> Result<ExitCode, WorkflowError> {
    let weights = PublishedWeights::known(network)?;
    let into = options.into.clone();
    let into = into.unwrap_or_else(|| Path::new(DATA).join(WEIGHTS));
    let title = format!("{}: {}", weights.title, weights.licence);
    let file = with_progress(&title, options, |download, progress| {
        fetch_weights(&weights, &into, download, progress)
    })?;
    println!("now: mlestar run --data DIR --weights {}", file.display());
    Ok(ExitCode::Pass)
}

/// Fetches with a line of progress, and prints where the result is.
fn with_progress(
    title: &str,
    options: &FetchOptions,
    fetch: impl FnOnce(
        &fetch::FetchOptions,
        &mut dyn FnMut(FetchProgress),
    ) -> Result<PathBuf, mlestar_data::DataError>,
) -> Result<PathBuf, WorkflowError> {
    let download = fetch::FetchOptions {
        url: options.url.clone(),
        stop: Some(signals::stop_signal().flag()),
        ..fetch::FetchOptions::from_environment()
    };
    let mut console = Console::new();
    console.headline(title);
    let mut progress = |progress: FetchProgress| {
        let task = match progress.stage {
            FetchStage::Downloading => "downloading",
            FetchStage::Verifying => "verifying",
            FetchStage::Unpacking => "unpacking",
        };
        console.bytes(task, progress.bytes_done, progress.bytes_total);
    };
    let path = fetch(&download, &mut progress)?;
    console.headline("");
    println!("{}", path.display());
    Ok(path)
}
