//! The raw figures that targets and constraints are compared with.

use crate::StageContext;
use crate::machine::MachineInfo;
use crate::stages::action_planning::{ResourceFigures, StepTiming, TrainingWork};
use crate::stages::situation_analysis::SituationAnalysis;
use mlestar_data::SplitName;
use mlestar_data::quality::FindingKind;
use serde::{Deserialize, Serialize};

/// Everything that assessments are derived from, apart from the specification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeasibilityFigures {
    /// The device that the times are of.
    pub device: String,
    /// The machine's memory, in bytes.
    pub machine_memory_bytes: u64,
    /// What is known of the data.
    pub data: DataFigures,
    /// What the model and its training need, computed.
    pub resources: ResourceFigures,
    /// What a training has to do.
    pub work: TrainingWork,
    /// What a few steps cost on this machine.
    pub timing: StepTiming,
}

/// What stage 1 knows of the data, as far as targets depend on it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFigures {
    /// Training pictures.
    pub n_train: usize,
    /// Validation pictures.
    pub n_validation: usize,
    /// Test pictures of each class.
    pub test_class_counts: Vec<usize>,
    /// Accuracy of the best simple classifier on validation pictures; absent when not measured.
    pub simple_accuracy: Option<f64>,
    /// Validation pictures behind it.
    pub n_simple: usize,
    /// Pictures of all splits.
    pub n_pictures: usize,
    /// Pictures whose label their neighbours contradict.
    pub n_suspected_mislabels: usize,
    /// Fraction of all pictures whose label their neighbours confirm.
    pub label_neighbour_accuracy: Option<f64>,
    /// Pictures with the same bytes as one of another class.
    pub n_conflicting_duplicates: usize,
    /// Evaluation pictures that an earlier split has too.
    pub n_leaked: usize,
}

/// Neighbours that confirm fewer labels than this say little about a label.
const TRUSTED_NEIGHBOURS: f64 = 0.6;

impl DataFigures {
    /// The figures of an analysis.
    pub(super) fn of(analysis: &SituationAnalysis) -> Self {
        let found = &analysis.measurements;
        let separability = found.separability.as_ref();
        Self {
            n_train: found.n_pictures(SplitName::Train),
            n_validation: found.n_pictures(SplitName::Validation),
            test_class_counts: found.class_counts.test.clone(),
            simple_accuracy: separability.map(|found| found.best_simple_accuracy()),
            n_simple: separability.map_or(0, |found| found.n_queries),
            n_pictures: found.n_all(),
            n_suspected_mislabels: found.n_findings(&[FindingKind::SuspectedMislabel]),
            label_neighbour_accuracy: found.label_neighbour_accuracy,
            n_conflicting_duplicates: found.n_conflicting_duplicates,
            n_leaked: found.n_findings(&[FindingKind::Leakage, FindingKind::NearLeakage]),
        }
    }

    /// Test pictures.
    pub fn n_test(&self) -> usize {
        self.test_class_counts.iter().sum()
    }

    /// Test pictures of the smallest class.
    pub fn n_smallest_test_class(&self) -> usize {
        self.test_class_counts.iter().min().copied().unwrap_or(0)
    }

    /// Fraction of the test pictures that the largest class has.
    pub fn majority_rate(&self) -> f64 {
        let largest = self.test_class_counts.iter().max().copied().unwrap_or(0);
        largest as f64 / self.n_test().max(1) as f64
    }

    /// The accuracy that remains when all labels in doubt are wrong. Suspicions of neighbours that
    /// are often wrong themselves are not counted.
    pub fn accuracy_ceiling(&self) -> f64 {
        let trusted = self
            .label_neighbour_accuracy
            .is_some_and(|found| found >= TRUSTED_NEIGHBOURS);
        let suspected = if trusted {
            self.n_suspected_mislabels
        } else {
            0
        };
        let in_doubt = suspected.max(self.n_conflicting_duplicates);
        1.0 - in_doubt as f64 / self.n_pictures.max(1) as f64
    }
}

/// Collects the figures.
pub(super) fn collect(
    context: &StageContext<'_>,
    analysis: &SituationAnalysis,
    resources: ResourceFigures,
    timing: StepTiming,
) -> FeasibilityFigures {
    let data = DataFigures::of(analysis);
    FeasibilityFigures {
        device: context.device_name.to_owned(),
        machine_memory_bytes: MachineInfo::detect().total_memory_bytes,
        work: TrainingWork::new(&context.config.training, data.n_train, data.n_validation),
        data,
        resources,
        timing,
    }
}
