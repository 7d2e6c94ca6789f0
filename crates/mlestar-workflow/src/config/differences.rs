//! The keys in which two configs differ.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::RawConfig;

/// One key that has another value in another config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key, dotted, such as `training.epochs`.
    pub key: String,
    /// Its value before, as TOML has it; none where it was not set.
    pub before: Option<String>,
    /// Its value now, as TOML has it; none where it is not set.
    pub after: Option<String>,
}

/// `training.epochs 6 -> 7`
impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
        write!(
            formatter,
            "{} {} -> {}",
            self.key,
            text(&self.before),
            text(&self.after)
        )
    }
}

/// The keys whose values differ, sorted. Lists are compared as wholes.
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
pub fn differences(old: &RawConfig, new: &RawConfig) -> Vec<Change> {
    let mut before = leaves(old);
    let mut changes: Vec<Change> = Vec::new();
    for (key, after) in leaves(new) {
        let before = before.remove(&key);
        if before.as_ref() != Some(&after) {
            changes.push(Change {
                key,
                before,
                after: Some(after),
            });
        }
    }
    changes.extend(before.into_iter().map(|(key, before)| Change {
        key,
        before: Some(before),
        after: None,
    }));
    changes.sort_by(|a, b| a.key.cmp(&b.key));
    changes
}

/// Every key that has a value, dotted.
fn leaves(config: &RawConfig) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    flatten(
        "",
        &serde_json::to_value(config).unwrap_or_default(),
        &mut found,
    );
    found
}

fn flatten(key: &str, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let field = quoted_where_needed(field);
                let inner = match key {
                    "" => field,
                    _ => format!("{key}.{field}"),
                };
                flatten(&inner, value, found);
            }
        }
        Value::Null => {}
        other => {
            found.insert(key.to_owned(), other.to_string());
        }
    }
}

/// A key as TOML has it: one with a dot in it stands in quotes.
fn quoted_where_needed(key: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    match !key.is_empty() && key.chars().all(is_bare) {
        true => key.to_owned(),
        false => format!("{key:?}"),
    }
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
            assert_eq!(change.key, back.key);
            assert_eq!((&change.before, &change.after), (&back.after, &back.before));
        }
        there.iter().map(Change::to_string).collect()
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
        data.image_size not set -> [16,16]
        gates.evaluation.criteria.accuracy.at_least not set -> 0.9
        seed 0 -> 3
        training.max_minutes not set -> 2.5
        training.optimizer.kind "adam" -> "sgd"
        "#);
    }
}
