//! `lr-find`.

use crate::cli::arguments::LrFindArguments;
use crate::cli::console::Console;
use crate::cli::{project, signals};
use mlestar_gates::ExitCode;
use mlestar_workflow::lr_find::{self, LrFind, LrFindJob, LrFindOptions};
use mlestar_workflow::{RunFolder, WorkflowError};

pub fn run(arguments: &LrFindArguments) -> Result<ExitCode, WorkflowError> {
    let project = project::open(&arguments.project)?;
    let defaults = LrFindOptions::for_optimizer(project.config.training.optimizer.kind);
    let options = LrFindOptions {
        steps: arguments.steps.unwrap_or(defaults.steps),
        lowest: arguments.lowest.unwrap_or(defaults.lowest),
        highest: arguments.highest.unwrap_or(defaults.highest),
    };
    options
        .check()
        .map_err(|error| WorkflowError::Usage(format!("--{error}")))?;
    let threads = project::set_threads(arguments.project.threads)?;
    let device = project::open_device(&arguments.project)?;
    let stop = signals::stop_signal();
    let mut console = Console::new();
    console.headline(&format!(
        "learning rates from {:e} to {:e} in {} steps: {} on {}",
        options.lowest, options.highest, options.steps, project.config.project.name, device.name,
    ));
    let job = LrFindJob {
        config: &project.config,
        run: &project.run,
        device: &device.device,
        threads,
        options,
        stop: &stop,
    };
    let found = lr_find::run(&job, &mut console)?;
    console.headline("");
    print_result(&found, &project.run);
    Ok(ExitCode::Pass)
}

fn print_result(found: &LrFind, run: &RunFolder) {
    let rules = &found.suggestions;
    for (name, rate) in [
        ("valley", rules.valley),
        ("steepest fall", rules.steepest),
        ("minimum / 10", rules.minimum_tenth),
    ] {
        let rate = rate.map_or_else(|| "-".into(), |rate| format!("{rate:.1e}"));
        println!("{name:<14} {rate}");
    }
    println!();
    match (found.suggested, found.config_lines()) {
        (Some(rate), Some(lines)) => {
            println!("{lines}\n\nor --set {}={rate:?}", lr_find::KEY);
        }
        _ => println!("no suggestion. {}", found.why_none()),
    }
    println!("page: {}", lr_find::path(run, lr_find::PAGE).display());
}
