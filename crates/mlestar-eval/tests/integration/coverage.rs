//! How often intervals contain the true value, by simulation.
//!
//! `cargo run --release -p mlestar-examples --example coverage` prints the table of `docs/intervals.md`.

use crate::simulation::*;

#[test]
fn intervals_hold_the_truth_about_as_often_as_they_say() {
    // Two standard errors of 300 rounds are 0.025; with few samples, coverage jumps from count to count.
    for (scenario, least) in [
        (alike(2, 50, 0.9), 0.90),
        (alike(2, 50, 0.99), 0.88),
        (alike(10, 10, 0.97), 0.90),
        (rare(10, 0.8, 0.95), 0.88),
        (falling(0.9, 0.97), 0.88),
        (alike(20, 2, 0.9), 0.88),
        (alike(100, 1, 0.9), 0.90),
        (alike(3, 1, 0.9), 0.90),
    ] {
        for (metric, (held, _)) in scenario.coverage(300).into_iter().enumerate() {
            assert!(held >= least, "{}, metric {metric}: {held}", scenario.name);
        }
    }
}
