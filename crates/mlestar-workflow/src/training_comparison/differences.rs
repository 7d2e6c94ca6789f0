//! The settings in which trainings differ.

use super::Curve;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A setting that is not the same in all trainings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Its key, such as `training.epochs`.
    pub key: String,
    /// Its value in each training whose settings are known, in the order of the trainings and with their
    /// labels; empty where it is not set.
    pub values: Vec<(String, String)>,
}

/// Keys with values that differ among the curves whose settings are known. What the data hash to is
/// compared, too.
pub(super) fn between(curves: &[Curve]) -> Vec<Difference> {
    let known: Vec<(&str, BTreeMap<String, String>)> = curves
        .iter()
        .filter_map(|curve| {
            let value = serde_json::to_value(curve.identity.as_ref()?).ok()?;
            let mut settings = BTreeMap::new();
            flatten("", &value, &mut settings);
            Some((curve.label.as_str(), settings))
        })
        .collect();
    let keys: BTreeSet<&String> = known.iter().flat_map(|(_, all)| all.keys()).collect();
    let values = |key: &String| -> Vec<(String, String)> {
        known
            .iter()
            .map(|(label, all)| {
                let value = all.get(key).cloned().unwrap_or_default();
                ((*label).to_owned(), value)
            })
            .collect()
    };
    keys.into_iter()
        .map(|key| Difference {
            key: key.clone(),
            values: values(key),
        })
        // It follows from the seed here, or from the file that another key is about.
        .filter(|difference| difference.key != "initial_state")
        .filter(|difference| {
            let mut values = difference.values.iter().map(|(_, value)| value);
            let first = values.next();
            values.any(|value| Some(value) != first)
        })
        .collect()
}

fn flatten(key: &str, value: &Value, settings: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let inner = match key {
                    "" => field.clone(),
                    // As in the config: a model's settings stand beside its number of classes.
                    "model" if field == "config" => key.to_owned(),
                    _ => format!("{key}.{field}"),
                };
                flatten(&inner, value, settings);
            }
        }
        Value::Null => {}
        Value::String(text) => {
            settings.insert(key.to_owned(), text.clone());
        }
        other => {
            settings.insert(key.to_owned(), other.to_string());
        }
    }
}
