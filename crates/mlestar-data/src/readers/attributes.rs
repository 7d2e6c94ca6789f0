//! Further properties of images, such as the camera or the place, which a manifest gives.

use std::collections::HashMap;

/// Named properties of images, each a text or missing. Equal texts are stored once.
///
/// ```
/// use mlestar_data::readers::attributes::Attributes;
/// let mut attributes = Attributes::default();
/// attributes.push([("camera", "A"), ("place", "")]);
/// attributes.push([("place", "Bern")]);
/// assert_eq!(attributes.get("camera", 0), Some("A"));
/// assert_eq!(attributes.get("camera", 1), None);
/// assert_eq!(attributes.get("place", 0), None);
/// assert_eq!(attributes.names().collect::<Vec<_>>(), ["camera", "place"]);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes {
    columns: Vec<Column>,
    n: usize,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Column {
    name: String,
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
    /// For each image, the text's position plus one; 0 if it is missing.
    rows: Vec<u32>,
}

impl Attributes {
    /// The names, in the order in which they first occurred.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Adds an image. Empty texts are missing.
    pub fn push<'a>(&mut self, values: impl IntoIterator<Item = (&'a str, &'a str)>) {
        self.n += 1;
        for (name, text) in values {
            let place = self.columns.iter().position(|column| column.name == name);
            let place = place.unwrap_or_else(|| {
                self.columns.push(Column {
                    name: name.to_string(),
                    ..Column::default()
                });
                self.columns.len() - 1
            });
            let column = &mut self.columns[place];
            column.rows.resize(self.n, 0);
            if !text.is_empty() {
                column.rows[self.n - 1] = column.number(text);
            }
        }
    }

    /// The property `name` of an image; `None` if it is missing, or if there is no such property or image.
    pub fn get(&self, name: &str, index: usize) -> Option<&str> {
        let column = self.columns.iter().find(|column| column.name == name)?;
        let number = *column.rows.get(index)? as usize;
        column.texts.get(number.checked_sub(1)?).map(String::as_str)
    }

    /// The images at `indices`, in that order.
    pub(crate) fn select(&self, indices: &[usize]) -> Self {
        let columns = self.columns.iter().map(|column| Column {
            rows: indices
                .iter()
                .map(|index| column.rows.get(*index).copied().unwrap_or(0))
                .collect(),
            ..column.clone()
        });
        Self {
            columns: columns.collect(),
            n: indices.len(),
        }
    }
}

impl Column {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        self.texts.push(text.to_string());
        // There are no more texts than images, which are counted in 32 bits.
        let number = self.texts.len() as u32;
        self.numbers.insert(text.to_string(), number);
        number
    }
}
