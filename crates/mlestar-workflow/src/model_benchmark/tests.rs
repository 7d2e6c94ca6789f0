use super::*;
use mlestar_export::benchmark::{
    ImageSource, Latency, MeasuringProcess, OfflineResult, Quantile, RateTrial, ScenarioResult,
    ServerResult, Stability, StreamResult, Throughput,
};
use std::cell::RefCell;

/// Gives made-up figures that follow from the job, and notes the jobs.
#[derive(Default)]
struct Fake {
    jobs: RefCell<Vec<Job>>,
    fails: Option<Candidate>,
    stops_at: Option<usize>,
}

fn quantile_of(ms: f64) -> Quantile {
    Quantile {
        ms,
        interval_ms: Some([0.9 * ms, 1.1 * ms]),
    }
}

fn latency(ms: f64, n: usize) -> Latency {
    Latency {
        n,
        warm_up: 20,
        mean_ms: ms,
        min_ms: 0.5 * ms,
        max_ms: 9.0 * ms,
        p50: quantile_of(ms),
        p90: quantile_of(1.5 * ms),
        p95: quantile_of(1.8 * ms),
        p99: quantile_of(2.0 * ms),
        p99_9: (n >= 1000).then(|| quantile_of(4.0 * ms)),
    }
}

fn stability(is_stable: bool) -> Stability {
    Stability {
        is_stable,
        relative_half_width: Some(0.01),
        drift: Some(0.001),
    }
}

fn result_of(scenario: &Scenario, threads: usize) -> ScenarioResult {
    let ms = 8.0 / threads as f64;
    let stream = |images: usize, n: usize| StreamResult {
        images_per_query: images,
        latency: latency(ms * images as f64, n),
        images_per_second: 1e3 / ms,
        seconds: 5.0,
        stability: stability(threads == 1),
        cpu_cores: Some(threads as f64 - 0.05),
    };
    match scenario {
        Scenario::SingleStream { .. } => ScenarioResult::SingleStream(stream(1, 12_345)),
        Scenario::MultiStream {
            images_per_query, ..
        } => ScenarioResult::MultiStream(stream(*images_per_query, 400)),
        Scenario::Server(options) => ScenarioResult::Server(ServerResult {
            limit_ms: options.limit_ms.unwrap_or(5.0 * ms),
            limit_was_given: options.limit_ms.is_some(),
            rate: (threads < 4).then_some(70.0 * threads as f64),
            latency: (threads < 4).then(|| latency(ms, 1000)),
            is_within_limit: threads < 4,
            stability: (threads < 4).then(|| stability(true)),
            mean_batch: Some(1.25),
            cpu_cores: None,
            trials: [60.0, 90.0, 70.0]
                .map(|rate| RateTrial {
                    rate: rate * threads as f64,
                    n: 300,
                    p99_ms: 0.2 * rate,
                    is_within_limit: rate < 80.0,
                })
                .to_vec(),
        }),
        Scenario::Offline { batch_sizes, .. } => ScenarioResult::Offline(OfflineResult {
            throughput: batch_sizes
                .iter()
                .map(|&batch_size| Throughput {
                    batch_size,
                    batches: 40,
                    seconds: 1.0,
                    images_per_second: (1e3 / ms) * (2.0 - 1.0 / batch_size as f64),
                    interval: Some([240.0, 260.0]),
                    stability: stability(true),
                })
                .collect(),
            cpu_cores: Some(threads as f64),
        }),
    }
}

impl ModelMeasurer for Fake {
    fn measure(&self, job: &Job) -> Result<Measured, WorkflowError> {
        self.jobs.borrow_mut().push(job.clone());
        let n = self.jobs.borrow().len();
        if self.stops_at.is_some_and(|at| n >= at) {
            return Err(WorkflowError::Stopped {
                doing: "measuring a model",
            });
        }
        if self.fails == Some(job.candidate) {
            return Err(WorkflowError::ModelProcess {
                reason: "was killed by signal 9".into(),
            });
        }
        let results = job
            .scenarios
            .iter()
            .map(|scenario| result_of(scenario, job.threads));
        Ok(Measured {
            candidate: job.candidate,
            threads: job.threads,
            process: MeasuringProcess::Own,
            images: ImageSource::Noise,
            n_images: 256,
            cold_start: ColdStart {
                images_ms: 2.0,
                process_to_answer_ms: Some(40.0 + n as f64),
                open_ms: 12.0,
                open_to_answer_ms: 14.5,
            },
            memory: ModelMemory {
                batch_size: 1,
                baseline_bytes: Some(9_400_000),
                peak_bytes: Some(31_000_000),
                computed_bytes: Some(20_000_000),
            },
            results: results.collect(),
        })
    }
}

