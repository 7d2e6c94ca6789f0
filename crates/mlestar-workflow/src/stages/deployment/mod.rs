//! Stage 7, deployment preparation: a package, proof that it matches the trained model, its speed, size and memory,
//! and documentation.

mod artifact;
mod calibration;
mod documents;
mod figures;
mod golden;
mod measure;
mod page;
mod precisions;
mod training_data;
mod verdicts;

pub use artifact::{BenchmarkArtifact, LogitsRow, ParityArtifact, QuantizationArtifact};
pub(crate) use calibration::{calibrate, false_alarms, log_loss_added};
pub(crate) use documents::{DOCUMENTS, Facts};
pub(crate) use figures::metrics;
pub(crate) use precisions::{Compared, records as precision_records};
pub(crate) use training_data::predicted_classes;
pub use verdicts::record_verdicts;
pub(crate) use verdicts::without_gates;

use crate::stages::refinement::{COMPARISON, Comparison, FINAL_MODEL, FinalModel, WEIGHTS};
use crate::{Stage, StageContext, WorkflowError, predictions};
use mlestar_artifact::{AtomicFile, ContentHash, write_artifact};
use mlestar_data::ImageSet;
use mlestar_eval::Predictions;
use mlestar_export::package::{
    AddedFile, Contents, Manifest, ONNX_FILE, add_files, archive, record_gates, write_package,
};
use mlestar_export::{Executor, FrozenModel, onnx, parity};
use mlestar_train::checkpoint;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

/// The folder of the package.
pub(crate) const PACKAGE: &str = "package";
/// The package as one file.
pub(crate) const ARCHIVE: &str = "package.tar.zst";
/// How the int8 model was chosen.
pub(crate) const QUANTIZATION: &str = "quantization.json";
/// The scores of the validation images, from which temperature and limit follow.
pub(crate) const VALIDATION_LOGITS: &str = "validation_logits.jsonl";
/// The same in bfloat16 and int8: they decide which precision a program may choose.
pub(crate) const REDUCED_VALIDATION_LOGITS: [&str; 2] = [
    "validation_logits_bf16.jsonl",
    "validation_logits_int8.jsonl",
];

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

    let (train, validation) = match &chosen.retraining {
        None => context.training_sets()?,
        // What the model has learned from says nothing about its confidence.
        Some(_) => context.training_sets_with_validation()?,
    };
    let logits = exported_logits(context, "validation", &Executor::new(&frozen), &validation)?;
    let answers = predictions::write(&context.path(VALIDATION_LOGITS), &validation, &logits)?;
    let rate = context.config.deployment.confidence.false_alarm_rate;
    let (confidence, calibration) = calibrate(&answers, rate);
    let frozen = frozen.with_confidence(confidence)?;
    context.reporter.note("quantising");
    let quantization = precisions::quantized(&frozen, &train, &validation)?;
    let reduced = precisions::logits(context, &quantization.model, &frozen, &validation)?;
    for (name, logits) in REDUCED_VALIDATION_LOGITS.iter().zip(&reduced) {
        predictions::write(&context.path(name), &validation, logits)?;
    }

    let test = context.read_test("parity of the exported model with the trained one")?;
    let trained = context.logits("trained model", &model, &test, &chosen.normalization)?;
    let n_classes = chosen.classes.len();
    let tested = Predictions::from_logits(test.labels().to_vec(), trained.clone(), n_classes)?;
    let reduced_test = precisions::logits(context, &quantization.model, &frozen, &test)?;
    let level = context.config.evaluation.confidence;
    let precisions = precisions::records(
        &Compared {
            labels: validation.labels(),
            reference: &logits,
            reduced: reduced.each_ref().map(Vec::as_slice),
        },
        &Compared {
            labels: test.labels(),
            reference: &trained,
            reduced: reduced_test.each_ref().map(Vec::as_slice),
        },
        level,
    )?;
    let contents = Contents {
        golden: golden::choose(&validation, context.config.data.root())?,
        calibration: Some(calibration),
        quantized: Some(quantization.model.clone()),
        precisions: precisions.clone(),
        training_data: Some(training_data::describe(&train, &answers)),
        metrics: metrics(&tested, confidence, level)?,
        provenance: provenance(context, &chosen)?,
    };
    let folder = context.path(PACKAGE);
    let data = &context.config.data;
    let preparation = data.preparation(frozen.height(), frozen.width());
    write_package(&folder, &frozen, &preparation, &contents)?;
    let artifact = QuantizationArtifact {
        choice: quantization.record,
        precisions,
    };
    write_artifact(&context.path(QUANTIZATION), &artifact)?;

    // Compare what a user will load: the file, not the model in memory.
    let exported = Executor::new(&onnx::read(&folder.join(ONNX_FILE))?);
    let exported = exported_logits(context, "exported model", &exported, &test)?;
    let [bf16, int8] = &reduced_test;
    write_logits(context, &test, [&trained, &exported, bf16, int8])?;
    let parity = ParityArtifact {
        pictures: test.len(),
        parity: parity::compare(&trained, &exported, n_classes)?,
    };
    write_artifact(&context.path("parity.json"), &parity)?;
    context.check_stop()?;

    context.reporter.note("measuring latency and throughput");
    let measured = measure::measure(context, &folder)?;
    write_artifact(&context.path("benchmark.json"), &measured)?;
    document(context, &chosen, &comparison, &parity, &measured)
}

