//! `status` and `explain`.

use crate::cli::arguments::{ExplainOptions, ProjectOptions};
use crate::cli::colour::{self, Stream};
use crate::cli::project;
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;
use mlestar_workflow::explain::{Freshness, StageState, survey};

pub fn status(options: &ProjectOptions) -> Result<ExitCode, WorkflowError> {
    let (states, run) = look(options)?;
    println!("{run}");
    for state in &states {
        let gate = state
            .verdict
            .as_ref()
            .map_or_else(|| "-".into(), |verdict| verdict.status().to_string());
        let gate = colour::verdict(&gate, Stream::Out);
        println!(
            "{:<24} {:<34} {gate}",
            state.stage.to_string(),
            in_short(&state.freshness)
        );
    }
    Ok(ExitCode::Pass)
}

pub fn explain(options: &ExplainOptions) -> Result<ExitCode, WorkflowError> {
    let (states, run) = look(&options.project)?;
    println!("{run}");
    for state in &states {
        if options.stage.is_none_or(|stage| stage == state.stage) {
            match &state.freshness {
                Freshness::Stale(reasons) => {
                    println!("{}: would run", state.stage);
                    for reason in reasons {
                        println!("    {reason}");
                    }
                }
                freshness => println!("{}: {}", state.stage, in_short(freshness)),
            }
        }
    }
    Ok(ExitCode::Pass)
}

fn look(options: &ProjectOptions) -> Result<(Vec<StageState>, String), WorkflowError> {
    let project = project::open_run(options)?;
    let device = project::open_device(options)?;
    let states = survey(&project.config, &project.run, &device.choice.to_string())?;
    Ok((states, project.run.root().display().to_string()))
}

fn in_short(freshness: &Freshness) -> String {
    match freshness {
        Freshness::Fresh => "unchanged".into(),
        Freshness::Stale(reasons) if reasons.len() == 1 => format!("would run: {}", reasons[0]),
        Freshness::Stale(reasons) => format!("would run, for {} reasons", reasons.len()),
        Freshness::WaitsFor(stage) => format!("depends on the result of stage {}", stage.number()),
    }
}
