//! `tune work`.

use super::arguments::WorkOptions;
use super::table;
use crate::cli::console::Console;
use crate::cli::workers::{replaced, stop_with_parent};
use crate::cli::{project, signals};
use mlestar_gates::ExitCode;
use mlestar_tune::{StudyEvent, TrialState};
use mlestar_workflow::device::DeviceChoice;
use mlestar_workflow::tuning::{self, StudyFolder, WorkEnd, WorkRequest};
use mlestar_workflow::{Reporter, WorkflowError};
use std::time::{Duration, Instant};

pub fn run(options: &WorkOptions) -> Result<ExitCode, WorkflowError> {
    let until = deadline(options.minutes)?;
    let folder = StudyFolder::new(project::study_path(&options.study));
    let file = folder.read()?;
    let threads = project::set_threads(options.threads)?;
    let choice: DeviceChoice = options.device.as_ref().unwrap_or(&file.device).parse()?;
    let device = choice.open()?;
    let stop = signals::stop_signal();
    if options.child {
        stop_with_parent(&stop);
    }
    let mut console = Console::new();
    let name = device.choice.to_string();
    console.headline(&format!(
        "study {} in {} on {}, {threads} threads",
        file.name,
        folder.root().display(),
        device.name
    ));
    let request = WorkRequest {
        folder: &folder,
        device: &device.device,
        device_name: &name,
        threads,
        stop: &stop,
        until,
        patience: Duration::from_secs(options.patience.get()),
        replaces: replaced(),
    };
    let mut lines = Vec::new();
    let end = tuning::work(&request, &mut console, &mut |event| {
        lines.extend(line(event));
        for line in lines.drain(..) {
            eprintln!("{line}");
        }
    })?;
    match end {
        WorkEnd::Complete => {
            console.headline("the study is complete");
            Ok(ExitCode::Pass)
        }
        WorkEnd::Stopped => {
            console.note("stopped; what was done is saved, and any process goes on with it");
            Ok(ExitCode::Stopped)
        }
    }
}

/// The time at which to stop.
pub fn deadline(minutes: Option<f64>) -> Result<Option<Instant>, WorkflowError> {
    let Some(minutes) = minutes else {
        return Ok(None);
    };
    let wait = Duration::try_from_secs_f64(minutes * 60.0).ok();
    match wait
        .filter(|_| minutes > 0.0)
        .and_then(|wait| Instant::now().checked_add(wait))
    {
        Some(until) => Ok(Some(until)),
        None => Err(WorkflowError::Usage(format!(
            "--minutes is {minutes}, but must be above 0"
        ))),
    }
}

fn line(event: &StudyEvent<'_>) -> Option<String> {
    match event {
        StudyEvent::Started {
            number, parameters, ..
        } => Some(format!("trial {number}: {}", table::parameters(parameters))),
        StudyEvent::Ended { trial } => Some(match (trial.state, &trial.message) {
            (TrialState::Complete, _) => {
                let values = trial.value.iter().chain(&trial.values);
                let values: Vec<String> = values.map(|value| format!("{value:.4}")).collect();
                format!("trial {} is complete: {}", trial.number, values.join(", "))
            }
            (TrialState::Failed, Some(message)) => {
                format!("trial {} failed: {message}", trial.number)
            }
            _ => format!("trial {} is pruned", trial.number),
        }),
        _ => None,
    }
}