/// Writes the documents into the package, packs it, and draws the page.
fn document(
    context: &mut StageContext<'_>,
    chosen: &FinalModel,
    comparison: &Comparison,
    parity: &ParityArtifact,
    measured: &BenchmarkArtifact,
) -> Result<(), WorkflowError> {
    let folder = context.path(PACKAGE);
    let gates = verdicts::records(&context.judge_earlier_stages());
    let manifest: Manifest = record_gates(&folder, gates.clone())?;
    let facts = Facts {
        config: context.config,
        chosen,
        comparison,
        manifest: &manifest,
        parity,
        measured,
    };
    let documents: Vec<AddedFile> = DOCUMENTS
        .iter()
        .map(|document| AddedFile {
            name: document.name.to_owned(),
            role: document.role,
            content: verdicts::with_gates(&document.text(&facts), document.name, &gates).into(),
        })
        .collect();
    add_files(&folder, &documents)?;
    archive::pack(&folder, &context.path(ARCHIVE))?;
    let page = page::render(&facts)?;
    context.write_text("deployment_report.html", &page)
}

/// The origin that the package records.
fn provenance(
    context: &StageContext<'_>,
    chosen: &FinalModel,
) -> Result<BTreeMap<String, String>, WorkflowError> {
    let settings = ContentHash::of_json(&**context.config)?;
    let data = context.surroundings.data.as_ref();
    let records = [
        ("run", context.run.name()),
        (
            "data_blake3",
            data.map_or_else(String::clone, ToString::to_string),
        ),
        ("project", context.config.project.name.clone()),
        ("config_blake3", settings.to_string()),
        ("seed", chosen.seed.to_string()),
        ("code_version", chosen.code_version.clone()),
        ("weights_blake3", chosen.weights.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value));
    Ok(records.collect())
}

/// The logits of `set` by an exported model; `what` is its name in progress messages.
fn exported_logits(
    context: &mut StageContext<'_>,
    what: &str,
    executor: &Executor,
    set: &ImageSet,
) -> Result<Vec<f32>, WorkflowError> {
    let batch_size = context.config.evaluation.batch_size.max(1);
    let mut logits = Vec::with_capacity(set.len() * executor.n_classes());
    for start in (0..set.len()).step_by(batch_size) {
        context.check_stop()?;
        let end = (start + batch_size).min(set.len());
        let mut pixels = Vec::new();
        for index in start..end {
            pixels.extend(set.interleaved(index));
        }
        logits.extend(executor.logits(&pixels, end - start)?);
        context
            .reporter
            .progress(what, end as u64, set.len() as u64);
    }
    Ok(logits)
}

/// `logits.jsonl`: the scores of the trained and the exported model, and of it in bfloat16 and int8, for every test
/// image.
fn write_logits(
    context: &StageContext<'_>,
    test: &Arc<ImageSet>,
    logits: [&[f32]; 4],
) -> Result<(), WorkflowError> {
    let path = context.path("logits.jsonl");
    let mut file = AtomicFile::create(&path)?;
    let n_classes = test.n_classes();
    for index in 0..test.len() {
        let [trained, exported, bf16, int8] =
            logits.map(|logits| logits[index * n_classes..(index + 1) * n_classes].to_vec());
        let row = LogitsRow {
            origin: test.origin(index).to_string(),
            trained,
            exported,
            bf16,
            int8,
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
