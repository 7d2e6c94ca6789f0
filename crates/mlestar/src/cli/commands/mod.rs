//! One file per command.

pub mod analyze_training;
pub mod bench_model;
pub mod compare_trainings;
pub mod config;
pub mod doctor;
pub mod fetch;
pub mod help;
pub mod init;
pub mod lr_find;
pub mod monitor;
pub mod package;
pub mod predict;
pub mod run;
pub mod runs;
#[cfg(feature = "serve")]
pub mod serve;
pub mod shell;
pub mod splits;
pub mod status;
pub mod subset;
pub mod summary;
pub mod tune;
pub mod validate;
