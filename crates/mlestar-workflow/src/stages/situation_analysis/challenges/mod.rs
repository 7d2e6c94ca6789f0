//! What is hard about a dataset. Each detector is a function of the measurements alone: it records what it measured,
//! and it finds its challenge when all of these figures are beyond their thresholds.

mod background;
mod class_imbalance;
mod confusable_classes;
mod cut_sequences;
mod duplicates;
mod exposure;
mod few_samples;
mod grey_pictures;
mod intra_class_variance;
mod label_conflicts;
mod label_noise;
mod leakage;
mod lighting;
mod low_resolution;
mod low_separability;
mod many_classes;
mod object_position;
mod overlap;
mod small_evaluation;

use super::measurements::Measurements;
use mlestar_gates::{Limit, Unit};
use serde::{Deserialize, Serialize};

/// How much a challenge matters; each detector sets its own levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Costs accuracy unless it is answered.
    Medium,
    /// Decides what can be reached.
    High,
}

impl Severity {
    /// As in a report: `high`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// [`Severity::Low`] below `medium`, [`Severity::High`] from `high` on.
    fn rising(value: f64, medium: f64, high: f64) -> Self {
        if value >= high {
            Self::High
        } else if value >= medium {
            Self::Medium
        } else {
            Self::Low
        }
    }

    /// [`Severity::Low`] above `medium`, [`Severity::High`] down from `high`.
    fn falling(value: f64, medium: f64, high: f64) -> Self {
        Self::rising(-value, -medium, -high)
    }
}

/// A figure that shows a challenge, and the threshold from which on it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeEvidence {
    /// What was measured.
    pub measure: String,
    /// The measured value.
    pub value: f64,
    /// Its unit.
    pub unit: Unit,
    /// The value shows the challenge when it keeps this bound.
    pub threshold: Limit,
    /// Images (or classes, or pixels) that the figure rests on.
    pub n: usize,
    /// How it was measured.
    pub method: String,
}

impl ChallengeEvidence {
    /// Whether the value is beyond the threshold, so that it shows the challenge.
    pub fn holds(&self) -> bool {
        self.threshold.allows(self.value)
    }

    /// The figures that show the challenge; all of them where none does, so the record shows what was measured.
    fn those_that_hold(candidates: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let (holding, others): (Vec<Self>, Vec<Self>) =
            candidates.into_iter().partition(Self::holds);
        if holding.is_empty() { others } else { holding }
    }

    fn new(
        measure: &str,
        value: f64,
        unit: Unit,
        threshold: Limit,
        n: usize,
        method: impl Into<String>,
    ) -> Self {
        Self {
            measure: measure.to_owned(),
            value,
            unit,
            threshold,
            n,
            method: method.into(),
        }
    }
}

/// Something about the data that makes the task hard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// Its name for machines, such as `low_resolution`.
    pub id: String,
    /// Its name for humans.
    pub title: String,
    /// How much it matters.
    pub severity: Severity,
    /// What was found, with its figures.
    pub statement: String,
    /// What it means for training and evaluation.
    pub consequence: String,
    /// The figures; each is beyond its threshold.
    pub evidence: Vec<ChallengeEvidence>,
    /// Classes that it concerns most; empty when it concerns all.
    pub classes: Vec<String>,
}

impl Challenge {
    /// Whether there is evidence, and all of it is beyond its threshold.
    pub fn is_shown(&self) -> bool {
        !self.evidence.is_empty() && self.evidence.iter().all(ChallengeEvidence::holds)
    }
}

/// A detector: the challenge with its evidence, whether or not that is beyond its thresholds; `None` when it cannot be
/// measured.
type Detector = fn(&Measurements) -> Option<Challenge>;

const DETECTORS: [(&str, Detector); 18] = [
    ("low_resolution", low_resolution::detect),
    ("few_samples", few_samples::detect),
    ("class_imbalance", class_imbalance::detect),
    ("duplicates", duplicates::detect),
    ("leakage", leakage::detect),
    ("cut_sequences", cut_sequences::detect),
    ("label_conflicts", label_conflicts::detect),
    ("bad_exposure", exposure::detect),
    ("label_noise", label_noise::detect),
    ("low_separability", low_separability::detect),
    ("confusable_classes", confusable_classes::detect),
    ("intra_class_variance", intra_class_variance::detect),
    ("lighting", lighting::detect),
    ("background", background::detect),
    ("object_position", object_position::detect),
    ("grey_pictures", grey_pictures::detect),
    ("many_classes", many_classes::detect),
    ("small_evaluation", small_evaluation::detect),
];

