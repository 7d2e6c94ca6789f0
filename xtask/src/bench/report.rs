//! The results of `bench peers`: plain data, written as JSON.

use super::hardware::Hardware;
use super::peer_output::Version;
use mlestar_eval::median;
use serde::Serialize;
use std::collections::BTreeMap;

/// The speed of one program. Figures that it does not measure or report are `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Training steps, in images per second.
    pub training_images_per_second: Option<f64>,
    /// Predictions in batches, in images per second.
    pub inference_images_per_second: Option<f64>,
    /// Prediction of one image, in milliseconds.
    pub single_picture_ms: Option<f64>,
    /// Largest resident memory of a process that only trains, in bytes.
    pub training_peak_memory_bytes: Option<u64>,
}

impl Figures {
    /// The median of each speed over the programs that have it, and the largest memory.
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

/// The results of one round: every peer, and then ours.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Round {
    pub ours: Figures,
    /// Ours in other precisions than `f32`, by name; predictions alone.
    pub ours_in: BTreeMap<&'static str, Figures>,
    /// The measured peers, by name.
    pub peers: BTreeMap<&'static str, Figures>,
}

/// A peer, with its figures or why they are not known.
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

/// The source of the peers' figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PeerSource {
    /// Measured before ours in the same round.
    SameRun,
    /// Read from files saved earlier.
    Saved,
    /// No peers were requested.
    None,
}

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub date: String,
    /// The command that makes the same report again.
    pub command: String,
    pub hardware: Hardware,
    pub threads: usize,
    /// Its name on the command line.
    pub network: String,
    /// Width and height of its images.
    pub side: usize,
    pub batch: usize,
    /// Whether debug assertions slowed our code.
    pub debug_assertions: bool,
    /// Medians over the rounds, in `f32`.
    pub ours: Figures,
    /// Medians over the rounds in other precisions, by name.
    pub ours_in: BTreeMap<&'static str, Figures>,
    pub peer_source: PeerSource,
    /// Medians over the rounds.
    pub peers: Vec<PeerRow>,
    pub rounds: Vec<Round>,
    pub versions: Vec<Version>,
    /// Notes for the reader.
    pub notes: Vec<String>,
}
