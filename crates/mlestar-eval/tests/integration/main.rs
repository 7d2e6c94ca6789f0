//! Tests of the public interface.

// Clippy sees only the `#[test]` functions themselves as tests, not the helpers beside them.
#![allow(clippy::unwrap_used)]

mod coverage;
mod fixtures;
mod literature;
mod naive;
mod properties;
mod repeated_splits;
mod simulation;
mod strategies;
