//! A manifest: a file that lists images with their labels, so that labels need not be folders.
//!
//! A `.csv` file has a line with the names of its columns, then a line for each image; quotes follow RFC 4180. A `.jsonl` file
//! has a JSON object on each line. The columns:
//!
//! | column | meaning |
//! |---|---|
//! | `path` | the image file, relative to the folder of the manifest, or absolute; each file once |
//! | `label` | the name of its class |
//! | `split` | `train`, `validation` (or `val`, `valid`) or `test`; without the column, splits are made |
//! | `group` | images with the same group belong together and go to the same split; an image without one is on its own |
//! | others | attributes of the image ([`ImageSet::attribute`](crate::ImageSet::attribute)) |
//!
//! A path may be written as this crate shows it, with `\xe9` for a byte that is not UTF-8 and `\\` for a backslash.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use super::attributes::Attributes;
use super::class_names::{composed, natural_order};
use super::folder::{Entry, Listing};
use super::{csv, name};
use crate::error::{DataError, Result};
use crate::image_set::SplitName;

/// Extensions of manifests, in lower case.
pub const EXTENSIONS: [&str; 2] = ["csv", "jsonl"];

/// The columns with a meaning of their own.
const COLUMNS: [&str; 4] = ["path", "label", "split", "group"];

/// Whether a file's name is that of a manifest.
pub fn is_manifest(path: &Path) -> bool {
    extension(path).is_some()
}

fn extension(path: &Path) -> Option<&'static str> {
    let own = path.extension()?.to_str()?;
    EXTENSIONS
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(own))
}

/// The images that a manifest lists, without reading them.
///
/// # Errors
/// With the file and the line: if it cannot be read or is no table of this form; if a value is missing or unknown; if a file
/// is listed twice, or a group is in two splits; if there are fewer than two classes, or no training images.
pub fn scan(path: &Path) -> Result<Listing> {
    let rows = rows(path)?;
    let mut table = Table::new(path);
    for row in rows {
        table.add(row)?;
    }
    table.listing()
}

/// The values of a line by column, in order.
struct Row {
    line: usize,
    values: Vec<(String, String)>,
}

impl Row {
    fn get(&self, column: &str) -> &str {
        let value = self.values.iter().find(|(name, _)| name == column);
        value.map_or("", |(_, text)| text.trim())
    }

    fn has(&self, column: &str) -> bool {
        self.values.iter().any(|(name, _)| name == column)
    }
}

fn wrong(path: &Path, line: usize, problem: impl Into<String>, remedy: &str) -> DataError {
    DataError::Manifest {
        path: path.to_owned(),
        line,
        problem: problem.into(),
        remedy: remedy.to_string(),
    }
}

fn rows(path: &Path) -> Result<Vec<Row>> {
    let Some(extension) = extension(path) else {
        return Err(DataError::Layout {
            path: path.to_owned(),
            problem: "its extension is not one of csv, jsonl".to_string(),
            remedy: "give a manifest of images, or set data.source to \"folder\" for a folder"
                .to_string(),
        });
    };
    let bytes = fs::read(path).map_err(|e| DataError::read(path, e))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        wrong(path, line, "it is not UTF-8", "save the file as UTF-8")
    })?;
    match extension {
        "csv" => csv_rows(path, &text),
        _ => json_rows(path, &text),
    }
}

