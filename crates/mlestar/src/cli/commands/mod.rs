//! One file per command.

pub mod analyze_training;
pub mod compare_trainings;
pub mod config;
pub mod doctor;
pub mod fetch;
pub mod help;
pub mod init;
pub mod lr_find;
pub mod monitor;
pub mod predict;
pub mod run;
pub mod runs;
pub mod shell;
pub mod status;
pub mod subset;
pub mod summary;
pub mod validate;
