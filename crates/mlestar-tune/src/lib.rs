//! Hyper-parameter search: typed and conditional search spaces, samplers, seeded and resumable studies, pruning, several objectives, importance.
//!
//! A study proposes a set of parameters, an objective measures it, and the study keeps the best. Every trial is
//! one line of a log. An interrupted study resumes from its log and makes the same suggestions as an
//! uninterrupted one.
//!
//! ```
//! use mlestar_tune::{Decision, StudyConfig, TrialError, run_study};
//!
//! let config: StudyConfig = toml::from_str(
//!     r#"
//!     trials = 12
//!     startup_trials = 4
//!     [space."training.optimizer.learning_rate"]
//!     type = "float"
//!     low = 1e-4
//!     high = 1e-1
//!     log = true
//!     [space."training.batch_size"]
//!     type = "categorical"
//!     choices = [64, 128, 256]
//!     "#,
//! )?;
//! let folder = tempfile::tempdir()?;
//! let log = folder.path().join("trials.jsonl");
//! let report = run_study(
//!     &config,
//!     7,
//!     &log,
//!     &[],
//!     &mut |trial| {
//!         let rate = trial.float("training.optimizer.learning_rate")?;
//!         let mut accuracy = 0.0;
//!         for epoch in 1..=3_u32 {
//!             // Stands for an epoch of training: best near a rate of 0.01.
//!             accuracy = 0.9 - 0.1 * (rate.log10() + 2.0).powi(2) - 0.1 / f64::from(epoch);
//!             if trial.report(u64::from(epoch), accuracy) == Decision::Prune {
//!                 return Err(TrialError::Pruned);
//!             }
//!         }
//!         Ok(accuracy)
//!     },
//!     &mut |_event| {},
//! )?;
//! assert_eq!(report.trials.len(), 12);
//! assert!(report.best_trial().is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it searches
//!
//! The samplers ([`Sampler`]), the rules for pruning ([`Pruner`]) and the functional ANOVA behind the importances keep no state beyond
//! the trials. [`run_study`] runs a study in one process; in [`shared`] several processes work on one.

mod error;
mod event;
mod forest;
mod importance;
mod journal;
mod linear;
mod log;
mod minimise;
mod pareto;
mod pruning;
mod record;
mod sampler;
pub mod shared;
mod space;
mod special;
mod study;
mod trial;

pub use error::TuneError;
pub use event::StudyEvent;
pub use importance::{Importances, MIN_TRIALS_FOR_IMPORTANCE, importances};
pub use pareto::hypervolume;
pub use pruning::{Decision, Pruner};
pub use record::{IntermediateValue, TrialRecord, TrialState};
pub use sampler::Sampler;
pub use space::{Conditions, ParameterSpace, ParameterValue, Parameters, SearchSpace};
pub use study::{Direction, StudyConfig, StudyReport, carry_over, report_of_log, run_study};
pub use trial::{Trial, TrialError};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
