use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};

use crate::TrainError;

/// Key `class_weights`: how much the images of each class count in the loss.
#[derive(Debug, Clone, PartialEq)]
pub enum ClassWeights {
    /// Written `"balanced"`: the weights are inversely proportional to the number of training images,
    /// `n / (k n_c)` for class `c` of `k` classes. Every class then has the same total weight, and the mean weight of
    /// an image is 1.
    Balanced,
    /// Written as a list of numbers: one weight per class, in the order of the classes.
    List(Vec<f64>),
}

const BALANCED: &str = "balanced";
const MAX_WEIGHT: f64 = 1e6;

impl ClassWeights {
    pub(super) fn check(&self) -> Result<(), TrainError> {
        let Self::List(weights) = self else {
            return Ok(());
        };
        let is_allowed = |weight: &f64| *weight > 0.0 && *weight <= MAX_WEIGHT;
        if weights.len() > 1 && weights.iter().all(is_allowed) {
            return Ok(());
        }
        let limit = format!(
            "\"balanced\" or a list of numbers above 0 and at most {MAX_WEIGHT}, one for each class"
        );
        Err(TrainError::out_of_range("class_weights", self, limit))
    }

    /// A weight for each of `n_classes` classes, given the labels of all training images.
    ///
    /// # Errors
    ///
    /// [`TrainError::OutOfRange`] if a list does not have that length, or if a class has no images and the
    /// weights are to be balanced.
    pub fn resolve(&self, labels: &[u32], n_classes: usize) -> Result<Vec<f64>, TrainError> {
        match self {
            Self::List(weights) if weights.len() == n_classes => Ok(weights.clone()),
            Self::List(weights) => {
                let limit = format!(
                    "{n_classes} numbers, one for each class, and not {}",
                    weights.len()
                );
                Err(TrainError::out_of_range("class_weights", self, limit))
            }
            Self::Balanced => {
                let mut counts = vec![0_usize; n_classes];
                for &label in labels {
                    if let Some(count) = counts.get_mut(label as usize) {
                        *count += 1;
                    }
                }
                if let Some(class) = counts.iter().position(|&count| count == 0) {
                    let limit = format!(
                        "a list of {n_classes} numbers here, because class {class} (from 0) has no \
                         training images"
                    );
                    return Err(TrainError::out_of_range("class_weights", self, limit));
                }
                let share = labels.len() as f64 / n_classes as f64;
                Ok(counts.iter().map(|&count| share / count as f64).collect())
            }
        }
    }
}

/// In the form in which a config contains it.
impl fmt::Display for ClassWeights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balanced => write!(f, "{BALANCED:?}"),
            Self::List(weights) => write!(f, "{weights:?}"),
        }
    }
}

impl Serialize for ClassWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Balanced => serializer.serialize_str(BALANCED),
            Self::List(weights) => weights.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ClassWeights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsWritten)
    }
}

struct AsWritten;

impl<'de> Visitor<'de> for AsWritten {
    type Value = ClassWeights;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{BALANCED:?} or a list of numbers, one for each class")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<ClassWeights, E> {
        match text {
            BALANCED => Ok(ClassWeights::Balanced),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ClassWeights, A::Error> {
        let mut weights = Vec::new();
        while let Some(weight) = list.next_element()? {
            weights.push(weight);
        }
        Ok(ClassWeights::List(weights))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Section {
        class_weights: ClassWeights,
    }

    fn parsed(value: &str) -> Result<ClassWeights, toml::de::Error> {
        let section: Section = toml::from_str(&format!("class_weights = {value}"))?;
        Ok(section.class_weights)
    }

    #[test]
    fn both_ways_of_writing_read_back() {
        for (text, expected) in [
            ("'balanced'", ClassWeights::Balanced),
            ("[0.5, 2, 1e1]", ClassWeights::List(vec![0.5, 2.0, 10.0])),
        ] {
            let class_weights = parsed(text).unwrap();
            assert_eq!(class_weights, expected);
            let section = Section { class_weights };
            let again: Section = toml::from_str(&toml::to_string(&section).unwrap()).unwrap();
            assert_eq!(again, section);
            let again = serde_json::from_value(serde_json::to_value(&section).unwrap());
            assert_eq!(again.ok(), Some(section));
        }
        let message = parsed("'equal'").unwrap_err().to_string();
        assert!(
            message.contains("\"equal\"") && message.contains("\"balanced\" or a list"),
            "{message}"
        );
        assert!(parsed("3").unwrap_err().to_string().contains("balanced"));
    }

    #[test]
    fn balanced_weights_make_every_class_weigh_the_same() {
        let labels = [0, 0, 0, 1, 2, 2];
        let weights = ClassWeights::Balanced.resolve(&labels, 3).unwrap();
        let expected = [6.0 / 9.0, 2.0, 1.0];
        for (found, expected) in weights.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12);
        }
        let total: f64 = labels.iter().map(|&label| weights[label as usize]).sum();
        assert!((total - 6.0).abs() < 1e-12);
    }

    #[test]
    fn what_does_not_fit_the_classes_is_refused() {
        let message = |weights: ClassWeights| weights.resolve(&[0, 2], 3).unwrap_err().to_string();
        assert_eq!(
            message(ClassWeights::Balanced),
            "class_weights = \"balanced\" is out of range: it must be a list of 3 numbers here, \
             because class 1 (from 0) has no training images"
        );
        assert_eq!(
            message(ClassWeights::List(vec![1.0, 2.5])),
            "class_weights = [1.0, 2.5] is out of range: it must be 3 numbers, one for each class, and \
             not 2"
        );
    }
}
