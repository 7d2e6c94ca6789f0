//! A TOML document that remembers where its values come from.

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde_path_to_error::Segment;
use toml::de::{DeTable, DeValue};

use super::{ConfigError, Override, RawConfig};

/// A config's text and name, and its values after the overrides.
pub(super) struct Document<'a> {
    text: &'a str,
    name: &'a str,
    overrides: &'a [Override],
    table: toml::Table,
}

impl<'a> Document<'a> {
    pub(super) fn parse(
        text: &'a str,
        name: &'a str,
        overrides: &'a [Override],
    ) -> Result<Self, ConfigError> {
        let mut table: toml::Table = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| line_of(text, span.start));
            ConfigError::Syntax {
                place: line.map_or_else(|| name.to_owned(), |line| format!("{name}, line {line}")),
                message: error.message().to_owned(),
            }
        })?;
        for set in overrides {
            set.apply(&mut table)?;
        }
        Ok(Self {
            text,
            name,
            overrides,
            table,
        })
    }

    /// For a config that was not read from a text.
    pub(super) fn nameless() -> Document<'static> {
        Document {
            text: "",
            name: "config",
            overrides: &[],
            table: toml::Table::new(),
        }
    }

    /// Reads the typed sections.
    pub(super) fn read(&self) -> Result<RawConfig, ConfigError> {
        let deserializer = toml::Value::Table(self.table.clone()).into_deserializer();
        let mut track = serde_path_to_error::Track::new();
        let tracked = serde_path_to_error::Deserializer::new(deserializer, &mut track);
        RawConfig::deserialize(tracked)
            .map_err(|error| self.explain(&path_parts(&track.path()), error.message()))
    }

    /// Whether the section is there and has the key.
    pub(super) fn has(&self, [section, key]: [&str; 2]) -> bool {
        let section = self.table.get(section).and_then(toml::Value::as_table);
        section.is_some_and(|section| section.contains_key(key))
    }

    /// Turns serde's message about the value at `path` into one of ours.
    fn explain(&self, path: &[String], message: &str) -> ConfigError {
        let message = message.trim_end();
        if let Some((unknown, valid)) = unknown_name(message, "unknown field ") {
            let parent = match path.split_last() {
                Some((last, parent)) if *last == unknown => parent,
                _ => path,
            };
            let mut full = parent.to_vec();
            full.push(unknown.clone());
            return ConfigError::UnknownKey {
                place: self.place(&full),
                key: dotted(&full),
                advice: advice(parent, &unknown, &valid),
            };
        }
        let message = match unknown_name(message, "unknown variant ") {
            Some((unknown, valid)) => format!(
                "\"{unknown}\" is not valid; {}",
                advice(&[], &unknown, &valid)
            ),
            None => without_rust_types(message),
        };
        ConfigError::WrongType {
            place: self.place(path),
            key: dotted(path),
            message,
        }
    }

    /// Where the value at `path`, or else the innermost table around it, comes from.
    pub(super) fn place(&self, path: &[String]) -> String {
        let from_override = self.overrides.iter().rev().find(|set| {
            path.starts_with(set.path()) || (!path.is_empty() && set.path().starts_with(path))
        });
        if let Some(set) = from_override {
            return format!("--set {set}");
        }
        match self.line(path) {
            Some(line) => format!("{}, line {line}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// As [`Self::place`], of a dotted key without quotes, such as `model.stages[1].channels`.
    pub(super) fn place_of(&self, key: &str) -> String {
        let parts: Vec<String> = key
            .split(['.', '[', ']'])
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect();
        self.place(&parts)
    }

    fn line(&self, path: &[String]) -> Option<usize> {
        let document = DeTable::parse(self.text).ok()?;
        let (first, inner) = path.split_first()?;
        let (key, value) = document.get_ref().get_key_value(first.as_str())?;
        let mut offset = key.span().start;
        let mut at = value;
        for part in inner {
            let found = match at.get_ref() {
                DeValue::Table(table) => table
                    .get_key_value(part.as_str())
                    .map(|(key, value)| (key.span().start, value)),
                DeValue::Array(items) => part
                    .parse::<usize>()
                    .ok()
                    .and_then(|index| items.get(index))
                    .map(|value| (value.span().start, value)),
                _ => None,
            };
            let Some((start, value)) = found else { break };
            (offset, at) = (start, value);
        }
        Some(line_of(self.text, offset))
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.matches('\n').count() + 1
}

fn path_parts(path: &serde_path_to_error::Path) -> Vec<String> {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } => Some(key.clone()),
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// The key as a person would write it: parts with dots are quoted.
fn dotted(path: &[String]) -> String {
    let quoted: Vec<String> = path
        .iter()
        .map(|part| {
            if part.contains('.') {
                format!("{part:?}")
            } else {
                part.clone()
            }
        })
        .collect();
    quoted.join(".")
}

/// Reads serde's "unknown field `a`, expected one of `b`, `c`": the name, and the valid ones.
fn unknown_name(message: &str, prefix: &str) -> Option<(String, Vec<String>)> {
    let names = message.strip_prefix(prefix)?;
    let mut quoted = names.split('`').skip(1).step_by(2).map(str::to_owned);
    let unknown = quoted.next()?;
    Some((unknown, quoted.collect()))
}

/// Serde names the types of Rust; a user writes numbers and tables.
fn without_rust_types(message: &str) -> String {
    let Some((found, expected)) = message.split_once(", expected ") else {
        return message.to_owned();
    };
    let expected = match expected {
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number, at least 0",
        "isize" | "i64" | "i32" => "a whole number",
        "f64" | "f32" => "a number",
        name if name.starts_with("struct ") => "a table",
        "a sequence" => "a list",
        "a map" => "a table",
        other => other,
    };
    format!("{found}, expected {expected}")
}

fn advice(parent: &[String], unknown: &str, valid: &[String]) -> String {
    let nearest = valid
        .iter()
        .map(|name| (strsim::damerau_levenshtein(unknown, name), name))
        .min()
        .filter(|(distance, name)| *distance <= 1 + name.len().max(unknown.len()) / 3);
    match nearest {
        Some((_, name)) => {
            let mut full = parent.to_vec();
            full.push(name.clone());
            format!("did you mean `{}`?", dotted(&full))
        }
        None if valid.is_empty() => "no key is valid here".to_owned(),
        None => format!("valid here: {}", valid.join(", ")),
    }
}

/// The nearest of `valid` to a name that is not among them, as advice.
pub(super) fn nearest_name(parent: &[&str], unknown: &str, valid: &[String]) -> String {
    let parent: Vec<String> = parent.iter().map(|part| (*part).to_owned()).collect();
    advice(&parent, unknown, valid)
}
