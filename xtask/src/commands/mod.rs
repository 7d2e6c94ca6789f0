//! One file a command.

pub mod bench;
pub mod config;
pub mod doctor;
pub mod fetch;
pub mod help;
pub mod run;
pub mod status;
pub mod subset;
pub mod summary;
pub mod validate;
