//! Parameters to try first, from a file.

use crate::WorkflowError;
use mlestar_tune::{ParameterValue, Parameters, SearchSpace};
use serde_json::Value;
use std::path::Path;

/// Reads sets of parameters: a TOML file (`.toml`) with a table `[[trials]]` for each, or one JSON object per line. Keys
/// are those of the search space, dotted or as nested tables. Keys that a set leaves out are suggested.
///
/// # Errors
/// [`WorkflowError::Usage`], which names the file, the set and the key.
pub fn read_parameters(file: &Path, space: &SearchSpace) -> Result<Vec<Parameters>, WorkflowError> {
    let refuse = |problem: String| WorkflowError::Usage(format!("{}: {problem}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| refuse(error.to_string()))?;
    let is_toml = file
        .extension()
        .is_some_and(|extension| extension == "toml");
    let sets = match is_toml {
        true => of_toml(&text).map_err(refuse)?,
        false => of_lines(&text).map_err(refuse)?,
    };
    let flat = sets.iter().enumerate().map(|(index, set)| {
        let mut parameters = Parameters::new();
        flatten("", set, space, &mut parameters)
            .map(|()| parameters)
            .map_err(|problem| refuse(format!("set {}: {problem}", index + 1)))
    });
    flat.collect()
}

fn of_toml(text: &str) -> Result<Vec<Value>, String> {
    let table: toml::Table = text.parse().map_err(|error| format!("{error}"))?;
    match table.get("trials") {
        Some(toml::Value::Array(sets)) if table.len() == 1 => sets
            .iter()
            .map(|set| serde_json::to_value(set).map_err(|error| error.to_string()))
            .collect(),
        _ => Err("it must hold tables [[trials]] and nothing else".into()),
    }
}

fn of_lines(text: &str) -> Result<Vec<Value>, String> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            serde_json::from_str(line).map_err(|error| format!("line {}: {error}", number + 1))
        })
        .collect()
}

/// Adds the values below `key`: whatever is a key of the space, at any depth.
fn flatten(
    key: &str,
    value: &Value,
    space: &SearchSpace,
    found: &mut Parameters,
) -> Result<(), String> {
    match value {
        Value::Object(table) if space.get(key).is_none() => {
            for (inner, value) in table {
                let inner = match key {
                    "" => inner.clone(),
                    key => format!("{key}.{inner}"),
                };
                flatten(&inner, value, space, found)?;
            }
            Ok(())
        }
        _ => {
            if space.get(key).is_none() {
                return Err(match key {
                    "" => "not a table of parameters".to_owned(),
                    key => format!("`{key}` is not in refinement.space"),
                });
            }
            let value: ParameterValue = serde_json::from_value(value.clone())
                .map_err(|error| format!("`{key}`: {error}"))?;
            found.insert(key.to_owned(), value);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mlestar_tune::ParameterSpace;

    fn read(name: &str, text: &str) -> Result<Vec<Parameters>, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let space = SearchSpace::new([
            ("model.dropout".to_owned(), ParameterSpace::float(0.0, 0.5)),
            ("training.batch_size".to_owned(), ParameterSpace::int(8, 64)),
        ]);
        let error = |error: WorkflowError| error.to_string();
        read_parameters(&file, &space).map_err(error)
    }

    #[test]
    fn toml_and_lines_of_json_say_the_same() {
        let toml = "[[trials]]\n\"model.dropout\" = 0.2\ntraining.batch_size = 16\n\n[[trials]]\nmodel = { dropout = 0.1 }\n";
        let lines = "{\"model.dropout\": 0.2, \"training.batch_size\": 16}\n\n{\"model\": {\"dropout\": 0.1}}\n";
        let sets = read("a.toml", toml).unwrap();
        assert_eq!(sets, read("a.jsonl", lines).unwrap());
        assert_eq!(sets.len(), 2);
        assert_eq!(sets[0]["training.batch_size"], ParameterValue::Int(16));
    }

    #[test]
    fn a_mistake_is_named() {
        for (name, text, expected) in [
            (
                "a.toml",
                "[[trials]]\ndropout = 0.1",
                "set 1: `dropout` is not in",
            ),
            (
                "a.toml",
                "model.dropout = 0.1",
                "must hold tables [[trials]]",
            ),
            ("a.toml", "trials = [1]", "set 1: not a table"),
            ("a.jsonl", "{}\n{", "line 2"),
            ("a.jsonl", "7", "set 1: not a table"),
        ] {
            let error = read(name, text).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(error.contains(name), "{error}");
        }
    }
}
