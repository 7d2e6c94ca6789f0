//! `splits work`.

use super::arguments::WorkOptions;
use crate::cli::console::Console;
use crate::cli::workers::stop_with_parent;
use crate::cli::{project, signals};
use mlestar_gates::ExitCode;
use mlestar_workflow::device::DeviceChoice;
use mlestar_workflow::repeated_splits::{self, SplitsEnd, SplitsFolder, SplitsWork};
use mlestar_workflow::{Reporter, WorkflowError};

pub fn run(options: &WorkOptions) -> Result<ExitCode, WorkflowError> {
    let folder = SplitsFolder::new(project::splits_path(&options.folder));
    let file = folder.read()?;
    let threads = project::set_threads(options.threads)?;
    let choice: DeviceChoice = options.device.as_ref().unwrap_or(&file.device).parse()?;
    let device = choice.open()?;
    let stop = signals::stop_signal();
    if options.child {
        stop_with_parent(&stop);
    }
    let mut console = Console::new();
    console.headline(&format!(
        "splits of {} in {} on {}, {threads} threads",
        file.name,
        folder.root().display(),
        device.name
    ));
    let name = device.choice.to_string();
    let request = SplitsWork {
        folder: &folder,
        device: &device.device,
        device_name: &name,
        threads,
        stop: &stop,
    };
    let mut show = |result: &repeated_splits::SplitResult| eprintln!("{}", result.in_words());
    match repeated_splits::work(&request, &mut console, &mut show)? {
        SplitsEnd::Complete => console.headline("every split has a result"),
        SplitsEnd::NothingFree => {
            console.note("other processes train the splits that are left");
        }
        SplitsEnd::Stopped => {
            console.note("stopped; what was done is saved, and any process goes on with it");
            return Ok(ExitCode::Stopped);
        }
    }
    Ok(ExitCode::Pass)
}
