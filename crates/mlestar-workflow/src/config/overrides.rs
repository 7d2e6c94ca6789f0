use std::fmt;

use super::ConfigError;

/// One key set to another value, as `--set training.epochs=3`.
///
/// The value is TOML. Text that is not TOML is taken as a string, so words need no quotes. Numbers in the key are
/// indices of lists: `model.stages.0.channels=32`.
///
/// ```
/// use mlestar_workflow::config::Override;
///
/// let set = Override::parse("training.optimizer.kind=sgd")?;
/// assert_eq!(set.key(), "training.optimizer.kind");
/// assert_eq!(set.value(), &toml::Value::String("sgd".to_owned()));
/// assert!(Override::parse("training.epochs").is_err());
/// # Ok::<(), mlestar_workflow::config::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    text: String,
    path: Vec<String>,
    value: toml::Value,
}

impl Override {
    /// Reads `key=value`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::BadOverride`] without `=`, or when the key is not one of TOML.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| bad(text, "write it as key=value, for example training.epochs=3"))?;
        let value = value.trim();
        let parsed = toml::from_str::<toml::Table>(&format!("value = {value}"))
            .ok()
            .filter(|table| table.len() == 1)
            .and_then(|mut table| table.remove("value"));
        Ok(Self {
            text: text.to_owned(),
            path: key_path(key).ok_or_else(|| {
                bad(
                    text,
                    "the part before = is not a key, such as training.epochs",
                )
            })?,
            value: parsed.unwrap_or_else(|| toml::Value::String(value.to_owned())),
        })
    }

    /// `key` is dotted, as in [`Override::parse`].
    ///
    /// # Errors
    ///
    /// [`ConfigError::BadOverride`] when the key is not one of TOML.
    pub fn new(key: &str, value: toml::Value) -> Result<Self, ConfigError> {
        let text = format!("{key}={value}");
        let path = key_path(key).ok_or_else(|| {
            bad(
                &text,
                "the part before = is not a key, such as training.epochs",
            )
        })?;
        Ok(Self { text, path, value })
    }

    /// The dotted key.
    pub fn key(&self) -> String {
        self.path.join(".")
    }

    /// The value.
    pub fn value(&self) -> &toml::Value {
        &self.value
    }

    /// The parts of the key.
    pub(super) fn path(&self) -> &[String] {
        &self.path
    }

    /// Sets the key in a document and creates missing tables.
    pub(super) fn apply(&self, document: &mut toml::Table) -> Result<(), ConfigError> {
        let (last, parents) = self
            .path
            .split_last()
            .ok_or_else(|| bad(&self.text, "the key is empty"))?;
        let Some((first, inner)) = parents.split_first() else {
            document.insert(last.clone(), self.value.clone());
            return Ok(());
        };
        let mut at = entry(document, first);
        for part in inner {
            at = self.child(at, part)?;
        }
        *self.child(at, last)? = self.value.clone();
        Ok(())
    }

    fn child<'a>(
        &self,
        parent: &'a mut toml::Value,
        part: &str,
    ) -> Result<&'a mut toml::Value, ConfigError> {
        match parent {
            toml::Value::Table(table) => Ok(entry(table, part)),
            toml::Value::Array(items) => {
                let n = items.len();
                part.parse::<usize>()
                    .ok()
                    .and_then(|index| items.get_mut(index))
                    .ok_or_else(|| {
                        bad(
                            &self.text,
                            &format!("`{part}` is not an index into a list of {n}"),
                        )
                    })
            }
            other => Err(bad(
                &self.text,
                &format!(
                    "`{part}` cannot be set inside a value of type {}",
                    other.type_str()
                ),
            )),
        }
    }
}

fn entry<'a>(table: &'a mut toml::Table, key: &str) -> &'a mut toml::Value {
    table
        .entry(key.to_owned())
        .or_insert_with(|| toml::Value::Table(toml::Table::new()))
}

/// The parts of a dotted key, read by TOML's rules, so that quoted parts may hold dots.
fn key_path(key: &str) -> Option<Vec<String>> {
    // A line break would let a "key" be a whole document.
    if key.contains('\n') {
        return None;
    }
    let mut at: toml::Value = toml::from_str::<toml::Table>(&format!("{key} = 0"))
        .ok()?
        .into();
    let mut path = Vec::new();
    while let toml::Value::Table(table) = at {
        let (part, inner) = table.into_iter().next()?;
        path.push(part);
        at = inner;
    }
    Some(path)
}

fn bad(text: &str, message: &str) -> ConfigError {
    ConfigError::BadOverride {
        text: text.to_owned(),
        message: message.to_owned(),
    }
}

impl fmt::Display for Override {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}
