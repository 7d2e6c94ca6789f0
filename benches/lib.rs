//! Shared settings of the benches.

use criterion::Criterion;
use std::time::Duration;

/// The settings of every bench: 20 samples in about 3 seconds, after 1 second of warming up.
///
/// `cargo bench -p mlestar-benches -- --save-baseline NAME` and `--baseline NAME` compare two versions of the
/// code.
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .measurement_time(Duration::from_secs(3))
        .warm_up_time(Duration::from_secs(1))
}
