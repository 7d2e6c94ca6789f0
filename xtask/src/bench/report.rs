//! What `bench peers` found: data only, written as JSON as it stands.

use super::hardware::Hardware;
use super::peer_output::Version;
use mlestar_eval::median;
use serde::Serialize;
use std::collections::BTreeMap;

/// The speed of one program. What it does not do, or did not say, is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Training steps, in images a second.
    pub training_images_per_second: Option<f64>,
    /// Predictions in batches, in images a second.
    pub inference_images_per_second: Option<f64>,
    /// Prediction of one picture, in milliseconds.
    pub single_picture_ms: Option<f64>,
    /// Largest resident memory of a process that only trains, in bytes.
    pub training_peak_memory_bytes: Option<u64>,
}

impl Figures {
    /// The median of each speed over those who have it, and the largest memory.
    pub fn medians<'a>(all: impl IntoIterator<Item = &'a Self> + Clone) -> Self {
        let of = |figure: fn(&Self) -> Option<f64>| {
            median(
                &all.clone()
                    .into_iter()
                    .filter_map(figure)
                    .collect::<Vec<_>>(),
            )
        };
        Self {
            training_images_per_second: of(|figures| figures.training_images_per_second),
            inference_images_per_second: of(|figures| figures.inference_images_per_second),
            single_picture_ms: of(|figures| figures.single_picture_ms),
            training_peak_memory_bytes: all
                .into_iter()
                .filter_map(|figures| figures.training_peak_memory_bytes)
                .max(),
        }
    }
}

/// What one round measured: every peer, and then ours.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Round {
    pub ours: Figures,
    /// Of the peers that were measured, by name.
    pub peers: BTreeMap<&'static str, Figures>,
}

/// A peer, with what it reached or why that is not known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeerRow {
    pub name: &'static str,
    #[serde(flatten)]
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Measured(Figures),
    NotAvailable(String),
}

/// Where the peers' figures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerSource {
    /// Measured before ours in the same round.
    SameRun,
    /// Read from files saved earlier.
    Saved,
    /// Nobody asked for peers.
    None,
}

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub date: String,
    /// What makes the same report again.
    pub command: String,
    pub hardware: Hardware,
    pub threads: usize,
    pub batch: usize,
    /// Whether our code was slowed by debug assertions.
    pub debug_assertions: bool,
    /// Medians over the rounds.
    pub ours: Figures,
    pub peer_source: PeerSource,
    /// Medians over the rounds.
    pub peers: Vec<PeerRow>,
    pub rounds: Vec<Round>,
    pub versions: Vec<Version>,
    /// What the reader should know besides.
    pub notes: Vec<String>,
}
