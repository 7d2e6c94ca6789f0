//! The gate of stage 7.

use super::{ArtifactReader, Check, Found, agree};
use crate::config::Config;
use crate::stages::deployment::{BenchmarkArtifact, DOCUMENTS, LogitsRow, ParityArtifact};
use crate::{RunFolder, Stage};
use mlestar_export::package::{MANIFEST_FILE, ONNX_FILE, SAFETENSORS_FILE};
use mlestar_export::{Predictor, parity};
use mlestar_gates::{Evidence, Limit, Measurement, Unit};

const STAGE: Stage = Stage::Deployment;
const PARITY: &str = "parity.json";
const BENCHMARK: &str = "benchmark.json";
const LOGITS: &str = "logits.jsonl";

/// The checks of stage 7.
pub fn checks(config: &Config) -> Vec<Check> {
    let constraints = &config.task.constraints;
    vec![
        Check {
            id: "package_opens",
            title: "the package opens and its hashes hold",
            unit: Unit::Flag,
            limit: Limit::Equals(1.0),
            remedy: "Run the stage again: cargo xtask stage deployment --force.",
            measure: package_opens,
        },
        Check {
            id: "parity",
            title: "largest difference of a logit, trained against exported",
            unit: Unit::Other(String::new()),
            limit: Limit::AtMost(config.deployment.parity.max_abs_difference),
            remedy: "The differing pictures are in parity.json; please report it with model.onnx.",
            measure: largest_difference,
        },
        Check {
            id: "same_class",
            title: "test pictures on which trained and exported model agree",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(0.9999),
            remedy: "The differing pictures and their margins are in parity.json: near-ties may differ, \
                     others must not.",
            measure: same_class,
        },
        Check {
            id: "model_bytes",
            title: "size of the ONNX file",
            unit: Unit::Bytes,
            limit: Limit::AtMost(constraints.model_bytes_max as f64),
            remedy: "Fewer channels or blocks in [model].",
            measure: model_bytes,
        },
        Check {
            id: "latency_p95",
            title: "latency of one picture, 95th percentile",
            unit: Unit::Milliseconds,
            limit: Limit::AtMost(constraints.inference_latency_ms_max),
            remedy: "Fewer channels or blocks in [model], or a machine that does nothing else.",
            measure: latency,
        },
        Check {
            id: "memory_bytes",
            title: "peak memory",
            unit: Unit::Bytes,
            limit: Limit::AtMost(constraints.memory_bytes_max as f64),
            remedy: "A smaller training.batch_size, or data.subset.",
            measure: memory,
        },
        Check {
            id: "documentation",
            title: "documents that are there and not empty",
            unit: Unit::Fraction,
            limit: Limit::AtLeast(1.0),
            remedy: "Run the stage again: cargo xtask stage deployment --force.",
            measure: documentation,
        },
    ]
}

fn package_opens(reader: &ArtifactReader<'_>, _config: &Config) -> Found<Measurement> {
    for file in [SAFETENSORS_FILE, ONNX_FILE, MANIFEST_FILE] {
        reader.path(STAGE, &format!("package/{file}"))?;
    }
    let manifest = reader.path(STAGE, &format!("package/{MANIFEST_FILE}"))?;
    let opened = manifest
        .parent()
        .map(Predictor::open)
        .transpose()
        .map_err(|error| unusable("package", error))?;
    Ok(Measurement::flag(opened.is_some()))
}

/// The comparison, made anew from the raw rows.
fn recomputed(reader: &ArtifactReader<'_>) -> Found<parity::Parity> {
    let rows: Vec<LogitsRow> = reader.lines(STAGE, LOGITS)?;
    let n_classes = rows.first().map_or(0, |row| row.trained.len());
    let trained: Vec<f32> = rows.iter().flat_map(|row| row.trained.clone()).collect();
    let exported: Vec<f32> = rows.iter().flat_map(|row| row.exported.clone()).collect();
    parity::compare(&trained, &exported, n_classes).map_err(|error| unusable(LOGITS, error))
}

fn largest_difference(reader: &ArtifactReader<'_>, _config: &Config) -> Found<Measurement> {
    let claimed: ParityArtifact = reader.artifact(STAGE, PARITY)?;
    let parity = recomputed(reader)?;
    agree(
        RunFolder::display_name(STAGE, PARITY),
        "max_abs_difference",
        claimed.parity.max_abs_difference,
        parity.max_abs_difference,
    )?;
    let note = format!("{} test pictures", parity.n);
    Ok(Measurement::exact(parity.max_abs_difference).noted(note))
}

fn same_class(reader: &ArtifactReader<'_>, _config: &Config) -> Found<Measurement> {
    let parity = recomputed(reader)?;
    let note = format!("{} of {} test pictures", parity.same_top1, parity.n);
    Ok(Measurement::exact(parity.top1_agreement).noted(note))
}

fn model_bytes(reader: &ArtifactReader<'_>, _config: &Config) -> Found<Measurement> {
    let name = format!("package/{ONNX_FILE}");
    let path = reader.path(STAGE, &name)?;
    let size = std::fs::metadata(path).map_err(|error| unusable(&name, error))?;
    Ok(Measurement::exact(size.len() as f64))
}

fn latency(reader: &ArtifactReader<'_>, _config: &Config) -> Found<Measurement> {
    let measured: BenchmarkArtifact = reader.artifact(STAGE, BENCHMARK)?;
    let latency = &measured.benchmark.latency;
    Ok(Measurement::exact(latency.p95_ms).noted(format!(
        "{} measurements on {}",
        latency.n, measured.machine.cpu_model
    )))
}

fn memory(reader: &ArtifactReader<'_>, _config: &Config) -> Found<Measurement> {
    let measured: BenchmarkArtifact = reader.artifact(STAGE, BENCHMARK)?;
    match measured.benchmark.peak_memory_bytes {
        Some(bytes) => Ok(Measurement::exact(bytes as f64)
            .noted("of the whole process, training included where it ran in it")),
        None => Err(unusable(
            BENCHMARK,
            "peak memory cannot be read on this operating system",
        )),
    }
}

fn documentation(reader: &ArtifactReader<'_>, _config: &Config) -> Found<Measurement> {
    let mut n_there = 0;
    for name in DOCUMENTS {
        let name = format!("docs/{name}");
        let path = reader.path(STAGE, &name)?;
        let text = std::fs::read_to_string(path).map_err(|error| unusable(&name, error))?;
        n_there += usize::from(text.lines().count() >= 3);
    }
    Ok(Measurement::exact(n_there as f64 / DOCUMENTS.len() as f64)
        .noted(format!("{n_there} of {}", DOCUMENTS.len())))
}

fn unusable(name: &str, error: impl ToString) -> Box<Evidence> {
    let file = RunFolder::display_name(STAGE, name);
    Box::new(Evidence::missing(file, error.to_string()))
}
