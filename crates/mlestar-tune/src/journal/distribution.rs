//! Parameters as Optuna describes them: a distribution, and a number for the value.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::space::{ParameterSpace, ParameterValue};

/// The values that a parameter of a trial could have had.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Distribution {
    Float,
    Int,
    Categorical(Vec<ParameterValue>),
}

#[derive(Deserialize)]
struct Raw {
    name: String,
    attributes: Attributes,
}

#[derive(Deserialize)]
struct Attributes {
    #[serde(default)]
    choices: Vec<Value>,
}

impl Distribution {
    /// Reads the JSON text of a distribution.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let raw: Raw = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match raw.name.as_str() {
            "FloatDistribution"
            | "UniformDistribution"
            | "LogUniformDistribution"
            | "DiscreteUniformDistribution" => Ok(Self::Float),
            "IntDistribution" | "IntUniformDistribution" | "IntLogUniformDistribution" => {
                Ok(Self::Int)
            }
            "CategoricalDistribution" => Ok(Self::Categorical(
                raw.attributes.choices.into_iter().map(choice).collect(),
            )),
            other => Err(format!("unknown distribution `{other}`")),
        }
    }

    /// The value that Optuna stores as a number.
    pub(super) fn value(&self, stored: f64) -> Result<ParameterValue, String> {
        match self {
            Self::Float => Ok(ParameterValue::Float(stored)),
            Self::Int => Ok(ParameterValue::Int(stored as i64)),
            Self::Categorical(choices) => choices
                .get(stored as usize)
                .filter(|_| stored >= 0.0)
                .cloned()
                .ok_or_else(|| format!("choice {stored} of {}", choices.len())),
        }
    }
}

/// A choice as a value; null, which Optuna allows, becomes the word `None`.
fn choice(value: Value) -> ParameterValue {
    match value {
        Value::Null => ParameterValue::Text("None".into()),
        other => serde_json::from_value(other.clone())
            .unwrap_or_else(|_| ParameterValue::Text(other.to_string())),
    }
}

/// The JSON text of the distribution of a parameter that has this value, and the number for the value. A value that is not among the
/// choices is added to them.
pub(super) fn describe(space: &ParameterSpace, value: &ParameterValue) -> (String, f64) {
    match space {
        ParameterSpace::Float {
            low,
            high,
            log,
            step,
            ..
        } => {
            let attributes = json!({"step": step, "low": low, "high": high, "log": log});
            let text = json!({"name": "FloatDistribution", "attributes": attributes}).to_string();
            (text, value.as_f64().unwrap_or(*low))
        }
        ParameterSpace::Int {
            low,
            high,
            log,
            step,
            ..
        } => {
            let step = step.unwrap_or(1);
            let attributes = json!({"log": log, "step": step, "low": low, "high": high});
            let text = json!({"name": "IntDistribution", "attributes": attributes}).to_string();
            (text, value.as_i64().unwrap_or(*low) as f64)
        }
        ParameterSpace::Categorical { choices, .. } => {
            let mut choices: Vec<&ParameterValue> = choices.iter().collect();
            let index = match choices.iter().position(|choice| *choice == value) {
                Some(index) => index,
                None => {
                    choices.push(value);
                    choices.len() - 1
                }
            };
            let attributes = json!({"choices": choices});
            let text = json!({"name": "CategoricalDistribution", "attributes": attributes});
            (text.to_string(), index as f64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_way_through_a_distribution() {
        let words = ["sgd", "adam"].map(|word| ParameterValue::Text(word.into()));
        let list = ParameterValue::List(vec![ParameterValue::Int(1), ParameterValue::Bool(true)]);
        for (space, value) in [
            (
                ParameterSpace::log_float(1e-5, 0.1),
                ParameterValue::Float(0.003),
            ),
            (ParameterSpace::int(-3, 9), ParameterValue::Int(-2)),
            (ParameterSpace::categorical(words.clone()), words[1].clone()),
            (ParameterSpace::categorical([list.clone()]), list),
            // A value that was given although it is not among the choices.
            (
                ParameterSpace::categorical(words),
                ParameterValue::Text("lion".into()),
            ),
        ] {
            let (text, stored) = describe(&space, &value);
            let read = Distribution::parse(&text).unwrap().value(stored).unwrap();
            assert_eq!(read, value);
        }
    }

    #[test]
    fn distributions_of_older_versions_are_read() {
        let text = r#"{"name": "LogUniformDistribution", "attributes": {"low": 0.1, "high": 1.0}}"#;
        assert_eq!(Distribution::parse(text).unwrap(), Distribution::Float);
        let text = r#"{"name": "CategoricalDistribution", "attributes": {"choices": [null, 1, 0.5, "a", false]}}"#;
        let read = Distribution::parse(text).unwrap();
        assert_eq!(
            read.value(0.0).unwrap(),
            ParameterValue::Text("None".into())
        );
        assert_eq!(read.value(2.0).unwrap(), ParameterValue::Float(0.5));
        assert!(read.value(5.0).is_err());
        assert!(Distribution::parse("{}").is_err());
    }
}
