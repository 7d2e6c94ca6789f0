//! The gate of stage 7.

use super::{ArtifactReader, Found, agree};
use crate::config::Config;
use crate::stages::deployment::{
    BenchmarkArtifact, DOCS, Facts, LogitsRow, PACKAGE, ParityArtifact, documents, without_gates,
};
use crate::stages::refinement::{COMPARISON, FINAL_MODEL, FinalModel, PREDICTIONS, WEIGHTS};
use crate::words::counted;
use crate::{RunFolder, Stage};
use burn::tensor::Device;
use mlestar_eval::softmax_rows;
use mlestar_export::package::{self, MANIFEST_FILE, ONNX_FILE, SAFETENSORS_FILE};
use mlestar_export::{FrozenModel, Predictor, onnx, parity};
use mlestar_gates::{Evidence, Measurement, Unit};
use mlestar_train::checkpoint;

const STAGE: Stage = Stage::Deployment;
const PARITY: &str = "parity.json";
const BENCHMARK: &str = "benchmark.json";
const LOGITS: &str = "logits.jsonl";
/// Probabilities of the same model for the same image differ by less. They can differ because a GPU may pick other
/// kernels the next time.
const SAME_ANSWER: f64 = 1e-3;

/// Measures the criterion `id` of stage 7; `None` where it has no such criterion.
pub(super) fn measure(
    id: &str,
    reader: &ArtifactReader<'_>,
    config: &Config,
) -> Option<Found<Measurement>> {
    Some(match id {
        "package_opens" => package_opens(reader),
        "package_is_the_final_model" => package_is_the_final_model(reader),
        "parity" => largest_difference(reader),
        "same_class" => same_class(reader),
        "model_bytes" => model_bytes(reader),
        "latency_p95" => latency(reader),
        "memory_bytes" => memory(reader),
        "documentation" => documentation(reader, config),
        _ => return None,
    })
}

