//! Measures the cost of predictions in the scenarios of MLPerf inference (V. J. Reddi et al., "MLPerf Inference
//! Benchmark", 2020), and the memory, the processor use and the cold start of the program that predicts.
//!
//! | scenario | queries | figure |
//! |---|---|---|
//! | [`single_stream`] | one image after the other | latency: 50th to 99.9th percentile |
//! | [`multi_stream`] | several images at once, one query after the other | latency of a query |
//! | [`server`] | Poisson arrivals, whether the model is ready or not | highest rate with the 99th percentile within a limit |
//! | [`offline`] | batches of every size | images per second |
//!
//! Each measures until its figure is stable by a [`StopRule`], and says if it is not. A scenario needs only a
//! [`MeasuredModel`], so that any format and precision can be compared. [`Job`] measures a package; a program runs it
//! in a process of its own, whose memory and processor time are then those of the model alone.

mod arrivals;
mod candidate;
mod clock;
mod images;
mod job;
mod latencies;
mod latency;
mod model;
mod multi_stream;
mod offline;
mod process;
mod quantile;
mod rule;
mod server;
mod single_stream;
mod stream;
#[cfg(test)]
mod testing;

pub use arrivals::Arrivals;
pub use candidate::Candidate;
pub use clock::{Clock, SystemClock};
pub use images::{ImageSource, Images};
pub use job::{ColdStart, Job, Measured, MeasuringProcess, ModelMemory, Scenario, ScenarioResult};
pub use latencies::latencies_ms;
pub use latency::{Latency, Quantile};
pub use model::MeasuredModel;
pub use multi_stream::multi_stream;
pub use offline::{OfflineResult, Throughput, offline};
pub use process::{
    own_memory_bytes, peak_memory_bytes, resident_memory_bytes, restart_peak_memory,
};
pub use quantile::{CONFIDENCE, quantile, quantile_interval};
pub use rule::{Stability, StopRule};
pub use server::{RateTrial, ServerOptions, ServerResult, server};
pub use single_stream::single_stream;
pub use stream::StreamResult;
