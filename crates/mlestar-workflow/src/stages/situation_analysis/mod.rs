//! Stage 1: what the data are, and what is hard about them.
//!
//! Reads all three splits. From them come raw [`Measurements`]; challenges, preprocessing and
//! augmentation advice are functions of the measurements alone, so that the gate can derive them
//! again from the artifact. No classifier sees the test images: they are described and compared
//! with the others for leakage, nothing else.

mod advice;
mod artifact;
mod challenges;
mod measurements;
mod page;
mod summary;
#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
pub(crate) use advice::SourceTraits;
pub use advice::{Advice, Setting};
pub use artifact::{
    ChallengeTitle, ChannelSummary, ClassBalance, ClassCount, FindingGroup, KindTotal,
    QualityFindings, QualitySummary, Resolution, SituationAnalysis, SplitSummary, Summary,
};
#[cfg(test)]
pub(crate) use challenges::testing::shrink_to;
#[cfg(test)]
pub(crate) use challenges::testing::{
    troubled as troubled_measurements, untroubled as untroubled_measurements,
};
pub use challenges::{
    Challenge, ChallengeEvidence, Detection, Severity, detect_all, run_detectors,
};
pub use measurements::{FindingCount, Measurements, SplitCounts};
pub(crate) use page::{n_samples_shown, shown_classes};

use crate::words::counted;
use crate::{StageContext, WorkflowError, context};
use mlestar_artifact::write_artifact;
use mlestar_data::augment::AugmentationConfig;
use mlestar_data::describe::{Description, describe};
use mlestar_data::load::SourceReport;
use mlestar_data::quality::{self, QualityReport};
use mlestar_data::{DataConfig, ImageSplits, SourceKind};
use mlestar_train::ClassWeights;

/// The artifact of the stage.
pub const ARTIFACT: &str = "situation_analysis.json";
/// Every finding of the quality check with its file.
const FINDINGS_FILE: &str = "quality_findings.csv";
/// The page of the stage.
pub const PAGE: &str = "exploration.html";

/// The challenges that make accuracies too good, for the pages that show accuracies.
pub(crate) const FLATTERING: [&str; 2] = ["leakage", "cut_sequences"];

/// Runs the stage.
///
/// # Errors
/// When the data cannot be read, there is no training image, or the run folder cannot be written.
pub fn run(context: &mut StageContext<'_>) -> Result<(), WorkflowError> {
    let (train, validation) = context.training_sets()?;
    let test = context.read_test("description and leakage check")?;
    let source = context.source_report()?;
    for line in source_lines(&source, context.config.training.class_weights.as_ref()) {
        context.reporter.note(&line);
    }
    let splits = ImageSplits {
        train: (*train).clone(),
        validation: (*validation).clone(),
        test: (*test).clone(),
    };
    context.reporter.progress("describing the images", 0, 4);
    let description = describe(&splits.train);
    context.check_stop()?;
    context.reporter.progress("checking their quality", 1, 4);
    let quality = quality::check(&splits);
    context.check_stop()?;
    context.reporter.progress("measuring the challenges", 2, 4);
    let input = Input {
        splits: &splits,
        description: &description,
        quality: &quality,
        source,
        data: &context.config.data,
        augmentation: &context.config.augmentation,
        seed: context.config.seed,
    };
    let analysis = analyse(&input)?;
    context.check_stop()?;
    context
        .reporter
        .progress("drawing the exploration page", 3, 4);
    write_artifact(&context.path(ARTIFACT), &analysis)?;
    context.write_text(FINDINGS_FILE, &page::list_of_findings(&quality))?;
    let html = page::render(&analysis, &input)?;
    context.write_text(PAGE, &html)?;
    context.reporter.progress("exploration page written", 4, 4);
    for note in statements(&analysis) {
        context.reporter.note(&note);
    }
    Ok(())
}

/// What the console shows.
fn statements(analysis: &SituationAnalysis) -> Vec<String> {
    let n = analysis.challenges.len();
    let mut notes = vec![match n {
        0 => format!(
            "no challenges: none of {} detectors found one",
            analysis.detectors.len()
        ),
        _ => format!(
            "{}: {}",
            counted(n, "challenge"),
            titles(&analysis.challenges)
        ),
    }];
    let urgent = analysis.challenges.iter().filter(|challenge| {
        FLATTERING.contains(&challenge.id.as_str()) || challenge.id == "label_conflicts"
    });
    notes.extend(urgent.map(|challenge| challenge.statement.clone()));
    notes
}

/// What is used of the data and what is not, one line each.
fn source_lines(source: &SourceReport, class_weights: Option<&ClassWeights>) -> Vec<String> {
    const MOST_NAMED: usize = 10;
    let mut lines = vec![source.usage()];
    let named = source.unreadable.iter().take(MOST_NAMED);
    lines.extend(named.map(|image| format!("left out: {}: {}", image.path, image.reason)));
    if source.n_unreadable > MOST_NAMED {
        lines.push(format!(
            "left out: {} more, in {ARTIFACT} and {PAGE}",
            source.n_unreadable - MOST_NAMED
        ));
    }
    lines.extend(source.skipped_in_words());
    if matches!(source.source, SourceKind::Folder | SourceKind::Manifest) {
        lines.push(source.sizes_in_words());
    }
    lines.extend(source.notes.iter().cloned());
    if let Some(ClassWeights::List(weights)) = class_weights {
        let pairs = source.classes.iter().zip(weights);
        let pairs: Vec<String> = pairs
            .map(|(class, weight)| format!("{class} = {weight}"))
            .collect();
        lines.push(format!("training.class_weights: {}", pairs.join(", ")));
    }
    lines
}

