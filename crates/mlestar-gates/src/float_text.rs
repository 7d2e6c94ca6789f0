//! Serde for `f64` fields that may be NaN or infinite, which JSON numbers cannot express. They become the
//! strings `"NaN"`, `"inf"` and `"-inf"`, so that a verdict about a broken figure survives a round trip.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Clone, Copy)]
struct Text(f64);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.collect_str(&self.0)
        }
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number, or one of the strings \"NaN\", \"inf\" and \"-inf\"")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Text, E> {
        Ok(Text(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Text, E> {
        Ok(Text(value as f64))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Text, E> {
        Ok(Text(value as f64))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        match text {
            "NaN" => Ok(Text(f64::NAN)),
            "inf" => Ok(Text(f64::INFINITY)),
            "-inf" => Ok(Text(f64::NEG_INFINITY)),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

pub(crate) mod value {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        Text(*value).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Text::deserialize(deserializer)?.0)
    }
}

pub(crate) mod interval {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        interval: &Option<[f64; 2]>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        interval.map(|ends| ends.map(Text)).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<[f64; 2]>, D::Error> {
        let ends = Option::<[Text; 2]>::deserialize(deserializer)?;
        Ok(ends.map(|ends| ends.map(|end| end.0)))
    }
}
