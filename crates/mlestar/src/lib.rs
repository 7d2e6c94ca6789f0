#![doc = include_str!("../README.md")]

#[cfg(feature = "cli")]
pub mod cli;

#[cfg(feature = "artifact")]
pub use mlestar_artifact as artifact;
#[cfg(feature = "data")]
pub use mlestar_data as data;
#[cfg(feature = "eval")]
pub use mlestar_eval as eval;
#[cfg(feature = "export")]
pub use mlestar_export as export;
#[cfg(feature = "gates")]
pub use mlestar_gates as gates;
#[cfg(feature = "image")]
pub use mlestar_image as image;
#[cfg(feature = "model")]
pub use mlestar_model as model;
#[cfg(feature = "report")]
pub use mlestar_report as report;
#[cfg(feature = "serve")]
pub use mlestar_serve as serve;
#[cfg(feature = "train")]
pub use mlestar_train as train;
#[cfg(feature = "tune")]
pub use mlestar_tune as tune;
#[cfg(feature = "workflow")]
pub use mlestar_workflow as workflow;
