//! The gate of stage 7.

use super::reader::agree_whole;
use super::{ArtifactReader, Found, agree};
use crate::config::Config;
use crate::stages::deployment::{
    ARCHIVE, BenchmarkArtifact, Compared, DOCUMENTS, Facts, LogitsRow, PACKAGE, ParityArtifact,
    QUANTIZATION, QuantizationArtifact, REDUCED_VALIDATION_LOGITS, VALIDATION_LOGITS, calibrate,
    metrics, precision_records, predicted_classes, without_gates,
};
use crate::stages::refinement::{COMPARISON, FINAL_MODEL, FinalModel, PREDICTIONS, WEIGHTS};
use crate::words::counted;
use crate::{RunFolder, Stage};
use burn::tensor::Device;
use mlestar_eval::{Predictions, normal_quantile, softmax_rows, wilson};
use mlestar_export::benchmark::MeasuringProcess;
use mlestar_export::package::{
    self, INT8_FILE, MANIFEST_FILE, Manifest, ONNX_FILE, PrecisionRecord, SAFETENSORS_FILE,
    TORCH_FILE, archive,
};
use mlestar_export::quantize::is_quantization_of;
use mlestar_export::{FrozenModel, Precision, onnx, parity};
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
        "confidence_from_validation" => confidence_from_validation(reader),
        "log_loss_added" => log_loss_added(reader, config),
        "false_alarms" => false_alarms(reader, config),
        "int8_accuracy_kept" => int8_accuracy_kept(reader),
        "int8_smaller" => int8_smaller(reader),
        "model_bytes" => model_bytes(reader),
        "latency_p95" => latency(reader),
        "memory_bytes" => memory(reader),
        "documentation" => documentation(reader, config),
        _ => return None,
    })
}

