//! `bench-model`.

mod child;
mod process;

use crate::cli::arguments::{BenchModelFormat, BenchModelOptions};
use crate::cli::console::Console;
use crate::cli::packages::package_of;
use crate::cli::{output, signals};
use mlestar_export::benchmark::Candidate;
use mlestar_gates::ExitCode;
use mlestar_workflow::model_benchmark::{
    self, ModelBenchmark, ModelBenchmarkOptions, ScenarioKind,
};
use mlestar_workflow::words::counted;
use mlestar_workflow::{Reporter, Stage, WorkflowError};
use std::path::{Path, PathBuf};

pub use process::ModelProcess;

pub fn run(options: &BenchModelOptions) -> Result<ExitCode, WorkflowError> {
    if options.child {
        return child::run();
    }
    // clap asks for it unless there is --child.
    let model = options.model.as_deref().unwrap_or(Path::new("."));
    let opened = package_of(model)?;
    let package = opened.folder();
    let stop = signals::stop_signal();
    let Some(measurer) = ModelProcess::of_this_program(&stop) else {
        return Err(WorkflowError::ModelProcess {
            reason: "cannot be started: this program has no command bench-model at its top level"
                .into(),
        });
    };
    let mut console = Console::new();
    console.headline(&format!("measuring {}", package.display()));
    let mut n_done = 0;
    let mut done = |_: &_, n: usize| {
        n_done += 1;
        console.progress("configurations", n_done, n as u64);
    };
    let benchmark = model_benchmark::run(package, settings(options)?, &measurer, &mut done)?;
    match options.format {
        BenchModelFormat::Table => print!("{}", model_benchmark::table(&benchmark)),
        BenchModelFormat::Json => print_json(&benchmark)?,
    }
    if let Some(folder) = options.output.clone().or_else(|| run_of(package)) {
        for path in benchmark.write(&folder)? {
            eprintln!("{}", path.display());
        }
    }
    match benchmark.n_failed() {
        0 => Ok(ExitCode::Pass),
        n => {
            let of = counted(benchmark.rows.len(), "configuration");
            eprintln!("error: {n} of {of} could not be measured; their rows say why");
            Ok(ExitCode::ProgramFailure)
        }
    }
}

fn settings(options: &BenchModelOptions) -> Result<ModelBenchmarkOptions, WorkflowError> {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = match options.threads.is_empty() {
        true => vec![1, available],
        false => options.threads.clone(),
    };
    // The parser of arguments lets only these names through.
    let named = |name: &String| {
        ScenarioKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
    };
    let scenarios: Vec<ScenarioKind> = options.scenario.iter().filter_map(named).collect();
    let named = |name: &String| Candidate::ALL.into_iter().find(|one| one.name() == name);
    let candidates: Vec<Candidate> = options.candidate.iter().filter_map(named).collect();
    Ok(ModelBenchmarkOptions {
        scenarios: without_repeats(scenarios, &ScenarioKind::ALL),
        candidates: without_repeats(candidates, &Candidate::ALL),
        threads: without_repeats(threads, &[]),
        seconds: options.seconds,
        images_per_query: options.images_per_query,
        limit_ms: options.limit_ms,
        rate: options.rate,
        seed: options.seed,
    })
}

/// Each value once, in the order of the first mention; `all` if there is none.
fn without_repeats<T: Copy + PartialEq>(values: Vec<T>, all: &[T]) -> Vec<T> {
    let mut once = Vec::new();
    for value in values {
        if !once.contains(&value) {
            once.push(value);
        }
    }
    match once.is_empty() {
        true => all.to_vec(),
        false => once,
    }
}

fn print_json(benchmark: &ModelBenchmark) -> Result<(), WorkflowError> {
    let text =
        serde_json::to_string_pretty(benchmark).map_err(|error| WorkflowError::ModelProcess {
            reason: format!("gave figures that cannot be written: {error}"),
        })?;
    output::write_raw(text.as_bytes());
    output::write_raw(b"\n");
    Ok(())
}

/// The folder of the run that the package belongs to, if it lies in one.
fn run_of(package: &Path) -> Option<PathBuf> {
    let stage = package.parent()?;
    let is_stage = stage.file_name()? == Stage::Deployment.folder().as_str();
    is_stage.then(|| stage.parent().map(Path::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_in_a_run_belongs_to_it() {
        let run = run_of(Path::new("runs/a/7-deployment/package"));
        assert_eq!(run, Some(PathBuf::from("runs/a")));
        for elsewhere in ["package", "/", "x/package", "."] {
            assert_eq!(run_of(Path::new(elsewhere)), None, "{elsewhere}");
        }
    }

    #[test]
    fn what_is_named_twice_is_measured_once() {
        assert_eq!(without_repeats(vec![2, 1, 2], &[]), [2, 1]);
        assert_eq!(without_repeats(vec![], &[1, 2]), [1, 2]);
    }
}