fn csv_rows(path: &Path, text: &str) -> Result<Vec<Row>> {
    let records = csv::records(text)
        .map_err(|(line, problem)| wrong(path, line, problem, "correct the line"))?;
    let mut records = records.into_iter();
    let Some(header) = records.next() else {
        return Err(wrong(path, 1, "it is empty", HEADER_REMEDY));
    };
    let names: Vec<String> = header
        .fields
        .iter()
        .map(|name| name.trim().to_string())
        .collect();
    for (i, name) in names.iter().enumerate() {
        if name.is_empty() || names[..i].contains(name) {
            let problem = format!(
                "column {} has no name, or the same as another: \"{name}\"",
                i + 1
            );
            return Err(wrong(
                path,
                header.line,
                problem,
                "give each column its own name",
            ));
        }
    }
    for column in ["path", "label"] {
        if !names.iter().any(|name| name == column) {
            let problem = format!(
                "there is no column {column} (there are: {})",
                names.join(", ")
            );
            return Err(wrong(path, header.line, problem, HEADER_REMEDY));
        }
    }
    records
        .map(|record| {
            if record.fields.len() != names.len() {
                let (found, wanted) = (record.fields.len(), names.len());
                let problem =
                    format!("it has {found} fields, but the first line names {wanted} columns");
                let remedy = "add or remove fields; write a field that holds a comma in quotes";
                return Err(wrong(path, record.line, problem, remedy));
            }
            Ok(Row {
                line: record.line,
                values: names.iter().cloned().zip(record.fields).collect(),
            })
        })
        .collect()
}

const HEADER_REMEDY: &str =
    "begin the file with the names of its columns, such as path,label,split";

fn json_rows(path: &Path, text: &str) -> Result<Vec<Row>> {
    let lines = (1..)
        .zip(text.lines())
        .filter(|(_, text)| !text.trim().is_empty());
    lines
        .map(|(line, text)| {
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text)
                .map_err(|error| {
                    let remedy = "write one JSON object on each line, such as {\"path\": \"1.jpg\", \"label\": \"ant\"}";
                    wrong(path, line, format!("it is no JSON object: {error}"), remedy)
                })?;
            let values = object.into_iter().map(|(name, value)| match value {
                serde_json::Value::String(text) => Ok((name, text)),
                serde_json::Value::Null => Ok((name, String::new())),
                serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {
                    Ok((name, value.to_string()))
                }
                _ => {
                    let problem = format!("the value of {name} is a list or an object");
                    Err(wrong(path, line, problem, "write a text, a number, true or false"))
                }
            });
            Ok(Row {
                line,
                values: values.collect::<Result<_>>()?,
            })
        })
        .collect()
}

/// The images so far.
struct Table<'a> {
    path: &'a Path,
    images: Vec<Image>,
    /// The line of each path.
    lines: HashMap<String, usize>,
    /// The number, split and line of each group's first image.
    groups: HashMap<String, (u32, SplitName, usize)>,
    n_groups: u32,
    has_groups: bool,
    has_splits: bool,
    attributes: Attributes,
}

struct Image {
    path: String,
    label: String,
    split: SplitName,
    group: u32,
}

impl<'a> Table<'a> {
    fn new(path: &'a Path) -> Self {
        Self {
            path,
            images: Vec::new(),
            lines: HashMap::new(),
            groups: HashMap::new(),
            n_groups: 0,
            has_groups: false,
            has_splits: false,
            attributes: Attributes::default(),
        }
    }

    fn add(&mut self, row: Row) -> Result<()> {
        for column in ["path", "label"] {
            if row.get(column).is_empty() {
                let problem = format!("the {column} is missing");
                return Err(wrong(
                    self.path,
                    row.line,
                    problem,
                    "add it, or remove the line",
                ));
            }
        }
        let path = row.get("path").to_string();
        if let Some(first) = self.lines.insert(path.clone(), row.line) {
            let problem = format!("{path} is listed in line {first} already");
            return Err(wrong(self.path, row.line, problem, "list each file once"));
        }
        let split = self.split(&row)?;
        let group = self.group(&row, split)?;
        let others = row
            .values
            .iter()
            .filter(|(name, _)| !COLUMNS.contains(&name.as_str()));
        self.attributes
            .push(others.map(|(name, text)| (name.as_str(), text.trim())));
        self.images.push(Image {
            path,
            label: composed(row.get("label")),
            split,
            group,
        });
        Ok(())
    }

