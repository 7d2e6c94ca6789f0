use serde::{Deserialize, Serialize};

/// Section `[evaluation]`.
///
/// | key | default | purpose | range |
/// |---|---|---|---|
/// | `confidence` | 0.95 | confidence of every interval in reports and gates | above 0, below 1 |
/// | `batch_size` | 256 | images predicted at once | 1 to 65,536 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Confidence of every interval in reports and gates.
    pub confidence: f64,
    /// Images predicted at once; it changes speed and memory.
    pub batch_size: usize,
}

impl Default for EvaluationConfig {
    fn default() -> Self {
        Self {
            confidence: 0.95,
            batch_size: 256,
        }
    }
}
