//! The `data` of a tensor in JSON.

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use std::fmt;

/// Values of a tensor in JSON, flat in row-major order; nested arrays are flattened.
///
/// A value takes one byte here, where a general JSON value would take 32: a body must not grow in memory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// Numbers 0 to 255.
    pub bytes: Vec<u8>,
    /// Strings.
    pub strings: Vec<String>,
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut data = Self::default();
        deserializer.deserialize_seq(Level(&mut data))?;
        Ok(data)
    }
}

/// Adds the elements of an array at any depth.
struct Level<'a>(&'a mut Data);

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of numbers 0 to 255, or of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(Element(self.0))?.is_some() {}
        Ok(())
    }
}

/// Adds one value, or the elements of a nested array.
struct Element<'a>(&'a mut Data);

impl<'de> de::DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole number 0 to 255, a string, or an array of them")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        let byte = u8::try_from(value)
            .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))?;
        self.0.bytes.push(byte);
        Ok(())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.0.strings.push(value.to_owned());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<(), A::Error> {
        Level(self.0).visit_seq(elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_flattened_and_other_values_refused() {
        let data: Data = serde_json::from_str("[[1, [2]], 255, \"a\"]").unwrap();
        assert_eq!(
            (data.bytes, data.strings),
            (vec![1, 2, 255], vec!["a".to_owned()])
        );
        for wrong in [
            "[256]", "[-1]", "[0.5]", "[true]", "[null]", "[{}]", "3", "{}",
        ] {
            assert!(serde_json::from_str::<Data>(wrong).is_err(), "{wrong}");
        }
        let deep = "[".repeat(100_000);
        assert!(serde_json::from_str::<Data>(&deep).is_err());
    }
}
