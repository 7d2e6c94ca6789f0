//! The crate from outside: files on disk, a server on this machine, whole datasets.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)] // a test fails by panicking

mod augment;
mod cifar;
mod fetch;
mod fingerprint;
mod folder;
mod loader;
mod manifest;
mod messy;
mod pixel_cache;
mod quality;
mod subset;
mod support;
mod synthetic;
