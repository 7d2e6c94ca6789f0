//! The inputs of a stage, by value where a person can read it, and how they changed.

use mlestar_artifact::ContentHash;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// All inputs of a stage, by readable names.
pub type Inputs = BTreeMap<String, RecordedInput>;

/// One input as `manifest.json` keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedInput {
    /// The hash of a content that is too long to keep.
    Hash(ContentHash),
    /// A section of the config, or a field of an artifact.
    Setting(Value),
}

impl RecordedInput {
    /// The value, where it was kept.
    pub fn setting(&self) -> Option<&Value> {
        match self {
            Self::Setting(value) => Some(value),
            Self::Hash(_) => None,
        }
    }
}

/// One thing that differs between two lists of inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct InputChange {
    /// The dotted key of a setting, or the name of another input.
    pub name: String,
    /// How it differs.
    pub how: HowChanged,
}

/// How an input differs.
#[derive(Clone, Debug, PartialEq)]
pub enum HowChanged {
    /// Another value. An absent key is `null`.
    Value {
        /// The value then.
        before: Value,
        /// The value now.
        now: Value,
    },
    /// Another content.
    Content,
    /// It was not there.
    New,
    /// It is no longer there.
    Gone,
}

/// `training.epochs 6 -> 7`
impl fmt::Display for InputChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.how {
            HowChanged::Value { before, now } => {
                write!(formatter, "{name} {} -> {}", Shown(before), Shown(now))
            }
            HowChanged::Content => write!(formatter, "{name} changed"),
            HowChanged::New => write!(formatter, "{name} is new"),
            HowChanged::Gone => write!(formatter, "{name} is no longer used"),
        }
    }
}

/// A value as a message shows it.
struct Shown<'a>(&'a Value);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 60;
        match self.0 {
            Value::Null => formatter.write_str("absent"),
            value => {
                let text = value.to_string();
                match text.char_indices().nth(LONGEST) {
                    Some((end, _)) => write!(formatter, "{}...", &text[..end]),
                    None => formatter.write_str(&text),
                }
            }
        }
    }
}

/// What differs between the inputs of then and now, in the order of their names.
pub fn changes(before: &Inputs, now: &Inputs) -> Vec<InputChange> {
    let mut found = Vec::new();
    let change = |name: &str, how| InputChange {
        name: name.into(),
        how,
    };
    for (name, input) in now {
        match (before.get(name), input) {
            (None, _) => found.push(change(name, HowChanged::New)),
            (Some(RecordedInput::Setting(old)), RecordedInput::Setting(new)) => {
                compare(name, old, new, &mut found);
            }
            (Some(old), new) if old != new => found.push(change(name, HowChanged::Content)),
            _ => {}
        }
    }
    for name in before.keys().filter(|name| !now.contains_key(*name)) {
        found.push(change(name, HowChanged::Gone));
    }
    found
}

/// Collects the keys in which two values differ, each by its dotted path.
pub(crate) fn compare(key: &str, before: &Value, now: &Value, found: &mut Vec<InputChange>) {
    match (before, now) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for field in keys {
                let value = |object: &serde_json::Map<String, Value>| {
                    object.get(field).cloned().unwrap_or(Value::Null)
                };
                let field_name = quoted_where_needed(field);
                let inner = match key {
                    "" => field_name,
                    _ => format!("{key}.{field_name}"),
                };
                compare(&inner, &value(a), &value(b), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{key}[{index}]"), a, b, found);
            }
        }
        _ if before == now => {}
        _ => found.push(InputChange {
            name: key.into(),
            how: HowChanged::Value {
                before: before.clone(),
                now: now.clone(),
            },
        }),
    }
}

/// A key as in TOML: one with a dot in it is quoted.
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
    use serde_json::json;

    fn texts(before: Value, now: Value) -> Vec<String> {
        let inputs = |value| Inputs::from([("training".into(), RecordedInput::Setting(value))]);
        changes(&inputs(before), &inputs(now))
            .iter()
            .map(InputChange::to_string)
            .collect()
    }

    #[test]
    fn changes_name_the_key_and_both_values() {
        let before = json!({"epochs": 6, "optimizer": {"kind": "adam"}, "stages": [{"blocks": 1}], "x": null});
        let now =
            json!({"epochs": 7, "optimizer": {"kind": "sgd"}, "stages": [{"blocks": 2}], "x": 0.5});
        assert_eq!(
            texts(before.clone(), now),
            [
                "training.epochs 6 -> 7",
                "training.optimizer.kind \"adam\" -> \"sgd\"",
                "training.stages[0].blocks 1 -> 2",
                "training.x absent -> 0.5",
            ]
        );
        assert!(texts(before.clone(), before).is_empty());
    }

    #[test]
    fn inputs_that_come_and_go_are_told() {
        let hash = |text: &str| RecordedInput::Hash(ContentHash::of_bytes(text.as_bytes()));
        let before = Inputs::from([("a".into(), hash("1")), ("b".into(), hash("1"))]);
        let now = Inputs::from([("b".into(), hash("2")), ("c".into(), hash("1"))]);
        let texts: Vec<String> = changes(&before, &now)
            .iter()
            .map(InputChange::to_string)
            .collect();
        assert_eq!(texts, ["b changed", "c is new", "a is no longer used"]);
    }

    #[test]
    fn an_input_reads_back_equal() {
        for input in [
            RecordedInput::Hash(ContentHash::of_bytes(b"x")),
            RecordedInput::Setting(json!({"a": [1, 2.5, null]})),
        ] {
            let text = serde_json::to_string(&input).unwrap();
            assert_eq!(serde_json::from_str::<RecordedInput>(&text).unwrap(), input);
        }
    }
}