/// What one detector looked at, and whether it found its challenge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detection {
    /// The id of its challenge.
    pub id: String,
    /// Whether it found its challenge.
    pub is_found: bool,
    /// The figures that decide it; empty when it cannot be measured because there are too few images.
    pub evidence: Vec<ChallengeEvidence>,
}

/// The result of every detector, in their order.
pub fn run_detectors(measurements: &Measurements) -> Vec<Detection> {
    DETECTORS
        .into_iter()
        .map(|(id, detect)| {
            let challenge = detect(measurements);
            Detection {
                id: id.to_owned(),
                is_found: challenge.as_ref().is_some_and(Challenge::is_shown),
                evidence: challenge.map_or_else(Vec::new, |challenge| challenge.evidence),
            }
        })
        .collect()
}

/// All challenges that the measurements show, the most severe first and otherwise in the order of
/// the detectors.
pub fn detect_all(measurements: &Measurements) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = DETECTORS
        .into_iter()
        .filter_map(|(_, detect)| detect(measurements))
        .filter(Challenge::is_shown)
        .collect();
    challenges.sort_by_key(|challenge| std::cmp::Reverse(challenge.severity));
    challenges
}

#[cfg(test)]
pub(super) mod testing {
    use super::super::measurements::{FindingCount, SplitCounts};
    use super::*;
    use mlestar_data::quality::FindingKind;
    use mlestar_data::readers::folder::FileSizes;
    use mlestar_data::separability::{PairConfusion, Separability};
    use mlestar_data::variability::{Spread, Variability};

    /// A dataset in which no detector finds a challenge.
    pub(crate) fn untroubled() -> Measurements {
        let spread = |mean, std| Spread { mean, std };
        Measurements {
            classes: ["cat", "dog", "ship", "tree"].map(String::from).to_vec(),
            height: 224,
            width: 224,
            file_sizes: FileSizes::uniform(224, 224, 36_000),
            class_counts: SplitCounts {
                train: vec![5_000; 4],
                validation: vec![2_000; 4],
                test: vec![2_000; 4],
            },
            channel_mean: [0.5; 3],
            channel_std: [0.25; 3],
            findings: FindingKind::ALL
                .map(|kind| FindingCount {
                    kind,
                    per_split: [0; 3],
                })
                .to_vec(),
            n_conflicting_duplicates: 0,
            sequences: None,
            label_neighbour_accuracy: Some(0.97),
            separability: Some(Separability {
                grid: [8, 8],
                n_features: 192,
                n_references: 10_000,
                n_queries: 2_000,
                majority_accuracy: 0.25,
                centroid_accuracy: 0.9,
                neighbour_accuracy: 0.97,
                n_neighbours: 5,
                linear_accuracy: 0.96,
                linear_accuracy_mirrored: 0.95,
                between_class_share: 0.6,
                mean_pair_confusion: 0.01,
                confused_pairs: vec![PairConfusion {
                    classes: ["cat".into(), "dog".into()],
                    n_confused: 15,
                    n_pictures: 1_000,
                    fraction: 0.015,
                }],
            }),
            variability: Some(Variability {
                n_pictures: 10_000,
                brightness: spread(0.5, 0.05),
                contrast: spread(0.25, 0.03),
                chroma: spread(0.2, 0.05),
                grey_fraction: 0.0,
                border_brightness: spread(0.5, 0.05),
                center_x: spread(0.5, 0.01),
                center_y: spread(0.5, 0.01),
            }),
        }
    }

    /// A dataset with many challenges.
    pub(crate) fn troubled() -> Measurements {
        let mut measurements = with_findings(FindingKind::SuspectedMislabel, [60, 20, 0]);
        shrink_to(&mut measurements, 32);
        measurements.class_counts.train = vec![400, 400, 400, 900];
        measurements.class_counts.validation = vec![50; 4];
        for count in &mut measurements.findings {
            if count.kind == FindingKind::ExactDuplicate {
                count.per_split = [20, 0, 0];
            }
        }
        if let Some(found) = &mut measurements.separability {
            (found.centroid_accuracy, found.neighbour_accuracy) = (0.3, 0.35);
            (found.linear_accuracy, found.between_class_share) = (0.4, 0.05);
            found.confused_pairs[0].fraction = 0.2;
        }
        if let Some(found) = &mut measurements.variability {
            (found.brightness.std, found.border_brightness.std) = (0.15, 0.2);
            (found.center_x.std, found.grey_fraction) = (0.06, 0.1);
        }
        measurements
    }

    /// [`untroubled`] with findings of one kind.
    pub(crate) fn with_findings(kind: FindingKind, per_split: [usize; 3]) -> Measurements {
        let mut measurements = untroubled();
        for count in &mut measurements.findings {
            if count.kind == kind {
                count.per_split = per_split;
            }
        }
        measurements
    }

