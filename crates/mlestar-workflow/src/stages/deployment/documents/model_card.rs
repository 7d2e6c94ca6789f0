//! The model card, with the metadata that Hugging Face reads.

use super::Facts;
use super::markdown::escaped;
use crate::stages::deployment::verdicts;
use crate::stages::refinement::Choice;
use mlestar_export::package::MetricRecord;
use mlestar_report::format;
use serde_json::json;
use std::fmt::Write;

pub(super) fn text(facts: &Facts<'_>) -> String {
    let mut text = metadata(facts);
    let _ = write!(
        text,
        "# Model card: {}\n\n{}\n",
        escaped(&facts.config.project.name),
        verdicts::place()
    );
    if !facts.config.project.description.is_empty() {
        let _ = writeln!(text, "{}\n", escaped(&facts.config.project.description));
    }
    let architecture = facts.chosen.model.config();
    let classes: Vec<String> = facts
        .chosen
        .classes
        .iter()
        .map(|class| escaped(class))
        .collect();
    let _ = writeln!(
        text,
        "A {family} that sorts {width} x {height} RGB images into {n_classes} classes: {classes}.{averaging}\n",
        family = architecture.architecture.name(),
        averaging = match architecture.views() {
            views if views.count() > 1 => format!(" Its scores are the mean over {views}."),
            _ => String::new(),
        },
        width = facts.manifest.input.width,
        height = facts.manifest.input.height,
        n_classes = facts.chosen.classes.len(),
        classes = classes.join(", "),
    );
    text.push_str(&quality(facts));
    text.push_str(&origin(facts));
    text.push_str(&limits(facts));
    text.push_str(
        "\n## Files\n\n\
         - [docs/interface.md](docs/interface.md): how to ask it\n\
         - [docs/requirements.md](docs/requirements.md): speed, memory, sizes and hashes\n\
         - [docs/monitoring.md](docs/monitoring.md): what to watch, with deploy/alerts.yaml\n\
         - [docs/troubleshooting.md](docs/troubleshooting.md)\n\
         - deploy/: Dockerfile and Kubernetes manifest\n\
         - manifest.json: all of this for programs; `mlestar package verify .` checks it\n",
    );
    text
}

/// The YAML header of a model card. Strings are written as JSON, which YAML 1.2 contains.
fn metadata(facts: &Facts<'_>) -> String {
    let name = json!(facts.config.project.name);
    let mut results = String::new();
    for (metric, kind) in [("accuracy", "accuracy"), ("f1_macro", "f1")] {
        if let Some(metric) = facts.metric(metric) {
            let _ = write!(
                results,
                "\n        - type: {kind}\n          value: {}",
                metric.value
            );
        }
    }
    format!(
        "---\n\
         pipeline_tag: image-classification\n\
         library_name: onnx\n\
         tags:\n  - image-classification\n  - onnx\n  - mle-star\n\
         model-index:\n  \
         - name: {name}\n    results:\n      \
         - task:\n          type: image-classification\n        \
         dataset:\n          name: {name}\n          type: imagefolder\n          split: test\n        \
         metrics:{results}\n\
         ---\n\n"
    )
}

fn quality(facts: &Facts<'_>) -> String {
    let mut text =
        "## Quality\n\n| on the test split | value | interval |\n|---|---|---|\n".to_owned();
    for (name, title) in [
        ("accuracy", "accuracy"),
        ("f1_macro", "F1, mean over the classes"),
        ("log_loss", "log loss, nats"),
        ("expected_calibration_error", "expected calibration error"),
        (
            "expected_calibration_error_uncalibrated",
            "the same without the temperature",
        ),
        ("false_alarms", "images called \"none of these\""),
    ] {
        if let Some(metric) = facts.metric(name) {
            let _ = writeln!(
                text,
                "| {title} | {} | {} |",
                format::fraction(metric.value),
                interval(metric)
            );
        }
    }
    let n = facts.metric("accuracy").map_or(0, |metric| metric.n);
    let _ = writeln!(
        text,
        "| baseline's accuracy | {} | |\n| validation accuracy | {} | |\n\nThe test split has {} images. \
         Settings, temperature and limits were chosen on validation images.\n",
        format::fraction(facts.comparison.paired.accuracy_a),
        format::fraction(facts.chosen.validation_accuracy),
        format::count(n),
    );
    text
}

fn interval(metric: &MetricRecord) -> String {
    metric
        .interval
        .as_ref()
        .map_or_else(String::new, |interval| {
            format!(
                "{} to {} ({} % confidence)",
                format::fraction(interval.low),
                format::fraction(interval.high),
                interval.confidence * 100.0
            )
        })
}

fn origin(facts: &Facts<'_>) -> String {
    let chosen = facts.chosen;
    let from = match chosen.choice {
        Choice::Baseline => "the baseline training",
        Choice::Refined => "the final training after a hyper-parameter search",
    };
    let mut text = format!(
        "## Origin\n\n\
         | | |\n|---|---|\n\
         | comes from | {from}, epoch {epoch} of {epochs} |\n\
         | parameters | {parameters} |\n\
         | multiply-adds per image | {multiply_adds} |\n",
        epoch = chosen.best_epoch,
        epochs = chosen.epochs_run,
        parameters = format::count(chosen.parameters),
        multiply_adds = format::count(facts.manifest.multiply_adds_per_image),
    );
    for (key, value) in &facts.manifest.provenance {
        let _ = writeln!(text, "| {} | {} |", escaped(key), escaped(value));
    }
    let _ = writeln!(text, "\n{}\n", chosen.reason.describe());
    if let Some(lengths) = chosen.unequal_lengths() {
        let _ = writeln!(text, "{lengths}\n");
    }
    text
}

fn limits(facts: &Facts<'_>) -> String {
    let confidence = facts.manifest.confidence;
    let none = match (confidence.familiarity_limit, &facts.manifest.calibration) {
        (Some(limit), Some(calibration)) => format!(
            "An image whose familiarity is below {limit:.3} is called \"none of these\". The limit was chosen so that \
             this happens to at most {rate} of images of the classes. It notices images of quite other things; \
             images that resemble a class pass.",
            rate = format::fraction(calibration.false_alarm_rate),
        ),
        (None, Some(calibration)) if calibration.false_alarm_rate > 0.0 => format!(
            "There is no limit for \"none of these\": {} validation images are too few for a false-alarm rate of {}. \
             The model always names one of its classes, even for an image of none of them.",
            calibration.temperature.n,
            format::fraction(calibration.false_alarm_rate),
        ),
        _ => "The model always names one of its classes, even for an image of none of them."
            .to_owned(),
    };
    format!(
        "## Limits\n\nThe figures hold for images like the test images; other cameras, crops or classes need an \
         evaluation of their own. {none}\n"
    )
}