/// Every file of the package is as recorded, the golden predictions are reproduced on this machine, and the packed
/// package holds the same.
fn package_opens(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let files = reader.files_under(STAGE, PACKAGE)?;
    let manifest = reader.path(STAGE, &in_package(MANIFEST_FILE))?;
    let folder = manifest.parent().unwrap_or(&manifest);
    let verified = package::verify(folder).map_err(|error| unusable(PACKAGE, error))?;
    let mut problems: Vec<String> = verified
        .golden
        .iter()
        .filter(|image| !image.is_reproduced())
        .map(|image| {
            format!(
                "{}: {}, logits differ by {:.1e}, {}",
                image.file,
                if image.same_pixels {
                    "same pixels"
                } else {
                    "other pixels"
                },
                image.largest_difference,
                if image.same_answer {
                    "same class"
                } else {
                    "another class"
                },
            )
        })
        .collect();
    for name in verified.unknown_files {
        problems.push(format!("the manifest does not record {name}"));
    }
    for name in files
        .iter()
        .filter_map(|name| name.strip_prefix("package/"))
    {
        let manifest = package::read_manifest(folder).map_err(|error| unusable(PACKAGE, error))?;
        let is_recorded = manifest.files.iter().any(|file| file.name == name);
        if name != MANIFEST_FILE && !is_recorded {
            problems.push(format!("the manifest does not record {name}"));
        }
    }
    let packed = reader.path(STAGE, ARCHIVE)?;
    if !archive::holds(&packed, folder).map_err(|error| unusable(ARCHIVE, error))? {
        problems.push(format!("{ARCHIVE} is not this package"));
    }
    let note = match problems.is_empty() {
        true => format!(
            "{} reproduced",
            counted(verified.golden.len(), "golden image")
        ),
        false => problems.join("; "),
    };
    Ok(Measurement::flag(problems.is_empty()).noted(note))
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
    let validation = reader.predictions(STAGE, VALIDATION_LOGITS)?;
    let (confidence, _) = calibrate(&validation, rate(reader)?);
    let frozen = FrozenModel::freeze(&trained, &chosen.model, normalization, &chosen.classes)
        .and_then(|frozen| frozen.with_confidence(confidence))
        .map_err(|error| unusable(PACKAGE, error))?;
    let manifest_path = reader.path(STAGE, &in_package(MANIFEST_FILE))?;
    let folder = manifest_path.parent().unwrap_or(&manifest_path);
    let onnx_path = reader.path(STAGE, &in_package(ONNX_FILE))?;
    let exported =
        onnx::read(&onnx_path).map_err(|error| unusable(&in_package(ONNX_FILE), error))?;
    for name in [SAFETENSORS_FILE, INT8_FILE, TORCH_FILE] {
        reader.path(STAGE, &in_package(name))?;
    }
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
    let int8 = package::open_quantized(folder).map_err(|error| unusable(PACKAGE, error))?;
    if !int8.is_some_and(|int8| is_quantization_of(&int8, &frozen)) {
        problems.push(format!(
            "{INT8_FILE} is no quantisation of {}",
            display(WEIGHTS)
        ));
    }
    for (key, expected) in [
        ("weights_blake3", chosen.weights.to_string()),
        ("seed", chosen.seed.to_string()),
        ("code_version", chosen.code_version.clone()),
        ("data_blake3", reader.input_hash(STAGE, "the data")?),
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

/// The rate of false alarms that stage 7 ran with.
fn rate(reader: &ArtifactReader<'_>) -> Found<f64> {
    let section = reader.section(STAGE, "deployment")?;
    let rate = section["confidence"]["false_alarm_rate"].as_f64();
    rate.ok_or_else(|| unusable(PACKAGE, "its stage recorded no false_alarm_rate"))
}

/// The manifest of the package.
fn manifest(reader: &ArtifactReader<'_>) -> Found<Manifest> {
    let path = reader.path(STAGE, &in_package(MANIFEST_FILE))?;
    mlestar_artifact::read_artifact(&path)
        .map_err(|error| unusable(&in_package(MANIFEST_FILE), error))
}

/// Temperature, limit and the counts of predicted classes follow from the logits of the validation images, and the
/// figures of the package from those of the test images.
fn confidence_from_validation(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let validation = reader.predictions(STAGE, VALIDATION_LOGITS)?;
    let manifest = manifest(reader)?;
    let (confidence, calibration) = calibrate(&validation, rate(reader)?);
    let file = RunFolder::display_name(STAGE, &in_package(MANIFEST_FILE));
    agree_whole(&file, &manifest.confidence, &confidence)?;
    agree_whole(&file, &manifest.calibration, &Some(calibration))?;
    let counts = manifest.training_data.map(|data| data.predicted_classes);
    agree_whole(&file, &counts, &Some(predicted_classes(&validation)))?;
    let test = test_predictions(reader)?;
    let level = reader.section(STAGE, "evaluation")?["confidence"].as_f64();
    let figures = metrics(&test, confidence, level.unwrap_or_default())
        .map_err(|error| unusable(LOGITS, error))?;
    agree_whole(&file, &manifest.metrics, &figures)?;
    let limit = match confidence.familiarity_limit {
        Some(limit) => format!("limit {limit:.3}"),
        None => "no limit for \"none of these\"".to_owned(),
    };
    let n = counted(validation.len(), "validation image");
    let note = format!(
        "temperature {:.3}, {limit}, from {n}",
        confidence.temperature
    );
    Ok(Measurement::flag(true).noted(note))
}

/// The trained model's predictions for the test images.
fn test_predictions(reader: &ArtifactReader<'_>) -> Found<Predictions> {
    recomputed(reader)?;
    let rows: Vec<LogitsRow> = reader.lines(STAGE, LOGITS)?;
    let answers = reader.predictions(Stage::Refinement, PREDICTIONS)?;
    let logits = rows.into_iter().flat_map(|row| row.trained).collect();
    Predictions::from_logits(answers.labels().to_vec(), logits, answers.n_classes())
        .map_err(|error| unusable(LOGITS, error))
}

/// The share of the accuracy that the int8 model keeps, recomputed from the logits.
fn int8_accuracy_kept(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let recomputed = precisions(reader)?;
    let claimed: QuantizationArtifact = reader.artifact(STAGE, QUANTIZATION)?;
    let file = RunFolder::display_name(STAGE, QUANTIZATION);
    agree_whole(&file, &claimed.precisions, &recomputed)?;
    let file = RunFolder::display_name(STAGE, &in_package(MANIFEST_FILE));
    agree_whole(&file, &manifest(reader)?.precisions, &recomputed)?;
    let int8 = recomputed
        .into_iter()
        .find(|record| record.precision == Precision::Int8)
        .ok_or_else(|| unusable(LOGITS, "it has no int8 logits"))?;
    let figures = int8.test;
    let note = format!(
        "{} instead of {} on {}",
        Unit::Fraction.format(figures.reduced_accuracy),
        Unit::Fraction.format(figures.f32_accuracy),
        counted(figures.n as usize, "test image")
    );
    match (figures.accuracy_kept, figures.accuracy_kept_interval) {
        (Some(kept), Some(interval)) => {
            Ok(Measurement::with_interval(kept, [interval.low, interval.high]).noted(note))
        }
        _ => Err(unusable(LOGITS, "the model has no correct prediction")),
    }
}

/// How bfloat16 and int8 compare with `f32`, from the recorded logits.
fn precisions(reader: &ArtifactReader<'_>) -> Found<Vec<PrecisionRecord>> {
    recomputed(reader)?;
    let rows: Vec<LogitsRow> = reader.lines(STAGE, LOGITS)?;
    let answers = reader.predictions(Stage::Refinement, PREDICTIONS)?;
    let validation = reader.predictions(STAGE, VALIDATION_LOGITS)?;
    let [bf16, int8] = REDUCED_VALIDATION_LOGITS.map(|name| reader.predictions(STAGE, name));
    let (bf16, int8) = (bf16?, int8?);
    let all = |logits: fn(&LogitsRow) -> &Vec<f32>| -> Vec<f32> {
        rows.iter().flat_map(|row| logits(row).clone()).collect()
    };
    let level = reader.section(STAGE, "evaluation")?["confidence"].as_f64();
    precision_records(
        &Compared {
            labels: validation.labels(),
            reference: validation.logits().unwrap_or_default(),
            reduced: [&bf16, &int8].map(|reduced| reduced.logits().unwrap_or_default()),
        },
        &Compared {
            labels: answers.labels(),
            reference: &all(|row| &row.trained),
            reduced: [&all(|row| &row.bf16), &all(|row| &row.int8)],
        },
        level.unwrap_or_default(),
    )
    .map_err(|error| unusable(LOGITS, error))
}

/// How many times smaller the int8 file is than the ONNX file in `f32`. It must follow from the final model.
fn int8_smaller(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let size = |name: &str| -> Found<f64> {
        let path = reader.path(STAGE, &in_package(name))?;
        let size = std::fs::metadata(path).map_err(|error| unusable(&in_package(name), error))?;
        Ok(size.len() as f64)
    };
    let (f32, int8) = (size(ONNX_FILE)?, size(INT8_FILE)?);
    let bytes = |value: f64| Unit::Bytes.format(value);
    let note = format!("{} instead of {}", bytes(int8), bytes(f32));
    Ok(Measurement::exact(f32 / int8).noted(note))
}

fn log_loss_added(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let test = test_predictions(reader)?;
    let temperature = manifest(reader)?.confidence.temperature;
    let added = crate::stages::deployment::log_loss_added(&test, temperature);
    let n = added.len() as f64;
    let mean = added.iter().sum::<f64>() / n;
    let note = counted(added.len(), "test image");
    if added.len() < 2 {
        return Ok(Measurement::exact(mean).noted(note));
    }
    let squares: f64 = added.iter().map(|value| (value - mean).powi(2)).sum();
    let error = (squares / (n - 1.0) / n).sqrt();
    let reach = error * normal_quantile(0.5 + config.evaluation.confidence / 2.0);
    Ok(Measurement::with_interval(mean, [mean - reach, mean + reach]).noted(note))
}

fn false_alarms(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let test = test_predictions(reader)?;
    let confidence = manifest(reader)?.confidence;
    if confidence.familiarity_limit.is_none() {
        return Ok(Measurement::exact(0.0).noted("the package has no limit"));
    }
    let (count, n) = (
        crate::stages::deployment::false_alarms(&test, confidence),
        test.len() as u64,
    );
    let interval =
        wilson(count, n, config.evaluation.confidence).map_err(|error| unusable(LOGITS, error))?;
    let share = count as f64 / n as f64;
    let note = format!("{count} of {}", counted(test.len(), "test image"));
    Ok(Measurement::proportion(share, [interval.low, interval.high], n).noted(note))
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
    let stable = match measured.latency_stability.is_stable {
        true => "",
        false => ", not stable",
    };
    Ok(Measurement::exact(measured.latency.p95.ms).noted(format!(
        "{} measurements {} on {}{stable}",
        measured.latency.n,
        measured.process.name(),
        measured.machine.cpu_model
    )))
}

fn memory(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let measured: BenchmarkArtifact = reader.artifact(STAGE, BENCHMARK)?;
    let memory = &measured.memory;
    let bytes = |bytes: Option<u64>| {
        bytes.map_or_else(
            || "not measured on this operating system".to_owned(),
            |bytes| Unit::Bytes.format(bytes as f64),
        )
    };
    let what = match measured.process {
        MeasuringProcess::Own => format!(
            "the whole process; before opening the package {}",
            bytes(memory.baseline_bytes)
        ),
        MeasuringProcess::Shared => {
            format!(
                "growth of the process that trained: {}",
                bytes(memory.growth_bytes())
            )
        }
    };
    let note = format!(
        "batches of {}; weights and buffers {}; {what}",
        memory.batch_size,
        bytes(memory.computed_bytes)
    );
    Ok(Measurement::exact(measured.memory_bytes() as f64).noted(note))
}

/// Each document, apart from the gates' verdicts, follows from records and measurements. It is written again and
/// compared.
fn documentation(reader: &ArtifactReader<'_>, config: &Config) -> Found<Measurement> {
    let facts = Facts {
        config,
        chosen: &reader.artifact(Stage::Refinement, FINAL_MODEL)?,
        comparison: &reader.artifact(Stage::Refinement, COMPARISON)?,
        manifest: &manifest(reader)?,
        parity: &reader.artifact(STAGE, PARITY)?,
        measured: &reader.artifact(STAGE, BENCHMARK)?,
    };
    reader.path(STAGE, "deployment_report.html")?;
    let n = DOCUMENTS.len();
    let mut others = Vec::new();
    for document in &DOCUMENTS {
        let name = in_package(document.name);
        let path = reader.path(STAGE, &name)?;
        let text = std::fs::read_to_string(path).map_err(|error| unusable(&name, error))?;
        if without_gates(&text) != document.text(&facts) {
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