    /// Gives files and images another size.
    pub(crate) fn shrink_to(measurements: &mut Measurements, side: usize) {
        (measurements.height, measurements.width) = (side, side);
        measurements.file_sizes = FileSizes::uniform(side, side, measurements.n_all());
    }

    /// The challenge, if the measurements show it.
    pub(crate) fn shown(detector: Detector, measurements: &Measurements) -> Option<Challenge> {
        detector(measurements).filter(Challenge::is_shown)
    }

    /// The detector finds nothing in the untroubled set, and its challenge with all its evidence
    /// after `change`. Returns the challenge.
    pub(crate) fn appears(detector: Detector, change: impl FnOnce(&mut Measurements)) -> Challenge {
        assert_eq!(shown(detector, &untroubled()), None);
        let mut measurements = untroubled();
        change(&mut measurements);
        let challenge = detector(&measurements).expect("the challenge is detected");
        assert!(challenge.is_shown(), "{challenge:?}");
        assert!(!challenge.statement.is_empty() && !challenge.consequence.is_empty());
        challenge
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{shrink_to, untroubled};
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn an_untroubled_set_has_no_challenge() {
        assert_eq!(detect_all(&untroubled()), Vec::new());
    }

    #[test]
    fn challenges_have_ids_of_their_own_and_stand_by_severity() {
        let mut measurements = untroubled();
        shrink_to(&mut measurements, 32);
        measurements.class_counts.train = vec![90, 100, 100, 500];
        measurements.class_counts.validation = vec![20; 4];
        let found = detect_all(&measurements);
        let ids: BTreeSet<_> = found
            .iter()
            .map(|challenge| challenge.id.as_str())
            .collect();
        assert_eq!(ids.len(), found.len());
        assert!(found.len() >= 4, "{ids:?}");
        assert!(
            found
                .windows(2)
                .all(|pair| pair[0].severity >= pair[1].severity)
        );
        assert!(found.iter().all(Challenge::is_shown));
    }

    #[test]
    fn every_detector_is_on_record_with_what_it_measured() {
        let ids: Vec<&str> = DETECTORS.iter().map(|(id, _)| *id).collect();
        for measurements in [untroubled(), super::testing::troubled()] {
            let detections = run_detectors(&measurements);
            let recorded: Vec<&str> = detections.iter().map(|found| found.id.as_str()).collect();
            assert_eq!(recorded, ids);
            let found: BTreeSet<&str> = detections
                .iter()
                .filter(|found| found.is_found)
                .map(|found| found.id.as_str())
                .collect();
            let challenges = detect_all(&measurements);
            let shown: BTreeSet<&str> = challenges.iter().map(|found| found.id.as_str()).collect();
            assert_eq!(found, shown);
            assert!(detections.iter().all(|found| !found.evidence.is_empty()));
        }
        let mut unmeasured = untroubled();
        unmeasured.separability = None;
        let detections = run_detectors(&unmeasured);
        let silent = detections.iter().filter(|found| found.evidence.is_empty());
        let silent: Vec<&str> = silent.map(|found| found.id.as_str()).collect();
        assert_eq!(
            silent,
            [
                "low_separability",
                "confusable_classes",
                "intra_class_variance"
            ]
        );
    }

    #[test]
    fn detectors_are_listed_under_the_ids_of_their_challenges() {
        for (id, detect) in DETECTORS {
            assert_eq!(
                detect(&untroubled()).map(|found| found.id),
                Some(id.to_owned())
            );
        }
    }

    #[test]
    fn evidence_within_its_threshold_shows_nothing() {
        let mut measurements = untroubled();
        shrink_to(&mut measurements, 32);
        let mut challenge = detect_all(&measurements).remove(0);
        challenge.evidence[0].value = 500.0;
        assert!(!challenge.is_shown());
        challenge.evidence.clear();
        assert!(!challenge.is_shown());
        challenge.evidence.push(ChallengeEvidence::new(
            "x",
            f64::NAN,
            Unit::Count,
            Limit::AtLeast(0.0),
            1,
            "",
        ));
        assert!(!challenge.is_shown());
    }

    #[test]
    fn severity_has_steps() {
        let rising = |value| Severity::rising(value, 2.0, 3.0);
        assert_eq!(
            [1.9, 2.0, 3.0].map(rising),
            [Severity::Low, Severity::Medium, Severity::High]
        );
        let falling = |value| Severity::falling(value, 0.5, 0.2);
        assert_eq!(
            [0.6, 0.5, 0.2].map(falling),
            [Severity::Low, Severity::Medium, Severity::High]
        );
    }
}
