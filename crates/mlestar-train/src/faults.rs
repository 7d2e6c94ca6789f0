use serde::{Deserialize, Serialize};

/// Faults to inject, to test the remedies. Section `[faults]`; all are off by default.
///
/// Steps count from 1 over the whole training.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// The gradients of this step become NaN.
    pub non_finite_at_step: Option<u64>,
    /// This step runs out of device memory.
    pub out_of_memory_at_step: Option<u64>,
    /// How often each fault happens when its step is repeated; 0 means once.
    pub repeats: usize,
    /// The process is killed before this step, without cleaning up.
    pub kill_at_step: Option<u64>,
}

impl Faults {
    /// Whether the fault at step `at`, which has happened `before` times, happens in `step`.
    pub(crate) fn strikes(&self, at: Option<u64>, before: usize, step: u64) -> bool {
        at == Some(step) && before < self.repeats.max(1)
    }
}
