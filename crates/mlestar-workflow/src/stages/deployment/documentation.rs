//! The documents of a deployable model, written from what was measured.

use super::markdown::escaped;
use super::{BenchmarkArtifact, ParityArtifact, verdicts};
use crate::config::Config;
use crate::stages::refinement::{Choice, Comparison, FinalModel};
use mlestar_export::package::Manifest;
use mlestar_report::format;
use std::fmt::Write;

/// The model card: what the model is, and the verdicts of the gates.
pub(super) const MODEL_CARD: &str = "model-card.md";

/// The documents, by file name.
pub(crate) const DOCUMENTS: [&str; 5] = [
    MODEL_CARD,
    "interface.md",
    "requirements.md",
    "monitoring.md",
    "troubleshooting.md",
];

/// The facts that the documents are written from.
pub(crate) struct Facts<'a> {
    pub(crate) config: &'a Config,
    pub(crate) chosen: &'a FinalModel,
    pub(crate) comparison: &'a Comparison,
    pub(crate) manifest: &'a Manifest,
    pub(crate) parity: &'a ParityArtifact,
    pub(crate) measured: &'a BenchmarkArtifact,
}

/// Each document's name and text, in the order of [`DOCUMENTS`], with a place for the verdicts.
pub(crate) fn write(facts: &Facts<'_>) -> [(&'static str, String); 5] {
    let texts = [
        model_card(facts),
        interface(facts),
        requirements(facts),
        monitoring(facts),
        troubleshooting(facts),
    ];
    let mut texts = texts.into_iter();
    DOCUMENTS.map(|name| (name, with_a_place(&texts.next().unwrap_or_default())))
}

/// A document with a place for the verdicts below its title.
fn with_a_place(text: &str) -> String {
    match text.split_once("\n\n") {
        Some((title, rest)) => format!("{title}\n\n{}\n{rest}", verdicts::place()),
        None => text.to_owned(),
    }
}

fn model_card(facts: &Facts<'_>) -> String {
    let Facts {
        config,
        chosen,
        comparison,
        manifest,
        ..
    } = facts;
    let paired = &comparison.paired;
    let n_test = paired.both + paired.only_a + paired.only_b + paired.neither;
    let origin = match chosen.choice {
        Choice::Baseline => "the baseline training",
        Choice::Refined => "the final training after a hyper-parameter search",
    };
    let mut text = format!("# Model card: {}\n\n", escaped(&config.project.name));
    if !config.project.description.is_empty() {
        let _ = writeln!(text, "{}\n", escaped(&config.project.description));
    }
    let architecture = chosen.model.config();
    let classes: Vec<String> = chosen.classes.iter().map(|class| escaped(class)).collect();
    let _ = write!(
        text,
        "A {family} that sorts {width} x {height} RGB images into \
         {n_classes} classes: {classes}.{averaging}\n\n\
         | | |\n|---|---|\n\
         | test accuracy | {accuracy} on {n_test} images |\n\
         | validation accuracy | {validation} |\n\
         | baseline's test accuracy | {baseline} |\n\
         | parameters | {parameters} |\n\
         | multiply-adds per image | {multiply_adds} |\n\
         | comes from | {origin}, epoch {epoch} of {epochs} |\n\
         | weights (BLAKE3) | `{weights}` |\n\
         | seed | {seed} |\n\n\
         {reason}\n\n",
        family = architecture.architecture.name(),
        averaging = match architecture.views() {
            views if views.count() > 1 => format!(" Its scores are the mean over {views}."),
            _ => String::new(),
        },
        width = manifest.input.width,
        height = manifest.input.height,
        n_classes = chosen.classes.len(),
        classes = classes.join(", "),
        accuracy = format::fraction(paired.accuracy_b),
        validation = format::fraction(chosen.validation_accuracy),
        baseline = format::fraction(paired.accuracy_a),
        parameters = format::count(chosen.parameters),
        multiply_adds = format::count(manifest.multiply_adds_per_image),
        epoch = chosen.best_epoch,
        weights = chosen.weights,
        seed = chosen.seed,
        epochs = chosen.epochs_run,
        reason = chosen.reason.describe(),
    );
    if let Some(lengths) = chosen.unequal_lengths() {
        let _ = writeln!(text, "{lengths}\n");
    }
    text.push_str(
        "Settings were chosen on validation images. The test figures hold for images like the test \
         images; other cameras, crops or classes need an evaluation of their own. The model always names \
         one of its classes, even for an image of none of them.\n",
    );
    text
}

