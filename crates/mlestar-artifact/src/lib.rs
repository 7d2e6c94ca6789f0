//! Artifacts on disk: atomic writes, content hashes, versioned JSON.
//!
//! A file that a stage of a workflow writes must be complete or absent, must state its kind, and must reveal
//! alterations. [`AtomicFile`] and [`write_atomically`] guarantee the first, [`Artifact`] the second,
//! [`ContentHash`] the third.
//!
//! ```
//! use mlestar_artifact::{Artifact, read_artifact, write_artifact};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, PartialEq, Debug)]
//! struct Counts {
//!     pictures: u64,
//! }
//!
//! impl Artifact for Counts {
//!     const SCHEMA: &'static str = "example.counts";
//!     const VERSION: u32 = 1;
//! }
//!
//! # let folder = tempfile::tempdir()?;
//! let path = folder.path().join("counts.json");
//! write_artifact(&path, &Counts { pictures: 50_000 })?;
//! assert_eq!(read_artifact::<Counts>(&path)?.pictures, 50_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod atomic;
mod error;
mod hash;
mod json;
mod json_lines;
mod leftovers;
pub mod protobuf;

pub use atomic::{AtomicFile, write_atomically};
pub use error::ArtifactError;
pub use hash::ContentHash;
pub use json::{Artifact, read_artifact, write_artifact};
pub use json_lines::{append_json_line, read_json_lines};
pub use leftovers::{PARTIAL_PREFIX, remove_leftovers};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
