//! Advice on the data before training.

use super::super::challenges::Challenge;
use super::super::measurements::Measurements;
use super::{Advice, Setting, present};
use mlestar_data::{SourceKind, SplitName};

/// Half width of the interval that enough validation pictures give at an accuracy of 0.85.
const WANTED_HALF_WIDTH: f64 = 0.02;
/// Standard normal quantile of 95% confidence.
const Z: f64 = 1.959_963_984_540_054;
/// The most of the training pictures that is worth giving to validation.
const MOST_VALIDATION: f64 = 0.3;

/// What to do to the data.
pub(in super::super) fn preprocessing(
    measurements: &Measurements,
    challenges: &[Challenge],
    source: SourceKind,
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
            "Remove pictures shared between splits",
            "Delete one copy of each, best the training one.",
        ),
        removal(
            "cut_sequences",
            "Keep sequences together",
            "Put every sequence wholly into train, val or test, in folders of these names.",
        ),
        removal(
            "label_conflicts",
            "Correct labels that contradict each other",
            "Look at each pair and delete the copy whose label is wrong.",
        ),
        removal(
            "duplicates",
            "Remove duplicates",
            "Delete all copies of a picture but one.",
        ),
        removal(
            "bad_exposure",
            "Remove or repair unreadable pictures",
            "Look at each; delete those that show nothing.",
        ),
        removal(
            "label_noise",
            "Check the suspected labels",
            "Look at each and correct the wrong ones.",
        ),
        smooth_labels(challenges, statement("label_noise")),
        judge_by_class(measurements, challenges, statement("class_imbalance")),
        keep_more_pixels(challenges, source, statement("low_resolution")),
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
        action: "Subtract the mean and divide by the standard deviation of the training split. \
                 Training, evaluation and the exported model take both from `normalization` of \
                 this file; nothing has to be set."
            .into(),
        setting: None,
    }
}

fn smooth_labels(challenges: &[Challenge], reason: Option<String>) -> Option<Advice> {
    Some(Advice {
        title: "Smooth the labels".into(),
        reason: reason?,
        follows_from: present(challenges, &["label_noise"]),
        action: "Keep the model from fitting single wrong labels with certainty.".into(),
        setting: Some(Setting::new("training.label_smoothing", "0.1", None)),
    })
}

fn judge_by_class(
    measurements: &Measurements,
    challenges: &[Challenge],
    reason: Option<String>,
) -> Option<Advice> {
    let reason = reason?;
    let strong = measurements
        .imbalance_ratio()
        .is_none_or(|ratio| ratio >= 2.0);
    let (action, setting) = match strong {
        true => (
            "Let every class count the same in the metric that decides.",
            Setting::new("task.primary.name", "\"balanced_accuracy\"", None),
        ),
        false => (
            "Demand a recall of every class, so that small ones are not given up.",
            Setting::new("task.quality.per_class_recall_min", "0.7", None),
        ),
    };
    Some(Advice {
        title: "Judge every class".into(),
        reason,
        follows_from: present(challenges, &["class_imbalance"]),
        action: action.into(),
        setting: Some(setting),
    })
}

fn keep_more_pixels(
    challenges: &[Challenge],
    source: SourceKind,
    reason: Option<String>,
) -> Option<Advice> {
    let reason = reason?;
    let (action, setting) = match source {
        SourceKind::Folder => (
            "If the files are larger than this, bring them to a larger size.",
            Some(Setting::new("data.image_size", "[96, 96]", None)),
        ),
        _ => (
            "Do not shrink the pictures any further; the model's first layer keeps their size.",
            None,
        ),
    };
    Some(Advice {
        title: "Keep the resolution".into(),
        reason,
        follows_from: present(challenges, &["low_resolution"]),
        action: action.into(),
        setting,
    })
}

fn validate_on_more(
    measurements: &Measurements,
    challenges: &[Challenge],
    source: SourceKind,
) -> Option<Advice> {
    let follows_from = present(challenges, &["small_evaluation"]);
    let n_validation = measurements.n_pictures(SplitName::Validation);
    let n_wanted = (Z * Z * 0.85 * 0.15 / WANTED_HALF_WIDTH.powi(2)).ceil() as usize;
    if follows_from.is_empty() || n_validation >= n_wanted {
        return None;
    }
    let n_fitting = measurements.n_pictures(SplitName::Train) + n_validation;
    let fraction = n_wanted as f64 / n_fitting.max(1) as f64;
    let setting = match source {
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
        title: "Validate on more pictures".into(),
        reason: format!(
            "{n_validation} validation pictures; {n_wanted} would narrow the interval of an \
             accuracy of 0.85 to +-{WANTED_HALF_WIDTH}"
        ),
        follows_from,
        action: match setting {
            Some(_) => "Give more pictures to validation.".into(),
            None => "Collect more pictures: too few would be left for training.".to_owned(),
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

    fn advice(measurements: &Measurements, source: SourceKind) -> Vec<Advice> {
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
        measurements.width = 32;
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
        assert_eq!(
            keys,
            [
                "training.label_smoothing",
                "task.primary.name",
                "data.image_size"
            ]
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
