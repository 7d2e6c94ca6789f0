//! The seven stages of MLE-Star: artifacts, gates, caching and the chain.
//!
//! A [`Config`](config::Config) says what to do. [`chain::run`] does it in a [`RunFolder`]: each stage reads typed
//! inputs and writes typed artifacts, and its gate is judged from those artifacts. A stage whose inputs have not
//! changed is skipped; [`freshness`] knows why one is stale.

pub mod audit;
pub mod chain;
mod code_version;
pub mod config;
pub mod context;
mod csv;
pub mod device;
pub mod doctor;
pub mod error;
pub mod estimates;
pub mod explain;
pub mod freshness;
pub mod gates;
pub mod guide;
pub mod inputs;
pub mod lr_find;
pub mod machine;
pub mod manifest;
pub mod metrics;
pub mod model_benchmark;
pub mod monitor;
pub mod page_headers;
pub mod predictions;
mod remedies;
pub mod repeated_splits;
pub mod reporter;
pub mod run_folder;
pub mod run_info;
pub mod stage;
pub mod stages;
pub mod study_page;
pub mod summary;
pub mod threads;
pub mod training;
pub mod training_analysis;
pub mod training_comparison;
mod trial_training;
pub mod tuning;
pub mod validation;
mod validation_share;
pub mod words;

pub use code_version::{CODE_VERSION, code_version};
pub use context::StageContext;
pub use error::WorkflowError;
pub use reporter::Reporter;
pub use run_folder::{RunFolder, RunLock};
pub use stage::{Stage, UnknownStage};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
