//! Advice on the data before training.

use super::super::challenges::Challenge;
use super::super::measurements::Measurements;
use super::{Advice, Setting, present};
use mlestar_data::load::SourceReport;
use mlestar_data::{SourceKind, SplitName};

/// Half width of the interval that enough validation images give at an accuracy of 0.85.
const WANTED_HALF_WIDTH: f64 = 0.02;
/// Standard normal quantile of 95% confidence.
const Z: f64 = 1.959_963_984_540_054;
/// The most of the training images that is worth giving to validation.
const MOST_VALIDATION: f64 = 0.3;

/// What advice depends on besides the figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceTraits {
    /// The kind of source.
    pub(crate) kind: SourceKind,
    /// Whether it comes with a validation split of its own.
    pub(crate) has_validation: bool,
}

impl SourceTraits {
    pub(in super::super) fn of(source: &SourceReport) -> Self {
        let validation = source
            .splits
            .iter()
            .find(|split| split.name == SplitName::Validation);
        Self {
            kind: source.source,
            // The name of a folder, and not how a part of one was chosen.
            has_validation: validation.is_some_and(|split| split.made_from.ends_with('/')),
        }
    }
}

/// What to do to the data.
pub(in super::super) fn preprocessing(
    measurements: &Measurements,
    challenges: &[Challenge],
    source: SourceTraits,
) -> Vec<Advice> {
    let statement = |id: &str| {
        let found = challenges.iter().find(|challenge| challenge.id == id);
        found.map(|challenge| challenge.statement.clone())
    };
    let removal = |id: &str, title: &str, action: &str| {
        Some(Advice {
            title: title.into(),
            reason: statement(id)?,
            follows_from: vec![id.into()],
            action: format!("{action} They are listed under `quality`, with their origins."),
            setting: None,
        })
    };
    [
        Some(normalise(measurements)),
        removal(
            "leakage",
            "Remove images shared between splits",
            "Delete one copy of each, preferably the training copy.",
        ),
        removal(
            "cut_sequences",
            "Keep sequences together",
            "Put every sequence wholly into train, val or test, in folders of these names.",
        ),
        removal(
            "label_conflicts",
            "Correct labels that contradict each other",
            "Check each pair and delete the copy whose label is wrong.",
        ),
        removal(
            "duplicates",
            "Remove duplicates",
            "Delete all copies of an image but one.",
        ),
        removal(
            "bad_exposure",
            "Remove or repair unreadable images",
            "Check each one and delete those that show nothing.",
        ),
        removal(
            "label_noise",
            "Check the suspected labels",
            "Check each one and correct the wrong labels.",
        ),
        smooth_labels(challenges, statement("label_noise")),
        weigh_classes(measurements, challenges, statement("class_imbalance")),
        judge_by_class(measurements, challenges, statement("class_imbalance")),
        keep_resolution(challenges, statement("low_resolution")),
        use_more_pixels(measurements),
        validate_on_more(measurements, challenges, source),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn normalise(measurements: &Measurements) -> Advice {
    let three = |values: [f64; 3]| values.map(|value| format!("{value:.4}")).join(", ");
    Advice {
        title: "Normalise each channel".into(),
        reason: format!(
            "the training pixels have means {} and standard deviations {} (red, green, blue)",
            three(measurements.channel_mean),
            three(measurements.channel_std)
        ),
        follows_from: vec!["channel_mean".into(), "channel_std".into()],
        action: "Subtract the mean and divide by the standard deviation of the training split, or of the images that \
                 pretrained weights come from (data.normalization). Training, evaluation and the exported model take both from `normalization` of this file; \
                 no setting is needed."
            .into(),
        setting: None,
    }
}

fn smooth_labels(challenges: &[Challenge], reason: Option<String>) -> Option<Advice> {
    Some(Advice {
        title: "Smooth the labels".into(),
        reason: reason?,
        follows_from: present(challenges, &["label_noise"]),
        action: "Keep the model from fitting single wrong labels with certainty: training.label_smoothing = \
            0.1. It cannot be combined with the focal loss."
            .into(),
        setting: None,
    })
}

/// Whether one class has so many images more than another that accuracy says little.
fn is_strongly_imbalanced(measurements: &Measurements) -> bool {
    measurements
        .imbalance_ratio()
        .is_none_or(|ratio| ratio >= 2.0)
}

/// A class without training images has no weight that would balance it.
fn weigh_classes(
    measurements: &Measurements,
    challenges: &[Challenge],
    reason: Option<String>,
) -> Option<Advice> {
    let has_all = measurements.imbalance_ratio().is_some();
    (has_all && is_strongly_imbalanced(measurements)).then_some(())?;
    Some(Advice {
        title: "Weight the classes".into(),
        reason: reason?,
        follows_from: present(challenges, &["class_imbalance"]),
        action: "Let images of small classes count more in the loss, so every class has the same weight.".into(),
        setting: Some(Setting::new(
            "training.class_weights",
            "\"balanced\"",
            None,
        )),
    })
}

fn judge_by_class(
    measurements: &Measurements,
    challenges: &[Challenge],
    reason: Option<String>,
) -> Option<Advice> {
    let reason = reason?;
    // Criteria of stage 5 go by the metric's name, and a minimum must fit the target: what to write depends on both.
    let action = match is_strongly_imbalanced(measurements) {
        true => {
            "Let every class count the same in the metric that decides (task.primary.name = \"balanced_accuracy\")."
        }
        false => {
            "Require a recall of every class (task.quality.per_class_recall_min), so the model cannot \
            ignore small ones."
        }
    };
    Some(Advice {
        title: "Judge every class".into(),
        reason,
        follows_from: present(challenges, &["class_imbalance"]),
        action: action.into(),
        setting: None,
    })
}

fn keep_resolution(challenges: &[Challenge], reason: Option<String>) -> Option<Advice> {
    Some(Advice {
        title: "Keep the resolution".into(),
        reason: reason?,
        follows_from: present(challenges, &["low_resolution"]),
        action:
            "Do not shrink the images further. The model's first layers should keep their size."
                .into(),
        setting: None,
    })
}

/// When the files' side is this many times larger, shrinking may have lost detail that matters.
const MUCH_SHRUNK: usize = 2;

/// Which size the network and the limits allow is not known here: stage 3 computes it.
fn use_more_pixels(measurements: &Measurements) -> Option<Advice> {
    let (of_files, side) = (
        measurements.shorter_side_of_files(),
        measurements.shorter_side(),
    );
    let [height, width] = measurements.file_sizes.median;
    (of_files >= MUCH_SHRUNK * side).then(|| Advice {
        title: "Consider larger images".into(),
        reason: format!(
            "half of the files have at least {height} x {width} pixels, and {} x {} are used",
            measurements.height, measurements.width
        ),
        follows_from: vec!["file_sizes.median".into(), "height".into(), "width".into()],
        action: "Set data.image_size to the size that stage 3 names: the largest that this network and the \
            limits of the task allow. Detail helps where classes differ in it; the cost of a step grows \
            with the area."
            .into(),
        setting: None,
    })
}

fn validate_on_more(
    measurements: &Measurements,
    challenges: &[Challenge],
    source: SourceTraits,
) -> Option<Advice> {
    let follows_from = present(challenges, &["small_evaluation"]);
    let n_validation = measurements.n_pictures(SplitName::Validation);
    let n_wanted = (Z * Z * 0.85 * 0.15 / WANTED_HALF_WIDTH.powi(2)).ceil() as usize;
    if follows_from.is_empty() || n_validation >= n_wanted {
        return None;
    }
    let n_fitting = measurements.n_pictures(SplitName::Train) + n_validation;
    let fraction = n_wanted as f64 / n_fitting.max(1) as f64;
    let setting = match source.kind {
        // A split that the source has is used as it is.
        _ if source.has_validation => None,
        SourceKind::Synthetic => Some(Setting::new(
            "data.synthetic.n_validation",
            n_wanted.to_string(),
            None,
        )),
        _ if fraction <= MOST_VALIDATION => {
            let value = format!("{:.2}", (fraction * 100.0).ceil() / 100.0);
            Some(Setting::new("data.validation_fraction", value, None))
        }
        _ => None,
    };
    Some(Advice {
        title: "Validate on more images".into(),
        reason: format!(
            "{n_validation} validation images; {n_wanted} would narrow the interval of an \
             accuracy of 0.85 to +-{WANTED_HALF_WIDTH}"
        ),
        follows_from,
        action: match setting {
            Some(_) => "Use more images for validation.".into(),
            None if source.has_validation => "Collect more validation images.".to_owned(),
            None => "Collect more images: too few would be left for training.".to_owned(),
        },
        setting,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::challenges::detect_all;
    use super::super::super::challenges::testing::{untroubled, with_findings};
    use super::*;
    use mlestar_data::quality::FindingKind;
    use mlestar_data::readers::folder::FileSizes;

    fn advice(measurements: &Measurements, source: SourceKind) -> Vec<Advice> {
        let source = SourceTraits {
            kind: source,
            has_validation: false,
        };
        preprocessing(measurements, &detect_all(measurements), source)
    }

    #[test]
    fn an_untroubled_set_is_only_normalised() {
        let advice = advice(&untroubled(), SourceKind::Folder);
        assert_eq!(advice.len(), 1);
        assert!(advice[0].reason.contains("0.5000, 0.5000, 0.5000"));
    }

    #[test]
    fn every_piece_of_advice_follows_from_a_challenge() {
        let mut measurements = with_findings(FindingKind::SuspectedMislabel, [60, 60, 0]);
        measurements.file_sizes = FileSizes::uniform(224, 32, 100);
        measurements.class_counts.train = vec![900, 900, 900, 400];
        measurements.class_counts.validation = vec![25; 4];
        let ids: Vec<String> = detect_all(&measurements)
            .into_iter()
            .map(|c| c.id)
            .collect();
        let advice = advice(&measurements, SourceKind::Folder);
        assert!(advice.len() >= 6, "{advice:?}");
        for piece in &advice[1..] {
            assert!(!piece.follows_from.is_empty());
            assert!(
                piece.follows_from.iter().all(|id| ids.contains(id)),
                "{piece:?}"
            );
        }
        let keys: Vec<&str> = advice
            .iter()
            .filter_map(|piece| Some(piece.setting.as_ref()?.key.as_str()))
            .collect();
        assert_eq!(keys, ["training.class_weights"]);
    }

    #[test]
    fn shrunk_files_are_told_from_small_ones() {
        let mut measurements = untroubled();
        measurements.file_sizes = FileSizes::uniform(500, 375, 398);
        (measurements.height, measurements.width) = (64, 64);
        let found = advice(&measurements, SourceKind::Folder);
        let titles: Vec<&str> = found.iter().map(|piece| piece.title.as_str()).collect();
        assert_eq!(titles, ["Normalise each channel", "Consider larger images"]);
        // The size that fits is not known here.
        assert!(found.iter().all(|piece| piece.setting.is_none()));
    }

    #[test]
    fn a_class_without_pictures_cannot_be_balanced() {
        let keys = |train: Vec<usize>| -> Vec<String> {
            let mut measurements = untroubled();
            measurements.class_counts.train = train;
            let found = advice(&measurements, SourceKind::Folder).into_iter();
            found.filter_map(|piece| Some(piece.setting?.key)).collect()
        };
        assert_eq!(
            keys(vec![2_000, 4_000, 4_000, 4_000]),
            ["training.class_weights"]
        );
        assert_eq!(keys(vec![0, 4_000, 4_000, 4_000]), Vec::<String>::new());
        assert_eq!(keys(vec![3_000, 4_000, 4_000, 4_000]), Vec::<String>::new());
    }

    /// Where the source has a validation split, the fraction changes nothing.
    #[test]
    fn a_validation_split_of_the_source_is_not_enlarged_by_a_fraction() {
        let mut measurements = untroubled();
        measurements.class_counts.validation = vec![100; 4];
        let source = SourceTraits {
            kind: SourceKind::Folder,
            has_validation: true,
        };
        let found = preprocessing(&measurements, &detect_all(&measurements), source);
        let last = found.last().unwrap();
        assert_eq!(
            (last.title.as_str(), &last.setting),
            ("Validate on more images", &None)
        );
    }

    #[test]
    fn the_validation_split_is_enlarged_where_pictures_allow() {
        let mut measurements = untroubled();
        measurements.class_counts.validation = vec![100; 4];
        let found = advice(&measurements, SourceKind::Cifar10);
        let setting = found.last().unwrap().setting.clone().unwrap();
        assert_eq!(
            (setting.key.as_str(), setting.value.as_str()),
            ("data.validation_fraction", "0.07")
        );
        measurements.class_counts.train = vec![200; 4];
        let found = advice(&measurements, SourceKind::Cifar10);
        assert!(
            found
                .iter()
                .any(|piece| piece.action.starts_with("Collect more"))
        );
    }
}