fn options() -> ModelBenchmarkOptions {
    ModelBenchmarkOptions {
        scenarios: ScenarioKind::ALL.to_vec(),
        candidates: vec![Candidate::SafetensorsF32, Candidate::OnnxF32],
        threads: vec![1, 4],
        seconds: 5.0,
        images_per_query: 8,
        limit_ms: None,
        rate: None,
        seed: 3,
    }
}

fn measured(fake: &Fake) -> ModelBenchmark {
    let mut benchmark = run(Path::new("package"), options(), fake, &mut |_, _| {}).unwrap();
    benchmark.machine.cpu_model = "A processor".into();
    benchmark.machine.logical_cores = 4;
    benchmark
}

#[test]
fn every_configuration_has_its_process_and_its_row() {
    let fake = Fake::default();
    let mut n_rows = Vec::new();
    let mut done = |_: &BenchmarkRow, n: usize| n_rows.push(n);
    let benchmark = run(Path::new("package"), options(), &fake, &mut done).unwrap();
    assert_eq!(n_rows, [20; 20]);
    assert_eq!(benchmark.rows.len(), 5 * 2 * 2);
    // Seven starts for each cold start.
    assert_eq!(fake.jobs.borrow().len(), 4 * 4 + 4 * 7);
    for (index, job) in fake.jobs.borrow().iter().enumerate() {
        assert_eq!(job.scenarios.len(), usize::from(index >= 4 * 7));
    }
    let folder = tempfile::tempdir().unwrap();
    let [artifact, page] = benchmark.write(folder.path()).unwrap();
    let read: ModelBenchmark = mlestar_artifact::read_artifact(&artifact).unwrap();
    assert_eq!(read, benchmark);
    let page = std::fs::read_to_string(page).unwrap();
    for part in [
        "Cold start",
        "99th percentile by rate",
        "ONNX f32, 4 threads",
        "noise images",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<script") && !page.contains("href=\"http") && page.contains("<svg"));
}

#[test]
fn the_table_shows_every_figure() {
    let fake = Fake {
        fails: Some(Candidate::OnnxF32),
        ..Fake::default()
    };
    let benchmark = measured(&fake);
    assert_eq!(benchmark.n_failed(), 10);
    insta::assert_snapshot!(table(&benchmark));
}

#[test]
fn a_stop_ends_it_and_what_is_impossible_is_refused() {
    let fake = Fake {
        stops_at: Some(9),
        ..Fake::default()
    };
    let error = run(Path::new("package"), options(), &fake, &mut |_, _| {}).unwrap_err();
    assert_eq!(error.exit_code(), mlestar_gates::ExitCode::Stopped);
    let refused = |options: ModelBenchmarkOptions| {
        let fake = Fake::default();
        let error = run(Path::new("package"), options, &fake, &mut |_, _| {}).unwrap_err();
        assert_eq!(error.exit_code(), mlestar_gates::ExitCode::Usage);
        assert!(fake.jobs.borrow().is_empty());
        error.to_string()
    };
    insta::assert_snapshot!(refused(ModelBenchmarkOptions { threads: vec![1, 0], ..options() }), @"--threads has 0, but must be 1 to 1024");
    insta::assert_snapshot!(refused(ModelBenchmarkOptions { seconds: 0.0, ..options() }), @"--seconds is 0, but must be above 0, at most 1e6");
    insta::assert_snapshot!(refused(ModelBenchmarkOptions { limit_ms: Some(f64::NAN), ..options() }), @"--limit-ms is NaN, but must be above 0, at most 1e6");
    insta::assert_snapshot!(refused(ModelBenchmarkOptions { rate: Some(-1.0), ..options() }), @"--rate is -1, but must be above 0, at most 1e6");
    insta::assert_snapshot!(refused(ModelBenchmarkOptions { images_per_query: 0, ..options() }), @"--images-per-query is 0, but must be 1 to 4096");
}
