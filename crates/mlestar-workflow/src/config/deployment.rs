use serde::{Deserialize, Serialize};

/// Section `[deployment]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeploymentConfig {
    /// When the package calls an image "none of these".
    pub confidence: ConfidenceConfig,
    /// How speed and memory are measured.
    pub benchmark: BenchmarkConfig,
    /// How much the exported model may differ from the trained one.
    pub parity: ParityConfig,
}

/// Section `[deployment.confidence]`.
///
/// | key | default | purpose | range |
/// |---|---|---|---|
/// | `false_alarm_rate` | 0.05 | share of images of the classes that may be called "none of these"; 0 turns that off | 0 to 0.5 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfidenceConfig {
    /// Share of images of the classes that may be called "none of these", 0-1.
    pub false_alarm_rate: f64,
}

impl Default for ConfidenceConfig {
    fn default() -> Self {
        Self {
            false_alarm_rate: 0.05,
        }
    }
}

/// Section `[deployment.benchmark]`.
///
/// | key | default | purpose | range |
/// |---|---|---|---|
/// | `latency_runs` | 100 | single images timed for the latency, at least | 10 to 100,000 |
/// | `throughput_batch_sizes` | 1, 8, 32, 128 | batch sizes whose throughput is measured | 1 to 16 sizes of 1 to 4,096 |
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BenchmarkConfig {
    /// Single images timed for the latency, at least: more are until the 95th percentile is known to 2 % or half a second
    /// is over.
    pub latency_runs: usize,
    /// Batch sizes whose throughput is measured.
    pub throughput_batch_sizes: Vec<usize>,
}

impl Default for BenchmarkConfig {
    fn default() -> Self {
        Self {
            latency_runs: 100,
            throughput_batch_sizes: vec![1, 8, 32, 128],
        }
    }
}

/// Section `[deployment.parity]`.
///
/// | key | default | purpose | range |
/// |---|---|---|---|
/// | `max_abs_difference` | 1e-3 | largest allowed difference of a logit between the trained and the exported model | above 0, at most 1 |
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ParityConfig {
    /// Largest allowed difference of a logit between the trained and the exported model.
    pub max_abs_difference: f64,
}

impl Default for ParityConfig {
    fn default() -> Self {
        Self {
            max_abs_difference: 1e-3,
        }
    }
}
