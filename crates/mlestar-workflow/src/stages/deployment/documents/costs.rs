//! The part of requirements.md about what predicting takes.

use super::markdown::escaped;
use crate::stages::deployment::BenchmarkArtifact;
use mlestar_export::benchmark::{Latency, MeasuringProcess};
use mlestar_report::format;
use std::fmt::Write;

/// The sections about speed, start, memory and processor.
pub(super) fn sections(measured: &BenchmarkArtifact) -> String {
    let machine = &measured.machine;
    let mut text = format!(
        "## Speed\n\nMeasured {process} on {cpu} ({cores} logical cores, {threads} threads), with {images}.\n\n",
        process = measured.process.name(),
        cpu = escaped(&machine.cpu_model),
        cores = machine.logical_cores,
        threads = measured.threads,
        images = measured.images.name(),
    );
    text.push_str(&latency(&measured.latency));
    let stable = match measured.latency_stability.is_stable {
        true => "Stable: the 95th percentile is known to 2 %, and did not drift.",
        false => {
            "Not stable within the time of the measurement: another one may differ by more than 2 %."
        }
    };
    let _ = write!(
        text,
        "\n{stable}\n\n| batch | images per second |\n|---|---|\n"
    );
    for throughput in &measured.throughput {
        let _ = writeln!(
            text,
            "| {} | {} |",
            throughput.batch_size,
            format::number(throughput.images_per_second, 0)
        );
    }
    let cores = measured
        .cpu_cores
        .map_or_else(|| "not measured".to_owned(), |cores| format!("{cores:.2}"));
    let _ = write!(
        text,
        "\n## Start\n\n{}\n## Memory and processor\n\n- memory: {}\n- cores in use at full load: {cores}\n",
        start(measured),
        memory(measured)
    );
    text
}

fn latency(latency: &Latency) -> String {
    let mut text = String::from("| one image | |\n|---|---|\n");
    for (name, quantile) in [
        ("median", Some(latency.p50)),
        ("90th percentile", Some(latency.p90)),
        ("95th percentile", Some(latency.p95)),
        ("99th percentile", Some(latency.p99)),
        ("99.9th percentile", latency.p99_9),
    ] {
        if let Some(quantile) = quantile {
            let _ = writeln!(text, "| {name} | {} |", format::milliseconds(quantile.ms));
        }
    }
    let _ = writeln!(
        text,
        "| measurements | {}, after {} to warm up |",
        latency.n, latency.warm_up
    );
    text
}

fn start(measured: &BenchmarkArtifact) -> String {
    let start = &measured.cold_start;
    let mut text = format!(
        "- opening the package: {}\n- from opening it to the first answer: {}\n",
        format::milliseconds(start.open_ms),
        format::milliseconds(start.open_to_answer_ms)
    );
    if let Some(process) = start.process_to_answer_ms {
        let _ = writeln!(
            text,
            "- from the start of the process to the first answer: {}",
            format::milliseconds(process)
        );
    }
    text
}

/// The memory in words, for requirements.md.
fn memory(measured: &BenchmarkArtifact) -> String {
    let memory = &measured.memory;
    let bytes = |bytes: Option<u64>| bytes.map_or_else(|| "not measured".to_owned(), format::bytes);
    let how = match measured.process {
        MeasuringProcess::Own => format!(
            "the whole process at its peak, {} before it opened the package",
            bytes(memory.baseline_bytes)
        ),
        MeasuringProcess::Shared => format!(
            "the measuring process grew by {}; plus what the rest of the program needs",
            bytes(memory.growth_bytes())
        ),
    };
    format!(
        "about {} in batches of {} ({how}; {} of weights and buffers computed)",
        format::bytes(measured.memory_bytes()),
        memory.batch_size,
        bytes(memory.computed_bytes),
    )
}