    fn split(&mut self, row: &Row) -> Result<SplitName> {
        let is_first = self.images.is_empty();
        if !is_first && row.has("split") != self.has_splits {
            let problem = "it has a split, or lacks one, unlike the lines before it";
            return Err(wrong(
                self.path,
                row.line,
                problem,
                "give every image a split, or none",
            ));
        }
        self.has_splits = row.has("split");
        match row.get("split") {
            "" if !self.has_splits => Ok(SplitName::Train),
            "train" => Ok(SplitName::Train),
            "validation" | "val" | "valid" => Ok(SplitName::Validation),
            "test" => Ok(SplitName::Test),
            other => {
                let problem = format!("the split is \"{other}\"");
                Err(wrong(
                    self.path,
                    row.line,
                    problem,
                    "write train, validation (or val, valid) or test",
                ))
            }
        }
    }

    fn group(&mut self, row: &Row, split: SplitName) -> Result<u32> {
        let group = row.get("group");
        self.has_groups |= row.has("group");
        let number = self.n_groups;
        if group.is_empty() {
            self.n_groups += 1;
            return Ok(number);
        }
        match self.groups.get(group) {
            None => {
                self.n_groups += 1;
                self.groups
                    .insert(group.to_string(), (number, split, row.line));
                Ok(number)
            }
            Some((number, other, _)) if *other == split => Ok(*number),
            Some((_, other, line)) => {
                let problem = format!(
                    "the group {group} is in the {split} split here and in the {other} split in line {line}"
                );
                Err(wrong(
                    self.path,
                    row.line,
                    problem,
                    "keep a group in one split, or remove the column split",
                ))
            }
        }
    }

    fn listing(self) -> Result<Listing> {
        let mut classes: Vec<String> = self
            .images
            .iter()
            .map(|image| image.label.clone())
            .collect();
        classes.sort_by(|a, b| natural_order(a, b));
        classes.dedup();
        let place = name::shown(self.path);
        if classes.len() < 2 {
            return Err(DataError::TooFewClasses {
                place,
                n: classes.len(),
                names: classes.join(", "),
            });
        }
        let labels: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        let of = |split: SplitName| -> Vec<usize> {
            let images = self.images.iter().enumerate();
            let mut chosen: Vec<usize> = images
                .filter(|(_, image)| image.split == split)
                .map(|(index, _)| index)
                .collect();
            // As in a folder: by class, then by name, so that the order of the lines does not matter.
            chosen.sort_by_key(|index| {
                let image = &self.images[*index];
                (labels[image.label.as_str()], &image.path)
            });
            chosen
        };
        let parts = [SplitName::Train, SplitName::Validation, SplitName::Test].map(of);
        let entries = |part: &[usize]| -> Vec<Entry> {
            let images = part.iter().map(|index| &self.images[*index]);
            images
                .map(|image| Entry {
                    path: name::original(&image.path),
                    label: labels[image.label.as_str()],
                })
                .collect()
        };
        let [train, validation, test] = &parts;
        if train.is_empty() {
            return Err(DataError::NoPictures {
                path: self.path.to_owned(),
                detail: "none of its lines has the split train".to_string(),
            });
        }
        let some = |part: &[usize]| (!part.is_empty()).then(|| entries(part));
        Ok(Listing {
            root: root_of(self.path).to_owned(),
            train: entries(train),
            validation: some(validation),
            test: some(test),
            split_folders: Vec::new(),
            n_nested: 0,
            n_skipped: 0,
            skipped_counts: Vec::new(),
            skipped: Vec::new(),
            groups: self.has_groups.then(|| {
                let indices = parts.iter().flatten();
                indices.map(|index| self.images[*index].group).collect()
            }),
            attributes: self.attributes.select(&parts.concat()),
            classes: classes.into(),
        })
    }
}

/// The folder that the paths of a manifest are relative to.
pub fn root_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