fn package_opens(reader: &ArtifactReader<'_>) -> Found<Measurement> {
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

/// Folder of the package in messages.
fn in_package(file: &str) -> String {
    format!("{PACKAGE}/{file}")
}

/// Both package files must hold the frozen weights of stage 6, and the manifest must give the origin that stage 6
/// recorded.
fn package_is_the_final_model(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let chosen: FinalModel = reader.artifact(Stage::Refinement, FINAL_MODEL)?;
    let weights = reader.path(Stage::Refinement, WEIGHTS)?;
    let trained = checkpoint::load_weights(&weights, &chosen.model, &Device::flex())
        .map_err(|error| unusable(PACKAGE, error))?;
    let normalization = (chosen.normalization.mean, chosen.normalization.std);
    let frozen = FrozenModel::freeze(&trained, &chosen.model, normalization, &chosen.classes)
        .map_err(|error| unusable(PACKAGE, error))?;
    let manifest_path = reader.path(STAGE, &in_package(MANIFEST_FILE))?;
    let folder = manifest_path.parent().unwrap_or(&manifest_path);
    let onnx_path = reader.path(STAGE, &in_package(ONNX_FILE))?;
    let exported =
        onnx::read(&onnx_path).map_err(|error| unusable(&in_package(ONNX_FILE), error))?;
    reader.path(STAGE, &in_package(SAFETENSORS_FILE))?;
    let (packed, manifest) = package::open(folder).map_err(|error| unusable(PACKAGE, error))?;
    let mut problems = Vec::new();
    for (file, model) in [(ONNX_FILE, &exported), (SAFETENSORS_FILE, &packed)] {
        if *model != frozen {
            problems.push(format!(
                "{file} holds another model than {}",
                display(WEIGHTS)
            ));
        }
    }
    for (key, expected) in [
        ("weights_blake3", chosen.weights.to_string()),
        ("seed", chosen.seed.to_string()),
        ("code_version", chosen.code_version.clone()),
    ] {
        let found = manifest.provenance.get(key);
        if found != Some(&expected) {
            let found = found.map_or("nothing", String::as_str);
            problems.push(format!(
                "{MANIFEST_FILE} says {key} {found}, {} {expected}",
                display(FINAL_MODEL)
            ));
        }
    }
    let section = reader.section(STAGE, "data")?;
    let background = serde_json::to_value(manifest.preparation.background).unwrap_or_default();
    if section["background"] != background {
        problems.push(format!(
            "{MANIFEST_FILE} puts transparent images on {background}, training on {}",
            section["background"]
        ));
    }
    let note = problems.join("; ");
    Ok(Measurement::flag(problems.is_empty()).noted(note))
}

/// How messages name a file of stage 6.
fn display(name: &str) -> String {
    RunFolder::display_name(Stage::Refinement, name)
}

/// Recomputes the comparison from the raw rows. Its predictions must be those that stage 6 recorded for the same
/// model and images.
fn recomputed(reader: &ArtifactReader<'_>) -> Found<parity::Parity> {
    let rows: Vec<LogitsRow> = reader.lines(STAGE, LOGITS)?;
    let n_classes = rows.first().map_or(0, |row| row.trained.len());
    let trained: Vec<f32> = rows.iter().flat_map(|row| row.trained.clone()).collect();
    let exported: Vec<f32> = rows.iter().flat_map(|row| row.exported.clone()).collect();
    let parity =
        parity::compare(&trained, &exported, n_classes).map_err(|error| unusable(LOGITS, error))?;
    let answers = reader.predictions(Stage::Refinement, PREDICTIONS)?;
    if answers.len() != parity.n || answers.n_classes() != n_classes {
        let reason = format!(
            "it covers {} and {}, {} covers {} and {}",
            counted(parity.n, "image"),
            counted(n_classes, "class"),
            display(PREDICTIONS),
            answers.len(),
            answers.n_classes()
        );
        return Err(unusable(LOGITS, reason));
    }
    let probabilities = softmax_rows(&trained, n_classes);
    let differs = |index: usize| {
        let row = &probabilities[index * n_classes..(index + 1) * n_classes];
        let pairs = row.iter().zip(answers.row(index));
        pairs.into_iter().any(|(a, b)| (a - b).abs() > SAME_ANSWER)
    };
    match (0..parity.n).find(|index| differs(*index)) {
        Some(index) => {
            let reason = format!(
                "its row {} differs from that of {}",
                index + 1,
                display(PREDICTIONS)
            );
            Err(unusable(LOGITS, reason))
        }
        None => Ok(parity),
    }
}

fn largest_difference(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let claimed: ParityArtifact = reader.artifact(STAGE, PARITY)?;
    let parity = recomputed(reader)?;
    let claims = &claimed.parity;
    for (what, claimed, recomputed) in [
        ("pictures", claimed.pictures as f64, parity.n as f64),
        ("n", claims.n as f64, parity.n as f64),
        (
            "n_classes",
            claims.n_classes as f64,
            parity.n_classes as f64,
        ),
        (
            "max_abs_difference",
            claims.max_abs_difference,
            parity.max_abs_difference,
        ),
        (
            "mean_abs_difference",
            claims.mean_abs_difference,
            parity.mean_abs_difference,
        ),
        (
            "same_top1",
            claims.same_top1 as f64,
            parity.same_top1 as f64,
        ),
        (
            "top1_agreement",
            claims.top1_agreement,
            parity.top1_agreement,
        ),
    ] {
        let file = RunFolder::display_name(STAGE, PARITY);
        agree(file, what, claimed, recomputed)?;
    }
    let note = counted(parity.n, "test image");
    Ok(Measurement::exact(parity.max_abs_difference).noted(note))
}

fn same_class(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let parity = recomputed(reader)?;
    let note = format!(
        "{} of {}",
        parity.same_top1,
        counted(parity.n, "test image")
    );
    Ok(Measurement::exact(parity.top1_agreement).noted(note))
}

fn model_bytes(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let name = format!("package/{ONNX_FILE}");
    let path = reader.path(STAGE, &name)?;
    let size = std::fs::metadata(path).map_err(|error| unusable(&name, error))?;
    Ok(Measurement::exact(size.len() as f64))
}

fn latency(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let measured: BenchmarkArtifact = reader.artifact(STAGE, BENCHMARK)?;
    let latency = &measured.benchmark.latency;
    Ok(Measurement::exact(latency.p95_ms).noted(format!(
        "{} measurements on {}",
        latency.n, measured.machine.cpu_model
    )))
}

fn memory(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let measured: BenchmarkArtifact = reader.artifact(STAGE, BENCHMARK)?;
    let memory = &measured.memory;
    let growth = memory.growth_bytes.map_or_else(
        || "growth of the process not measured on this operating system".to_owned(),
        |bytes| {
            let grew = Unit::Bytes.format(bytes as f64);
            format!("the process grew by {grew}")
        },
    );
    let note = format!(
        "batches of {}; weights and buffers {}, {growth}",
        memory.batch_size,
        Unit::Bytes.format(memory.computed_bytes as f64)
    );
    Ok(Measurement::exact(memory.bytes() as f64).noted(note))
}

/// Each document, apart from the gates' verdicts, follows from records and measurements. It is written again and
/// compared.
fn documentation(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let manifest = reader.path(STAGE, &in_package(MANIFEST_FILE))?;
    let facts = Facts {
        config,
        chosen: &reader.artifact(Stage::Refinement, FINAL_MODEL)?,
        comparison: &reader.artifact(Stage::Refinement, COMPARISON)?,
        manifest: &mlestar_artifact::read_artifact(&manifest)
            .map_err(|error| unusable(&in_package(MANIFEST_FILE), error))?,
        parity: &reader.artifact(STAGE, PARITY)?,
        measured: &reader.artifact(STAGE, BENCHMARK)?,
    };
    reader.path(STAGE, "deployment_report.html")?;
    let expected = documents(&facts);
    let n = expected.len();
    let mut others = Vec::new();
    for (name, expected) in expected {
        let name = format!("{DOCS}/{name}");
        let path = reader.path(STAGE, &name)?;
        let text = std::fs::read_to_string(path).map_err(|error| unusable(&name, error))?;
        if without_gates(&text) != expected {
            others.push(name);
        }
    }
    let n_good = n - others.len();
    let note = match others.is_empty() {
        true => format!("{n_good} of {n}"),
        false => format!("not as measured: {}", others.join(", ")),
    };
    Ok(Measurement::exact(n_good as f64 / n as f64).noted(note))
}

fn unusable(name: &str, error: impl ToString) -> Box<Evidence> {
    let file = RunFolder::display_name(STAGE, name);
    Box::new(Evidence::missing(file, error.to_string()))
}
