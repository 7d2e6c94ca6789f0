//! `fetch`.

use crate::cli::arguments::FetchOptions;
use crate::cli::console::Console;
use crate::cli::signals;
use mlestar_data::fetch::{self, ArchiveManifest, FetchProgress, FetchStage};
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;

pub fn run(options: &FetchOptions) -> Result<ExitCode, WorkflowError> {
    let archive = ArchiveManifest::known(&options.name)?;
    let download = fetch::FetchOptions {
        url: options.url.clone(),
        stop: Some(signals::stop_signal().flag()),
        ..fetch::FetchOptions::from_environment()
    };
    let mut console = Console::new();
    console.headline(&format!("{}: {}", archive.title, archive.licence));
    let mut progress = |progress: FetchProgress| {
        let task = match progress.stage {
            FetchStage::Downloading => "downloading",
            FetchStage::Verifying => "verifying",
            FetchStage::Unpacking => "unpacking",
        };
        console.bytes(task, progress.bytes_done, progress.bytes_total);
    };
    let folder = fetch::fetch(&archive, &options.into, &download, &mut progress)?;
    console.headline("");
    println!("{}", folder.display());
    println!(
        "now: mlestar run --config configs/{}.toml --data {}",
        options.name,
        folder.display()
    );
    Ok(ExitCode::Pass)
}
