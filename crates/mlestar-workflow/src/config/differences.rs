//! The keys in which two configs differ.

use super::RawConfig;
use crate::inputs::{InputChange, compare};

/// The keys whose values differ, sorted.
///
/// ```
/// use mlestar_workflow::config::{Config, Override, differences};
///
/// let old = Config::default();
/// let new = old.with_overrides(&[Override::parse("training.epochs=7")?])?;
/// let changes = differences(&old, &new);
/// assert_eq!(changes.len(), 1);
/// assert_eq!(changes[0].to_string(), "training.epochs 100 -> 7");
/// # Ok::<(), mlestar_workflow::config::ConfigError>(())
/// ```
pub fn differences(old: &RawConfig, new: &RawConfig) -> Vec<InputChange> {
    let value = |config: &RawConfig| serde_json::to_value(config).unwrap_or_default();
    let mut found = Vec::new();
    compare("", &value(old), &value(new), &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Override};

    fn changes(settings: &[&str]) -> Vec<String> {
        let overrides: Vec<Override> = settings
            .iter()
            .map(|text| Override::parse(text).unwrap())
            .collect();
        let old = Config::default();
        let new = old.with_overrides(&overrides).unwrap();
        let there = differences(&old, &new);
        // Back is the same the other way round.
        for (change, back) in there.iter().zip(differences(&new, &old)) {
            assert_eq!(change.name, back.name);
        }
        there.iter().map(InputChange::to_string).collect()
    }

    #[test]
    fn changed_new_and_dropped_keys_are_named() {
        assert!(changes(&[]).is_empty());
        insta::assert_snapshot!(changes(&[
            "training.max_minutes=2.5",
            "training.optimizer.kind='sgd'",
            "seed=3",
            "gates.evaluation.criteria.accuracy={at_least=0.9}",
            "data.image_size=[16, 16]",
        ]).join("\n"), @r#"
        data.image_size absent -> [16,16]
        gates.evaluation.criteria.accuracy absent -> {"at_least":0.9}
        seed 0 -> 3
        training.max_minutes absent -> 2.5
        training.optimizer.kind "adam" -> "sgd"
        "#);
    }
}
