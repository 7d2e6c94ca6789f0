//! Versioned JSON artifacts.

use crate::{ArtifactError, write_atomically};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::fs;
use std::path::Path;

const SCHEMA_KEY: &str = "schema";
const VERSION_KEY: &str = "schema_version";

/// A value with a documented, versioned JSON form. It must serialise as a JSON object.
pub trait Artifact: Serialize + DeserializeOwned {
    /// The kind of the file, such as `"mlestar.situation_analysis"`.
    const SCHEMA: &'static str;
    /// Increased with every change that an older reader could misunderstand.
    const VERSION: u32;
}

/// Writes `value` as indented JSON whose first two keys are `schema` and `schema_version`.
///
/// # Errors
/// [`ArtifactError::Write`]; [`ArtifactError::Invalid`] if the value is not a JSON object.
pub fn write_artifact<A: Artifact>(path: &Path, value: &A) -> Result<(), ArtifactError> {
    let invalid = |message: String| ArtifactError::invalid(path, message);
    let body = serde_json::to_value(value).map_err(|error| invalid(error.to_string()))?;
    let Value::Object(fields) = body else {
        return Err(invalid(format!("\"{}\" must be a JSON object", A::SCHEMA)));
    };
    let mut document = Map::new();
    document.insert(SCHEMA_KEY.into(), A::SCHEMA.into());
    document.insert(VERSION_KEY.into(), A::VERSION.into());
    document.extend(fields);
    let mut bytes =
        serde_json::to_vec_pretty(&document).map_err(|error| invalid(error.to_string()))?;
    bytes.push(b'\n');
    write_atomically(path, &bytes)
}

/// Reads a file that [`write_artifact`] wrote.
///
/// # Errors
/// Each names the file: [`ArtifactError::Missing`], [`ArtifactError::Read`],
/// [`ArtifactError::Invalid`] (not JSON, a field missing or of the wrong type),
/// [`ArtifactError::WrongSchema`], [`ArtifactError::WrongVersion`].
pub fn read_artifact<A: Artifact>(path: &Path) -> Result<A, ArtifactError> {
    let bytes = fs::read(path).map_err(|source| ArtifactError::read(path, source))?;
    if bytes.is_empty() {
        return Err(ArtifactError::invalid(path, "it is empty"));
    }
    let mut document: Map<String, Value> =
        serde_json::from_slice(&bytes).map_err(|error| ArtifactError::invalid(path, error))?;
    let schema = document.shift_remove(SCHEMA_KEY);
    if schema.as_ref().and_then(Value::as_str) != Some(A::SCHEMA) {
        return Err(ArtifactError::WrongSchema {
            path: path.to_owned(),
            expected: A::SCHEMA.into(),
            found: schema.map_or("no schema".into(), |found| match found {
                Value::String(name) => name,
                other => other.to_string(),
            }),
        });
    }
    let version = document
        .shift_remove(VERSION_KEY)
        .and_then(|value| value.as_u64())
        .ok_or_else(|| ArtifactError::invalid(path, "it has no integer schema_version"))?;
    if version != u64::from(A::VERSION) {
        return Err(ArtifactError::WrongVersion {
            path: path.to_owned(),
            schema: A::SCHEMA.into(),
            expected: A::VERSION,
            found: version,
        });
    }
    serde_json::from_value(Value::Object(document))
        .map_err(|error| ArtifactError::invalid(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    struct Shape {
        sides: u32,
        area: f64,
    }

    impl Artifact for Shape {
        const SCHEMA: &'static str = "test.shape";
        const VERSION: u32 = 2;
    }

    fn message_for(content: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shape.json");
        fs::write(&path, content).unwrap();
        let message = read_artifact::<Shape>(&path).unwrap_err().to_string();
        message.replace(&folder.path().display().to_string(), "RUN")
    }

    #[test]
    fn what_is_written_reads_back_to_the_last_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shape.json");
        let shape = Shape {
            sides: 3,
            area: 0.1 + 0.2,
        };
        write_artifact(&path, &shape).unwrap();
        assert_eq!(read_artifact::<Shape>(&path).unwrap(), shape);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("{\n  \"schema\": \"test.shape\",\n  \"schema_version\": 2,"));
    }

    #[test]
    fn messages_name_the_file_and_the_reason() {
        assert_eq!(
            message_for("{"),
            "RUN/shape.json is not valid: EOF while parsing an object at line 1 column 1"
        );
        assert_eq!(message_for(""), "RUN/shape.json is not valid: it is empty");
        assert_eq!(
            message_for(r#"{"schema": "test.shape", "schema_version": 3}"#),
            "RUN/shape.json is version 3 of \"test.shape\", this program reads version 2; a newer program wrote it: use \
             that program, or another folder"
        );
        assert_eq!(
            message_for(r#"{"sides": 3}"#),
            "RUN/shape.json holds \"no schema\" where \"test.shape\" was expected"
        );
        assert_eq!(
            message_for(r#"{"schema": "test.shape", "schema_version": 1}"#),
            "RUN/shape.json is version 1 of \"test.shape\", this program reads version 2; rerun the command that writes it"
        );
        assert_eq!(
            message_for(r#"{"schema": "test.shape", "schema_version": 2, "sides": 3}"#),
            "RUN/shape.json is not valid: missing field `area`"
        );
    }
}
