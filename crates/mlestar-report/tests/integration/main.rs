//! Pages and charts from outside: well-formed, self-contained, accessible, never panicking.

// The helpers of tests stand outside of test functions.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod charts;
mod hostile;
mod markup;
mod page;
mod properties;