fn interface(facts: &Facts<'_>) -> String {
    let manifest = facts.manifest;
    let mut text = format!(
        "# Interface\n\n## Input\n\n\
         `{name}`: {element}, layout {layout}, {channels}; {height} x {width} pixels. Values are raw 8-bit \
         intensities: normalisation (mean {mean:?}, standard deviation {std:?} of values scaled to 0-1) is \
         part of the model.\n\n## Output\n\n",
        name = manifest.input.name,
        element = manifest.input.element_type,
        layout = manifest.input.layout,
        channels = manifest.input.channels,
        height = manifest.input.height,
        width = manifest.input.width,
        mean = facts.chosen.normalization.mean,
        std = facts.chosen.normalization.std,
    );
    for output in &manifest.outputs {
        let _ = writeln!(
            text,
            "- `{}`: {}, {}",
            output.name, output.element_type, output.meaning
        );
    }
    text.push_str("\n## Classes\n\n");
    for (index, class) in manifest.classes.iter().enumerate() {
        let _ = writeln!(text, "{index}. {}", escaped(class));
    }
    let _ = write!(
        text,
        "\n## Rust\n\n\
         ```rust\nlet predictor = mlestar_export::Predictor::open(\"package\".as_ref())?;\n\
         let prediction = predictor.predict(&rgb, {height}, {width})?; // rows of red, green, blue bytes\n\
         println!(\"{{}} {{:.3}}\", prediction.class, prediction.probability);\n```\n\n\
         ## Anything that runs ONNX\n\n\
         ```python\nimport numpy, onnxruntime\n\
         session = onnxruntime.InferenceSession(\"package/model.onnx\")\n\
         images = numpy.zeros((1, {height}, {width}, 3), numpy.uint8)\n\
         logits, probabilities = session.run([\"logits\", \"probabilities\"], {{\"{name}\": images}})\n```\n",
        height = manifest.input.height,
        width = manifest.input.width,
        name = manifest.input.name,
    );
    text
}

fn requirements(facts: &Facts<'_>) -> String {
    let benchmark = &facts.measured.benchmark;
    let machine = &facts.measured.machine;
    let mut text =
        String::from("# Requirements\n\n## Files\n\n| file | size | BLAKE3 |\n|---|---|---|\n");
    for file in &facts.manifest.files {
        let _ = writeln!(
            text,
            "| {} | {} | `{}` |",
            file.name,
            format::bytes(file.bytes),
            file.blake3
        );
    }
    let latency = &benchmark.latency;
    let _ = write!(
        text,
        "\n## Speed\n\nMeasured on {cpu} ({cores} logical cores, {threads} threads).\n\n\
         | one image | |\n|---|---|\n\
         | median | {median} |\n| 95th percentile | {p95} |\n| 99th percentile | {p99} |\n\
         | measurements | {n}, after {warm_up} to warm up |\n\n\
         | batch | images per second |\n|---|---|\n",
        cpu = escaped(&machine.cpu_model),
        cores = machine.logical_cores,
        threads = benchmark.threads,
        median = format::milliseconds(latency.median_ms),
        p95 = format::milliseconds(latency.p95_ms),
        p99 = format::milliseconds(latency.p99_ms),
        n = latency.n,
        warm_up = latency.warm_up,
    );
    for throughput in &benchmark.throughput {
        let _ = writeln!(
            text,
            "| {} | {} |",
            throughput.batch_size,
            format::number(throughput.images_per_second, 0)
        );
    }
    let memory = &facts.measured.memory;
    let grew = memory.growth_bytes.map_or_else(
        || "growth not measured on this operating system".to_owned(),
        |bytes| format!("the measuring process grew by {}", format::bytes(bytes)),
    );
    let memory = format!(
        "about {} in batches of {} ({} of weights and buffers computed, {grew}), plus what the rest of the \
        program needs",
        format::bytes(memory.bytes()),
        memory.batch_size,
        format::bytes(memory.computed_bytes),
    );
    let cores = benchmark
        .cpu_cores_used
        .map_or_else(|| "not measured".to_owned(), |cores| format!("{cores:.2}"));
    let _ = write!(
        text,
        "\n## Memory and processor\n\n- memory: {memory}\n- cores in use at full load: {cores}\n"
    );
    text
}

fn monitoring(facts: &Facts<'_>) -> String {
    let paired = &facts.comparison.paired;
    let p95 = facts.measured.benchmark.latency.p95_ms;
    format!(
        "# Monitoring\n\n\
         | watch | expected | act when |\n|---|---|---|\n\
         | accuracy on images labelled later | {accuracy} | its interval lies below that |\n\
         | share of each predicted class | as in the application's own history | a class doubles or vanishes |\n\
         | mean probability of the predicted class | as in the first week | it falls: the images have changed |\n\
         | latency, 95th percentile | {p95} on the machine of requirements.md | it doubles |\n\
         | images of another size | none | any: they are refused with an error |\n\n\
         Keep a sample of images with the model's predictions, and label some of them: accuracy is the only \
         measure that cannot be fooled by a change of the images.\n\n\
         The exported file agreed with the trained network on {same} of {n} test images, logits to {difference:.1e}. \
         The same comparison on a new machine or runtime tells whether it computes the same.\n",
        accuracy = format::fraction(paired.accuracy_b),
        p95 = format::milliseconds(p95),
        same = facts.parity.parity.same_top1,
        n = facts.parity.pictures,
        difference = facts.parity.parity.max_abs_difference,
    )
}

fn troubleshooting(facts: &Facts<'_>) -> String {
    let input = &facts.manifest.input;
    format!(
        "# Troubleshooting\n\n\
         | symptom | cause | remedy |\n|---|---|---|\n\
         | the package is refused: a file was altered | a copy was cut short or edited | copy `package/` again; `manifest.json` holds the hashes |\n\
         | an image is refused for its size | it is not {height} x {width} | scale the shorter side and crop the centre, as in training |\n\
         | nonsense for every image | channels in another order, or values already scaled | pass red, green, blue as raw bytes, rows from the top |\n\
         | slower than in requirements.md | fewer cores, or another process uses them | set the number of threads; send larger batches |\n\
         | other predictions than in training | another runtime, or a damaged file | repeat the comparison \
         with `logits.jsonl` |\n",
        height = input.height,
        width = input.width,
    )
}
