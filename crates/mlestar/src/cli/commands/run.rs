//! `run` and `stage`.

use crate::cli::arguments::{RunOptions, StageOptions};
use crate::cli::colour::{self, Stream};
use crate::cli::command_line::command_line;
use crate::cli::commands::bench_model::ModelProcess;
use crate::cli::console::Console;
use crate::cli::gauges::Gauges;
use crate::cli::{output, project, signals};
use mlestar_gates::ExitCode;
use mlestar_workflow::WorkflowError;
use mlestar_workflow::chain::{self, RunReport, RunRequest, StageRange};
use mlestar_workflow::device::DeviceChoice;
use mlestar_workflow::model_benchmark::ModelMeasurer;
use mlestar_workflow::words::counted;
use std::time::Instant;

pub fn stage(options: &StageOptions) -> Result<ExitCode, WorkflowError> {
    run(&RunOptions {
        project: options.project.clone(),
        training: options.training.clone(),
        from: options.stage,
        to: options.stage,
        force: options.force,
        resume: options.resume,
    })
}

pub fn run(options: &RunOptions) -> Result<ExitCode, WorkflowError> {
    let clock = Instant::now();
    let stages = StageRange::new(options.from, options.to)?;
    let project = project::open_for_training(&options.project, &options.training)?;
    let threads = project::set_threads(options.project.threads)?;
    let device = project::open_device(&options.project)?;
    let stop = signals::stop_signal();
    let nvidia_gpu = match device.choice {
        DeviceChoice::Cuda(index) => Some(index),
        _ => None,
    };
    let mut console = Console::new().with_gauges(Gauges::start(nvidia_gpu));
    console.headline(&format!(
        "{} on {} in {}",
        project.config.project.name,
        device.name,
        project.run.root().display()
    ));
    if let Some(base) = &project.base {
        console.headline(base);
    }
    let measurer = ModelProcess::of_this_program(&stop);
    let request = RunRequest {
        config: &project.config,
        run: &project.run,
        device: &device.device,
        device_name: &device.choice.to_string(),
        threads,
        stages,
        force: options.force,
        must_resume: options.resume,
        stop: &stop,
        measurer: measurer
            .as_ref()
            .map(|process| process as &dyn ModelMeasurer),
    };
    let report = match chain::run(&request, &mut console) {
        Err(error @ WorkflowError::Interrupted { .. }) => {
            eprintln!("to resume: {}", command_to_go_on(std::env::args().skip(1)));
            return Err(error);
        }
        result => result?,
    };
    let exit_code = match options.training.fast_dev_run {
        true => ExitCode::Pass,
        false => report.exit_code,
    };
    print_result(&report, exit_code, &project, clock.elapsed().as_secs_f64());
    Ok(exit_code)
}

/// The command of this process without `--force`, which would restart.
fn command_to_go_on(arguments: impl Iterator<Item = String>) -> String {
    command_line(output::name(), arguments.filter(|word| word != "--force"))
}

fn print_result(report: &RunReport, exit_code: ExitCode, project: &project::Project, seconds: f64) {
    println!();
    for outcome in &report.stages {
        let unmet: Vec<_> = outcome.verdict.unmet().collect();
        for verdict in &unmet {
            let status = format!("{:<13}", verdict.status.to_string());
            let status = colour::verdict(&status, Stream::Out);
            println!("{status} {}: {}", outcome.stage, verdict.message);
            println!("{:<13} {}", "", verdict.criterion.remedy);
        }
    }
    if let Some(stage) = report.stopped_at {
        println!(
            "stopped at stage {stage}: its gate is not met and [gates.{}] says on_failure = \"stop\"",
            stage.stem()
        );
    }
    let n_ran = report.stages.iter().filter(|outcome| outcome.ran).count();
    let n_fresh = report.stages.len() - n_ran;
    let meaning = match exit_code == report.exit_code {
        true => exit_code.meaning().to_owned(),
        false => format!(
            "every stage ran, and with --fast-dev-run the gates do not decide (they say {})",
            report.exit_code
        ),
    };
    println!(
        "{} ran, {n_fresh} unchanged, {seconds:.1} s. Exit code {}: {meaning}",
        counted(n_ran, "stage"),
        exit_code.code(),
    );
    println!("summary: {}", project.run.summary_path().display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_does_not_begin_anew() {
        let words = ["run", "--force", "--set", "a=[1]"].map(str::to_owned);
        assert_eq!(
            command_to_go_on(words.into_iter()),
            "mlestar run --set 'a=[1]'"
        );
    }
}
