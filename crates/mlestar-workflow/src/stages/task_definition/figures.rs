//! The raw figures that targets and constraints are compared with.

use crate::StageContext;
use crate::config::Config;
use crate::estimates::{ResourceFigures, StepTiming, TrainingWork};
use crate::machine::MachineInfo;
use crate::stages::situation_analysis::SituationAnalysis;
use mlestar_data::SplitName;
use mlestar_data::quality::FindingKind;
use mlestar_train::TrainingConfig;
use serde::{Deserialize, Serialize};

/// Everything that assessments are derived from, apart from the specification.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeasibilityFigures {
    /// The device that the times are of.
    pub device: String,
    /// The machine's memory, in bytes.
    pub machine_memory_bytes: u64,
    /// The figures of the data.
    pub data: DataFigures,
    /// The computed needs of the model and its training.
    pub resources: ResourceFigures,
    /// The work of the training of stage 4.
    pub training_work: TrainingWork,
    /// The work of stage 6; absent where `refinement.enabled` is false.
    pub search: Option<SearchWork>,
    /// Whether training starts from the weights of a file or learns from teacher networks.
    pub has_prior_knowledge: bool,
    /// The cost of a few steps on this machine.
    pub timing: StepTiming,
}

/// The most work of the search of stage 6 and of the final training: trials can be pruned, and where nothing better
/// is found there is no final training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchWork {
    /// Trials.
    pub trials: usize,
    /// Proposals, each as long as a trial.
    pub proposals: usize,
    /// Trainings of finalists and of the config's own settings, each as long as a trial.
    pub seeds: usize,
    /// Each of them, with the batch size of the config.
    pub trial: TrainingWork,
    /// The final training.
    pub final_training: TrainingWork,
}

impl SearchWork {
    /// Trainings that are as long as a trial.
    pub fn n_short(&self) -> usize {
        self.trials + self.proposals + self.seeds
    }

    fn of(config: &Config, data: &DataFigures) -> Option<Self> {
        let refinement = &config.refinement;
        let work = |epochs, n_train| {
            let training = TrainingConfig {
                epochs,
                ..config.training.clone()
            };
            TrainingWork::new(&training, n_train, data.n_validation)
        };
        let n_trial = (data.n_train as f64 * refinement.train_fraction_per_trial).round() as usize;
        refinement.enabled.then(|| Self {
            trials: refinement.trials,
            proposals: refinement.proposals,
            seeds: (refinement.finalists + 1) * refinement.seeds,
            trial: work(refinement.epochs_per_trial, n_trial),
            final_training: work(config.training.epochs, data.n_train),
        })
    }
}

/// Estimated times of all trainings of a run, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunSeconds {
    /// The training of stage 4.
    pub training: f64,
    /// All proposals, trials and finalists; 0 without a search.
    pub search: f64,
    /// The final training of stage 6; 0 without a search.
    pub final_training: f64,
}

impl RunSeconds {
    /// All together.
    pub fn total(&self) -> f64 {
        self.training + self.search + self.final_training
    }

    /// The longer of the two trainings that can give the final model. The limit on training time applies to it.
    pub fn longest_training(&self) -> f64 {
        self.training.max(self.final_training)
    }
}

impl FeasibilityFigures {
    /// The times of all trainings when a step takes `step_seconds`.
    pub fn run_seconds(&self, step_seconds: f64) -> RunSeconds {
        let seconds = |work: &TrainingWork| self.timing.training_seconds(step_seconds, work);
        let of_search = |part: &dyn Fn(&SearchWork) -> f64| self.search.as_ref().map_or(0.0, part);
        RunSeconds {
            training: seconds(&self.training_work),
            search: of_search(&|search| search.n_short() as f64 * seconds(&search.trial)),
            final_training: of_search(&|search| seconds(&search.final_training)),
        }
    }
}

/// The figures of stage 1 that targets depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFigures {
    /// Training images.
    pub n_train: usize,
    /// Validation images.
    pub n_validation: usize,
    /// Training images of the smallest class.
    pub n_smallest_train_class: usize,
    /// Test images of each class.
    pub test_class_counts: Vec<usize>,
    /// Classes without a validation image.
    pub classes_without_validation: Vec<String>,
    /// Classes without a test image.
    pub classes_without_test: Vec<String>,
    /// Accuracy of the best simple classifier on validation images; absent when not measured.
    pub simple_accuracy: Option<f64>,
    /// Validation images behind it.
    pub n_simple: usize,
    /// Images of all splits.
    pub n_pictures: usize,
    /// Images whose label their neighbours contradict.
    pub n_suspected_mislabels: usize,
    /// Fraction of all images whose label their neighbours confirm.
    pub label_neighbour_accuracy: Option<f64>,
    /// Images with the same bytes as one of another class.
    pub n_conflicting_duplicates: usize,
    /// Validation and test images that repeat one of an earlier split or continue its sequences.
    pub n_leaked: SplitLeaks,
}

/// Images of the splits that judge a model which are not new to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SplitLeaks {
    /// Validation images.
    pub validation: usize,
    /// Test images.
    pub test: usize,
}

/// Neighbours that confirm fewer labels than this say little about a label.
const TRUSTED_NEIGHBOURS: f64 = 0.6;

impl DataFigures {
    /// The figures of an analysis.
    pub(super) fn of(analysis: &SituationAnalysis) -> Self {
        let found = &analysis.measurements;
        let separability = found.separability.as_ref();
        let copies = [FindingKind::Leakage, FindingKind::NearLeakage];
        let leaked = |split| {
            let n_cut = found.n_findings_in(&[FindingKind::CutSequence], split);
            found.n_findings_in(&copies, split).max(n_cut)
        };
        Self {
            n_train: found.n_pictures(SplitName::Train),
            n_validation: found.n_pictures(SplitName::Validation),
            n_smallest_train_class: found.class_counts.train.iter().min().copied().unwrap_or(0),
            test_class_counts: found.class_counts.test.clone(),
            classes_without_validation: found.classes_without(SplitName::Validation),
            classes_without_test: found.classes_without(SplitName::Test),
            simple_accuracy: separability.map(|found| found.best_simple_accuracy()),
            n_simple: separability.map_or(0, |found| found.n_queries),
            n_pictures: found.n_all(),
            n_suspected_mislabels: found.n_findings(&[FindingKind::SuspectedMislabel]),
            label_neighbour_accuracy: found.label_neighbour_accuracy,
            n_conflicting_duplicates: found.n_conflicting_duplicates,
            n_leaked: SplitLeaks {
                validation: leaked(SplitName::Validation),
                test: leaked(SplitName::Test),
            },
        }
    }

    /// Test images.
    pub fn n_test(&self) -> usize {
        self.test_class_counts.iter().sum()
    }

    /// Test images of the smallest class that has any.
    pub fn n_smallest_test_class(&self) -> usize {
        let present = self.test_class_counts.iter().filter(|count| **count > 0);
        present.min().copied().unwrap_or(0)
    }

    /// Fraction of the test images that the largest class has.
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
        training_work: TrainingWork::new(&context.config.training, data.n_train, data.n_validation),
        search: SearchWork::of(context.config, &data),
        has_prior_knowledge: context.config.training.initial_weights.is_some()
            || context.config.training.teaching().is_some(),
        data,
        resources,
        timing,
    }
}
