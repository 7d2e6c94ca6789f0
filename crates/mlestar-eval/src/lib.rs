//! Classification metrics, curves, calibration, intervals and comparisons on plain slices.
//!
//! Everything starts from [`Predictions`]: true labels and one row of class probabilities per sample, checked
//! once. [`summarize`] computes all metrics; each is also available as a function. All arithmetic is `f64`,
//! fractions are 0-1, nothing panics on invalid input, and the same input gives the same bits.
//!
//! ```
//! use mlestar_eval::{Predictions, accuracy, summarize, wilson};
//!
//! let labels = vec![0, 1, 2, 2];
//! let probabilities = vec![
//!     0.8, 0.1, 0.1, //
//!     0.3, 0.6, 0.1, //
//!     0.2, 0.5, 0.3, //
//!     0.1, 0.1, 0.8,
//! ];
//! let predictions = Predictions::new(labels, probabilities, 3)?;
//! assert_eq!(accuracy(&predictions), 0.75);
//!
//! let interval = wilson(3, 4, 0.95)?;
//! assert!(interval.low < 0.75 && 0.75 < interval.high);
//!
//! let classes = ["cat", "dog", "ship"].map(String::from);
//! let summary = summarize(&predictions, &classes, 0.95)?;
//! assert_eq!(summary.per_class[2].recall, Some(0.5));
//! assert_eq!(summary.most_confused[0].count, 1); // a ship taken for a dog
//! # Ok::<(), mlestar_eval::EvalError>(())
//! ```
//!
//! # Conventions
//! If scikit-learn has the metric, the values agree with it to 1e-9, as the tests check; there, `labels` means
//! all classes here. The definitions leave some cases open, which are handled like this:
//!
//! | case | here |
//! |---|---|
//! | several classes share the highest probability | the lowest class index is predicted, as by `numpy.argmax` |
//! | class never true | recall is `None`; left out of macro averages (`labels` = the classes present), weight 0 in weighted ones |
//! | class present but never predicted | precision is `None`; counts as 0 in averages (`zero_division=0`) |
//! | class neither true nor predicted | F1 is `None` too; left out of averages |
//! | class always or never true | its ROC curve and AUC are `None` and left out of averages |
//! | class never true | its precision-recall curve and average precision are `None` and left out of averages |
//! | equal scores | one step of a curve; midranks in the AUC |
//! | probability 0 of the true class | log loss clips to the machine epsilon, as scikit-learn does |
//! | all samples of one class and all predicted so | Cohen's kappa is `None` (0/0), Matthews' correlation is 0 |

mod accuracy;
mod balanced_accuracy;
mod binomial;
mod bootstrap;
mod brier;
mod calibration;
mod class_metric_interval;
mod class_metrics;
mod conformal;
mod confused_pairs;
mod confusion;
mod difference;
mod error;
mod interval;
mod kappa;
mod log_loss;
mod matthews;
mod mcnemar;
mod median;
mod normal;
mod paired_difference;
mod paired_ratio;
mod precision_recall;
mod predictions;
mod rank_correlation;
mod resampled_accuracy;
mod roc;
mod selection;
mod softmax;
mod student;
mod summary;
mod temperature;
mod thresholds;
mod top_k;
mod wilson;
mod worst_recall;

pub use accuracy::accuracy;
pub use balanced_accuracy::balanced_accuracy;
pub use bootstrap::{bootstrap, bootstrap_many, quantile};
pub use brier::brier_score;
pub use calibration::{Reliability, ReliabilityBin, expected_calibration_error, reliability};
pub use class_metric_interval::{ClassMetric, class_metric_interval};
pub use class_metrics::{Averages, ClassMetrics, MeanMetrics, averages, class_metrics};
pub use conformal::conformal_limit;
pub use confused_pairs::{ConfusedPair, most_confused_pairs};
pub use confusion::ConfusionMatrix;
pub use difference::difference_interval;
pub use error::EvalError;
pub use interval::Interval;
pub use kappa::cohen_kappa;
pub use log_loss::log_loss;
pub use matthews::matthews_correlation;
pub use mcnemar::{McNemar, mcnemar, mcnemar_from_counts};
pub use median::median;
pub use normal::normal_quantile;
pub use paired_difference::paired_difference_interval;
pub use paired_ratio::paired_ratio_interval;
pub use precision_recall::{
    PerClassAveragePrecision, PrecisionRecallCurve, average_precision,
    average_precision_one_vs_rest, precision_recall_curve,
};
pub use predictions::Predictions;
pub use rank_correlation::rank_correlation;
pub use resampled_accuracy::{HeldOut, ResampledAccuracy, resampled_accuracy};
pub use roc::{PerClassAuc, RocCurve, roc_auc, roc_auc_one_vs_rest, roc_curve};
pub use selection::{SelectedScore, selected_score};
pub use softmax::{softmax_onto, softmax_rows};
pub use summary::{ClassSummary, Estimate, EvaluationSummary, TopKAccuracy, summarize};
pub use temperature::{MAX_TEMPERATURE, MIN_TEMPERATURE, TemperatureFit, fit_temperature};
pub use top_k::top_k_accuracy;
pub use wilson::wilson;
pub use worst_recall::{WorstRecall, worst_recall};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
