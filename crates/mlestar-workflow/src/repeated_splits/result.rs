//! `results/<number>.json`.

use mlestar_artifact::Artifact;
use serde::{Deserialize, Serialize};

/// The result of the training of one split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitResult {
    /// Number of the split, from 1.
    pub split: u64,
    /// The seed that drew the split and of the training.
    pub seed: u64,
    /// Images that it learnt from.
    pub train_images: u64,
    /// Images that it was measured on.
    pub validation_images: u64,
    /// What came out.
    pub outcome: SplitOutcome,
    /// Seconds of training and validation.
    pub seconds: f64,
}

/// What a training came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum SplitOutcome {
    /// The epoch with the highest validation accuracy, which the training keeps.
    Measured {
        /// Its number, from 1.
        epoch: u64,
        /// Epochs of the training.
        epochs: u64,
        /// Validation images that it classifies correctly.
        correct: u64,
        /// Their share, 0-1.
        accuracy: f64,
        /// Validation loss of that epoch, in nats; absent if it was not computed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        loss: Option<f64>,
    },
    /// The training failed, as when it diverged.
    Failed {
        /// Why.
        reason: String,
    },
}

impl Artifact for SplitResult {
    const SCHEMA: &'static str = "mlestar.split_result";
    const VERSION: u32 = 1;
}
