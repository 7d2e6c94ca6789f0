//! Stage 7, deployment preparation: a package, proof that it matches the trained model, its speed, size and memory,
//! and documentation.

mod artifact;
mod documentation;
mod markdown;
mod page;
mod verdicts;

pub use artifact::{BenchmarkArtifact, DeployedMemory, LogitsRow, ParityArtifact};
pub(crate) use documentation::{Facts, write as documents};
pub use verdicts::record_verdicts;
pub(crate) use verdicts::without_gates;

use crate::stages::refinement::{COMPARISON, Comparison, FINAL_MODEL, FinalModel, WEIGHTS};
use crate::{Stage, StageContext, WorkflowError, machine};
use mlestar_artifact::{AtomicFile, write_artifact};
use mlestar_data::ImageSet;
use mlestar_export::benchmark::{BenchmarkOptions, benchmark};
use mlestar_export::package::{Contents, ONNX_FILE, record_gates, write_package};
use mlestar_export::{FrozenModel, Predictor, Preparation, onnx, parity};
use mlestar_train::checkpoint;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// The folder of the package.
pub(crate) const PACKAGE: &str = "package";
/// The folder of the documents.
pub(crate) const DOCS: &str = "docs";

/// Images that the benchmark predicts in turn.
const BENCHMARK_PICTURES: usize = 256;

/// Packages the final model, proves and measures the package, and documents it.
///
/// # Errors
/// When stage 6's artifacts or the data cannot be read, the export fails, the run is interrupted,
/// or the run folder cannot be written.
pub fn run(context: &mut StageContext<'_>) -> Result<(), WorkflowError> {
    let chosen: FinalModel = context.upstream(Stage::Refinement, FINAL_MODEL)?;
    let comparison: Comparison = context.upstream(Stage::Refinement, COMPARISON)?;
    let weights = context.upstream_path(Stage::Refinement, WEIGHTS)?;
    let model = checkpoint::load_weights(&weights, &chosen.model, context.device)?;
    let normalization = (chosen.normalization.mean, chosen.normalization.std);
    let frozen = FrozenModel::freeze(&model, &chosen.model, normalization, &chosen.classes)?;
    let folder = context.path(PACKAGE);
    let preparation = Preparation {
        background: context.config.data.background,
        ..Preparation::new(frozen.height(), frozen.width())
    };
    write_package(
        &folder,
        &frozen,
        &preparation,
        &Contents {
            provenance: provenance(context, &chosen),
            ..Contents::default()
        },
    )?;

    let test = context.read_test("parity of the exported model with the trained one")?;
    let trained = context.logits("trained model", &model, &test, &chosen.normalization)?;
    // Compare what a user will load: the file, not the model in memory.
    let exported = onnx::read(&folder.join(ONNX_FILE))?;
    let exported = exported_logits(context, &exported, &test)?;
    let n_classes = chosen.classes.len();
    write_logits(context, &test, &trained, &exported, n_classes)?;
    let parity = ParityArtifact {
        pictures: test.len(),
        parity: parity::compare(&trained, &exported, n_classes)?,
    };
    write_artifact(&context.path("parity.json"), &parity)?;
    context.check_stop()?;

    context.reporter.note("measuring latency and throughput");
    let measured = measure(context, &folder, &test)?;
    write_artifact(&context.path("benchmark.json"), &measured)?;

    let gates = verdicts::records(&context.judge_earlier_stages());
    let manifest = record_gates(&folder, gates.clone())?;
    let facts = Facts {
        config: context.config,
        chosen: &chosen,
        comparison: &comparison,
        manifest: &manifest,
        parity: &parity,
        measured: &measured,
    };
    for (name, text) in documents(&facts) {
        let text = verdicts::with_gates(&text, name, &gates);
        context.write_text(&format!("{DOCS}/{name}"), &text)?;
    }
    let page = page::render(&facts)?;
    context.write_text("deployment_report.html", &page)
}

/// Opens the package as a user would, and measures what predicting takes.
fn measure(
    context: &StageContext<'_>,
    package: &Path,
    test: &ImageSet,
) -> Result<BenchmarkArtifact, WorkflowError> {
    let options = benchmark_options(context);
    let pictures = sample(test);
    let is_new_peak = machine::restart_peak_memory();
    let before = machine::process_memory_bytes();
    let predictor = Predictor::open(package)?;
    let benchmark = benchmark(&predictor, &pictures, &options)?;
    let growth_bytes = match (is_new_peak, before, machine::peak_memory_bytes()) {
        (true, Some(before), Some(peak)) => Some(peak.saturating_sub(before)),
        _ => None,
    };
    let batch_size = options.batch_sizes.iter().copied().max().unwrap_or(1);
    Ok(BenchmarkArtifact {
        machine: machine::MachineInfo::detect(),
        benchmark,
        memory: DeployedMemory {
            batch_size,
            computed_bytes: predictor.memory_bytes(batch_size) as u64,
            growth_bytes,
        },
    })
}

/// The origin that the package records.
fn provenance(context: &StageContext<'_>, chosen: &FinalModel) -> BTreeMap<String, String> {
    [
        ("project", context.config.project.name.clone()),
        ("seed", chosen.seed.to_string()),
        ("code_version", chosen.code_version.clone()),
        ("weights_blake3", chosen.weights.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

fn exported_logits(
    context: &mut StageContext<'_>,
    model: &FrozenModel,
    test: &ImageSet,
) -> Result<Vec<f32>, WorkflowError> {
    let batch_size = context.config.evaluation.batch_size.max(1);
    let mut logits = Vec::with_capacity(test.len() * model.n_classes());
    for start in (0..test.len()).step_by(batch_size) {
        context.check_stop()?;
        let end = (start + batch_size).min(test.len());
        let mut pixels = Vec::new();
        for index in start..end {
            pixels.extend(test.interleaved(index));
        }
        logits.extend(model.logits(&pixels, end - start)?);
        context
            .reporter
            .progress("exported model", end as u64, test.len() as u64);
    }
    Ok(logits)
}

/// `logits.jsonl`: the scores of both models for every test image.
fn write_logits(
    context: &StageContext<'_>,
    test: &Arc<ImageSet>,
    trained: &[f32],
    exported: &[f32],
    n_classes: usize,
) -> Result<(), WorkflowError> {
    let path = context.path("logits.jsonl");
    let mut file = AtomicFile::create(&path)?;
    let rows = trained
        .chunks_exact(n_classes)
        .zip(exported.chunks_exact(n_classes));
    for (index, (trained, exported)) in rows.enumerate() {
        let row = LogitsRow {
            origin: test.origin(index).to_string(),
            trained: trained.to_vec(),
            exported: exported.to_vec(),
        };
        serde_json::to_writer(&mut file, &row)
            .map_err(std::io::Error::from)
            .and_then(|()| file.write_all(b"\n"))
            .map_err(|source| mlestar_artifact::ArtifactError::Write {
                path: path.clone(),
                source,
            })?;
    }
    Ok(file.commit()?)
}

/// Some test images, interleaved, for the benchmark. Only their number matters: the work does not
/// depend on what they show.
fn sample(test: &ImageSet) -> Vec<u8> {
    (0..test.len().min(BENCHMARK_PICTURES))
        .flat_map(|index| test.interleaved(index))
        .collect()
}

fn benchmark_options(context: &StageContext<'_>) -> BenchmarkOptions {
    let config = &context.config.deployment.benchmark;
    BenchmarkOptions {
        repetitions: config.latency_runs,
        batch_sizes: config.throughput_batch_sizes.clone(),
        ..BenchmarkOptions::default()
    }
}
