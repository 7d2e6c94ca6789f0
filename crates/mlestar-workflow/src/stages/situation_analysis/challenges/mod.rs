//! What is hard about a data set. Each detector is a function of the measurements alone and emits
//! its challenge only together with figures that are beyond their thresholds.

mod background;
mod class_imbalance;
mod confusable_classes;
mod duplicates;
mod exposure;
mod few_samples;
mod grey_pictures;
mod intra_class_variance;
mod label_noise;
mod leakage;
mod lighting;
mod low_resolution;
mod low_separability;
mod many_classes;
mod object_position;
mod small_evaluation;

use super::measurements::Measurements;
use mlestar_gates::{Limit, Unit};
use serde::{Deserialize, Serialize};

/// How much a challenge matters; each detector says where the steps are.
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
    /// The challenge is there when the value keeps this bound.
    pub threshold: Limit,
    /// Pictures (or classes, or pixels) that the figure rests on.
    pub n: usize,
    /// How it was measured.
    pub method: String,
}

impl ChallengeEvidence {
    /// Whether the value is beyond the threshold, so that it shows the challenge.
    pub fn holds(&self) -> bool {
        self.threshold.allows(self.value)
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

/// A detector: `None` when the measurements do not show its challenge.
type Detector = fn(&Measurements) -> Option<Challenge>;

const DETECTORS: [Detector; 16] = [
    low_resolution::detect,
    few_samples::detect,
    class_imbalance::detect,
    duplicates::detect,
    leakage::detect,
    exposure::detect,
    label_noise::detect,
    low_separability::detect,
    confusable_classes::detect,
    intra_class_variance::detect,
    lighting::detect,
    background::detect,
    object_position::detect,
    grey_pictures::detect,
    many_classes::detect,
    small_evaluation::detect,
];

/// All challenges that the measurements show, the most severe first and otherwise in the order of
/// the detectors.
pub fn detect_all(measurements: &Measurements) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = DETECTORS
        .into_iter()
        .filter_map(|detector| detector(measurements))
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
    use mlestar_data::separability::{PairConfusion, Separability};
    use mlestar_data::variability::{Spread, Variability};

    /// A data set that no detector has anything against.
    pub(crate) fn untroubled() -> Measurements {
        let spread = |mean, std| Spread { mean, std };
        Measurements {
            classes: ["cat", "dog", "ship", "tree"].map(String::from).to_vec(),
            height: 224,
            width: 224,
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

    /// A data set with many troubles.
    pub(crate) fn troubled() -> Measurements {
        let mut measurements = with_findings(FindingKind::SuspectedMislabel, [60, 20, 0]);
        (measurements.height, measurements.width) = (32, 32);
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

    /// The detector finds nothing in the untroubled set, and its challenge with all its evidence
    /// after `change`. Returns the challenge.
    pub(crate) fn appears(detector: Detector, change: impl FnOnce(&mut Measurements)) -> Challenge {
        assert_eq!(detector(&untroubled()), None);
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
    use super::testing::untroubled;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn an_untroubled_set_has_no_challenge() {
        assert_eq!(detect_all(&untroubled()), Vec::new());
    }

    #[test]
    fn challenges_have_ids_of_their_own_and_stand_by_severity() {
        let mut measurements = untroubled();
        (measurements.height, measurements.width) = (32, 32);
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
    fn evidence_within_its_threshold_shows_nothing() {
        let mut measurements = untroubled();
        (measurements.height, measurements.width) = (32, 32);
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
