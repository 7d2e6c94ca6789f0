//! Measures what predicting with the package takes.

use super::BenchmarkArtifact;
use crate::machine::MachineInfo;
use crate::{StageContext, WorkflowError};
use mlestar_export::benchmark::{Candidate, Job, MeasuringProcess, Scenario, StopRule};
use std::path::Path;

/// The time after which the latency is measured, once there are as many images as the config asks for.
const LATENCY_SECONDS: f64 = 0.5;
/// The same for the throughput of each batch size.
const THROUGHPUT_SECONDS: f64 = 0.4;
const MOST_QUERIES: usize = 1_000_000;

/// Opens the package as a user would and measures it: in a process of its own if the program that runs the chain can
/// start one, else in this one.
pub(super) fn measure(
    context: &StageContext<'_>,
    package: &Path,
) -> Result<BenchmarkArtifact, WorkflowError> {
    let job = job(context, package);
    let measured = match context.measurer {
        None => job.run(MeasuringProcess::Shared, &mut || {})?,
        Some(measurer) => match measurer.measure(&job) {
            Ok(measured) => measured,
            Err(error) => {
                // Ctrl-C on a terminal ends that process, too.
                context.check_stop()?;
                return Err(error);
            }
        },
    };
    BenchmarkArtifact::of(MachineInfo::detect(), measured).ok_or_else(|| {
        WorkflowError::ModelProcess {
            reason: "measured something else than it was asked for".into(),
        }
    })
}

fn job(context: &StageContext<'_>, package: &Path) -> Job {
    let config = &context.config.deployment.benchmark;
    let rule = |min_n: usize, seconds: f64| StopRule {
        min_n,
        max_n: MOST_QUERIES,
        min_seconds: 0.5 * seconds,
        // The percentile that the gate limits.
        ..StopRule::within(seconds, 0.95)
    };
    Job {
        package: package.to_owned(),
        candidate: Candidate::SafetensorsF32,
        threads: context.threads.max(1),
        seed: context.config.seed,
        scenarios: vec![
            Scenario::SingleStream {
                rule: rule(config.latency_runs, LATENCY_SECONDS),
            },
            Scenario::Offline {
                batch_sizes: config.throughput_batch_sizes.clone(),
                rule: rule(1, THROUGHPUT_SECONDS),
            },
        ],
    }
}
