//! The seven stages of MLE-Star: artifacts, gates, caching and the chain.
//!
//! A [`Config`](config::Config) says what is to be done. [`chain::run`] carries it out in a
//! [`RunFolder`]: each stage reads typed inputs, leaves typed artifacts, and its gate is judged from
//! those artifacts. A stage whose inputs have not changed is skipped; [`freshness`] knows why one is
//! stale.

pub mod audit;
pub mod chain;
pub mod config;
pub mod context;
pub mod device;
pub mod doctor;
pub mod error;
pub mod explain;
pub mod freshness;
pub mod gates;
pub mod guide;
pub mod lr_find;
pub mod machine;
pub mod manifest;
pub mod monitor;
pub mod predictions;
mod remedies;
pub mod reporter;
pub mod run_folder;
pub mod stage;
pub mod stages;
pub mod summary;
pub mod threads;
pub mod training_analysis;
pub mod training_comparison;
pub mod validation;

pub use context::StageContext;
pub use error::WorkflowError;
pub use reporter::Reporter;
pub use run_folder::{RunFolder, RunLock};
pub use stage::{Stage, UnknownStage};

/// The version of the code, with a hash of its sources where it was built from a clone. A stage
/// that another version ran is stale.
pub const CODE_VERSION: &str = env!("MLESTAR_CODE_VERSION");
