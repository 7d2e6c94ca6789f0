//! The lines of a journal: operations by number (`JournalOperation` in Optuna).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::distribution::describe;
use super::replay::State;
use super::time::now;
use crate::space::{Parameters, SearchSpace};
use crate::study::Direction;

/// A line as it is read. Which fields there are depends on the operation.
#[derive(Debug, Deserialize)]
pub(super) struct Line<'a> {
    pub(super) op_code: u8,
    #[serde(borrow, default)]
    pub(super) study_name: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) directions: Option<Vec<u8>>,
    #[serde(default)]
    pub(super) study_id: Option<usize>,
    #[serde(default)]
    pub(super) trial_id: Option<usize>,
    #[serde(default)]
    pub(super) state: Option<u8>,
    #[serde(default)]
    pub(super) value: Option<f64>,
    #[serde(default)]
    pub(super) values: Option<Vec<f64>>,
    #[serde(borrow, default)]
    pub(super) distributions: Option<BTreeMap<Cow<'a, str>, Cow<'a, str>>>,
    #[serde(borrow, default)]
    pub(super) params: Option<BTreeMap<Cow<'a, str>, f64>>,
    #[serde(borrow, default)]
    pub(super) param_name: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) param_value_internal: Option<f64>,
    #[serde(borrow, default)]
    pub(super) distribution: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(super) step: Option<i64>,
    /// Null where Python wrote NaN.
    #[serde(default)]
    pub(super) intermediate_value: Option<f64>,
    #[serde(default)]
    pub(super) intermediate_values: Option<BTreeMap<String, Option<f64>>>,
    #[serde(default)]
    pub(super) user_attr: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) user_attrs: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) system_attr: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) system_attrs: Option<Map<String, Value>>,
}

/// Reads a line and hands it on.
pub(super) fn parse(
    bytes: &[u8],
    apply: &mut dyn FnMut(Line<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    match serde_json::from_str(text) {
        Ok(line) => apply(line),
        // Python writes numbers that JSON does not have.
        Err(error) => match serde_json::from_str(&without_infinities(text)) {
            Ok(line) => apply(line),
            Err(_) => Err(error.to_string()),
        },
    }
}

/// The text with NaN, Infinity and -Infinity outside strings replaced by null.
fn without_infinities(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut is_string = false;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = ["NaN", "-Infinity", "Infinity"];
        let found = word
            .iter()
            .find(|word| !is_string && rest.starts_with(**word));
        let length = match found {
            Some(word) => {
                result.push_str("null");
                word.len()
            }
            None if is_string && first == '\\' => {
                let length = rest.chars().take(2).map(char::len_utf8).sum();
                result.push_str(&rest[..length]);
                length
            }
            None => {
                is_string ^= first == '"';
                result.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    result
}

/// An operation to write.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    CreateStudy {
        name: String,
        directions: Vec<Direction>,
    },
    StudyAttribute {
        study: usize,
        key: &'static str,
        value: Value,
    },
    CreateTrial {
        study: usize,
        state: State,
        space: SearchSpace,
        parameters: Parameters,
        values: Vec<f64>,
        intermediate: Vec<(u64, f64)>,
        attributes: Vec<(&'static str, Value)>,
    },
    /// A state, with values where it is complete.
    SetState {
        trial: usize,
        state: State,
        values: Vec<f64>,
    },
    Intermediate {
        trial: usize,
        step: u64,
        value: f64,
    },
    TrialAttribute {
        trial: usize,
        key: &'static str,
        value: Value,
    },
    /// An attribute that people see in Optuna's tools.
    UserAttribute {
        trial: usize,
        key: &'static str,
        value: Value,
    },
}

impl Operation {
    /// Whether a loss of power may not undo it: what else is lost then is made again.
    pub(super) fn must_last(&self) -> bool {
        match self {
            Self::CreateStudy { .. } | Self::StudyAttribute { .. } => true,
            Self::CreateTrial { state, .. } => *state != State::Running,
            Self::SetState { state, .. } => *state != State::Running,
            Self::Intermediate { .. }
            | Self::TrialAttribute { .. }
            | Self::UserAttribute { .. } => false,
        }
    }

    pub(super) fn to_json(&self, worker: &str) -> Value {
        let (code, mut object) = match self {
            Self::CreateStudy { name, directions } => {
                let directions: Vec<u8> = directions
                    .iter()
                    .map(|direction| match direction {
                        Direction::Minimize => 1,
                        Direction::Maximize => 2,
                    })
                    .collect();
                (0, json!({"study_name": name, "directions": directions}))
            }
            Self::StudyAttribute { study, key, value } => {
                (3, json!({"study_id": study, "system_attr": {*key: value}}))
            }
            Self::CreateTrial { .. } => (4, self.new_trial()),
            Self::SetState {
                trial,
                state,
                values,
            } => {
                let values = (!values.is_empty()).then_some(values);
                let mut object =
                    json!({"trial_id": trial, "state": state.code(), "values": values});
                match state {
                    State::Running => object["datetime_start"] = now().into(),
                    State::Waiting => {}
                    _ => object["datetime_complete"] = now().into(),
                }
                (6, object)
            }
            Self::Intermediate { trial, step, value } => (
                7,
                json!({"trial_id": trial, "step": step, "intermediate_value": value}),
            ),
            Self::TrialAttribute { trial, key, value } => {
                (9, json!({"trial_id": trial, "system_attr": {*key: value}}))
            }
            Self::UserAttribute { trial, key, value } => {
                (8, json!({"trial_id": trial, "user_attr": {*key: value}}))
            }
        };
        object["op_code"] = code.into();
        object["worker_id"] = worker.into();
        object
    }

    /// The fields of a new trial, as Optuna writes them for a trial that it was given.
    fn new_trial(&self) -> Value {
        let Self::CreateTrial {
            study,
            state,
            space,
            parameters,
            values,
            intermediate,
            attributes,
        } = self
        else {
            return Value::Null;
        };
        let (mut distributions, mut params) = (Map::new(), Map::new());
        for (key, value) in parameters {
            if let Some(space) = space.get(key) {
                let (text, number) = describe(space, value);
                distributions.insert(key.clone(), text.into());
                params.insert(key.clone(), number.into());
            }
        }
        let steps = intermediate
            .iter()
            .map(|(step, value)| (step.to_string(), json!(value)));
        let attributes = attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.clone()));
        let mut object = json!({
            "study_id": study,
            "datetime_start": now(),
            "state": state.code(),
            "value": if values.len() == 1 { Some(values[0]) } else { None },
            "values": if values.len() > 1 { Some(values) } else { None },
            "distributions": distributions,
            "params": params,
            "user_attrs": {},
            "system_attrs": attributes.collect::<Map<String, Value>>(),
            "intermediate_values": steps.collect::<Map<String, Value>>(),
        });
        if state.is_finished() {
            object["datetime_complete"] = now().into();
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pythons_numbers_are_read_as_missing_ones() {
        let text = "{\"op_code\":7,\"worker_id\":\"NaN \\\" NaN\",\"trial_id\":3,\"step\":1,\"intermediate_value\":NaN}\n";
        let mut found = None;
        let mut keep = |line: Line<'_>| {
            found = Some((line.op_code, line.step, line.intermediate_value));
            Ok(())
        };
        parse(text.as_bytes(), &mut keep).unwrap();
        assert_eq!(found, Some((7, Some(1), None)));
        assert!(without_infinities("[-Infinity, \"Infinity\"]").ends_with("[null, \"Infinity\"]"));
    }
}