fn titles(challenges: &[Challenge]) -> String {
    let titles: Vec<&str> = challenges
        .iter()
        .map(|challenge| challenge.title.as_str())
        .collect();
    titles.join(", ")
}

/// All advice on a dataset, for tests of what becomes of it.
#[cfg(test)]
pub(crate) fn all_advice(
    measurements: &Measurements,
    source: SourceTraits,
    configured: &AugmentationConfig,
) -> Vec<Advice> {
    let challenges = detect_all(measurements);
    let mut all = advice::preprocessing(measurements, &challenges, source);
    all.extend(advice::augmentation(measurements, &challenges, configured));
    all
}

/// What the analysis and its page are made from.
struct Input<'a> {
    splits: &'a ImageSplits,
    /// Of the training images.
    description: &'a Description,
    quality: &'a QualityReport,
    source: SourceReport,
    data: &'a DataConfig,
    augmentation: &'a AugmentationConfig,
    seed: u64,
}

/// The analysis: a function of images, config and seed.
fn analyse(input: &Input<'_>) -> Result<SituationAnalysis, WorkflowError> {
    let train = input.description;
    let normalization = context::normalization(input.data, train)?;
    let measurements = measurements::measure(
        input.splits,
        train,
        input.quality,
        &input.source.file_sizes,
        input.seed,
    );
    let challenges = detect_all(&measurements);
    let source = advice::SourceTraits::of(&input.source);
    let preprocessing = advice::preprocessing(&measurements, &challenges, source);
    let augmentation = advice::augmentation(&measurements, &challenges, input.augmentation);
    let summary = summary::summarise(&summary::Parts {
        measurements: &measurements,
        train,
        source: &input.source,
        challenges: &challenges,
        preprocessing: &preprocessing,
        augmentation: &augmentation,
    });
    Ok(SituationAnalysis {
        summary,
        normalization,
        source: input.source.clone(),
        detectors: run_detectors(&measurements),
        challenges,
        preprocessing,
        augmentation,
        quality: summary::list_findings(input.quality),
        classes_explored: page::classes_with_samples(&input.splits.train),
        measurements,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_data::load::SplitReport;
    use mlestar_data::readers::folder::{Conversions, FileSizes};
    use mlestar_data::{ImageSet, Origin, SourceKind, SplitName};
    use mlestar_random::Stream;

    fn splits(n_classes: usize, sizes: [usize; 3]) -> ImageSplits {
        let classes: std::sync::Arc<[String]> = (0..n_classes)
            .map(|class| format!("class {class}"))
            .collect();
        let [train, validation, test] = [0, 1, 2].map(|split| {
            let n = sizes[split];
            let mut stream = Stream::new(5, "many classes", 0, split as u64);
            let pixels = (0..n * 48).map(|_| stream.next_u32() as u8).collect();
            let labels = (0..n).map(|index| (index % n_classes) as u32).collect();
            let origins = (0..n as u64)
                .map(|index| Origin::Synthetic { index })
                .collect();
            ImageSet::new(classes.clone(), 4, 4, pixels, labels, origins).unwrap()
        });
        ImageSplits {
            train,
            validation,
            test,
        }
    }

    fn source(splits: &ImageSplits) -> SourceReport {
        let n = splits.named().iter().map(|(_, set)| set.len()).sum();
        SourceReport {
            source: SourceKind::Folder,
            layout: "a test".into(),
            classes: splits.train.classes().to_vec(),
            image_size: [4, 4],
            n_available: n,
            splits: splits
                .named()
                .into_iter()
                .map(|(name, set)| SplitReport {
                    name,
                    n: set.len(),
                    per_class: set.class_counts(),
                    made_from: "a test".into(),
                })
                .collect(),
            resize_rule: String::new(),
            conversions: Conversions::default(),
            file_sizes: FileSizes::uniform(4, 4, n),
            n_skipped: 0,
            skipped_counts: Vec::new(),
            skipped: Vec::new(),
            n_unreadable: 0,
            unreadable: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Nothing may be quadratic in the classes: with 10,000 of them there are 50 million pairs. What is not shown is
    /// counted.
    #[test]
    fn ten_thousand_classes_are_analysed_and_the_page_stays_small() {
        let splits = splits(10_000, [10_000, 1_000, 1_000]);
        let description = describe(&splits.train);
        let quality = quality::check(&splits);
        let input = Input {
            splits: &splits,
            description: &description,
            quality: &quality,
            source: source(&splits),
            data: &DataConfig::default(),
            augmentation: &AugmentationConfig::default(),
            seed: 1,
        };
        let analysis = analyse(&input).unwrap();
        assert_eq!(analysis.detectors, run_detectors(&analysis.measurements));
        assert_eq!(analysis.classes_explored.len(), 400);
        let few = analysis
            .challenges
            .iter()
            .find(|found| found.id == "few_samples");
        assert!(few.unwrap().statement.starts_with("10000 of 10000 classes"));
        let without = analysis.measurements.classes_without(SplitName::Test);
        assert_eq!(without.len(), 9_000);
        let page = page::render(&analysis, &input).unwrap();
        assert!(page.len() < 5_000_000, "{} bytes", page.len());
        assert!(page.contains("400 of 10000 classes are shown."));
        let shown = n_samples_shown(&page, 10_000);
        let n_shown = shown.iter().filter(|shown| **shown > 0).count();
        assert_eq!(n_shown, 400);
        assert!(shown_classes(10_000).all(|class| shown[class] > 0));
    }
}
