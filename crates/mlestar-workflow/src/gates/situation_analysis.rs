//! The gate of stage 1. Challenges are derived again from the measurements in the artifact, and
//! samples are counted on the page itself.

use super::{ArtifactReader, Found, agree};
use crate::stages::situation_analysis::{
    ARTIFACT, Advice, Detection, PAGE, SituationAnalysis, detect_all, n_samples_shown,
    run_detectors, shown_classes,
};
use crate::words::counted;
use crate::{RunFolder, Stage};
use mlestar_gates::{Evidence, Measurement};

const STAGE: Stage = Stage::SituationAnalysis;

/// Measures the criterion `id` of stage 1; `None` where it has no such criterion.
pub(super) fn measure(id: &str, reader: &ArtifactReader<'_>) -> Option<Found<Measurement>> {
    Some(match id {
        "artifacts_complete" => artifacts_complete(reader),
        "detectors_ran" => detectors_ran(reader),
        "preprocessing_recommendations" => preprocessing(reader),
        "classes_explored" => classes_explored(reader),
        _ => return None,
    })
}

fn analysis(reader: &ArtifactReader<'_>) -> Found<SituationAnalysis> {
    reader.artifact(STAGE, ARTIFACT)
}

fn page(reader: &ArtifactReader<'_>) -> Found<String> {
    let path = reader.path(STAGE, PAGE)?;
    std::fs::read_to_string(path).map_err(|error| {
        let file = RunFolder::display_name(STAGE, PAGE);
        Box::new(Evidence::missing(file, error.to_string()))
    })
}

fn agree_count(what: &str, claimed: usize, recomputed: usize) -> Found<()> {
    let file = RunFolder::display_name(STAGE, ARTIFACT);
    agree(file, what, claimed as f64, recomputed as f64)
}

fn artifacts_complete(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let analysis = analysis(reader)?;
    let page = page(reader)?;
    let summary = &analysis.summary;
    let found = &analysis.measurements;
    agree_count("number of images", summary.n_images, found.n_all())?;
    agree_count("number of classes", summary.n_classes, found.classes.len())?;
    for split in &summary.splits {
        let counted: usize = split.classes.iter().map(|class| class.n_images).sum();
        agree_count(&format!("{} images", split.name), split.n_images, counted)?;
        agree_count(
            &format!("{} images", split.name),
            counted,
            found.n_pictures(split.name),
        )?;
    }
    let listed: usize = analysis
        .quality
        .groups
        .iter()
        .map(|group| group.n_findings)
        .sum();
    agree_count(
        "number of quality findings",
        summary.quality.n_findings,
        listed,
    )?;
    let is_whole = summary.splits.len() == 3
        && summary.splits.iter().all(|split| split.n_images > 0)
        && summary.channels.len() == 3
        && summary
            .channels
            .iter()
            .all(|channel| channel.mean.is_some() && channel.std.is_some())
        && [
            "Samples of every class",
            "Class distribution",
            "Pixels",
            "Augmentation preview",
        ]
        .iter()
        .all(|section| page.contains(section))
        && page.contains("<svg");
    let n_images = summary.n_images;
    Ok(Measurement::flag(is_whole).noted(format!(
        "{} in {}",
        counted(n_images, "image"),
        counted(summary.n_classes, "class")
    )))
}

/// The number of challenges depends on the data. The stage must have looked for each one, and it must list exactly
/// those that the measurements show.
fn detectors_ran(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let analysis = analysis(reader)?;
    let derived = detect_all(&analysis.measurements);
    let n_confirmed = analysis
        .challenges
        .iter()
        .filter(|listed| derived.contains(listed) && listed.is_shown())
        .count();
    agree_count(
        "number of challenges",
        analysis.summary.n_challenges,
        derived.len(),
    )?;
    agree_count(
        "challenges that the measurements show",
        analysis.challenges.len(),
        n_confirmed,
    )?;
    agree_count("challenges", n_confirmed, derived.len())?;
    let detections = run_detectors(&analysis.measurements);
    let is_recorded = |detection: &&Detection| analysis.detectors.contains(detection);
    let n_recorded = detections.iter().filter(is_recorded).count();
    let named = |ids: Vec<&str>| match ids.is_empty() {
        true => "none".to_owned(),
        false => ids.join(", "),
    };
    let found = derived.iter().map(|challenge| challenge.id.as_str());
    let unmeasured = detections.iter().filter(|found| found.evidence.is_empty());
    let unmeasured: Vec<&str> = unmeasured.map(|found| found.id.as_str()).collect();
    let too_few = match unmeasured.is_empty() {
        true => String::new(),
        false => format!("; too few images to measure {}", unmeasured.join(", ")),
    };
    Ok(
        Measurement::exact(n_recorded as f64 / detections.len() as f64).noted(format!(
            "{n_recorded} detectors, found: {}{too_few}",
            named(found.collect())
        )),
    )
}

fn preprocessing(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let analysis = analysis(reader)?;
    let claimed = analysis.summary.n_preprocessing_recommendations;
    agree_count(
        "number of preprocessing recommendations",
        claimed,
        analysis.preprocessing.len(),
    )?;
    let measurements = serde_json::to_value(&analysis.measurements).unwrap_or_default();
    let n_founded = analysis
        .preprocessing
        .iter()
        .filter(|advice| is_founded(advice, &analysis, &measurements))
        .count();
    Ok(Measurement::exact(n_founded as f64).noted(format!(
        "{n_founded} of {} name their finding",
        analysis.preprocessing.len()
    )))
}

/// Whether advice follows from challenges or measurements that are in the artifact.
fn is_founded(
    advice: &Advice,
    analysis: &SituationAnalysis,
    measurements: &serde_json::Value,
) -> bool {
    let exists = |source: &String| {
        let pointer = format!("/{}", source.replace('.', "/"));
        analysis
            .challenges
            .iter()
            .any(|challenge| challenge.id == *source)
            || measurements
                .pointer(&pointer)
                .is_some_and(|found| !found.is_null())
    };
    !advice.follows_from.is_empty() && advice.follows_from.iter().all(exists)
}

fn classes_explored(reader: &ArtifactReader<'_>) -> Found<Measurement> {
    let analysis = analysis(reader)?;
    let page = page(reader)?;
    let classes = &analysis.measurements.classes;
    let shown = n_samples_shown(&page, classes.len());
    let n_shown = shown.iter().filter(|shown| **shown > 0).count();
    agree_count(
        "classes with samples",
        analysis.classes_explored.len(),
        n_shown,
    )?;
    let expected: Vec<usize> = shown_classes(classes.len()).collect();
    let missing: Vec<&str> = expected
        .iter()
        .filter(|class| shown[**class] == 0)
        .map(|class| classes[*class].as_str())
        .collect();
    let n_expected = expected.len();
    let sample = match n_expected == classes.len() {
        true => String::new(),
        false => format!(", a sample of {}", classes.len()),
    };
    let note = match missing.len() {
        0 => format!("all {n_shown} classes{sample}"),
        1..=10 => format!("none of {}{sample}", missing.join(", ")),
        n => format!(
            "none of {} and {} more{sample}",
            missing[..10].join(", "),
            n - 10
        ),
    };
    let share = (n_expected - missing.len()) as f64 / n_expected.max(1) as f64;
    Ok(Measurement::exact(share).noted(note))
}
