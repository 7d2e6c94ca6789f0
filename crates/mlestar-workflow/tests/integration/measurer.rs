//! Who measures the package of stage 7.

use crate::{all_stages, finished_run, tiny};
use burn::tensor::Device;
use mlestar_artifact::read_artifact;
use mlestar_export::benchmark::{Job, Measured, MeasuringProcess, ModelMemory, ScenarioResult};
use mlestar_gates::{Evidence, Verdict};
use mlestar_train::StopSignal;
use mlestar_workflow::chain::{RunReport, RunRequest, run};
use mlestar_workflow::model_benchmark::ModelMeasurer;
use mlestar_workflow::stages::deployment::BenchmarkArtifact;
use mlestar_workflow::{RunFolder, Stage, WorkflowError};
use std::path::Path;

/// As a process of its own would: with figures that this one cannot have.
struct Elsewhere;

impl ModelMeasurer for Elsewhere {
    fn measure(&self, job: &Job) -> Result<Measured, WorkflowError> {
        let mut measured = job.run(MeasuringProcess::Own, &mut || {})?;
        measured.memory = ModelMemory {
            batch_size: 4,
            baseline_bytes: Some(7_000_000),
            peak_bytes: Some(1_234_000_000),
            computed_bytes: Some(5_000_000),
        };
        for result in &mut measured.results {
            if let ScenarioResult::SingleStream(stream) = result {
                stream.latency.p95.ms = 77.25;
            }
        }
        Ok(measured)
    }
}

struct Broken;

impl ModelMeasurer for Broken {
    fn measure(&self, _: &Job) -> Result<Measured, WorkflowError> {
        Err(WorkflowError::ModelProcess {
            reason: "was ended by signal 9 before it had measured".into(),
        })
    }
}

/// Does not do what it is asked for.
struct Idle;

impl ModelMeasurer for Idle {
    fn measure(&self, job: &Job) -> Result<Measured, WorkflowError> {
        let job = Job {
            scenarios: Vec::new(),
            ..job.clone()
        };
        Ok(job.run(MeasuringProcess::Own, &mut || {})?)
    }
}

/// Stage 7 again, in a finished run.
fn measure_with(
    folder: &Path,
    measurer: Option<&dyn ModelMeasurer>,
) -> Result<RunReport, WorkflowError> {
    let (config, run_folder) = (
        tiny(&["deployment.benchmark.latency_runs=11"]),
        RunFolder::new(folder),
    );
    let (device, stop) = (Device::flex(), StopSignal::new());
    let request = RunRequest {
        measurer,
        ..all_stages(&run_folder, &config, &device, &stop)
    };
    run(&request, &mut ())
}

fn verdict(report: &RunReport, id: &str) -> Verdict {
    let last = report
        .stages
        .iter()
        .find(|outcome| outcome.stage == Stage::Deployment);
    let verdicts = &last.unwrap().verdict.verdicts;
    verdicts
        .iter()
        .find(|verdict| verdict.criterion.id == id)
        .unwrap()
        .clone()
}

fn artifact(folder: &Path) -> BenchmarkArtifact {
    let path = RunFolder::new(folder).artifact(Stage::Deployment, "benchmark.json");
    read_artifact(&path).unwrap()
}

#[test]
fn the_gates_judge_what_another_process_measured() {
    let folder = finished_run();
    let report = measure_with(folder.path(), Some(&Elsewhere)).unwrap();
    let measured = artifact(folder.path());
    assert_eq!(
        (measured.process, measured.memory_bytes()),
        (MeasuringProcess::Own, 1_234_000_000)
    );
    let memory = verdict(&report, "memory_bytes");
    assert!(
        memory.message.contains("1.234 GB") || memory.message.contains("1.23 GB"),
        "{}",
        memory.message
    );
    let is_noted = |verdict: &Verdict, part: &str| match &verdict.evidence {
        Evidence::Measured { .. } => format!("{verdict:?}").contains(part),
        _ => false,
    };
    assert!(is_noted(&memory, "the whole process"), "{memory:?}");
    let latency = verdict(&report, "latency_p95");
    assert!(is_noted(&latency, "in a process of its own"), "{latency:?}");
    assert!(
        latency.message.contains("77.25") || latency.message.contains("77.2"),
        "{}",
        latency.message
    );
}

#[test]
fn without_a_measurer_the_artifact_says_who_measured() {
    let folder = finished_run();
    let measured = artifact(folder.path());
    assert_eq!(measured.process, MeasuringProcess::Shared);
    assert_eq!(measured.cold_start.process_to_answer_ms, None);
    assert!(measured.latency.n >= 10);
    assert_eq!(
        measured
            .throughput
            .iter()
            .map(|of| of.batch_size)
            .collect::<Vec<_>>(),
        [1, 4]
    );
    let text = std::fs::read_to_string(
        folder
            .path()
            .join("7-deployment/package/docs/requirements.md"),
    )
    .unwrap();
    assert!(text.contains("in the process that trained"), "{text}");
}

#[test]
fn a_measurement_that_fails_fails_the_stage_and_leaves_the_last_one() {
    let folder = finished_run();
    let before = artifact(folder.path());
    for (measurer, part) in [
        (&Broken as &dyn ModelMeasurer, "was ended by signal 9"),
        (&Idle, "measured something else"),
    ] {
        let error = measure_with(folder.path(), Some(measurer)).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(artifact(folder.path()), before);
    }
}
