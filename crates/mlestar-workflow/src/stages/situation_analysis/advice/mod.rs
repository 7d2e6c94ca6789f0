//! What to do about the findings. Each piece of advice names the finding that it follows from and, where there is
//! one, the config key to set.

mod augmentation;
mod preprocessing;

pub(super) use augmentation::augmentation;
pub(crate) use preprocessing::SourceTraits;
pub(super) use preprocessing::preprocessing;

use super::challenges::Challenge;
use serde::{Deserialize, Serialize};

/// One piece of advice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// What to do, in a few words.
    pub title: String,
    /// Why, with the figures that it follows from.
    pub reason: String,
    /// The ids of the challenges, or the dotted names in `measurements`, that it follows from.
    pub follows_from: Vec<String>,
    /// What to do, in a sentence.
    pub action: String,
    /// The key of the config and its value, where a setting does it.
    pub setting: Option<Setting>,
}

/// A key of the config.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The dotted key.
    pub key: String,
    /// The advised value, as TOML.
    pub value: String,
    /// The value that the config has now, as TOML; absent where stage 1 does not depend on it.
    pub configured: Option<String>,
}

impl Setting {
    fn new(key: &str, value: impl Into<String>, configured: Option<String>) -> Self {
        Self {
            key: key.to_owned(),
            value: value.into(),
            configured,
        }
    }
}

/// The ids among `wanted` that are among the challenges.
fn present(challenges: &[Challenge], wanted: &[&str]) -> Vec<String> {
    wanted
        .iter()
        .filter(|id| challenges.iter().any(|challenge| challenge.id == **id))
        .map(|id| (*id).to_owned())
        .collect()
}

/// Rounded to a twentieth: finer settings would claim more than was measured.
fn twentieth(value: f64) -> f64 {
    (value * 20.0).round() / 20.0
}
